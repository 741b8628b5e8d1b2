/** Replacing this process's image: Go's syscall.Exec. */

import { replace } from "../ffi/request.ts";
import type { Env } from "./environment.ts";
import { SpawnError } from "./errors.ts";
import { lend, takeBack } from "./file.ts";
import { planContext } from "./checks.ts";
import { checkProgram, environment } from "./plan.ts";

/**
 * Replaces this process's image: Go's syscall.Exec. No PATH look-up. The environment's default is this
 * process's own. Signal mask, SIGPIPE and SIGXFSZ as for startProcess. Returns only by throwing SpawnError,
 * with everything as it was before. All other threads of this process end, and what they had not written
 * yet is lost; descriptors without O_CLOEXEC stay open. execve(2).
 */
export function exec(path: string, args: readonly string[], env?: Env): never {
  const context = planContext(path);
  const argv = checkProgram(context, path, args);
  // What it becomes takes EAGAIN for an error; until then, and if it fails, the host may count on the flag.
  const lent = [0, 1, 2].filter((fd) => lend(fd, true));
  const { errno } = replace({
    path,
    argv,
    envp: environment(context, env === undefined ? {} : { env }),
    envpLasts: false,
    steps: [{ step: "exec" }],
    cloneFlags: 0,
  });
  for (const fd of lent) takeBack(fd);
  throw new SpawnError({ path, step: "exec", os: context.os, argument: path, errno });
}
