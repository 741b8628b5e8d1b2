/** What the tests share: their child program, directories, sinks, and scripts under this runtime. */

import { spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import { delimiter, dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { Command, type CommandOptions, type Env, ExitError, type OSFile } from "../mod.ts";

/** The root of the checkout. */
export const root: string = fileURLToPath(new URL("..", import.meta.url));

/** The static child program, `zig/tools/helper.zig`; its verbs stand at that file's top. */
export const helper: string = findHelper();

function findHelper(): string {
  const path = join(root, "zig-out/bin/helper");
  if (fs.existsSync(path)) return path;
  throw new Error(`${path}, the tests' child program, is missing: run \`zig build\``);
}

/** The runtime that these tests run under. */
export const host: "bun" | "deno" | "node" = findHost();

function findHost(): typeof host {
  if ("Bun" in globalThis) return "bun";
  return "Deno" in globalThis ? "deno" : "node";
}

/** By its own name. */
export const hostName: string = { bun: "Bun", deno: "Deno", node: "Node" }[host];

/** Whether these tests run under Bun. */
export const isBun: boolean = host === "bun";

/** Whether these tests run under Deno. */
export const isDeno: boolean = host === "deno";

/** Whether these tests run under Node. */
export const isNode: boolean = host === "node";

/** Whether these tests run as root. */
export const isRoot: boolean = process.getuid?.() === 0;

/**
 * Whether what is ignored from before the start (SIGHUP, under nohup) still is: Node sets every signal but SIGPIPE and
 * SIGXFSZ to its default as it starts.
 */
export const keepsIgnoredSignals: boolean = !isNode;

/** The options of a test: why it cannot run here, which is also shown where a runtime shows it. */
export interface Skip {
  readonly skip?: string;
}

/** For a test that only root can pass. */
export const needsRoot: Skip = isRoot ? {} : { skip: "needs root" };

/** For a test of what the kernel refuses to everybody but root. */
export const needsUser: Skip = isRoot ? { skip: "needs an ordinary user" } : {};

/** Hands a value of a wrong type to typed code, as JavaScript callers do. */
export function wrong<T>(value: unknown): T {
  return value as T;
}

/** A directory for one test; it goes with the block that holds it. */
export class Directory implements Disposable {
  /** Without symbolic links, so that it compares equal with what the kernel answers. */
  readonly path: string = fs.realpathSync(fs.mkdtempSync(join(os.tmpdir(), "osexec-test-")));

  /** A path in it. */
  join(...names: string[]): string {
    return join(this.path, ...names);
  }

  /** Writes a file and answers its path; directories on the way are made. */
  file(name: string, content: string | Uint8Array = "", mode = 0o644): string {
    const path = this.join(name);
    fs.mkdirSync(dirname(path), { recursive: true });
    fs.writeFileSync(path, content);
    fs.chmodSync(path, mode);
    return path;
  }

  /** Copies the child program into it. */
  helper(name = "helper"): string {
    const path = this.join(name);
    fs.mkdirSync(dirname(path), { recursive: true });
    fs.copyFileSync(helper, path);
    fs.chmodSync(path, 0o755);
    return path;
  }

  [Symbol.dispose](): void {
    fs.rmSync(this.path, { recursive: true, force: true });
  }
}

/** A Writer that keeps what it is given. */
export class Sink {
  readonly chunks: Uint8Array[] = [];

  write(chunk: Uint8Array): void {
    this.chunks.push(chunk);
  }

  bytes(): Uint8Array {
    return concatenate(this.chunks);
  }

  text(): string {
    return decode(this.bytes());
  }
}

function concatenate(chunks: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let offset = 0;
  for (const chunk of chunks) {
    whole.set(chunk, offset);
    offset += chunk.length;
  }
  return whole;
}

/** Text to bytes. */
export function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** Bytes to text. */
export function decode(bytes: Uint8Array | undefined): string {
  return new TextDecoder().decode(bytes);
}

/** Bytes that look random and are the same every time. */
export function noise(length: number, seed = 1): Uint8Array {
  const next = generator(seed);
  const bytes = new Uint8Array(length);
  for (let index = 0; index < length; index++) bytes[index] = next(256);
  return bytes;
}

/** A source of numbers from 0 to below its argument, the same for the same seed: mulberry32. */
export function generator(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** All that is left to be read from a file. */
export async function readAll(file: OSFile): Promise<string> {
  const sink = new Sink();
  for await (const chunk of file) sink.write(chunk);
  return sink.text();
}

/** A command that runs a shell script. */
export function sh(script: string, options?: CommandOptions): Command {
  return new Command("/bin/sh", ["-c", script], options);
}

/** Waits for what another process or thread is about to do. Fails after half a minute. */
export async function until(condition: () => boolean): Promise<void> {
  for (const end = performance.now() + 30_000; !condition();) {
    if (performance.now() > end) throw new Error(`in vain waited until ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** How a script went. */
export interface ScriptResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** How a script is run; the rest as for any command. */
export interface ScriptOptions extends Omit<CommandOptions, "stdout" | "stderr"> {
  /** Another program to run it in: `[path, ...arguments]`, before the script's path. */
  readonly runtime?: readonly string[];
}

/** What runs a script in the runtime that runs these tests, with everything allowed. */
export const runtime: readonly string[] = [
  process.execPath,
  ...{
    bun: ["run"],
    deno: ["run", "--quiet", "--allow-all"],
    // That node:ffi is experimental, and that a script in /tmp has no package around it, is said on stderr.
    node: [
      "--disable-warning=ExperimentalWarning",
      "--disable-warning=MODULE_TYPELESS_PACKAGE_JSON",
    ],
  }[host],
];

/** Runs TypeScript in a process of its own. It finds this package's exports under `osexec`. */
export async function runScript(
  source: string,
  { runtime: words = runtime, ...options }: ScriptOptions = {},
): Promise<ScriptResult> {
  using directory = new Directory();
  const path = writeScript(directory, source);
  const [program = "", ...flags] = words;
  const stdout = new Sink();
  const stderr = new Sink();
  const command = new Command(program, [...flags, path], { ...options, stdout, stderr });
  let code = 0;
  try {
    await command.run();
  } catch (error) {
    if (!(error instanceof ExitError)) throw error;
    code = error.exitCode;
  }
  return { code, stdout: stdout.text(), stderr: stderr.text() };
}

/** Writes a script that finds this package's exports under `osexec`. */
export function writeScript(directory: Directory, source: string): string {
  const mod = JSON.stringify(join(root, "mod.ts"));
  return directory.file("script.mts", `import * as osexec from ${mod};\n${source}`);
}

/** A runtime that works: this one, or another in a node_modules of ours or of this one's, or in PATH. */
export function findRuntime(name: "bun" | "deno"): string | undefined {
  if (host === name) return process.execPath;
  const [above, below] = process.execPath.split("/node_modules/");
  const folders = [join(root, ".tools"), ...below === undefined ? [] : [above ?? ""]]
    .map((folder) => join(folder, "node_modules"));
  // The packages of the platforms: those named after the programs have to be set up first.
  const packages = folders.flatMap((folder) =>
    ["@oven", "@deno"].map((scope) => join(folder, scope))
  )
    .flatMap((scope) =>
      fs.existsSync(scope) ? fs.readdirSync(scope).map((each) => join(scope, each)) : []
    )
    .flatMap((each) => [join(each, "bin"), each]);
  const beside = [dirname(process.execPath), ...folders.map((folder) => join(folder, ".bin"))];
  return [...packages, ...beside, ...(process.env.PATH ?? "").split(delimiter)]
    .map((place) => join(place, name)).find(answers);
}

function answers(program: string): boolean {
  if (!fs.existsSync(program)) return false;
  const { error, status } = spawnSync(program, ["--version"], { stdio: "ignore" });
  return error === undefined && status === 0;
}

/** This process's environment with some variables changed, or with undefined taken out. */
export function environmentWith(changes: Readonly<Record<string, string | undefined>>): Env {
  return { ...process.env, ...changes };
}

/** A variable of this process's environment that is another one, or with undefined none, for one test. */
export class Variable implements Disposable {
  readonly #name: string;
  readonly #before: string | undefined;

  constructor(name: string, value: string | undefined) {
    this.#name = name;
    this.#before = process.env[name];
    this.set(value);
  }

  set(value: string | undefined): void {
    if (value === undefined) delete process.env[this.#name];
    else process.env[this.#name] = value;
  }

  [Symbol.dispose](): void {
    this.set(this.#before);
  }
}

/** Another working directory of this process, for one test. */
export class WorkingDirectory implements Disposable {
  readonly #before = process.cwd();

  constructor(path: string) {
    process.chdir(path);
  }

  [Symbol.dispose](): void {
    process.chdir(this.#before);
  }
}
