/** Replacing this process's image: Go's syscall.Exec. */

import { replace } from "../../ffi/request.ts";
import { showText, type Text } from "../../ffi/text.ts";
import type { Env } from "./environment.ts";
import { diagnose } from "./diagnosis.ts";
import { SpawnError } from "../errors.ts";
import { lend, takeBack } from "../file/file.ts";
import { planContext } from "./checks.ts";
import { checkProgram, environment, type StartPlan } from "./plan.ts";

/**
 * Replaces this process's image: Go's syscall.Exec. No PATH look-up. The environment's default is this
 * process's own. Signal mask, SIGPIPE and SIGXFSZ as for startProcess. Returns only by throwing SpawnError,
 * with everything as it was before. All other threads of this process end, and what they had not written
 * yet is lost; descriptors without O_CLOEXEC stay open. execve(2).
 *
 * @example A program that becomes another
 * ```ts
 * import { exec, lookPath } from "osexec";
 *
 * exec(lookPath("env"), ["env", "sh", "-c", "echo the same process: $$"]);
 * ```
 */
export function exec(program: Text, args: readonly Text[], env?: Env): never {
  const context = planContext(program);
  const { name: path, argv } = checkProgram(context, program, args);
  // What it becomes takes EAGAIN for an error; until then, and if it fails, the host may count on the flag.
  const lent = [0, 1, 2].filter((fd) => lend(fd));
  const plan: StartPlan = {
    path,
    argv,
    envp: environment(context, env === undefined ? {} : { env }),
    envpLasts: false,
    steps: [{ step: "exec", values: [] }],
    cloneFlags: 0,
  };
  const { errno } = replace(plan);
  for (const fd of lent) takeBack(fd);
  const shown = showText(path);
  throw new SpawnError({
    path: shown,
    step: "exec",
    syscall: "exec",
    os: context.os,
    argument: shown,
    errno,
    hint: diagnose(plan, { step: "exec", values: [] }, errno),
  });
}
