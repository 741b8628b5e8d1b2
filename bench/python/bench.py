"""The contestants in Python: subprocess, blocking, and asyncio.

    bench.py VARIANT WORKLOAD COUNT WARMUP SIZE

What the arguments mean, and the line of JSON that every contestant prints, is told in
driver/workloads.mjs.
"""

import asyncio
import json
import mmap
import os
import resource
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

variant, workload = sys.argv[1:3]
count, warmup, size = map(int, sys.argv[3:6])
CHUNK_IN = 64 << 10
CHUNK_OUT = 1 << 20


def child(name):
    return os.path.join(os.environ["BENCH_CHILDREN"], name)


# ---- blocking


def run():
    subprocess.run([child("tiny")], check=True)


def capture():
    result = subprocess.run([child(workload)], stdout=subprocess.PIPE, check=True)
    assert len(result.stdout) == size


def drain(mebibytes):
    process = subprocess.Popen([child("source"), str(mebibytes)], stdout=subprocess.PIPE, bufsize=0)
    total = 0
    while chunk := os.read(process.stdout.fileno(), CHUNK_OUT):
        total += len(chunk)
    process.stdout.close()
    assert process.wait() == 0 and total == mebibytes << 20


def feed(mebibytes):
    process = subprocess.Popen([child("sink"), str(mebibytes)], stdin=subprocess.PIPE, bufsize=0)
    for _ in range((mebibytes << 20) // CHUNK_IN):
        process.stdin.write(b"x" * CHUNK_IN)
    process.stdin.close()
    assert process.wait() == 0


def work(number):
    if workload in ("parallel", "memory"):
        with ThreadPoolExecutor(size) as threads:
            for future in [threads.submit(run) for _ in range(number)]:
                future.result()
    elif workload == "out":
        drain(number)
    elif workload == "in":
        feed(number)
    else:
        once = capture if workload in ("line", "block") else run
        for _ in range(number):
            once()


# ---- asyncio


async def run_async():
    process = await asyncio.create_subprocess_exec(child("tiny"))
    assert await process.wait() == 0


async def capture_async():
    process = await asyncio.create_subprocess_exec(child(workload), stdout=subprocess.PIPE)
    output, _ = await process.communicate()
    assert process.returncode == 0 and len(output) == size


async def drain_async(mebibytes):
    arguments = [child("source"), str(mebibytes)]
    process = await asyncio.create_subprocess_exec(*arguments, stdout=subprocess.PIPE)
    total = 0
    while chunk := await process.stdout.read(CHUNK_OUT):
        total += len(chunk)
    assert await process.wait() == 0 and total == mebibytes << 20


async def feed_async(mebibytes):
    arguments = [child("sink"), str(mebibytes)]
    process = await asyncio.create_subprocess_exec(*arguments, stdin=subprocess.PIPE)
    for _ in range((mebibytes << 20) // CHUNK_IN):
        process.stdin.write(b"x" * CHUNK_IN)
        await process.stdin.drain()
    process.stdin.close()
    assert await process.wait() == 0


async def work_async(number):
    if workload in ("parallel", "memory"):
        left = iter(range(number))

        async def task():
            for _ in left:
                await run_async()

        await asyncio.gather(*(task() for _ in range(size)))
    elif workload == "out":
        await drain_async(number)
    elif workload == "in":
        await feed_async(number)
    else:
        once = capture_async if workload in ("line", "block") else run_async
        for _ in range(number):
            await once()


# ---- what a process may hold while it starts others


def hold():
    if workload == "descriptors":
        return [os.open("/dev/null", os.O_RDONLY) for _ in range(size)]
    if workload != "heap" or size == 0:
        return None
    heap = mmap.mmap(-1, size << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for offset in range(0, len(heap), 4096):
        heap[offset] = 1
    return heap


def mark(name):
    """The driver looks at this process, and then lets it go on."""
    print("MARK", name, file=sys.stderr, flush=True)
    if len(os.read(0, 1)) != 1:
        sys.exit(2)


def cpu():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def main(loop):
    if workload == "memory":
        mark("fresh")
    if workload in ("heap", "descriptors"):
        await loop(warmup)
    held = hold()
    await loop(warmup)
    if workload == "memory":
        mark("warm")
    cpu_begin, begin = cpu(), time.perf_counter()
    await loop(count)
    seconds, cpu_seconds = time.perf_counter() - begin, cpu() - cpu_begin
    if workload == "memory":
        mark("end")
        time.sleep(1)
        mark("idle")
    print(json.dumps({"seconds": seconds, "cpu": cpu_seconds}))
    del held


async def work_blocking(number):
    work(number)


asyncio.run(main(work_async if variant == "asyncio" else work_blocking))
