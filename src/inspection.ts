/** How values look when they are printed, on every runtime: in a line. */

/** Node's and Bun's. */
export const nodeInspect: unique symbol = Symbol.for("nodejs.util.inspect.custom");

/** Deno's. */
export const denoInspect: unique symbol = Symbol.for("Deno.customInspect");

/** Makes objects of a class print as their class's name and what `describe` says. */
export function inspectAs<T extends object>(
  prototype: T,
  name: string,
  describe: (value: T) => string,
): void {
  function inspect(this: T): string {
    return `${name} { ${describe(this)} }`;
  }
  for (const symbol of [nodeInspect, denoInspect]) {
    Object.defineProperty(prototype, symbol, {
      value: inspect,
      configurable: true,
      writable: true,
    });
  }
}
