/** Starts under Wine: what the child was given, as it says itself. Go's tests of syscall and os/exec for Windows among them. */

import fs from "node:fs";
import os from "node:os";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { Command, OSFile, SpawnError, startProcess, SyscallError } from "../../../mod.ts";

const child = process.env.OSEXEC_CHILD_EXE ?? "";

/** What the tests themselves ask Windows for. */
interface Windows {
  OpenProcess(access: number, inherits: number, pid: number): number;
  CloseHandle(handle: number): number;
  CreateFileW(
    path: Uint8Array,
    access: number,
    share: number,
    security: Uint8Array,
    creation: number,
    flags: number,
    template: number,
  ): number;
  OpenProcessToken(process: number, access: number, place: Int32Array): number;
}

function openWindows(): Windows {
  const { dlopen } = process.getBuiltinModule("bun:ffi") as unknown as {
    dlopen(name: string, symbols: object): { symbols: unknown };
  };
  const [i, p, h] = ["u32", "ptr", "i64_fast"];
  const kernel = dlopen("kernel32.dll", {
    OpenProcess: { args: [i, i, i], returns: h },
    CloseHandle: { args: [h], returns: "i32" },
    CreateFileW: { args: [p, i, i, p, i, i, h], returns: h },
  });
  const security = dlopen("advapi32.dll", {
    OpenProcessToken: { args: [h, i, p], returns: "i32" },
  });
  return { ...(kernel.symbols as Windows), ...(security.symbols as object) };
}

const windows = openWindows();

/** A new file, open for writing, whose handle children may inherit. */
function inheritableFile(): { readonly value: number; readonly path: string } & Disposable {
  const path = `${fs.mkdtempSync(`${os.tmpdir()}\\osexec-`)}\\file`;
  const security = new DataView(new ArrayBuffer(24));
  security.setUint32(0, 24, true);
  security.setUint32(16, 1, true);
  const name = new Uint8Array(Uint16Array.from(`${path}\0`, (c) => c.charCodeAt(0)).buffer);
  const bytes = new Uint8Array(security.buffer);
  const value = windows.CreateFileW(name, 0x4000_0000, 7, bytes, 2, 0x80, 0);
  assert(value > 0);
  return { value, path, [Symbol.dispose]: () => void windows.CloseHandle(value) };
}

async function linesOf(args: readonly string[], options = {}): Promise<string[]> {
  const text = await new Command(child, args, options).text();
  return text.split("\n").slice(0, -1);
}

/** TestEscapeArg's rows: an argument, and how it stands in the line. */
const escaped: readonly (readonly [argument: string, written: string])[] = [
  ["", '""'],
  ["a", "a"],
  [" ", '" "'],
  ["\\", "\\"],
  ['"', '\\"'],
  ['\\"', '\\\\\\"'],
  ['\\\\"', '\\\\\\\\\\"'],
  ["\\\\ ", '"\\\\ "'],
  [" \\\\", '" \\\\\\\\"'],
  ["a ", '"a "'],
  ["C:\\", "C:\\"],
  ["C:\\Program Files (x32)\\Common\\", '"C:\\Program Files (x32)\\Common\\\\"'],
  ["C:\\Users\\Игорь\\", "C:\\Users\\Игорь\\"],
  ["Андрей\\file", "Андрей\\file"],
  ["C:\\Windows\\temp", "C:\\Windows\\temp"],
  ["c:\\temp\\newfile", "c:\\temp\\newfile"],
  ["\\\\?\\C:\\Windows", "\\\\?\\C:\\Windows"],
  ["\\\\server\\share\\file", "\\\\server\\share\\file"],
];

test("Go's TestEscapeArg: each argument as Go writes it, and as CommandLineToArgvW reads it", async () => {
  for (const [argument, written] of escaped) {
    const [line = "", ...read] = await linesOf(["args", argument]);
    assertEquals(line.slice(line.indexOf("args") + 5), written);
    assertEquals(read.slice(2), [argument]);
  }
});

test("issue 21: what is joined CommandLineToArgvW splits into the same, whatever it holds", async () => {
  let seed = 21;
  const next = (below: number): number => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return (seed >>> 8) % below;
  };
  const letters = ["a", "b", " ", "\t", '"', '"', "\\", "\\", "\\", "^", "&", "%", "'", "ä", "😀"];
  for (let round = 0; round < 40; round++) {
    const args = Array.from(
      { length: 12 },
      () => Array.from({ length: next(10) }, () => letters[next(letters.length)]).join(""),
    );
    const read = await linesOf(["args", ...args]);
    assertEquals(read.slice(3), args);
  }
});

test("issue 21: cmdLine stands as it is", async () => {
  const command = new Command(child, ["unused"], {
    sysProcAttr: { cmdLine: 'x args  "a""b"   c\\' },
  });
  const [line] = (await command.text()).split("\n");
  assertEquals(line, 'x args  "a""b"   c\\');
});

test("issue 21: the environment is sorted, without duplicates, and nothing else", async () => {
  const env = ["b=2", "A=1", "B=3", "path=x", "=C:=C:\\tmp"];
  const entries = await linesOf(["env"], { env });
  const own = entries.filter((entry) => !/^(?:SYSTEMROOT|SYSTEMDRIVE|WINE\w*)=/i.test(entry));
  assertEquals(own.map((entry) => entry.replace(/^path=/i, "path=")), [
    "=C:=C:\\tmp",
    "A=1",
    "B=3",
    "path=x",
  ]);
});

test("Go's TestChildCriticalEnv: SYSTEMROOT is kept", async () => {
  const entries = await linesOf(["env"], { env: {} });
  assert(entries.some((entry) => /^systemroot=./i.test(entry)));
});

test("issue 21: extraEnv takes out what has the name in another case", () => {
  const env = { Alpha: "1", beta: "2" };
  const command = new Command(child, ["env"], { env, extraEnv: { ALPHA: "3", BETA: undefined } });
  assertEquals(command.environ(), ["ALPHA=3"]);
});

test("issue 21: a record may have what cmd.exe keeps of each drive", async () => {
  const entries = await linesOf(["env"], { env: { "=C:": "C:\\tmp", "A": "1" } });
  assert(entries.includes("=C:=C:\\tmp") && entries.includes("A=1"));
});

test("issue 21: exit codes have 32 bits", async () => {
  for (const [code, text] of [[0, "0"], [88, "88"], [256, "256"], [0xc0000005, "0xc0000005"]]) {
    const state = await startProcess(child, ["child", "exit", `${code}`]).wait();
    assertEquals([state.exitCode, state.signal, state.exited], [code, null, true]);
    assertEquals(state.toString(), `exit status ${text}`);
  }
});

test("issue 21: 0, 1 and 2 are what was given, and NUL where nothing was", async () => {
  const file = OSFile.open(`${os.tmpdir()}\\std`, "w+");
  const state = await startProcess(child, ["child", "std"], { files: [null, file, null] }).wait();
  assert(state.success);
  file.close();
  assertEquals(fs.readFileSync(`${os.tmpdir()}\\std`, "utf8"), "none\ndisk\nnone\n");
  assertEquals(await linesOf(["std"]), ["char", "pipe", "pipe"]);
});

test("issue 21: an inheritable handle is inherited where it is named, and nowhere else", async () => {
  using handle = inheritableFile();
  assertEquals(await linesOf(["handle", `${handle.value}`]), ["unknown"]);
  const sysProcAttr = { additionalInheritedHandles: [handle.value] };
  assertEquals(await linesOf(["handle", `${handle.value}`], { sysProcAttr }), ["disk"]);
});

test("Go's TestPipePassing: a child writes to a handle that it was told of", async () => {
  using handle = inheritableFile();
  const sysProcAttr = { additionalInheritedHandles: [handle.value] };
  const marker = "arrakis, dune, desert planet";
  await new Command(child, ["write", `${handle.value}`, marker], { sysProcAttr }).run();
  assertEquals(fs.readFileSync(handle.path, "utf8"), marker);
});

test("issue 21: starts side by side get no handles of each other's", async () => {
  const texts = Array.from({ length: 24 }, (_, index) => `child ${index}\n`.repeat(50));
  const outputs = await Promise.all(
    texts.map((input) => new Command(child, ["stdin"], { input }).text()),
  );
  assertEquals(outputs, texts);
});

test("Go's TestChangingProcessParent: another process is the parent", async () => {
  // Only what has begun to run can be a parent in Wine: it has, when it copies what it is given.
  const [[theirs, ours], [copied, copying]] = [OSFile.pipe(), OSFile.pipe()];
  const other = startProcess(child, ["child", "stdin"], { files: [theirs, copying, null] });
  for (const file of [theirs, copying]) file.close();
  await ours.writeString("up\n");
  for await (const line of copied.lines()) {
    assertEquals(line, "up");
    break;
  }
  const PROCESS_CREATE_PROCESS = 0x80;
  const PROCESS_DUP_HANDLE = 0x40;
  const handle = windows.OpenProcess(PROCESS_CREATE_PROCESS | PROCESS_DUP_HANDLE, 0, other.pid);
  const [reading, writing] = OSFile.pipe();
  const sys = { parentProcess: handle };
  const process = startProcess(child, ["child", "parent"], { files: [null, writing, null], sys });
  writing.close();
  const lines: string[] = [];
  for await (const line of reading.lines()) lines.push(line);
  assertEquals(lines, [`${other.pid}`]);
  assert((await process.wait()).success);
  other.kill();
  await other.wait();
  windows.CloseHandle(handle);
  for (const file of [reading, ours, copied]) file.close();
});

test("issue 21: a token is passed on to CreateProcessAsUser", async () => {
  const TOKEN_ALL_ACCESS = 0xf01ff;
  const place = new Int32Array(2);
  assert(windows.OpenProcessToken(-1, TOKEN_ALL_ACCESS, place) !== 0);
  const sysProcAttr = { token: place[0] ?? 0 };
  assertEquals(await linesOf(["args"], { sysProcAttr }).then((lines) => lines.length), 3);
  const nonsense = assertThrows(
    () => startProcess(child, ["child", "exit", "0"], { sys: { token: 0x7ff4 } }),
    SpawnError,
  );
  assertEquals([nonsense.step, nonsense.code], ["exec", "ERROR_INVALID_HANDLE"]);
  windows.CloseHandle(place[0] ?? 0);
});

test("Go's TestNoInheritHandles", async () => {
  const sysProcAttr = { noInheritHandles: true };
  const state = await new Command("cmd", ["/c", "exit", "88"], { sysProcAttr }).run().catch((e) =>
    e.state
  );
  assertEquals(state.exitCode, 88);
});

test("issue 21: hideWindow is in the child's STARTUPINFO", async () => {
  assertEquals(await linesOf(["window"]), ["shown"]);
  assertEquals(await linesOf(["window"], { sysProcAttr: { hideWindow: true } }), ["hidden"]);
});

test("issue 21: a suspended child waits until somebody resumes it, or is killed", async () => {
  const CREATE_SUSPENDED = 4;
  const suspended = startProcess(child, ["child", "exit", "0"], {
    sys: { creationFlags: CREATE_SUSPENDED },
  });
  suspended.kill();
  assertEquals((await suspended.wait()).exitCode, 1);
});

test("issue 21: security descriptors are read, and a wrong one is its own step", async () => {
  const sys = {
    processAttributes: { securityDescriptor: "D:P(A;;GA;;;WD)" },
    threadAttributes: { securityDescriptor: "D:P(A;;GA;;;WD)", inheritHandle: true },
  };
  assert((await startProcess(child, ["child", "exit", "0"], { sys }).wait()).success);
  const wrong = { processAttributes: { securityDescriptor: "nonsense" } };
  const error = assertThrows(() => startProcess(child, ["x"], { sys: wrong }), SpawnError);
  assertEquals([error.step, error.argument], ["process_security", "nonsense"]);
});

test("issue 21: dir is the child's, and a relative path is looked for from there", async () => {
  const dir = fs.mkdtempSync(`${os.tmpdir()}\\osexec-`);
  fs.mkdirSync(`${dir}\\sub`);
  fs.copyFileSync(child, `${dir}\\sub\\prog.exe`);
  const [cwd] = await linesOf(["cwd"], { dir });
  assertEquals(cwd?.toLowerCase(), dir.toLowerCase());
  const text = await new Command(".\\sub\\prog", ["cwd"], { dir }).text();
  assertEquals(text.trim().toLowerCase(), dir.toLowerCase());
});

test("issue 21: batch files: arguments arrive as one, or are refused", async () => {
  const dir = fs.mkdtempSync(`${os.tmpdir()}\\osexec-`);
  const batch = `${dir}\\show.bat`;
  fs.writeFileSync(batch, "@echo %1 %2\r\n");
  const show = async (...args: string[]): Promise<string> =>
    (await new Command(batch, args).text()).trim();
  assertEquals(await show("a", "b c"), '"a" "b c"');
  assertEquals(await show("a&echo pwned", "b|more"), '"a&echo pwned" "b|more"');
  // It is the file that runs, whatever it is called.
  const [reading, writing] = OSFile.pipe();
  const named = startProcess(batch, ["cmd /c exit 9", "x"], { files: [null, writing, null] });
  writing.close();
  const printed: string[] = [];
  for await (const line of reading.lines()) printed.push(line.trim());
  assertEquals([printed, (await named.wait()).exitCode], [['"x"'], 0]);
  reading.close();
  for (const wrong of ['a" & echo pwned', "%PATH%", "a\nb"]) {
    const error = assertThrows(() => new Command(batch, [wrong]).start(), SpawnError);
    assertEquals(error.step, "request");
  }
});

test("issue 21: failures name the step, the argument, GetLastError and Go's name of it", () => {
  const fail = (path: string, attr = {}): readonly unknown[] => {
    const { step, argument, errno, code } = assertThrows(
      () => startProcess(path, ["x"], attr),
      SpawnError,
    );
    return [step, argument, errno, code];
  };
  assertEquals(fail("C:\\nope.exe"), ["exec", "C:\\nope.exe", 2, "ERROR_FILE_NOT_FOUND"]);
  assertEquals(fail("C:\\no\\nope.exe"), ["exec", "C:\\no\\nope.exe", 3, "ERROR_PATH_NOT_FOUND"]);
  assertEquals(fail(child, { dir: "C:\\nope" }), ["chdir", "C:\\nope", 267, "ERROR_DIRECTORY"]);
  const file = `${os.tmpdir()}\\text.exe`;
  fs.writeFileSync(file, "no program");
  assertEquals(fail(file)[3], "ERROR_BAD_EXE_FORMAT");
  assertEquals(fail(child, { files: [99] }), ["fd", "99 -> 0", 9, "EBADF"]);
  assertEquals(fail(child, { sys: { parentProcess: 0x7ffc } })[0], "exec");
  const error = assertThrows(() => OSFile.open("C:\\nope\\x"), SyscallError);
  assertEquals([error.syscall, error.code, error.errno], ["open", "ERROR_PATH_NOT_FOUND", 3]);
});

test("issue 21: a failed start leaves nothing open, and a thousand starts and ends neither", async () => {
  const before = startProcess(child, ["child", "exit", "0"]);
  const { pidfd } = before;
  await before.wait();
  for (let round = 0; round < 50; round++) {
    assertThrows(() => startProcess("C:\\nope.exe", ["x"]), SpawnError);
    if (round % 10 === 0) await new Command(child, ["exit", "0"]).run();
  }
  const after = startProcess(child, ["child", "exit", "0"]);
  assertEquals(after.pidfd, pidfd);
  await after.wait();
});

test("issue 21: explain() says what a start on Windows would be", () => {
  const text = new Command(child, ["a"], { sysProcAttr: { creationFlags: 16, jobFlags: 0 } })
    .explain();
  assertEquals(text.split("\n"), [
    "creation 0x10",
    "job 0x0",
    "fd NUL -> 0",
    "fd NUL -> 1",
    "fd NUL -> 2",
    `exec ${child}`,
  ]);
});
