/**
 * What the tests need of Node besides Node: the import map of deno.json.
 *
 *     node --import ./tests/node.mjs --test tests/process/exit_test.ts
 */

import { registerHooks } from "node:module";

const assertions = new URL("assert.ts", import.meta.url).href;

registerHooks({
  resolve: (specifier, context, next) =>
    next(specifier === "@std/assert" ? assertions : specifier, context),
});
