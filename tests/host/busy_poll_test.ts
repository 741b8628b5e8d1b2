/** The reactor's own loop of asking: who is asked for, how long, and when not at all. */

import { test } from "node:test";
import { setImmediate } from "node:timers";
import { assert, assertEquals } from "@std/assert";
import { BusyPoll, capacity, patience, pauseMin } from "../../ffi/busy_poll.ts";
import { Ready } from "../../ffi/abi.ts";
import { expectSoon, watch } from "../../ffi/reactor.ts";
import { type OSFile, pipe } from "../../mod.ts";
import { duplicate } from "../system.ts";

/** A kernel for one BusyPoll, and what that told. */
class Scene {
  /** What is ready, by descriptor. */
  readonly ready = new Map<number, number>();
  /** Processors left over. */
  idle = 1;
  /** Milliseconds that somebody else takes of every turn. */
  slice = 0;
  turns = 0;
  looks = 0;
  /** What this machine's other work takes is not to be seen. */
  #now = 0;
  readonly told: string[] = [];
  readonly poll = new BusyPoll(
    {
      osexec_busy_poll: (bytes, count) => this.#answer(bytes, count),
      osexec_idle_processors: () => {
        this.looks += 1;
        return this.idle;
      },
    },
    (ready, late) => {
      for (const { fd, revents } of ready) this.told.push(`${fd} ready ${revents}`);
      for (const fd of late) this.told.push(`${fd} given up`);
    },
    () => this.#now,
  );

  /** As right after a start. */
  tries(fd: number, events: number): boolean {
    this.poll.expect();
    return this.poll.tries(fd, events);
  }

  #answer(bytes: Uint8Array, count: number): number {
    this.turns += 1;
    this.#now += this.slice;
    const view = new DataView(bytes.buffer);
    let found = 0;
    for (let index = 0; index < count; index++) {
      const revents = this.ready.get(view.getInt32(8 * index, true)) ?? 0;
      const wanted = view.getInt16(8 * index + 4, true) | Ready.err | Ready.hup;
      view.setInt16(8 * index + 6, revents & wanted, true);
      if ((revents & wanted) !== 0) found += 1;
    }
    return found;
  }

  /** Until so much has been told. */
  async until(count: number): Promise<void> {
    for (let turn = 0; this.told.length < count; turn++) {
      assert(turn < 100 * patience, this.told.join());
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

test("what is ready is told once, with what it is ready for", async () => {
  const scene = new Scene();
  assert(scene.tries(5, Ready.in));
  assert(scene.tries(6, Ready.out));
  assert(scene.tries(7, Ready.in));
  scene.ready.set(7, Ready.in | Ready.hup);
  scene.ready.set(6, Ready.in);
  await scene.until(1);
  assertEquals(scene.told, [`7 ready ${Ready.in | Ready.hup}`]);
  scene.ready.set(6, Ready.out);
  await scene.until(2);
  assertEquals(scene.told[1], `6 ready ${Ready.out}`);
  assert(!scene.poll.delete(6));
  assert(scene.poll.delete(5));
});

test("what takes long is given up, after so many turns in which nothing was ready", async () => {
  const scene = new Scene();
  assert(scene.tries(5, Ready.in));
  await scene.until(1);
  assertEquals([scene.turns, scene.told], [patience, ["5 given up"]]);
});

test("nothing is asked for when no start was made of late", async () => {
  const scene = new Scene();
  assert(!scene.poll.tries(5, Ready.in));
  scene.poll.expect();
  assert(scene.poll.tries(5, Ready.in));
  await scene.until(1);
  assert(!scene.poll.tries(6, Ready.in));
  assertEquals([scene.turns, scene.told], [patience, ["5 given up"]]);
});

test("what mostly takes long is asked for more and more rarely, until it no longer does", async () => {
  const scene = new Scene();
  let tried = 0;
  const pauses: number[] = [];
  for (let refused = 0; pauses.length < 3;) {
    if (!scene.tries(5, Ready.in)) {
      refused += 1;
      continue;
    }
    if (refused > 0) pauses.push(refused);
    refused = 0;
    tried += 1;
    await scene.until(tried);
  }
  assertEquals(pauses, [pauseMin, 2 * pauseMin, 4 * pauseMin]);
  scene.ready.set(5, Ready.in);
  for (let round = 0; round < 1000; round++) {
    if (scene.tries(5, Ready.in)) await scene.until(scene.told.length + 1);
  }
  scene.ready.clear();
  let more = 0;
  for (; scene.tries(5, Ready.in); more++) await scene.until(scene.told.length + 1);
  assert(more > 1, "a few bad ones do not end it");
  let refused = 1;
  while (!scene.tries(5, Ready.in)) refused += 1;
  assertEquals(refused, pauseMin);
  scene.poll.delete(5);
});

test("nothing is asked for while all processors are busy, but with our own children", () => {
  const scene = new Scene();
  scene.idle = -1;
  assert(!scene.tries(5, Ready.in));
  for (scene.idle = 0; !scene.tries(5, Ready.in););
  scene.idle = -1;
  for (let fd = 6; scene.looks < 4; fd++) {
    assert(scene.tries(fd, Ready.in));
    if (fd > 6) scene.poll.delete(fd);
  }
  scene.poll.delete(5);
  scene.poll.delete(6);
});

test("all are given up when a turn was somebody else's for long", async () => {
  const scene = new Scene();
  scene.slice = 2;
  assert(scene.tries(5, Ready.in));
  assert(scene.tries(6, Ready.in));
  await scene.until(2);
  assertEquals([scene.turns, scene.told.sort()], [1, ["5 given up", "6 given up"]]);
  let refused = 0;
  while (!scene.tries(5, Ready.in)) refused += 1;
  assertEquals(refused, pauseMin);
  scene.poll.delete(5);
});

test("what is wanted can change, and who no longer wants anything is not asked for", async () => {
  const scene = new Scene();
  assert(scene.tries(5, Ready.in));
  scene.ready.set(5, Ready.out);
  assert(!scene.poll.change(6, Ready.in));
  assert(scene.poll.change(5, Ready.in | Ready.out));
  await scene.until(1);
  assertEquals(scene.told, [`5 ready ${Ready.out}`]);
  assert(!scene.poll.change(5, Ready.in));
  const { turns } = scene;
  await new Promise((resolve) => setTimeout(resolve, 0));
  assertEquals(scene.turns, turns);
});

test("there is an end to how many are asked for at once", () => {
  const scene = new Scene();
  for (let fd = 0; fd < capacity; fd++) assert(scene.tries(fd, Ready.in));
  assert(!scene.tries(capacity, Ready.in));
  for (let fd = 0; fd < capacity; fd++) assert(scene.poll.delete(fd));
});

test("what a callback closes is not told of, though its number is used again", async () => {
  const files = [pipe(), pipe()] as const;
  const [[first], [second]] = files;
  const number = second.fd;
  for (const [, end] of files) end.writeSync(Uint8Array.of(1));
  const { promise: again, resolve } = Promise.withResolvers<void>();
  const copies: OSFile[] = [];
  // Where there was no processor left for the first one, the second, which was asked for, may be told before: it is open.
  let isClosed = false;
  let told = 0;
  const [fresh, freshWriter] = pipe();
  expectSoon();
  const fail = (error: unknown): void => assert(false, String(error));
  watch(first.fd, "in", {
    fail,
    ready: () => {
      second.close();
      isClosed = true;
      const copy = duplicate(fresh.fd, number);
      copies.push(copy);
      expectSoon();
      watch(copy.fd, "in", { fail, ready: () => void (told += 1) });
      setImmediate(() => setImmediate(resolve));
    },
  });
  watch(second.fd, "in", { fail, ready: () => void (told += isClosed ? 10 : 0) });
  await again;
  assertEquals([copies[0]?.fd, told], [number, 0]);
  for (const file of [...copies, ...files.flat(), fresh, freshWriter]) file.close();
});
