/** What is in the native libraries: a bill of materials for the package, in CycloneDX's JSON. */

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root, ZIG_VERSION } from "./toolchain.mjs";

/** SPDX's word for what LLVM, and so what Zig's compiler-rt has of it, is licensed under. */
const LLVM = "Apache-2.0 WITH LLVM-exception";

/**
 * The bill of these libraries, and of what of Zig is compiled into each. The same for the same bytes: so neither a
 * serial number nor a time.
 *
 * @param {{ name: string, bytes: Uint8Array }[]} libraries
 * @returns {string}
 */
export function billOfMaterials(libraries) {
  const { name, version, license } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const purl = `pkg:npm/${name}@${version}`;
  const licensed = (/** @type {string} */ expression) => [{ expression }];
  const parts = [
    { name: "zig-std", description: "The standard library of Zig", licenses: licensed("MIT") },
    {
      name: "zig-compiler-rt",
      description:
        "The compiler's run-time library: what Zig has of LLVM's compiler-rt and of musl",
      licenses: licensed(`MIT AND ${LLVM}`),
    },
  ].map((part) => ({
    "type": "library",
    "bom-ref": part.name,
    ...part,
    "version": ZIG_VERSION,
    "externalReferences": [{ type: "website", url: "https://ziglang.org/" }],
  }));
  const files = libraries.map(({ name: platform, bytes }) => ({
    "type": "file",
    "bom-ref": `native/${platform}`,
    "name": `dist/native/${platform}`,
    "description": `The library for ${platform}${
      platform.startsWith("win32") ? "" : "; also in dist/mod.js, as text"
    }`,
    "hashes": [{ alg: "SHA-256", content: createHash("sha256").update(bytes).digest("hex") }],
    "licenses": licensed(license),
  }));
  const inFiles = parts.map((part) => part["bom-ref"]);
  const bill = {
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    version: 1,
    metadata: {
      tools: { components: [{ type: "application", name: "zig", version: ZIG_VERSION }] },
      component: {
        "type": "library",
        "bom-ref": purl,
        name,
        version,
        purl,
        "licenses": licensed(license),
      },
    },
    components: [...files, ...parts],
    dependencies: [
      { ref: purl, dependsOn: files.map((file) => file["bom-ref"]) },
      ...files.map((file) => ({ ref: file["bom-ref"], dependsOn: inFiles })),
    ],
  };
  return `${JSON.stringify(bill, null, 2)}\n`;
}
