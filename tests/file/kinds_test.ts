/**
 * "streams 12": every kind of source and of sink, and what becomes of it when all goes well, when it is slow,
 * when it fails, when it takes less than it is given, when the child stops reading, and when it is aborted. The
 * tables of docs/STREAMS.md are made by this, and compared with it.
 */

import fs from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { once } from "node:events";
import { join } from "node:path";
import { Readable, Writable } from "node:stream";
import { after, test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { Command, type Data, ExitError, OSFile, pipe, type Stdin, type Stdout } from "../../mod.ts";
import { Directory, hostName, isBun, isDeno, noise, root, Sink, until, wrong } from "../helper.ts";

const data = noise(300_000);
const failure = new Error("it failed");

function pause(milliseconds = 1): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

function same(bytes: Uint8Array): string {
  if (bytes.length === data.length && bytes.every((byte, index) => byte === data[index])) {
    return "all";
  }
  return `${bytes.length} bytes`;
}

/** What an error is, in the table's words. */
function word(error: unknown): string {
  if (error instanceof ExitError) {
    return error.cause === undefined ? "ExitError" : `ExitError, cause: ${word(error.cause)}`;
  }
  if (error === failure) return "its error";
  return error instanceof Error ? error.name : String(error);
}

interface Bun {
  file(path: string): Blob & { writer(): Stdout & { end(): unknown } };
}

interface DenoFile extends Disposable {
  write(chunk: Uint8Array): Promise<number>;
}

interface Deno {
  open(path: string, options: object): Promise<DenoFile>;
  connect(options: { port: number }): Promise<DenoFile>;
}

const { Bun: bun, Deno: deno } = wrong<{ Bun?: Bun; Deno?: Deno }>(globalThis);

// ------------------------------------------------------------------ sources

/** How a source is to behave. */
type Manner = "all" | "slow" | "fails" | "forever";

/** The pieces of a source, in that manner; `told` hears that no more is wanted. */
async function* pieces(manner: Manner, told: () => void): AsyncGenerator<Uint8Array> {
  try {
    for (let offset = 0; offset < data.length || manner === "forever"; offset += 30_000) {
      if (manner === "slow") await pause();
      if (manner === "forever") await pause(0);
      if (manner === "fails" && offset > 100_000) throw failure;
      const from = offset % data.length;
      yield data.subarray(from, from + 30_000);
    }
  } finally {
    told();
  }
}

function* piecesNow(manner: Manner, told: () => void): Generator<Uint8Array> {
  try {
    for (let offset = 0; offset < data.length || manner === "forever"; offset += 30_000) {
      if (manner === "fails" && offset > 100_000) throw failure;
      const from = offset % data.length;
      yield data.subarray(from, from + 30_000);
    }
  } finally {
    told();
  }
}

function streamOf(manner: Manner, told: () => void): ReadableStream<Uint8Array<ArrayBuffer>> {
  const source = pieces(manner, () => {});
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await source.next();
      if (done) controller.close();
      else controller.enqueue(new Uint8Array(value));
    },
    cancel: told,
  });
}

interface SourceKind {
  readonly name: string;
  /** Null: this kind cannot behave so. */
  make(manner: Manner, told: () => void, directory: Directory): Data | Stdin | null;
}

function whole(
  make: (bytes: Uint8Array<ArrayBuffer>, directory: Directory) => Stdin,
): SourceKind["make"] {
  return (manner, _told, directory) => manner === "all" ? make(data.slice(), directory) : null;
}

const sources: readonly SourceKind[] = [
  { name: "string", make: whole(() => new TextDecoder("latin1").decode(data)) },
  { name: "Uint8Array, any view", make: whole((bytes) => bytes) },
  { name: "ArrayBuffer", make: whole((bytes) => bytes.buffer) },
  { name: "Blob", make: whole((bytes) => new Blob([bytes])) },
  ...bun === undefined ? [] : [{
    name: "Bun.file(path)",
    make: whole((bytes, directory) => bun.file(directory.file("from", bytes))),
  }],
  {
    name: "Request",
    make: (manner, told) =>
      new Request(
        "http://localhost/",
        wrong<RequestInit>({ method: "POST", body: streamOf(manner, told), duplex: "half" }),
      ),
  },
  { name: "Response", make: (manner, told) => new Response(streamOf(manner, told)) },
  {
    name: "array of bytes or text",
    make: whole((bytes) => [bytes.subarray(0, 5), bytes.subarray(5)]),
  },
  { name: "iterable", make: (manner, told) => manner === "slow" ? null : piecesNow(manner, told) },
  { name: "async iterable", make: (manner, told) => pieces(manner, told) },
  { name: "ReadableStream", make: (manner, told) => streamOf(manner, told) },
  { name: "Node's Readable", make: (manner, told) => Readable.from(pieces(manner, told)) },
  {
    name: "OSFile, or another with an fd",
    make: whole((bytes, directory) => OSFile.open(directory.file("from", bytes))),
  },
  {
    name: "number",
    make: whole((bytes, directory) => {
      const file = OSFile.open(directory.file("from", bytes));
      opened.push(file);
      return file.fd;
    }),
  },
];

const opened: OSFile[] = [];

type Cell = (kind: SourceKind, directory: Directory) => Promise<string>;

interface Begun {
  readonly stdin: Stdin;
  readonly told: () => boolean;
  readonly canTell: boolean;
}

function source(kind: SourceKind, manner: Manner, directory: Directory): Begun | null {
  let told = false;
  const stdin = kind.make(manner, () => told = true, directory);
  if (stdin === null) return null;
  if (stdin instanceof OSFile) opened.push(stdin);
  return { stdin: wrong<Stdin>(stdin), told: () => told, canTell: manner === "forever" };
}

/** "Latin-1" text is not what cat gets: its UTF-8 is. */
function expected(stdin: Stdin, bytes: Uint8Array): string {
  if (typeof stdin !== "string") return same(bytes);
  return new TextDecoder().decode(bytes) === stdin ? "all" : `${bytes.length} bytes`;
}

/** Waits until a source that can tell has been told that no more is wanted. */
async function cancelled({ told, canTell }: Begun): Promise<string> {
  if (!canTell) return "";
  await until(told);
  return ", cancelled";
}

const sourceCells: Readonly<Record<string, Cell>> = {
  "all of it": async (kind, directory) => {
    const it = source(kind, "all", directory);
    if (it === null) return "–";
    return expected(it.stdin, await new Command("cat", [], { stdin: it.stdin }).output());
  },
  "slow": async (kind, directory) => {
    const it = source(kind, "slow", directory);
    return it === null ? "–" : same(await new Command("cat", [], { stdin: it.stdin }).output());
  },
  "fails": async (kind, directory) => {
    const it = source(kind, "fails", directory);
    if (it === null) return "–";
    return await new Command("cat", [], { stdin: it.stdin }).output().then(same, word);
  },
  "the child stops reading": async (kind, directory) => {
    const it = source(kind, "forever", directory) ?? source(kind, "all", directory);
    assert(it !== null);
    await new Command("head", ["-c", "10"], { stdin: it.stdin }).run();
    return `success${await cancelled(it)}`;
  },
  "aborted": async (kind, directory) => {
    const it = source(kind, "forever", directory) ?? source(kind, "all", directory);
    assert(it !== null);
    const signal = AbortSignal.timeout(50);
    const command = new Command("sleep", ["60"], { stdin: it.stdin, signal });
    return `${await command.run().then(String, word)}${await cancelled(it)}`;
  },
  "Sync": async (kind, directory) => {
    const it = source(kind, "all", directory);
    assert(it !== null);
    try {
      return expected(it.stdin, new Command("cat", [], { stdin: it.stdin }).outputSync());
    } catch (error) {
      // What has been begun is ended.
      if (it.stdin instanceof ReadableStream) await it.stdin.cancel();
      return word(error);
    }
  },
};

// ------------------------------------------------------------------ sinks

type Treatment = "all" | "slow" | "fails" | "short";

interface SinkKind {
  readonly name: string;
  /** Null: this kind cannot behave so. `result`: closes it, and answers what it has been given. */
  make(
    treatment: Treatment,
    directory: Directory,
  ): Promise<{ stdout: Stdout; result(): Promise<Uint8Array> } | null>;
}

/** Takes a chunk in that manner; answers how much it took, if it says so. */
function taker(
  treatment: Treatment,
): {
  sink: Sink;
  take(chunk: Uint8Array): unknown;
  takeLater(chunk: Uint8Array): Promise<unknown>;
} {
  const sink = new Sink();
  let calls = 0;
  const take = (chunk: Uint8Array): unknown => {
    calls += 1;
    if (treatment === "fails" && calls > 1) throw failure;
    const count = treatment === "short" ? Math.ceil(chunk.length / 2) : chunk.length;
    sink.write(chunk.slice(0, count));
    return treatment === "short" ? count : undefined;
  };
  return {
    sink,
    take,
    async takeLater(chunk) {
      if (treatment === "slow") await pause();
      return take(chunk);
    },
  };
}

const sinks: readonly SinkKind[] = [
  {
    name: "Writer",
    make(treatment) {
      const { sink, take } = taker(treatment);
      const stdout = { write: (chunk: Uint8Array): unknown => take(chunk) };
      return Promise.resolve(
        treatment === "slow" ? null : { stdout, result: async () => await sink.bytes() },
      );
    },
  },
  {
    name: "Writer that answers with a promise",
    make(treatment) {
      const { sink, takeLater } = taker(treatment);
      const stdout = { write: (chunk: Uint8Array): unknown => takeLater(chunk) };
      return Promise.resolve({ stdout, result: async () => await sink.bytes() });
    },
  },
  {
    name: "WritableStream",
    make(treatment) {
      if (treatment === "short") return Promise.resolve(null);
      const { sink, takeLater } = taker(treatment);
      const stdout = new WritableStream<Uint8Array>({
        async write(chunk) {
          await takeLater(chunk);
        },
      });
      return Promise.resolve({
        stdout,
        async result() {
          assert(!stdout.locked);
          await stdout.close().catch(() => {});
          return sink.bytes();
        },
      });
    },
  },
  {
    name: "Node's Writable",
    make(treatment) {
      if (treatment === "short") return Promise.resolve(null);
      const { sink, takeLater } = taker(treatment);
      const stdout = new Writable({
        write(chunk, _encoding, done) {
          takeLater(chunk).then(() => done(), done);
        },
      });
      return Promise.resolve({
        stdout,
        async result() {
          stdout.on("error", () => {});
          stdout.end();
          if (!stdout.destroyed) await once(stdout, "close");
          return sink.bytes();
        },
      });
    },
  },
  ...bun === undefined ? [] : [{
    name: "Bun.file(path)",
    make: (treatment: Treatment, directory: Directory) =>
      file(treatment, directory, (path) => ({ stdout: bun.file(path), close() {} })),
  }, {
    name: "Bun's FileSink",
    make: (treatment: Treatment, directory: Directory) =>
      file(treatment, directory, (path) => {
        const stdout = bun.file(path).writer();
        return { stdout, close: () => stdout.end() };
      }),
  }],
  ...deno === undefined ? [] : [{
    name: "Deno.FsFile",
    make: (treatment: Treatment, directory: Directory) =>
      file(treatment, directory, async (path) => {
        const stdout = await deno.open(path, { write: true });
        return { stdout, close: () => stdout[Symbol.dispose]() };
      }),
  }, {
    name: "Deno.Conn",
    async make(treatment: Treatment) {
      if (treatment !== "all" && treatment !== "slow") return null;
      const received = new Sink();
      const { server, socket, port } = await listening();
      const stdout = await deno.connect({ port });
      const peer = await socket;
      // Slow enough for the socket to be full.
      if (treatment === "slow") peer.pause();
      setTimeout(() => peer.resume(), 20);
      peer.on("data", (chunk: Uint8Array) => received.write(chunk));
      return {
        stdout,
        async result() {
          stdout[Symbol.dispose]();
          if (!peer.destroyed) await once(peer, "close");
          server.close();
          return received.bytes();
        },
      };
    },
  }],
  {
    name: "OSFile, or another with an fd",
    make: (treatment, directory) =>
      file(treatment, directory, (path) => {
        const stdout = OSFile.open(path, "w");
        return { stdout, close: () => stdout.close() };
      }),
  },
  {
    name: "number",
    make: (treatment, directory) =>
      file(treatment, directory, (path) => {
        const opened = OSFile.open(path, "w");
        return { stdout: opened.fd, close: () => opened.close() };
      }),
  },
];

/** A sink that ends up in a file, and cannot be told how to behave. */
async function file(
  treatment: Treatment,
  directory: Directory,
  open: (path: string) => Opening | Promise<Opening>,
): Promise<{ stdout: Stdout; result(): Promise<Uint8Array> } | null> {
  if (treatment !== "all") return null;
  const path = directory.file("to");
  const { stdout, close } = await open(path);
  return {
    stdout,
    async result() {
      await close();
      return new Uint8Array(fs.readFileSync(path));
    },
  };
}

interface Opening {
  readonly stdout: Stdout;
  close(): unknown;
}

async function listening(): Promise<{ server: Server; socket: Promise<Socket>; port: number }> {
  const server = createServer();
  const socket = new Promise<Socket>((resolve) => server.once("connection", resolve));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  assert(typeof address === "object" && address !== null);
  return { server, socket, port: address.port };
}

const printing = `cat "$0"`;

async function sunk(
  kind: SinkKind,
  treatment: Treatment,
  directory: Directory,
  run: (stdout: Stdout, path: string) => unknown,
): Promise<string> {
  const it = await kind.make(treatment, directory);
  if (it === null) return "–";
  let error: unknown;
  try {
    await run(it.stdout, directory.file("data", data));
  } catch (thrown) {
    error = thrown;
  }
  const bytes = await it.result();
  return error === undefined ? same(bytes) : word(error);
}

const sinkCells: Readonly<
  Record<string, (kind: SinkKind, directory: Directory) => Promise<string>>
> = {
  "all of it": (kind, directory) =>
    sunk(
      kind,
      "all",
      directory,
      (stdout, path) => new Command("sh", ["-c", printing, path], { stdout }).run(),
    ),
  "slow": (kind, directory) =>
    sunk(
      kind,
      "slow",
      directory,
      (stdout, path) => new Command("sh", ["-c", printing, path], { stdout }).run(),
    ),
  "fails": (kind, directory) =>
    sunk(kind, "fails", directory, (stdout) => new Command("yes", [], { stdout }).run()),
  "takes less": (kind, directory) =>
    sunk(
      kind,
      "short",
      directory,
      (stdout, path) => new Command("sh", ["-c", printing, path], { stdout }).run(),
    ),
  "aborted": async (kind, directory) => {
    const it = await kind.make("slow", directory) ?? await kind.make("all", directory);
    assert(it !== null);
    const controller = new AbortController();
    const [written, told] = pipe();
    const script = "head -c 1000 /dev/zero; echo >&3; exec sleep 60";
    const command = new Command("sh", ["-c", script], {
      stdout: it.stdout,
      extraFiles: [told],
      signal: controller.signal,
    });
    const run = command.run();
    await written.read(new Uint8Array(1));
    controller.abort(new DOMException("enough", "TimeoutError"));
    const error = await run.then(String, word);
    for (const end of [written, told]) end.close();
    return (await it.result()).length === 1000 ? `${error}, what came` : error;
  },
  "Sync": (kind, directory) =>
    sunk(
      kind,
      "all",
      directory,
      (stdout, path) => new Command("sh", ["-c", printing, path], { stdout }).runSync(),
    ),
};

// ------------------------------------------------------------------ the tables

/** With its tables as narrow as they are made here. */
const document = fs.readFileSync(join(root, "docs/STREAMS.md"), "utf8").replace(/ +\|/g, " |");

/** The document's row that begins with this name, as it stands. */
function documented(head: string, name: string): string {
  const table = document.slice(document.indexOf(`| ${head} |`));
  return table.split("\n").find((line) => line.startsWith(`| ${name} |`)) ?? `no row for ${name}`;
}

const lines: string[] = [];

function compare<Kind extends { readonly name: string }>(
  head: string,
  kinds: readonly Kind[],
  cells: Readonly<Record<string, (kind: Kind, directory: Directory) => Promise<string>>>,
): void {
  lines.push(`| ${[head, ...Object.keys(cells)].join(" | ")} |`);
  for (const kind of kinds) {
    test(`streams 12: ${head}: ${kind.name}`, async () => {
      const row = [kind.name];
      for (const cell of Object.values(cells)) {
        using directory = new Directory();
        row.push(await cell(kind, directory));
        for (const file of opened.splice(0)) file.close();
      }
      const line = `| ${row.join(" | ")} |`;
      lines.push(line);
      assertEquals(documented(head, kind.name), line);
    });
  }
}

compare("source", sources, sourceCells);
compare("sink", sinks, sinkCells);

test("streams 12: the tables have no other rows", () => {
  const rows = [...document.matchAll(/^\| ([^|]+) \|/gm)].map(([, name]) => name?.trim() ?? "");
  const elsewhere = [
    ...isDeno ? [] : ["Deno.FsFile", "Deno.Conn"],
    ...isBun ? [] : ["Bun.file(path)", "Bun's FileSink"],
  ];
  const known = [...sources, ...sinks].map(({ name }) => name);
  const other = rows.filter((name) =>
    !["source", "sink", ...known, ...elsewhere].includes(name) && !/^-+$/.test(name)
  );
  assertEquals(other, []);
});

after(() => console.log(`${hostName}:\n${lines.join("\n")}`));
