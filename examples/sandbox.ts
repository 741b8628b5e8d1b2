/**
 * Compiles and runs a C program that nobody has read, as an ordinary user.
 *
 *     bun examples/sandbox.ts program.c
 *     deno run -A examples/sandbox.ts program.c
 *     node examples/sandbox.ts              a program that tries this and that, and says what came of it
 *     bun examples/sandbox.ts --explain     what the start does, step by step
 *
 * - It sees /usr, read-only, a /proc and a /dev of its own, and a /tmp of 64 MiB in memory, where it is compiled and run.
 *   Of this machine's files, processes, users and network there is nothing.
 * - It has 10 s of processor time, 20 s in all, 1 GiB of address space, 1 MiB of output, and unless this is run as root 32
 *   processes.
 * - Nothing is left of it.
 */

import { readFileSync } from "node:fs";
import process from "node:process";
import { parseArgs } from "node:util";
import { Command, sandbox, SpawnError, TimeoutError } from "../mod.ts";

const { values, positionals: [path] } = parseArgs({
  allowPositionals: true,
  options: { explain: { type: "boolean", default: false } },
});

/** What one would try first. */
const attempts = `
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

static void tell(const char *what, long answer) {
  printf("%s: %s\\n", what, answer < 0 ? strerror(errno) : "done");
}

int main(void) {
  printf("I am user %d, process %d\\n", getuid(), getpid());
  tell("read /etc/passwd", open("/etc/passwd", O_RDONLY));
  tell("write into /usr", open("/usr/mine", O_CREAT | O_WRONLY, 0600));
  tell("write into /", open("/mine", O_CREAT | O_WRONLY, 0600));
  struct sockaddr_in there = {AF_INET, htons(53), {htonl(0x08080808)}};
  tell("reach the network", connect(socket(AF_INET, SOCK_STREAM, 0), (void *)&there, sizeof there));
  tell("make /usr writable", mount("none", "/usr", NULL, MS_REMOUNT | MS_BIND, NULL));
  tell("make a user namespace", unshare(CLONE_NEWUSER));
  tell("become root", setuid(0) ?: getuid() ? 0 : -(errno = EPERM));
  tell("end everybody else", kill(-1, SIGKILL));
  int file = open("/tmp/big", O_CREAT | O_WRONLY, 0600);
  static char block[1 << 20];
  long written = 0, more;
  while ((more = write(file, block, sizeof block)) > 0) written += more;
  printf("fill /tmp: %s after %ld MiB\\n", strerror(errno), written >> 20);
  return 0;
}
`;

const source = path === undefined ? attempts : readFileSync(path);
const MiB = 1024 * 1024;
const sysProcAttr = sandbox({
  readOnly: ["/usr"],
  tmp: 64 * MiB,
  proc: true,
  dev: true,
  hostname: "sandbox",
  rlimits: { CPU: 10, AS: 1024 * MiB, NPROC: 32, NOFILE: 256, CORE: 0 },
});

// The shell is what its end is the end of: see sandbox(). The compiler's own files go to /tmp too.
const script = "gcc -std=gnu17 -O1 -w -x c -o /tmp/program - && /tmp/program < /dev/null; exit $?";
const command = new Command("/bin/sh", ["-c", script], {
  dir: "/tmp",
  env: { PATH: "/usr/bin:/bin", TMPDIR: "/tmp" },
  input: source,
  label: path ?? "the attempts",
  sysProcAttr,
  timeout: 20_000,
});

if (values.explain) {
  console.log(command.explain());
} else {
  try {
    const { stdout, stderr, state } = await command.capture({ limit: MiB, check: false });
    process.stdout.write(stdout);
    process.stderr.write(stderr);
    const { userTime, systemTime } = state;
    console.error(`${state}, ${userTime + systemTime} ms of processor time`);
    process.exitCode = state.exitCode === 0 ? 0 : 1;
  } catch (error) {
    // Where the system forbids namespaces the message says why, and what would allow them.
    if (
      !(error instanceof SpawnError || error instanceof TimeoutError || error instanceof RangeError)
    ) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
}
