/**
 * "streams 1" to "3": whatever a child writes, and however slowly it is taken, the event loop gets its turns.
 * Each reading and each sink, with a child that writes for ever: an abort after 100 ms ends it. The longest
 * gap of an interval of 5 ms is printed beside.
 */

import { after, test } from "node:test";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { Writable } from "node:stream";
import { assert, assertEquals } from "@std/assert";
import { Command, OSFile, type Stdout, type Writer } from "../../mod.ts";
import { hostName, sh, until } from "../helper.ts";

/** What is done with each chunk, or line. */
type Work = () => unknown;

/** Milliseconds of the processor. */
function busy(milliseconds: number): void {
  for (const end = performance.now() + milliseconds; performance.now() < end;);
}

const works: Readonly<Record<string, Work>> = {
  nothing: () => {},
  "2 ms busy": () => busy(2),
  "2 ms busy, by a promise": async () => {
    await null;
    busy(2);
  },
  "2 ms later": () => new Promise((resolve) => setTimeout(resolve, 2)),
};

/** A way to read all of a command's output; settles with the run. */
type Reading = (command: Command, work: Work) => Promise<unknown>;

function into(sink: (work: Work) => Stdout): Reading {
  return (command, work) => {
    command.stdout = sink(work);
    return command.run();
  };
}

/** Of the pipe, beside the run: what is unread when that has ended is still there, and given up here. */
function beside(read: (pipe: OSFile, work: Work) => Promise<unknown>): Reading {
  return async (command, work) => {
    using pipe = command.stdoutPipe();
    command.start();
    let isOver = false;
    read(pipe, () => {
      if (isOver) throw new Error("it is over");
      return work();
    }).catch(() => {});
    try {
      return await command.wait();
    } finally {
      isOver = true;
    }
  };
}

async function each(chunks: AsyncIterable<unknown>, work: Work): Promise<void> {
  for await (const _ of chunks) await work();
}

const writer = (work: Work): Writer => ({
  write(): unknown {
    // Not a number, which would say how much was taken.
    return work();
  },
});
const stream = (work: Work): WritableStream<Uint8Array> =>
  new WritableStream({
    async write() {
      await work();
    },
  });
const writable = (work: Work): Writable =>
  new Writable({
    write(_chunk, _encoding, done) {
      Promise.resolve(work()).then(() => done());
    },
  });

const readings: Readonly<Record<string, Reading>> = {
  "a Writer": into(writer),
  "a WritableStream": into(stream),
  "Node's Writable": into(writable),
  "text()": (command) => command.text(),
  "lines()": (command, work) => each(command.lines(), work),
  "for await of a pipe": beside(each),
  "lines() of a pipe": beside((pipe, work) => each(pipe.lines(), work)),
  "read() of a pipe": beside(async (pipe, work) => {
    const p = new Uint8Array(64 * 1024);
    while (await pipe.read(p) !== null) await work();
  }),
  "readable of a pipe": beside((pipe, work) => each(pipe.readable, work)),
  "pipeTo of a pipe": beside((pipe, work) => pipe.readable.pipeTo(stream(work))),
};

/** How long it takes until all is over, and the longest gap of the interval. */
async function measure(
  reading: Reading,
  program: readonly [string, ...string[]],
  work: Work,
): Promise<{ done: number; gap: number }> {
  let last = performance.now();
  let gap = 0;
  const look = (): void => {
    const now = performance.now();
    gap = Math.max(gap, now - last);
    last = now;
  };
  const interval = setInterval(look, 5);
  const [name, ...args] = program;
  const begun = performance.now();
  const command = new Command(name, args, { signal: AbortSignal.timeout(100) });
  try {
    await reading(command, work).then(() => assert(false), () => {});
  } finally {
    clearInterval(interval);
  }
  look();
  return { done: performance.now() - begun, gap };
}

const table: string[] = [];

for (const [name, reading] of Object.entries(readings)) {
  test(`streams 1 to 3: an abort is heard by ${name}, and timers are`, async () => {
    for (const program of [["yes"], ["cat", "/dev/zero"]] as const) {
      for (const [what, work] of Object.entries(works)) {
        // text() has no work to do.
        if (name === "text()" && what !== "nothing") continue;
        let least = { done: Infinity, gap: Infinity };
        // What is all kept, 300 MB of it, takes the time of the memory.
        const most = name === "text()" || (program.length > 1 && name.startsWith("lines()"))
          ? 3_000
          : 500;
        // Somebody else may have the processors for a while.
        for (let round = 0; round < 5 && least.done > most; round++) {
          least = await measure(reading, program, work);
        }
        const { done, gap } = least;
        const row = [name, program.join(" "), what, done.toFixed(0), gap.toFixed(0)];
        table.push(`| ${row.join(" | ")} |`);
        assert(done <= most, `${name}, ${program.join(" ")}, ${what}: ${done} ms`);
      }
    }
  });
}

test("streams 3: a timer is heard while files that never wait are read and written", async () => {
  using zero = OSFile.open("/dev/zero");
  using full = OSFile.open("/dev/null", "w");
  let heard = false;
  const timer = setTimeout(() => heard = true, 20);
  const p = new Uint8Array(1024);
  const end = performance.now() + 5_000;
  while (!heard && performance.now() < end) {
    await zero.read(p);
    await full.write(p);
  }
  clearTimeout(timer);
  assert(heard);
});

test("streams 3: a socket is heard while a slow sink is written to", async () => {
  // Reset where the other end goes with an echo unread: Node tells of that after the test.
  const server = createServer((socket) => socket.on("error", () => {}).pipe(socket));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  assert(typeof address === "object" && address !== null);
  const socket = connect(address.port, "127.0.0.1");
  await once(socket, "connect");
  let echoes = 0;
  socket.on("data", () => {
    echoes += 1;
    socket.write("x");
  });
  socket.write("x");
  const command = new Command("yes", [], { stdout: writer(() => busy(2)) });
  command.start();
  // Deno's loop heard 3 of them a second, as it looks at its sockets every 61st time only.
  const begun = performance.now();
  await until(() => echoes >= 30);
  const took = performance.now() - begun;
  await command[Symbol.asyncDispose]();
  socket.destroy();
  server.close();
  assert(took < 5_000, `${took} ms`);
});

test("streams 3: a timer is heard while a source feeds without an end", async () => {
  const chunk = new Uint8Array(1024);
  function* forEver(): Generator<Uint8Array> {
    while (true) yield chunk;
  }
  const command = sh("cat >/dev/null", { stdin: forEver(), signal: AbortSignal.timeout(50) });
  const begun = performance.now();
  await command.run().then(() => assert(false), () => {});
  assert(performance.now() - begun < 5_000);
});

test("streams 2: no line is lost or made up by the turns that are given", async () => {
  let next = 0;
  for await (const line of new Command("seq", ["0", "299999"]).lines()) {
    assertEquals(line, `${next}`);
    next += 1;
  }
  assertEquals(next, 300_000);
});

after(() => {
  const head =
    "| read by | of | with each chunk or line | aborted after 100 ms, done after | gap |";
  console.log(`${hostName}, in ms:\n${head}\n${table.join("\n")}`);
});
