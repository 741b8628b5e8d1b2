/** Finding programs: Go's exec.LookPath. */

import { library } from "../../ffi/library.ts";
import { Errno } from "../errno.ts";
import { ExecError } from "../errors.ts";
import { cString, inheritedVariable } from "../native.ts";
import { currentOS } from "../os.ts";
import { lookPathOnWindows } from "../windows/look_path.ts";
import { joinPath, parentPath } from "../paths.ts";

/**
 * Go's exec.LookPath, over this process's PATH: the first candidate that is a file, no directory, and
 * executable by the effective user. A name with a slash is checked as it is, PATH ignored. An empty
 * element of PATH is ".", but an empty PATH has none.
 *
 * On Windows by Go's rules there: PATHEXT, and the current directory first, which is ERR_DOT.
 *
 * Throws ExecError: ERR_NOT_FOUND; ERR_DOT where the first candidate is relative to the current
 * directory (its `path` holds it); for a name with a slash the errno's name.
 *
 * @example
 * ```ts
 * import { lookPath } from "osexec";
 *
 * console.log(lookPath("sh")); // "/usr/bin/sh", for one
 * ```
 */
export function lookPath(file: string): string {
  if (typeof file !== "string") throw new TypeError("The program's name is not a string");
  const os = currentOS();
  if (os === "win32") return lookPathOnWindows(file);
  // An executable file as an element of PATH would make these three a match (CVE-2025-47906).
  if (file === "" || file === "." || file === "..") {
    throw new ExecError({ command: file, code: "ERR_NOT_FOUND" });
  }
  if (file.includes("/")) {
    const errno = whyNotExecutable(file);
    if (errno === 0) return file;
    throw new ExecError({ command: file, errno, os, syscall: statFails(file, errno) });
  }
  const path = inheritedVariable("PATH") ?? "";
  for (const element of path === "" ? [] : path.split(":")) {
    const candidate = joinPath(element === "" ? "." : element, file);
    if (whyNotExecutable(candidate) !== 0) continue;
    if (!candidate.startsWith("/")) {
      throw new ExecError({ command: file, code: "ERR_DOT", path: candidate });
    }
    return candidate;
  }
  throw new ExecError({ command: file, code: "ERR_NOT_FOUND" });
}

/** "stat" if that is what failed with this errno, and not the question whether it may be run. */
function statFails(file: string, errno: number): "stat" | undefined {
  if (errno === Errno.EISDIR) return undefined;
  if (errno !== Errno.EACCES) return "stat";
  // Where the directory cannot be searched the file has not been seen.
  return whyNotExecutable(`${parentPath(file)}/.`) === Errno.EACCES ? "stat" : undefined;
}

/** 0, or the errno. */
function whyNotExecutable(path: string): number {
  if (path.includes("\0")) return Errno.EINVAL;
  const bytes = cString(path);
  return -library().osexec_executable(bytes, bytes.length);
}

/** Whether a command's name is one that is looked for in PATH: it holds no separator. */
export function isToBeLookedUp(name: string): boolean {
  return !(currentOS() === "win32" ? /[\\/:]/ : /\//).test(name);
}
