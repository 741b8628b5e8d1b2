import os
import subprocess

subprocess.run([os.path.join(os.environ["BENCH_CHILDREN"], "tiny")], check=True)
