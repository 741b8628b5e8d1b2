/** What both runtimes take from their host in the same way: modules of Node's, and libc. */

/** One of Node's modules, now: import() is late, and a static import is paid for by who never needs it. */
export function nodeModule(name: "node:fs"): typeof import("node:fs");
export function nodeModule(name: "node:net"): typeof import("node:net");
export function nodeModule(name: "node:os"): typeof import("node:os");
export function nodeModule(name: "node:path/posix"): typeof import("node:path/posix");
export function nodeModule(name: string): unknown {
  const { process } = globalThis as unknown as {
    process: { getBuiltinModule(name: string): unknown };
  };
  return process.getBuiltinModule(name);
}

/** The functions of libc that a memfd takes, as a runtime calls them. */
export interface MemfdCalls {
  create(name: Uint8Array, flags: number): number;
  write(fd: number, bytes: Uint8Array): number;
}

/**
 * Opens the host's own libc by glibc's name, or by musl's. `arch`: in the words of `process.arch`. Without
 * --allow-ffi nothing else can succeed, and Deno's own word is the best one.
 */
export function openLibc<Opened>(arch: string, open: (name: string) => Opened): Opened {
  const names = ["libc.so.6", `libc.musl-${arch === "arm64" ? "aarch64" : "x86_64"}.so.1`];
  const reasons: string[] = [];
  for (const name of names) {
    try {
      return open(name);
    } catch (error) {
      if (error instanceof Error && error.name === "NotCapable") throw error;
      reasons.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  throw new Error(reasons.join("; "));
}

/** Writes the bytes into a new memfd and answers its descriptor, which stays open. */
export function makeMemfd({ create, write }: MemfdCalls, name: string, bytes: Uint8Array): number {
  const MFD_CLOEXEC = 1;
  const fd = create(new TextEncoder().encode(`${name}\0`), MFD_CLOEXEC);
  if (fd < 0) throw new Error("memfd_create failed");
  for (let offset = 0; offset < bytes.length;) {
    const written = write(fd, bytes.subarray(offset));
    if (written <= 0) throw new Error("writing to the memfd failed");
    offset += written;
  }
  return fd;
}
