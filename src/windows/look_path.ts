/** Finding programs on Windows: Go's exec.LookPath there, by the extensions that PATHEXT lists. */

import { nodeModule } from "../../ffi/host.ts";
import { library } from "../../ffi/library.ts";
import { showText, type Text, toText } from "../../ffi/text.ts";
import { Errno } from "../errno.ts";
import { ExecError } from "../errors.ts";
import { cString, inheritedVariable, workingDirectory } from "../native.ts";

/** What is asked of the system, for tests to answer in its place. */
export interface Surroundings {
  variable(name: string): string | undefined;
  directory(): string;
  /** Whether it is there, and no directory. */
  isFile(path: string): boolean;
}

const own: Surroundings = {
  variable: inheritedVariable,
  directory: workingDirectory,
  isFile(path) {
    if (path.includes("\0")) return false;
    const bytes = cString(path);
    return library().osexec_executable(bytes, bytes.length) === 0;
  },
};

const separators = /[\\/:]/;

/** lookPath(). `.path` of its ERR_DOT is what was found from the current directory. */
export function lookPathOnWindows(file: string, system: Surroundings = own): string {
  checkName(file);
  const extensions = readExtensions(system);
  if (separators.test(file)) {
    return find(file, extensions, system) ?? refuse(file);
  }
  let dot: string | undefined;
  // Windows looks in the current directory first, unless it is told not to (go.dev/issue/43947).
  if (system.variable("NoDefaultCurrentDirectoryInExePath") === undefined) {
    dot = find(file, extensions, system);
  }
  for (const element of (system.variable("PATH") ?? "").split(";")) {
    const directory = element.replaceAll('"', "");
    if (directory === "") continue;
    const found = find(join(directory, file), extensions, system);
    if (found === undefined) continue;
    if (dot !== undefined && !isSame(found, dot, system)) break;
    if (isAbsolute(found)) return found;
    dot ??= found;
  }
  if (dot === undefined) throw new ExecError({ command: file, code: "ERR_NOT_FOUND" });
  throw new ExecError({ command: file, code: "ERR_DOT", path: dot });
}

/**
 * What a start runs: a path without an extension gets one, looked for from `dir` on where it is relative. One that ends in
 * an extension of PATHEXT is taken as it is.
 */
export function withExtension(
  given: string,
  dir: Text | undefined,
  system: Surroundings = own,
): string {
  checkName(given);
  const path = separators.test(given) ? given : `.\\${given}`;
  const extensions = readExtensions(system);
  const lower = path.toLowerCase();
  if (hasExtension(path) && extensions.some((each) => lower.endsWith(each))) return path;
  const from = dir === undefined ? "" : toText("dir", dir);
  const isFree = from !== "" && !/^[\\/]/.test(path) && !/^.:/.test(path);
  const whole = isFree ? join(from, path) : path;
  const found = find(whole, extensions, system) ?? refuse(showText(given));
  return path + found.slice(whole.length);
}

function checkName(file: string): void {
  if (file !== "" && file !== "." && file !== "..") return;
  throw new ExecError({ command: file, code: "ERR_NOT_FOUND" });
}

function readExtensions(system: Surroundings): readonly string[] {
  const text = system.variable("PATHEXT") ?? "";
  if (text === "") return [".com", ".exe", ".bat", ".cmd"];
  const extensions = text.toLowerCase().split(";").filter((each) => each !== "");
  return extensions.map((each) => each.startsWith(".") ? each : `.${each}`);
}

/** As Go tells them apart: what has an extension names a file, and there is none. */
function refuse(file: string): never {
  if (!hasExtension(file)) throw new ExecError({ command: file, code: "ERR_NOT_FOUND" });
  throw new ExecError({ command: file, errno: Errno.ENOENT, os: "win32" });
}

/** As it is if it has an extension, and then with each of them: "foo.bat" may be "foo.bat.exe". */
function find(
  file: string,
  extensions: readonly string[],
  { isFile }: Surroundings,
): string | undefined {
  const endings = hasExtension(file) ? ["", ...extensions] : extensions;
  const ending = endings.find((each) => isFile(file + each));
  return ending === undefined ? undefined : file + ending;
}

function hasExtension(file: string): boolean {
  return /\.[^\\/:]*$/.test(file);
}

function join(directory: string, file: string): string {
  return nodeModule("node:path/win32").join(directory, file);
}

/** From a drive's root on, or of another machine. */
function isAbsolute(path: string): boolean {
  return /^(?:[a-z]:[\\/]|[\\/]{2})/i.test(path);
}

/** By their text: two names of one file count as two, and the nearer one is told of. */
function isSame(one: string, other: string, { directory }: Surroundings): boolean {
  const { resolve } = nodeModule("node:path/win32");
  const whole = (path: string): string => resolve(directory(), path).toLowerCase();
  return whole(one) === whole(other);
}
