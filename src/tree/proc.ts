/** What /proc tells of this process. */

import { decodeText } from "../../ffi/text.ts";
import { withFile } from "../file/file.ts";

/** A file's text. Throws SyscallError. */
export function textOf(path: string): string {
  const bytes = new Uint8Array(64 * 1024);
  return withFile(path, (file) => {
    let text = "";
    for (let length = file.readSync(bytes); length !== null; length = file.readSync(bytes)) {
      text += decodeText(bytes.subarray(0, length));
    }
    return text;
  });
}

/** Who this thread is to the kernel. */
export interface Identity {
  /** Effective ids. */
  readonly uid: number;
  readonly gid: number;
  /** Whether it may make namespaces without a user namespace around them: CAP_SYS_ADMIN. */
  readonly isAdmin: boolean;
}

/** By proc_pid_status(5). */
export function identity(): Identity {
  const status = textOf("/proc/thread-self/status");
  const field = (name: string): string[] =>
    new RegExp(`^${name}:\\s*(.*)$`, "m").exec(status)?.[1]?.split(/\s+/) ?? [];
  const CAP_SYS_ADMIN = 21n;
  const capabilities = BigInt(`0x${field("CapEff")[0] ?? "0"}`);
  return {
    uid: Number(field("Uid")[1]),
    gid: Number(field("Gid")[1]),
    isAdmin: (capabilities >> CAP_SYS_ADMIN & 1n) === 1n,
  };
}

/** The directory of this process's cgroup v2, or null: none is mounted, or it lies outside of what is. cgroups(7). */
export function ownCgroup(): { readonly name: string; readonly directory: string } | null {
  const name = /^0::(.*)$/m.exec(textOf("/proc/self/cgroup"))?.[1];
  if (name === undefined || name.startsWith("/..")) return null;
  for (const line of textOf("/proc/self/mountinfo").split("\n")) {
    const [mount = "", type = ""] = line.split(" - ");
    if (!type.startsWith("cgroup2 ")) continue;
    const [, , , root = "/", point = ""] = mount.split(" ").map(unescape);
    const above = root === "/" ? "" : root;
    if (name !== root && !name.startsWith(`${above}/`)) continue;
    return { name, directory: `${point}${name.slice(above.length)}`.replace(/\/$/, "") };
  }
  return null;
}

/** Octal escapes of a space, a tab, a newline and a backslash. */
function unescape(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, digits) => String.fromCharCode(parseInt(digits, 8)));
}
