/** The environment that a command gives its child. */

import { type Text, toText } from "../ffi/text.ts";
import {
  type Env,
  extendEnvironment,
  type ExtraEnv,
  type ReadEnvironment,
  readEnvironment,
  withPwd,
} from "./environment.ts";
import { inherited, workingDirectory } from "./native.ts";

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
  if (given === undefined || given === "") return list;
  const dir = toText("dir", given);
  return withPwd(list, dir, dir.startsWith("/") ? "/" : workingDirectory());
}
