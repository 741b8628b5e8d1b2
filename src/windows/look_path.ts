/** Finding programs on Windows: Go's exec.LookPath there, by the extensions that PATHEXT lists. */

import { library } from "../../ffi/library.ts";
import { showText, type Text, toText } from "../../ffi/text.ts";
import { Errno } from "../errno.ts";
import { ExecError } from "../errors.ts";
import { cString, inheritedVariable } from "../native.ts";

/** What is asked of the system, for tests to answer in its place. */
export interface Surroundings {
  variable(name: string): string | undefined;
  /** 0, or the errno: it is not there, or a directory. */
  whyNot(path: string): number;
}

const own: Surroundings = {
  variable: inheritedVariable,
  whyNot(path) {
    if (path.includes("\0")) return Errno.EINVAL;
    const bytes = cString(path);
    return -library().osexec_executable(bytes, bytes.length);
  },
};

const separators = /[\\/:]/;

/** lookPath(). `.path` of its ERR_DOT is what was found from the current directory. */
export function lookPathOnWindows(file: string, system: Surroundings = own): string {
  checkName(file);
  const extensions = readExtensions(system);
  if (separators.test(file)) {
    const { found, errno } = find(file, extensions, system);
    if (found !== undefined) return found;
    throw new ExecError({ command: file, errno, os: "win32" });
  }
  let dot: string | undefined;
  // Windows looks in the current directory first, unless it is told not to (go.dev/issue/43947).
  if (system.variable("NoDefaultCurrentDirectoryInExePath") === undefined) {
    ({ found: dot } = find(file, extensions, system));
  }
  for (const element of (system.variable("PATH") ?? "").split(";")) {
    const directory = element.replaceAll('"', "");
    if (directory === "") continue;
    const { found } = find(join(directory, file), extensions, system);
    if (found === undefined) continue;
    if (dot !== undefined && !isSame(found, dot)) break;
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
  const { found, errno } = find(whole, extensions, system);
  if (found !== undefined) return path + found.slice(whole.length);
  throw new ExecError({ command: showText(given), errno, os: "win32" });
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

interface Found {
  readonly found?: string;
  readonly errno: number;
}

/** As it is if it has an extension, and then with each of them: "foo.bat" may be "foo.bat.exe". */
function find(file: string, extensions: readonly string[], { whyNot }: Surroundings): Found {
  let errno: number = Errno.ENOENT;
  const endings = hasExtension(file) ? ["", ...extensions] : extensions;
  for (const ending of endings) {
    const why = whyNot(file + ending);
    if (why === 0) return { found: file + ending, errno: 0 };
    if (why !== Errno.ENOENT) errno = why;
  }
  return { errno };
}

function hasExtension(file: string): boolean {
  return /\.[^\\/:]*$/.test(file);
}

function join(directory: string, file: string): string {
  const rest = file.replace(/^(?:\.[\\/]+)+/, "");
  return /[\\/:]$/.test(directory) ? directory + rest : `${directory}\\${rest}`;
}

/** From a drive's root on, or of another machine. */
export function isAbsolute(path: string): boolean {
  return /^(?:[a-z]:[\\/]|[\\/]{2})/i.test(path);
}

/** By their text: two names of one file count as two, and the nearer one is told of. */
function isSame(one: string, other: string): boolean {
  return one.toLowerCase() === other.toLowerCase();
}
