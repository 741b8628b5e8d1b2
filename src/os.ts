/** The systems osexec runs on, in the words that `process.platform` uses. */

import { currentRuntime, PlatformError } from "../ffi/runtime.ts";
import type { Architecture } from "./start/system_calls.ts";

/** A supported operating system. */
export type OS = "linux" | "darwin" | "win32";

/**
 * The operating system of this process. Throws PlatformError on a system that osexec has no library for, which is
 * where a caller learns it: at the first use, not at import.
 */
export function currentOS(): OS {
  const { platform } = currentRuntime();
  if (platform === "linux" || platform === "darwin" || platform === "win32") return platform;
  throw new PlatformError(platform, "osexec supports Linux, macOS and Windows");
}

/** The processor's architecture, in the kernel's word. Throws PlatformError as currentOS(). */
export function currentArchitecture(): Architecture {
  const { platform, arch } = currentRuntime();
  if (arch === "x64") return "x86_64";
  if (arch === "arm64") return "aarch64";
  throw new PlatformError(`${platform}-${arch}`, "osexec supports x86_64 and aarch64");
}
