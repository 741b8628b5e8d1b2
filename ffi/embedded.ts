/** The native libraries that this package carries, and the one for this machine. */

import { LIBRARY as aarch64Linux } from "./embedded/aarch64_linux.ts";
import { LIBRARY as aarch64Macos } from "./embedded/aarch64_macos.ts";
import { LIBRARY as x86Linux } from "./embedded/x86_64_linux.ts";
import { LIBRARY as x86Macos } from "./embedded/x86_64_macos.ts";
import { currentRuntime, PlatformError } from "./runtime.ts";

/** A library as its module holds it. */
export interface Embedded {
  /** In bytes. */
  readonly size: number;
  /** What is not zero, in base64, by where it begins. */
  readonly parts: readonly (readonly [offset: number, text: string])[];
}

/**
 * Not there, unless a bundler defines it: the one platform that a bundle is for, as `"linux-x64"`. Then it cuts the
 * other three. Not process.platform, which takes 10 ms to load on Deno.
 */
declare const OSEXEC_PLATFORM: string | undefined;

/**
 * Static imports of all four, as the first use is synchronous and cannot import(): 290 KB of text, in functions of which
 * at most one is called.
 */
export const libraries: Readonly<Record<string, (() => Embedded) | undefined>> = {
  "linux-x64": typeof OSEXEC_PLATFORM === "undefined" || OSEXEC_PLATFORM === "linux-x64"
    ? x86Linux
    : undefined,
  "linux-arm64": typeof OSEXEC_PLATFORM === "undefined" || OSEXEC_PLATFORM === "linux-arm64"
    ? aarch64Linux
    : undefined,
  "darwin-x64": typeof OSEXEC_PLATFORM === "undefined" || OSEXEC_PLATFORM === "darwin-x64"
    ? x86Macos
    : undefined,
  "darwin-arm64": typeof OSEXEC_PLATFORM === "undefined" || OSEXEC_PLATFORM === "darwin-arm64"
    ? aarch64Macos
    : undefined,
};

/** The bytes of this machine's library. */
export function embeddedLibrary(): Uint8Array {
  const { platform, arch } = currentRuntime();
  const name = `${platform}-${arch}`;
  const embedded = libraries[name];
  if (embedded === undefined) {
    if (platform === "win32") {
      // Its text would be read by every start on every other system, and npm has files.
      throw new PlatformError(name, "the library for Windows is a file, npm's or OSEXEC_LIBRARY");
    }
    const names = Object.keys(libraries).filter((each) => libraries[each]).join(", ");
    throw new PlatformError(name, `osexec carries libraries for ${names}`);
  }
  return unpack(embedded());
}

/** The bytes of a library. */
export function unpack({ size, parts }: Embedded): Uint8Array {
  const bytes = new Uint8Array(size);
  for (const [offset, text] of parts) bytes.set(decodeBase64(text), offset);
  return bytes;
}

/** Both runtimes have it; their types do not yet. */
interface Base64 {
  fromBase64(text: string): Uint8Array;
}

function decodeBase64(text: string): Uint8Array {
  return (Uint8Array as unknown as Base64).fromBase64(text);
}
