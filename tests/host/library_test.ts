import fs from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { FINGERPRINT } from "../../ffi/abi.ts";
import { embeddedLibrary, unpack } from "../../ffi/embedded.ts";
import { openLibc } from "../../ffi/host.ts";
import {
  type Library,
  LibraryError,
  type LibraryPlace,
  loadLibrary,
  memfdPlace,
  packagedPath,
  temporaryFilePlace,
} from "../../ffi/library.ts";
import { currentRuntime } from "../../ffi/runtime.ts";
import { decode, Directory, environmentWith, findRuntime, hostName, runScript } from "../helper.ts";

/** A library file at such a path. */
function at(path: string, name = "there"): LibraryPlace {
  return { name, open: () => ({ path }) };
}

/** Loads from one place alone. */
function load(...places: LibraryPlace[]): Library {
  return loadLibrary(currentRuntime(), places);
}

/** Asks a library for something that shows that it works. */
function works(library: Library): void {
  const bytes = new Uint8Array(4096);
  const length = library.osexec_getcwd(bytes, bytes.length);
  assertEquals(decode(bytes.subarray(0, length - 1)), process.cwd());
  assertEquals([library.osexec_abi(0), library.osexec_abi(1)], [...FINGERPRINT]);
}

test("npm's package has its library as a file beside its modules, and nothing else has", () => {
  const machine = currentRuntime();
  const path = (url: string | undefined): string | null => packagedPath(url, machine);
  const name = `${machine.platform}-${machine.arch}`;
  for (const module of ["mod.js", "bun/core.js", "bun/0123abcd/core.js"]) {
    assertEquals(
      path(`file:///a%20b/node_modules/osexec/dist/${module}`),
      `/a b/node_modules/osexec/dist/native/${name}`,
    );
  }
  const windows = { ...machine, platform: "win32", arch: "x64" };
  assertEquals(
    packagedPath("file:///C:/a%20b/osexec/dist/mod.js", windows),
    "C:/a b/osexec/dist/native/win32-x64.dll",
  );
  for (
    const other of [
      import.meta.url,
      // In CommonJS that a bundler has made.
      undefined,
      "file:///app/bundle.js",
      "file:///$bunfs/root/app",
      "https://example.org/dist/mod.js",
      "file:///app/dist/bun/streams.js",
      "file://host/dist/mod.js",
    ]
  ) {
    assertEquals(path(other), null, other);
  }
});

/** Why a place does not serve. */
function refusal(path: string): string {
  const error = assertThrows(() => load(at(path)), LibraryError);
  assertEquals(error.attempts.map(({ place }) => place), ["there"]);
  assert(error.cause instanceof Error);
  return error.attempts[0]?.reason ?? "";
}

const say = 'console.log(await new osexec.Command("echo", ["hello"]).text());';

test("the library loads from a memfd alone", { skip: process.platform !== "linux" }, () => {
  works(load(memfdPlace()));
});

test("the library loads from a temporary file alone, which is gone afterwards", () => {
  using directory = new Directory();
  const runtime = currentRuntime();
  const made: string[] = [];
  const library = loadLibrary({
    ...runtime,
    makeTemporaryDirectory() {
      const path = directory.join("private");
      fs.mkdirSync(path, { mode: 0o700 });
      made.push(path);
      return path;
    },
  }, [temporaryFilePlace()]);
  works(library);
  assertEquals([made.length, fs.readdirSync(directory.path)], [1, []]);
});

test("the temporary file is where the system keeps such files, and private", async () => {
  using directory = new Directory();
  const { stdout, stderr, code } = await runScript(
    `import fs from "node:fs";
     const library = await import(${
      JSON.stringify(new URL("../../ffi/library.ts", import.meta.url))
    });
     const { currentRuntime } = await import(
       ${JSON.stringify(new URL("../../ffi/runtime.ts", import.meta.url))});
     const runtime = currentRuntime();
     const open = (path, symbols) => {
       const { mode } = fs.statSync(path.slice(0, path.lastIndexOf("/")));
       console.log(path, (mode & 0o777).toString(8));
       return runtime.open(path, symbols);
     };
     library.loadLibrary({ ...runtime, open }, [library.temporaryFilePlace()]);`,
    { env: environmentWith({ TMPDIR: directory.path }) },
  );
  assertEquals([code, stderr], [0, ""]);
  const [path = "", mode] = stdout.trim().split(" ");
  assertEquals([path.startsWith(`${directory.path}/osexec-`), mode], [true, "700"], stdout);
  assertEquals(fs.readdirSync(directory.path), []);
});

test("a place that does not serve is passed over for the next", () => {
  works(load(at("/no/such/library.so"), memfdPlace()));
});

test("where no place serves the error lists them all, each with its reason", () => {
  const places = [at("/no/such/one.so", "one"), at("/no/such/two.so", "two")];
  const failing: LibraryPlace = {
    name: "three",
    open() {
      throw new Error("out of order");
    },
  };
  const error = assertThrows(() => load(...places, failing), LibraryError);
  assertEquals(error.attempts.map(({ place }) => place), ["one", "two", "three"]);
  assert(error.attempts.every(({ reason }) => reason !== ""));
  const lines = error.message.split("\n");
  assertMatch(lines[0] ?? "", /^cannot load the native library of osexec; tried$/);
  assert(error.message.includes("\n  one: ") && error.message.endsWith("\n  three: out of order"));
});

test("a file that is no library, or another one, is refused, and the reason says so", () => {
  using directory = new Directory();
  assert(refusal(directory.file("text.so", "no library")) !== "");
  assert(refusal(directory.file("empty.so", "")) !== "");
  assertMatch(refusal(libc()), /osexec_call/);
});

test("a library of another boundary is refused, and both are named", {
  // The two halves stand in the code as they are on this processor alone.
  skip: process.arch === "x64" ? false : "needs x86_64",
}, () => {
  using directory = new Directory();
  const bytes = embeddedLibrary();
  const view = new DataView(bytes.buffer);
  let changed = 0;
  for (let offset = 0; offset + 4 <= bytes.length; offset++) {
    if (view.getInt32(offset, true) !== FINGERPRINT[0]) continue;
    view.setInt32(offset, ~FINGERPRINT[0], true);
    changed++;
  }
  assertEquals(changed > 0, true);
  const hex = (half: number): string => (half >>> 0).toString(16).padStart(8, "0");
  const reason = refusal(directory.file("other.so", bytes));
  const upper = hex(FINGERPRINT[1]);
  assertEquals(
    reason,
    `its boundary is ${upper}${hex(~FINGERPRINT[0])}, expected ${upper}${hex(FINGERPRINT[0])}`,
  );
});

test("the lack of a permission is no lack of a library, and is told as it is", () => {
  const denied = new Error("Requires ffi access");
  denied.name = "NotCapable";
  const place: LibraryPlace = {
    name: "denied",
    open() {
      throw denied;
    },
  };
  assert(assertThrows(() => load(place, memfdPlace())) === denied);
});

test("where there is no libc by either name, both reasons are told", () => {
  const open = (name: string): never => {
    throw new Error(name === "libc.so.6" ? "no FFI here" : "no such file");
  };
  const message = "libc.so.6: no FFI here; libc.musl-aarch64.so.1: no such file";
  assertThrows(() => openLibc("arm64", open), Error, message);
  const opened = openLibc("x64", (name) => name === "libc.so.6" ? open(name) : name);
  assertEquals(opened, "libc.musl-x86_64.so.1");
});

test("OSEXEC_LIBRARY is the only place if it is set", async () => {
  using directory = new Directory();
  const good = directory.file("libosexec.so", embeddedLibrary());
  const { stdout, stderr } = await runScript(
    `import fs from "node:fs";
     ${say}
     console.log(fs.readFileSync("/proc/self/maps", "utf8").includes(${JSON.stringify(good)}));`,
    { env: environmentWith({ OSEXEC_LIBRARY: good }) },
  );
  assertEquals([stdout, stderr], ["hello\n\ntrue\n", ""]);
});

test("OSEXEC_LIBRARY pointing nowhere is a LibraryError that names it, at the first use", async () => {
  const nowhere = "/no/such/libosexec.so";
  const { stdout, code } = await runScript(
    `console.log(typeof osexec.Command);
     try {
       new osexec.Command("true");
     } catch (error) {
       console.log(error instanceof osexec.LibraryError, error.name, error.attempts.length);
       console.log(error.attempts[0].place);
       console.log(error.message.split("\\n").length, error.attempts[0].reason !== "");
     }`,
    { env: environmentWith({ OSEXEC_LIBRARY: nowhere }) },
  );
  const place = `OSEXEC_LIBRARY=${nowhere}`;
  assertEquals(stdout.split("\n").slice(0, 3), ["function", "true LibraryError 1", place]);
  assertEquals([code, /true$/.test(stdout.trim())], [0, true], stdout);
});

test("an empty OSEXEC_LIBRARY is as good as none", async () => {
  const { stdout } = await runScript(say, { env: environmentWith({ OSEXEC_LIBRARY: "" }) });
  assertEquals(stdout, "hello\n\n");
});

const deno = findRuntime("deno");
const needsDeno = deno === undefined ? { skip: "needs deno" } : {};

test("Deno needs --allow-ffi and nothing else", needsDeno, async () => {
  const { code, stdout, stderr } = await runScript(
    `${say}
     console.log(new TextDecoder().decode(new osexec.Command("echo", ["sync"]).outputSync()));
     for await (const line of new osexec.Command("sh", ["-c", "echo $FROM; pwd"]).lines()) {
       console.log(line);
     }
     using file = osexec.OSFile.open("/dev/null", "r+");
     const child = osexec.startProcess("/bin/sh", ["sh", "-c", "exit 7"], { files: [file] });
     console.log(String(await child.wait()));
     try {
       await new osexec.Command("/no/such/program").run();
     } catch (error) {
       console.log(error.message);
     }`,
    {
      runtime: [deno ?? "", "run", "--quiet", "--no-prompt", "--allow-ffi"],
      env: environmentWith({ FROM: "the host" }),
    },
  );
  assertEquals(stderr, "");
  assertEquals([code, stdout.split("\n")], [0, [
    "hello",
    "",
    "sync",
    "",
    "the host",
    process.cwd(),
    "exit status 7",
    "fork/exec /no/such/program: no such file or directory",
    "",
  ]]);
});

test("without --allow-ffi Deno's own error is thrown, at the first use", needsDeno, async () => {
  const { code, stdout } = await runScript(
    `console.log("imported");
     try {
       new osexec.Command("true");
     } catch (error) {
       console.log(error.name, error instanceof osexec.LibraryError);
     }`,
    { runtime: [deno ?? "", "run", "--quiet", "--no-prompt"] },
  );
  assertEquals([code, stdout], [0, "imported\nNotCapable false\n"]);
});

test("a library is put together from its parts, with zeros between", () => {
  const bytes = unpack({ size: 8, parts: [[1, btoa("ab")], [6, btoa("c")]] });
  assertEquals([...bytes], [0, 97, 98, 0, 0, 0, 99, 0]);
  assertThrows(() => unpack({ size: 2, parts: [[1, btoa("ab")]] }), RangeError);
});

/** The host's own C library, which exports nothing of ours. Alpine's musl is its loader, Debian's is libc.so. */
function libc(): string {
  const maps = fs.readFileSync("/proc/self/maps", "utf8");
  const path = /\s(\/\S*\/(?:libc\.so(?:\.6)?|libc-[\d.]+\.so|ld-musl\S*))$/m.exec(maps)?.[1];
  if (path === undefined) throw new Error(`no libc in ${hostName}'s maps`);
  return path;
}
