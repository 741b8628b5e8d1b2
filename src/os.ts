/** The systems osexec runs on, in the words that `process.platform` uses. */

import process from "node:process";

/** A supported operating system. */
export type OS = "linux" | "darwin";

/**
 * The operating system of this process. Throws on a system that osexec has no library for, which is
 * where a caller learns it: at the first use, not at import.
 */
export function currentOS(): OS {
  const platform = process.platform;
  if (platform === "linux" || platform === "darwin") return platform;
  throw new Error(`osexec supports Linux and macOS; this is ${platform}`);
}
