/**
 * The types of npm's package: `dist/mod.d.ts`, one file that imports nothing, and `dist/trace.d.ts`, which imports it.
 *
 *     node tools/declarations.mjs
 *
 * By rollup-plugin-dts and the last TypeScript that programs can use, so that no syntax of a newer one is in it.
 */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { packagingTools, root } from "./toolchain.mjs";

/**
 * What is used of the two packages.
 *
 * @typedef {{ write(options: object): Promise<unknown> }} Bundle
 * @typedef {(options: object) => Promise<Bundle>} Rollup
 * @typedef {(options: object) => object} Dts
 */

const modules = packagingTools();

/** @param {string} file within the packages */
const load = (file) => import(pathToFileURL(join(modules, file)).href);

/** @type {{ rollup: Rollup }} */
const { rollup } = await load("rollup/dist/es/rollup.js");
/** @type {{ dts: Dts }} */
const { dts } = await load("rollup-plugin-dts/dist/rollup-plugin-dts.mjs");

const comment = /\/\*\*(?:(?!\*\/)[^])*\*\/\n/;

/**
 * What a module says of itself, after which Disposable needs no setting of who uses the types.
 *
 * @param {string} module
 */
function banner(module) {
  const about = readFileSync(join(root, module), "utf8").match(comment)?.[0] ?? "";
  return `/// <reference lib="esnext.disposable" />\n${about}\n`;
}

/** What is said of each source file stands right before another comment, and here of nothing. */
const aboutFiles = new RegExp(`${comment.source}\\s*(?=\\/\\*\\*)`, "g");

const main = join(root, "mod.ts");

for (const name of ["mod", "trace"]) {
  const input = join(root, `${name}.ts`);
  const bundle = await rollup({
    input,
    // The main module's types are not another module's once more.
    external: [main].filter((path) => path !== input),
    plugins: [dts({ tsconfig: join(root, "tools/tsconfig.package.json") })],
    /** @param {{ message: string }} warning */
    onwarn({ message }) {
      throw new Error(message);
    },
  });
  await bundle.write({
    file: join(root, `dist/${name}.d.ts`),
    paths: { [main]: "./mod.js" },
    plugins: [{
      name: "tidy",
      /** @param {string} code */
      renderChunk: (code) => banner(`${name}.ts`) + code.replace(aboutFiles, ""),
    }],
  });
}
