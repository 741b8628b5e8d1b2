/** Finds, opens and verifies the native library, once and at the first use. */

import { ENTRY, ENTRY_WORDS, FINGERPRINT, functionsOf } from "./abi.ts";
import { embeddedLibrary } from "./embedded.ts";
import { isDenied, nodeModule } from "./host.ts";
import { currentRuntime, type LibraryAttempt, PlatformError, type Runtime } from "./runtime.ts";

/** Every native function. */
export type Library = Readonly<ReturnType<typeof functionsOf>>;

/** The native library could not be loaded. The message lists every place tried and why each failed. */
export class LibraryError extends Error {
  /** "LibraryError". */
  override readonly name: string = "LibraryError";
  /** The places in the order in which they were tried. */
  readonly attempts: readonly LibraryAttempt[];

  /** Makes the error from what was tried. */
  constructor(attempts: readonly LibraryAttempt[], options?: ErrorOptions) {
    const lines = attempts.map(({ place, reason }) => `\n  ${place}: ${reason}`);
    super(`cannot load the native library of osexec; tried${lines.join("")}`, options);
    this.attempts = attempts;
  }
}

/** A place to load from: opens it and answers the path to bind from. */
export interface LibraryPlace {
  readonly name: string;
  open(runtime: Runtime): OpenLibrary;
}

/** An opened place. */
export interface OpenLibrary {
  readonly path: string;
  /** Called when it is bound; a path that lasts needs none. */
  readonly done?: () => void;
  /** The memfd that it is, if it is one. */
  readonly memfd?: number;
}

let loaded: Library | undefined;

/**
 * The library, loaded at the first call. Throws LibraryError; without --allow-ffi, where that is needed, what the
 * runtime throws: NotCapable on Deno, an Error of the code ERR_ACCESS_DENIED on Node.
 */
export function library(): Library {
  return loaded ??= loadLibrary(currentRuntime());
}

/** Loads from the first place that serves. */
export function loadLibrary(
  runtime: Runtime,
  places: readonly LibraryPlace[] = defaultPlaces(runtime),
): Library {
  const attempts: LibraryAttempt[] = [];
  let cause: unknown;
  const lack = runtime.lacks();
  if (lack !== null) throw new LibraryError([lack]);
  for (const place of places) {
    let opened: OpenLibrary | undefined;
    try {
      opened = place.open(runtime);
      return preferFirst(runtime, bind(runtime, opened.path), opened);
    } catch (error) {
      if (error instanceof PlatformError || isDenied(error)) throw error;
      cause = error;
      attempts.push({
        place: place.name,
        reason: error instanceof Error ? error.message : String(error),
      });
    } finally {
      opened?.done?.();
    }
  }
  throw new LibraryError(attempts, { cause });
}

/** Where to look: OSEXEC_LIBRARY alone, for packagers, or else what this package carries. */
function defaultPlaces(runtime: Runtime): LibraryPlace[] {
  const variable = "OSEXEC_LIBRARY";
  const override = runtime.variable(variable);
  if (override) {
    return [{ name: `${variable}=${override}`, open: () => ({ path: override }) }];
  }
  runtime.allow();
  const places = [temporaryFilePlace()];
  if (runtime.platform === "linux") places.unshift(memfdPlace());
  const path = packagedPath(import.meta.url, runtime);
  if (path !== null) places.unshift(packagePlace(path));
  return places;
}

/** What `tools/package.mjs` and `tools/parts.mjs` call the module that this is in; the libraries are in dist/native/. */
const packaged = /\/dist\/(mod|bun\/([0-9a-f]+\/)?core)\.js$/;

/**
 * Where npm's package has its library as a file, or null: `url` is not one of that package's modules on a disk. There is none
 * in what a bundler has made CommonJS of.
 */
export function packagedPath(url: string | undefined, { platform, arch }: Runtime): string | null {
  if (!url?.startsWith("file:///") || !packaged.test(url)) return null;
  const library = url.replace(packaged, `/dist/native/${platform}-${arch}`);
  const file = decodeURIComponent(library.slice("file://".length));
  // "/C:/…"; and what has no extension Windows looks for with one.
  return platform === "win32" ? `${file.slice(1)}.dll` : file;
}

/** The file of npm's package: nothing to decode, to write, and to open libc for. 2 ms of the first start. */
function packagePlace(path: string): LibraryPlace {
  return { name: path, open: () => ({ path }) };
}

/** No file, no permission but --allow-ffi, and no matter whether /tmp may hold programs. */
export function memfdPlace(): LibraryPlace {
  return {
    name: "memfd",
    open(runtime) {
      const fd = runtime.memfd("osexec", embeddedLibrary());
      // It stays open: Workers bind from it, and a descriptor of the same number would make glibc, which compares
      // names, take another library for this one.
      return { path: memfdPath(fd), memfd: fd };
    },
  };
}

/** A private file for the moment of loading. */
export function temporaryFilePlace(): LibraryPlace {
  return {
    name: "temporary file",
    open(runtime) {
      const fs = nodeModule("node:fs");
      const bytes = embeddedLibrary();
      const directory = runtime.makeTemporaryDirectory();
      const remove = (): void => fs.rmSync(directory, { recursive: true, force: true });
      const path = `${directory}/libosexec`;
      try {
        fs.writeFileSync(path, bytes, { flag: "wx", mode: 0o700 });
      } catch (error) {
        remove();
        throw error;
      }
      return { path, done: remove };
    },
  };
}

/** A library that serves, and how to let go of it. */
interface Bound {
  readonly library: Library;
  close(): void;
}

function bind(runtime: Runtime, path: string): Bound {
  const entry = { parameters: ENTRY_WORDS, result: "i32" } as const;
  const { functions, close } = runtime.open(path, { [ENTRY]: entry });
  const call = functions[ENTRY];
  if (call === undefined) throw new Error(`it does not export ${ENTRY}`);
  const library = functionsOf(call);
  const found = [library.osexec_abi(0), library.osexec_abi(1)];
  if (found[0] !== FINGERPRINT[0] || found[1] !== FINGERPRINT[1]) {
    throw new Error(`its boundary is ${hexadecimal(found)}, expected ${hexadecimal(FINGERPRINT)}`);
  }
  return { library, close };
}

/**
 * The copy that another thread of this process has loaded before, instead of the one just loaded: a
 * Worker's own would stay behind when the Worker ends. Any trouble leaves it at its own.
 */
function preferFirst(runtime: Runtime, own: Bound, opened: OpenLibrary): Library {
  const first = own.library.osexec_abi(2);
  if (first < 0 || opened.memfd === undefined) return own.library;
  try {
    const { library } = bind(runtime, memfdPath(first));
    own.close();
    library.osexec_close(opened.memfd);
    return library;
  } catch {
    return own.library;
  }
}

function memfdPath(fd: number): string {
  return `/proc/self/fd/${fd}`;
}

function hexadecimal(halves: readonly number[]): string {
  const words = [...halves].reverse().map((half) => (half >>> 0).toString(16).padStart(8, "0"));
  return words.join("");
}
