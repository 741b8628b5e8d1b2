/** The least a library behind a foreign function interface can cost: c/floor.c. No peer, but a bound. */

import process from "node:process";

const library = `${process.env["BENCH_CHILDREN"]}/libfloor.so`;

/**
 * @typedef {object} Floor
 * @property {(path: Uint8Array) => number} run
 * @property {(path: Uint8Array, buffer: Uint8Array, length: number) => number} capture
 */

/** @returns {Promise<Floor>} */
async function open() {
  if ("Deno" in globalThis) return openOnDeno();
  if (!("Bun" in globalThis)) return openOnNode();
  const { dlopen, ptr } = await import("bun:ffi");
  const { symbols } = dlopen(library, {
    floor_run: { args: ["ptr"], returns: "i32" },
    floor_capture: { args: ["ptr", "ptr", "i32"], returns: "i32" },
  });
  return {
    run: (path) => symbols.floor_run(ptr(path)),
    capture: (path, buffer, length) => symbols.floor_capture(ptr(path), ptr(buffer), length),
  };
}

/** @returns {Floor} */
function openOnDeno() {
  const { Deno } = /** @type {any} */ (globalThis);
  const { symbols } = Deno.dlopen(library, {
    floor_run: { parameters: ["buffer"], result: "i32" },
    floor_capture: { parameters: ["buffer", "buffer", "i32"], result: "i32" },
  });
  return { run: symbols.floor_run, capture: symbols.floor_capture };
}

/** @returns {Floor} */
function openOnNode() {
  /** @type {any} */
  const { dlopen } = process.getBuiltinModule("node:ffi");
  const { functions } = dlopen(library, {
    floor_run: { arguments: ["buffer"], return: "int32" },
    floor_capture: { arguments: ["buffer", "buffer", "int32"], return: "int32" },
  });
  return { run: functions.floor_run, capture: functions.floor_capture };
}

const floor = await open();

/** @type {Map<string, Uint8Array>} */
const encoded = new Map();

/** @param {string} path */
function encode(path) {
  let bytes = encoded.get(path);
  if (!bytes) encoded.set(path, bytes = new TextEncoder().encode(`${path}\0`));
  return bytes;
}

/** @type {import("./main.mjs").Adapter} */
export const synchronous = {
  run(path) {
    floor.run(encode(path));
  },
  capture(path, length) {
    const buffer = new Uint8Array(length + 4096);
    return floor.capture(encode(path), buffer, buffer.length);
  },
};
