/**
 * Issue 18, 13: examples/supervisor.ts over a real nginx, where there is one (tools/nginx.mjs gets it), and over a server
 * of our own in its place.
 */

import { chownSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { Command, ExecError, lookPath, type Process } from "../../mod.ts";
import { Directory, isRoot, root, runtime, type Skip, until } from "../helper.ts";
import { stateOf } from "../holdings.ts";
import { needsPython, python } from "../python.ts";
import { needsLinuxChild } from "../refused.ts";

/** In PATH, or where tools/nginx.mjs has put it. */
const nginx = ((): string | undefined => {
  const unpacked = join(root, ".tools/debian/nginx/usr/sbin/nginx");
  if (existsSync(unpacked)) return unpacked;
  try {
    return lookPath("nginx");
  } catch (error) {
    if (error instanceof ExecError) return undefined;
    throw error;
  }
})();

/** What is supervised: an HTTP server with a worker process, which drains on SIGQUIT. */
interface Service {
  readonly name: string;
  readonly needs: Skip;
  /** What its lines begin with. */
  readonly says: RegExp;
  argv(directory: Directory, port: number): string[];
}

const large = "x".repeat(300_000);

const services: Service[] = [{
  name: "a server of our own",
  needs: needsPython,
  says: /^python3! serves on \d+ with worker \d+ as \d+$/,
  argv(directory, port) {
    const path = directory.file(
      "server.py",
      `
import http.server, os, signal, subprocess, sys, threading, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        if self.path != "/slow": return self.wfile.write(b"hello\\n")
        for _ in range(10):
            self.wfile.write(b"x" * 30000)
            time.sleep(0.05)
    def log_message(self, *_): print("GET", self.path, flush=True)
server = http.server.ThreadingHTTPServer(("127.0.0.1", ${port}), Handler)
server.daemon_threads = False
signal.signal(signal.SIGQUIT, lambda *_: threading.Thread(target=server.shutdown).start())
signal.signal(signal.SIGTERM, lambda *_: (worker.kill(), os._exit(0)))
worker = subprocess.Popen(["sleep", "1000"])
with open("/dev/stderr", "w") as log:
    print("serves on ${port} with worker", worker.pid, "as", os.getuid(), file=log)
server.serve_forever()
server.server_close()
worker.kill()
worker.wait()
`,
    );
    return [python, path];
  },
}];

if (nginx !== undefined) {
  services.push({
    name: "nginx",
    needs: {},
    says: /^nginx! .* start worker process \d+$/,
    argv(directory, port) {
      const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map((each) => `${each}_temp_path ${directory.join(each)};`);
      directory.file("slow", large);
      const path = directory.file(
        "nginx.conf",
        `pid ${directory.join("pid")}; worker_processes 2; error_log /dev/stderr notice;
         events { worker_connections 64; }
         http {
           access_log /dev/stdout combined; ${temporary.join(" ")}
           server {
             listen 127.0.0.1:${port};
             location / { return 200 "hello\\n"; }
             location /slow { limit_rate 500k; root ${directory.path}; }
           }
         }`,
      );
      return [nginx, "-e", "stderr", "-c", path, "-g", "daemon off;"];
    },
  });
}

/** The supervisor, in a process of its own, and what it has said so far. */
class Supervised implements AsyncDisposable {
  readonly lines: string[] = [];
  readonly #command: Command;
  readonly #reading: Promise<void>[];
  readonly process: Process;

  constructor(options: readonly string[], argv: readonly string[]) {
    const [program = "", ...flags] = runtime;
    const script = join(root, "examples/supervisor.ts");
    this.#command = new Command(program, [...flags, script, ...options, "--", ...argv]);
    const pipes = [this.#command.stdoutPipe(), this.#command.stderrPipe()];
    this.process = this.#command.start();
    this.#reading = pipes.map(async (file) => {
      for await (const line of file.lines()) this.lines.push(line);
      file.close();
    });
  }

  /** Waits for a line, from the one of that number on; answers its number. */
  async said(pattern: RegExp, from = 0): Promise<number> {
    const find = (): number => this.lines.findIndex((line, at) => at >= from && pattern.test(line));
    await until(() => find() >= 0).catch(() =>
      assert(false, `${pattern}: ${this.lines.join("\n")}`)
    );
    return find();
  }

  /** The pid of what runs, as the line of that number says. */
  pid(line: number): number {
    return Number(/as pid (\d+)/.exec(this.lines[line] ?? "")?.[1]);
  }

  /** Its exit code, once all that it had to say has come. */
  async ended(): Promise<number> {
    const state = await this.#command.wait().catch((error) => error.state);
    await Promise.all(this.#reading);
    return state.exitCode;
  }

  /** Of a test that has failed nothing stays. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#command[Symbol.asyncDispose]();
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  assert(typeof address === "object" && address !== null);
  return address.port;
}

/** The body of an answer, or "" where nobody has answered. `heard`: at the first byte. */
function get(port: number, path: string, heard: () => void = () => {}): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    const socket = connect(port, "127.0.0.1");
    socket.on("connect", () => socket.write(`GET ${path} HTTP/1.0\r\n\r\n`));
    socket.on("data", (chunk) => {
      heard();
      text += String(chunk);
    });
    socket.on("error", () => resolve(""));
    socket.on("close", () => resolve(text.slice(text.indexOf("\r\n\r\n") + 4)));
  });
}

async function untilServed(port: number): Promise<void> {
  let body = "";
  for (let attempt = 0; attempt < 3000 && body === ""; attempt++) {
    body = await get(port, "/");
    if (body === "") await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assertEquals(body, "hello\n");
}

/** All that runs below a process. */
function descendants(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ")
    .filter((each) => each !== "").map(Number);
  return [...children, ...children.flatMap(descendants)];
}

function isGone(pid: number): boolean {
  return [null, "Z"].includes(stateOf(pid));
}

/** A directory that the service's user may write to. */
function directoryFor(): Directory {
  const directory = new Directory();
  if (isRoot) chownSync(directory.path, 65534, 65534);
  return directory;
}

const options = ["--user", "nobody", "--backoff", "20"];

for (const { name, needs, says, argv } of services) {
  const skip = needsLinuxChild || (needs.skip ?? false);

  test(`the supervisor keeps ${name} running, forwards its lines, and drains it on SIGTERM`, {
    skip,
  }, async () => {
    using directory = directoryFor();
    const port = await freePort();
    await using supervised = new Supervised(options, argv(directory, port));
    const first = supervised.pid(await supervised.said(/runs as pid/));
    await untilServed(port);
    await supervised.said(says);
    if (isRoot) {
      const status = readFileSync(`/proc/${first}/status`, "utf8");
      assertMatch(status, /^Uid:\t65534\t65534\t65534\t65534$/m);
      assertMatch(status, /^NoNewPrivs:\t1$/m);
    }
    await supervised.said(/^(nginx|python3): .*GET \//);

    // Crashed: as root the workers go with it, which would keep the port.
    const workers = descendants(first);
    assert(workers.length > 0);
    process.kill(first, "SIGKILL");
    // After the master, which would make others; some have ended with it.
    for (const worker of isRoot ? [] : workers) {
      if (!isGone(worker)) process.kill(worker, "SIGKILL");
    }
    const again = await supervised.said(/signal: killed; again in \d+ ms$/);
    const second = supervised.pid(await supervised.said(/runs as pid/, again));
    assert(second !== first);
    await until(() => workers.every(isGone));
    await untilServed(port);

    // What is under way is answered to its end, and nobody else is answered.
    const { promise: begun, resolve: heard } = Promise.withResolvers<void>();
    const slow = get(port, "/slow", heard);
    await begun;
    supervised.process.signal("SIGTERM");
    await supervised.said(/^supervisor: SIGTERM: .* is told to finish$/);
    assertEquals((await slow).length, large.length);
    assertEquals(await supervised.ended(), 0);
    assertEquals(await get(port, "/"), "");
    const last = supervised.lines.filter((line) => line.startsWith("supervisor: ")).at(-1);
    assertMatch(last ?? "", /^supervisor: (nginx|python3): exit status 0$/);
    assert(isGone(second));
  });

  test(
    `the supervisor leaves nothing of ${name} behind when it is killed itself`,
    { skip },
    async () => {
      using directory = directoryFor();
      const port = await freePort();
      await using supervised = new Supervised(options, argv(directory, port));
      const pid = supervised.pid(await supervised.said(/runs as pid/));
      await untilServed(port);
      await supervised.said(says);
      const all = [pid, ...descendants(pid)];
      assert(all.length > 1);
      supervised.process.kill();
      assertEquals(await supervised.ended(), -1);
      await until(() => all.every(isGone));
      assertEquals(await get(port, "/"), "");
    },
  );
}

test("the supervisor kills what does not drain", { skip: needsLinuxChild }, async () => {
  using directory = directoryFor();
  const script = directory.file(
    "stubborn.sh",
    "trap '' QUIT; echo ready; while :; do sleep 1; done",
  );
  await using supervised = new Supervised(["--drain", "50"], ["sh", script]);
  await supervised.said(/^sh: ready$/);
  supervised.process.signal("SIGTERM");
  assertEquals(await supervised.ended(), 0);
  assertEquals(supervised.lines.at(-1), "supervisor: sh: signal: killed");
});

test("the supervisor reports a crash loop, and backs off further with each failure", {
  skip: needsLinuxChild,
}, async () => {
  using directory = directoryFor();
  const script = directory.file("crash.sh", "printf 'no end of line'; exit 3");
  await using supervised = new Supervised(["--backoff", "8"], ["sh", script]);
  const loop = await supervised.said(/is in a crash loop: 5 failures in a row$/);
  const sixth = await supervised.said(/again in/, loop + 1);
  const pauses = supervised.lines.slice(0, sixth + 1).map((line) => /again in (\d+) ms$/.exec(line))
    .filter((match) => match !== null).map((match) => Number(match[1]));
  assert(
    pauses.every((pause, index) => pause >= 4 * 2 ** index && pause <= 8 * 2 ** index),
    `${pauses}`,
  );
  assertEquals(supervised.lines.includes("sh: no end of line"), true);
  assertMatch(supervised.lines[sixth] ?? "", /^supervisor: sh: exit status 3; again in/);
  supervised.process.signal("SIGINT");
  assertEquals(await supervised.ended(), 0);
});

test(
  "the supervisor tries again what cannot be started, and says why",
  { skip: needsLinuxChild },
  async () => {
    using directory = directoryFor();
    // As the init of a pid namespace it has no handler for SIGQUIT, and so does not get it.
    await using supervised = new Supervised([...options, "--drain", "50"], [
      directory.join("missing"),
    ]);
    await supervised.said(/no such file or directory; again in/);
    writeFileSync(directory.join("missing"), "#!/bin/sh\nexec sleep 1000\n", { mode: 0o755 });
    await supervised.said(/missing runs as pid/);
    supervised.process.signal("SIGTERM");
    assertEquals(await supervised.ended(), 0);
  },
);
