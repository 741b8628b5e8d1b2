/**
 * A machine of another kind, in QEMU: a kernel, and a root in memory whose first process runs programs
 * one after the other and tells on the serial console how each of them ends.
 */

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import process from "node:process";

/**
 * A program in the guest, by the name that its output is told apart by.
 *
 * @typedef {{ name: string, argv: string[] }} Program
 *
 * What the console has to say: a program begins, it says something, it ends.
 * @typedef {{
 *   begin: (name: string) => void,
 *   line: (line: string) => void,
 *   end: (name: string, status: number) => void,
 * }} Console
 */

/** No line of a program begins so. */
const MARK = "\u{2}osexec";

/**
 * The script that is the guest's first process. It needs a static busybox at /bin/busybox.
 *
 * @param {Program[]} programs
 * @returns {string}
 */
export function initScript(programs) {
  const quoted = (/** @type {string} */ word) => `'${word.replaceAll("'", "'\\''")}'`;
  const runs = programs.map(({ name, argv }) => `
    printf '${MARK} begin %s\\n' ${quoted(name)}
    ${argv.map(quoted).join(" ")} 2>&1
    printf '${MARK} end %s %d\\n' ${quoted(name)} $?`);
  return `#!/bin/busybox sh
    mount() { busybox mount -t "$1" none "$2"; }
    export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp NO_COLOR=1
    mount proc /proc
    mount sysfs /sys
    mount devtmpfs /dev
    ln -s /proc/self/fd /dev/fd
    mkdir /dev/pts /dev/shm
    mount devpts /dev/pts
    mount tmpfs /dev/shm
    mount tmpfs /tmp
    busybox ip link set lo up
    unset -f mount
    cd /osexec
    exec </dev/null
    ${runs.join("\n")}
    busybox poweroff -f
`;
}

/** The folders that the script mounts something on. */
export const initFolders = ["proc", "sys", "dev", "tmp"];

/**
 * Boots an arm64 machine, and resolves when it is off. Software alone: this machine may be of any kind.
 *
 * @param {{ kernel: string, root: string, limitMs: number, console: Console }} options
 * @returns {Promise<string | undefined>} why it did not end well, if so
 */
export async function bootArm64({ kernel, root, limitMs, console }) {
  const guest = spawn("qemu-system-aarch64", [
    ...["-machine", "virt", "-cpu", "neoverse-n1", "-smp", "2", "-m", "2048"],
    ...["-accel", "tcg,thread=multi", "-nic", "none", "-nographic", "-no-reboot"],
    ...["-kernel", kernel, "-initrd", root, "-append", "console=ttyAMA0 quiet panic=-1"],
  ], { stdio: ["ignore", "pipe", "pipe"] });
  const kill = () => guest.kill("SIGKILL");
  process.on("exit", kill);
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    kill();
  }, limitMs);
  guest.stderr.on("data", (text) => console.line(`qemu: ${String(text).trimEnd()}`));
  const lines = createInterface({ input: guest.stdout });
  lines.on("line", (text) => {
    const line = text.replace(/\r+$/, "");
    const [, before = "", verb, name = "", status] =
      line.match(new RegExp(`^(.*?)${MARK} (begin|end) (\\S+) ?(\\d*)$`)) ?? [];
    if (verb === undefined) return console.line(line);
    // The program's last line had no end of its own.
    if (before !== "") console.line(before);
    if (verb === "begin") console.begin(name);
    else console.end(name, Number(status));
  });
  try {
    const reason = await new Promise((resolve) => {
      guest.on("error", (error) => resolve(error.message));
      guest.on("close", (code, signal) => resolve(code === 0 ? undefined : `${signal ?? code}`));
    });
    return isLate ? `still on after ${limitMs / 1000} s` : reason;
  } finally {
    clearTimeout(timer);
    process.off("exit", kill);
  }
}
