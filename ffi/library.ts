/** Finds, opens and verifies the native library, once and at the first use. */

import { FINGERPRINT, SYMBOLS } from "./abi.ts";
import { embeddedLibrary } from "./embedded.ts";
import { isDenied, nodeModule } from "./host.ts";
import {
  currentRuntime,
  type LibraryAttempt,
  type NativeFunction,
  type Opened,
  PlatformError,
  type Runtime,
} from "./runtime.ts";

/** How a word of the boundary appears in TypeScript. */
interface Values {
  i32: number;
  buffer: Uint8Array;
  void: void;
}

type Arguments<Words extends readonly (keyof Values)[]> = {
  -readonly [Index in keyof Words]: Values[Words[Index]];
};

/** Every native function, typed from the generated signatures. */
export type Library = {
  readonly [Name in keyof typeof SYMBOLS]: (
    ...parameters: Arguments<(typeof SYMBOLS)[Name]["parameters"]>
  ) => Values[(typeof SYMBOLS)[Name]["result"]];
};

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

/** A place to load from: opens it and answers the path to bind functions from. */
export interface LibraryPlace {
  readonly name: string;
  open(runtime: Runtime): OpenLibrary;
}

/** An opened place. */
export interface OpenLibrary {
  readonly path: string;
  /** Called when all functions are bound; a path that lasts needs none, and may be bound from later. */
  readonly done?: () => void;
  /** The memfd that it is, if it is one. */
  readonly memfd?: number;
}

type Name = keyof typeof SYMBOLS;

/**
 * What is bound with one call on a runtime where that costs start-up time, as it is used together: a function by
 * itself takes a third longer (measured). What stands in none is rare, and nothing that the end of a child needs: Deno
 * asks for the permission at each of its calls.
 */
const groups: readonly (readonly Name[])[] = [
  ["osexec_abi"],
  [
    "osexec_spawn",
    "osexec_settle",
    "osexec_wait",
    "osexec_signal",
    "osexec_close",
    "osexec_lend",
    "osexec_environ",
  ],
  [
    "osexec_reactor",
    "osexec_watch",
    "osexec_watch_pid",
    "osexec_unwatch",
    "osexec_busy_poll",
    "osexec_idle_processors",
  ],
  ["osexec_pipe", "osexec_read", "osexec_write", "osexec_grow_pipe", "osexec_poll"],
  ["osexec_executable"],
];

let loaded: Library | undefined;

/**
 * The library, loaded at the first call. Throws LibraryError; without --allow-ffi, where that is needed, what the
 * runtime throws: NotCapable on Deno, an Error of the code ERR_ACCESS_DENIED on Node.
 */
export function library(): Library {
  return loaded ??= loadLibrary(currentRuntime());
}

/**
 * Binds a function's group before there is a child that will need it: on Deno that is done at the first use of one of
 * them, and by then a program may have given the permission back. What a start uses itself need not be asked for.
 */
export function prepare(name: Name): void {
  if (typeof library()[name] !== "function") throw new Error(`${name} is not there`);
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
      return preferFirst(runtime, bind(runtime, opened), opened);
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
  const file = decodeURIComponent(new URL(library).pathname);
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
      // It stays open: functions are bound late, and a descriptor of the same number would make
      // glibc, which compares names, take another library for this one.
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

function bind(runtime: Runtime, opened: OpenLibrary): Bound {
  const functions: Record<string, NativeFunction> = {};
  const handles: Opened[] = [];
  if (runtime.bindsLate && opened.done === undefined) {
    /**
     * Binds a function at its first use, and the others of its group: one with a buffer costs Deno 0.3 ms, and Node makes
     * pages of its own for each, 0.04 ms; Bun takes 0.45 for all forty (measured).
     */
    const bindNow = (wanted: Name): NativeFunction | undefined => {
      const group = groups.find((names) => names.includes(wanted));
      if (group === undefined) {
        const value = runtime.bindRare(opened.path, wanted, SYMBOLS[wanted]);
        Object.defineProperty(functions, wanted, { value });
        return value;
      }
      const symbols = Object.fromEntries(group.map((name) => [name, SYMBOLS[name]]));
      const handle = runtime.open(opened.path, symbols);
      handles.push(handle);
      for (const [name, value] of Object.entries(handle.functions)) {
        Object.defineProperty(functions, name, { value });
      }
      return handle.functions[wanted];
    };
    for (const name of Object.keys(SYMBOLS) as Name[]) {
      const get = (): NativeFunction | undefined => bindNow(name);
      Object.defineProperty(functions, name, { configurable: true, enumerable: true, get });
    }
  } else {
    const all = runtime.open(opened.path, SYMBOLS);
    handles.push(all);
    Object.assign(functions, all.functions);
  }
  const abi = functions.osexec_abi;
  if (abi === undefined) throw new Error("it does not export osexec_abi");
  const found = [abi(0), abi(1)];
  if (found[0] !== FINGERPRINT[0] || found[1] !== FINGERPRINT[1]) {
    throw new Error(`its boundary is ${hexadecimal(found)}, expected ${hexadecimal(FINGERPRINT)}`);
  }
  return {
    library: functions as unknown as Library,
    close() {
      for (const handle of handles) handle.close();
    },
  };
}

/**
 * The copy that another thread of this process has loaded before, instead of the one just loaded: a
 * Worker's own would stay behind when the Worker ends. Any trouble leaves it at its own.
 */
function preferFirst(runtime: Runtime, own: Bound, opened: OpenLibrary): Library {
  const first = own.library.osexec_abi(2);
  if (first < 0 || opened.memfd === undefined) return own.library;
  try {
    const { library } = bind(runtime, { path: memfdPath(first) });
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
