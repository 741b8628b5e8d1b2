/** What a command gives its child: environment, attributes, and what its terminal and its tree ask of them. */

import { type Text, toText } from "../../ffi/text.ts";
import { OwnAttributes, type ProcAttr, type SysProcAttr } from "./attributes.ts";
import { planContext } from "./checks.ts";
import {
  dedupEnvironment,
  type Env,
  extendEnvironment,
  type ExtraEnv,
  type ReadEnvironment,
  readEnvironment,
  withPwd,
} from "./environment.ts";
import type { Fd } from "../file/file.ts";
import { inherited, workingDirectory } from "../native.ts";
import { currentOS } from "../os.ts";
import { ptyOptions, withSession } from "../terminal/pty.ts";
import type { Signal } from "../process/signals.ts";
import type { PtyOptions } from "../terminal/terminal.ts";
import { type Seed, seed } from "../tree/seed.ts";
import type { Tree } from "../tree/tree.ts";

/** What of a command it is made of. */
export interface EnvironmentOptions {
  readonly env?: Env;
  readonly extraEnv?: ExtraEnv;
  readonly dir?: Text;
}

/** env, or this process's with the PWD that Go adds; and extraEnv. */
export function childEnvironment({ env, extraEnv, dir }: EnvironmentOptions): ReadEnvironment {
  let { list, problem } = env === undefined ? inherited() : readEnvironment(env);
  if (env === undefined && problem === null) list = withDirectory(list, dir);
  if (extraEnv === undefined) return { list, problem };
  const extended = extendEnvironment(list, extraEnv);
  return { list: extended.list, problem: problem ?? extended.problem };
}

function withDirectory(list: readonly string[], given: Text | undefined): readonly string[] {
  // Windows knows no PWD.
  if (given === undefined || given === "" || currentOS() === "win32") return list;
  const dir = toText("dir", given);
  return withPwd(list, dir, dir.startsWith("/") ? "/" : workingDirectory());
}

/** What of a command its child's attributes are made of. */
export interface ChildOptions extends EnvironmentOptions {
  readonly path: string;
  readonly extraFiles: readonly (Fd | null)[];
  readonly sysProcAttr?: SysProcAttr;
  readonly pty?: boolean | PtyOptions;
  readonly tree?: Tree;
  readonly endWithParent?: boolean | Signal;
}

/** What is to be done for its tree: see seed(). */
export function seedOf(command: ChildOptions, explains: boolean): Seed | undefined {
  const { tree, endWithParent, path } = command;
  // Most starts are asked neither, and what a terminal asks is then read once.
  if (tree === undefined && endWithParent === undefined) return undefined;
  return seed({ tree, endWithParent, path, sysProcAttr: sysOf(command) }, explains);
}

/** As the start gets them. Throws SpawnError for an environment that no child can have. */
export function attributesOf(
  command: ChildOptions,
  streams: readonly Fd[],
  planted: Seed | undefined,
): ProcAttr {
  const { dir, extraFiles, path } = command;
  const { refuse } = planContext(path);
  const sys = planted === undefined ? sysOf(command) : planted.sys;
  const { list, problem } = childEnvironment(command);
  if (problem !== null) refuse(problem);
  const env = dedupEnvironment(list);
  return new OwnAttributes({ dir, env, files: [...streams, ...extraFiles], sys }, refuse);
}

function sysOf({ pty, sysProcAttr, path }: ChildOptions): SysProcAttr | undefined {
  if (ptyOptions(pty) === undefined) return sysProcAttr;
  return withSession(sysProcAttr, planContext(path));
}
