/**
 * The package for Bun, in `dist/bun/`: what every start needs as one module, `core.js`, and each part of what few need as
 * a file of its own, which is loaded when something of it is first called. Bun takes 0.02 to 0.05 ms for each KB of a
 * module that it loads, whether it is called or not (docs/PERFORMANCE.md, "Start-up").
 *
 *     bun tools/parts.mjs        package.mjs runs it
 *
 * The sources know nothing of it: who imports from a file of a part gets a stub, a function of the same name that requires
 * the part, and calls or constructs what it has there. So a part is made of files of which others only call functions and
 * construct classes: a constant, or a class that is exported from mod.ts, does not get past this file.
 *
 * **A part is entered before there is a child**, or by who can do without it: require() may fail, as when no descriptor is
 * left, and must not while a child has to be waited for. So what follows a start is in the core, but for what a call
 * before the start has loaded.
 *
 * require(), and not import(), as a start is synchronous. Bun has it in its modules, and its bundler takes the parts into
 * the bundle. On Deno it is node:module's, which takes 35 ms to load; in Node no bundler would find it: both get the one
 * module.
 */

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { root, ToolError } from "./toolchain.mjs";

/**
 * Which files are in which part: by what needs them together.
 *
 * @type {Readonly<Record<string, readonly string[]>>}
 */
const parts = {
  // Where the package's own file does not serve.
  embedded: [
    "ffi/embedded.ts",
    ...readdirSync(join(root, "ffi/embedded")).map((file) => `ffi/embedded/${file}`),
  ],
  other_runtimes: ["ffi/deno.ts", "ffi/node.ts"],
  // What sysProcAttr asks for.
  attributes: [
    "src/start/accounts.ts",
    "src/start/confinement.ts",
    "src/start/landlock.ts",
    "src/start/limits.ts",
    "src/start/mounts.ts",
    "src/start/namespaces.ts",
    "src/start/ownership.ts",
    "src/start/privileges.ts",
    "src/start/resources.ts",
    "src/start/sandbox.ts",
    "src/start/seccomp.ts",
    "src/start/seccomp_default.ts",
    "src/start/seccomp_filter.ts",
    "src/start/system_calls.ts",
  ],
  replace: ["src/start/replace.ts"],
  // Data that goes in or comes out: a start opens its sources and sinks before there is a child, and lines() is made.
  // Of a Sync run that has none, but a timeout, the child is killed if this cannot be loaded.
  streams: [
    "src/command/captured.ts",
    "src/command/copy.ts",
    "src/command/lines.ts",
    "src/command/sinks.ts",
    "src/command/sources.ts",
    "src/command/sync.ts",
    "src/command/tee.ts",
  ],
  // Every start there, and none elsewhere.
  windows: ["src/windows/look_path.ts", "src/windows/plan.ts"],
  parallel: ["src/command/parallel.ts"],
  tree: ["src/tree/cgroup.ts", "src/tree/end_with_parent.ts", "src/tree/seed.ts"],
  orphans: ["src/tree/reap_orphans.ts"],
  debug: ["src/watch/debug.ts", "src/watch/hangs.ts"],
  // "osexec/trace".
  trace: ["trace.ts"],
};

const folder = join(root, "dist/bun");

/** A file's part. @type {ReadonlyMap<string, string>} */
const partOf = new Map(
  Object.entries(parts).flatMap(([part, files]) => files.map((file) => [file, part])),
);

/**
 * What a file imports of another, and not only as a type: the file by its path from the root, and the names.
 *
 * @param {string} file
 * @returns {{ from: string, names: string[] }[]}
 */
function importsOf(file) {
  const statement = /^import \{([^}]*)\} from "(\.[^"]+)";$/gm;
  return [...read(file).matchAll(statement)].map(([, list = "", path = ""]) => ({
    from: relative(root, resolve(root, dirname(file), path)),
    names: list.split(",").map((each) => each.trim()).filter((each) => /^\w+$/.test(each)),
  }));
}

/**
 * What a file exports that a stub can stand for: functions and classes.
 *
 * @param {string} file
 */
function callablesOf(file) {
  const pattern = /^export (?:(?:async )?function\*?|class) (\w+)/gm;
  return [...read(file).matchAll(pattern)].map(([, name = ""]) => name);
}

/** @param {string} file */
function read(file) {
  return readFileSync(join(root, file), "utf8");
}

/** What the parts import of the core, by the file that has it. @type {Map<string, Set<string>>} */
const shared = new Map();
for (const { from, names } of [...partOf.keys()].flatMap(importsOf)) {
  if (partOf.has(from) || from === "mod.ts") continue;
  shared.set(from, new Set([...shared.get(from) ?? [], ...names]));
}

/** What the loaders need of it. */
const opener = "src/file/file.ts";
shared.set(opener, new Set([...shared.get(opener) ?? [], "withFile"]));

/**
 * What the core calls a name that it exports for the parts: two files may have the same.
 *
 * @param {string} file
 * @param {string} name
 */
function sharedName(file, name) {
  return `${name}_of_${file.replace(/\W/g, "_")}`;
}

/**
 * The stubs of a file that is in a part.
 *
 * @param {string} file
 */
function stubs(file) {
  const functions = callablesOf(file).map((name) => `
    export function ${name}(...given) {
      const { ${name}: real } = load();
      return new.target === undefined ? real(...given) : new real(...given);
    }`);
  return `import { load } from "part:${partOf.get(file)}";${functions.join("")}`;
}

/** Stands for require() until everything is built, as Bun's bundler would look for the file now. */
const requirePart = "require_part_of_osexec";

/**
 * What loads a part. Where that fails, as when no descriptor is left, Bun's own error has no code: our opening of the file
 * says why, as a SyscallError. In a bundle there is no such file.
 *
 * @param {string} part
 */
function loader(part) {
  return `
    import { withFile } from ${at(opener)};
    let part;
    export function load() {
      try {
        return part ??= ${requirePart}("./${part}.js");
      } catch (error) {
        throw failure(error);
      }
    }
    function failure(error) {
      try {
        withFile(import.meta.dir + "/${part}.js", () => {});
      } catch (reason) {
        if (reason.code !== "ENOENT") return reason;
      }
      return error;
    }`;
}

/**
 * A file of the sources, for an import.
 *
 * @param {string} file
 */
function at(file) {
  return JSON.stringify(join(root, file));
}

/**
 * Resolves what is in another part to stubs, and for a part what is in the core to that.
 *
 * @param {string | undefined} own the part, if it is one
 * @returns {import("bun").BunPlugin}
 */
function dividing(own) {
  return {
    name: "parts",
    setup(build) {
      build.onResolve({ filter: /^\.?\.?\// }, ({ path, importer }) => {
        if (path === coreModule) return { path, external: true };
        const file = relative(root, resolve(dirname(importer), path));
        const part = partOf.get(file);
        if (part === own) return { path: join(root, file) };
        if (part !== undefined) return { path: file, namespace: "stub" };
        if (file === "mod.ts") return { path: coreModule, external: true };
        return { path: file, namespace: "core" };
      });
      build.onResolve({ filter: /^(entry|part):/ }, ({ path }) => {
        const [namespace = "", name = ""] = path.split(":");
        return { path: name, namespace };
      });
      /** @type {Readonly<Record<string, (path: string) => string>>} */
      const made = { entry, stub: stubs, part: loader, core: sharing };
      for (const [namespace, make] of Object.entries(made)) {
        build.onLoad({ filter: /./, namespace }, ({ path }) => ({
          contents: make(path),
          loader: "js",
        }));
      }
    },
  };
}

/** What the parts import. */
const coreModule = "./core.js";

/**
 * A file of the core, for a part.
 *
 * @param {string} file
 */
function sharing(file) {
  const names = [...shared.get(file) ?? []].map((name) => `${sharedName(file, name)} as ${name}`);
  return `export { ${names.join(", ")} } from "${coreModule}";`;
}

/**
 * All that a module of the package exports.
 *
 * @param {string} name a part's, or "core"
 */
function entry(name) {
  const files = parts[name]?.filter((file) => callablesOf(file).length > 0);
  const lists = files === undefined
    ? [...shared].map(([file, names]) => {
      const list = [...names].map((each) => `${each} as ${sharedName(file, each)}`);
      return `{ ${list.join(", ")} } from ${at(file)}`;
    })
    : files.map((file) => `{ ${callablesOf(file).join(", ")} } from ${at(file)}`);
  if (files === undefined) lists.unshift(`* from ${at("mod.ts")}`);
  return lists.map((list) => `export ${list};`).join("\n");
}

/**
 * Throws where a file asks a class of another part for more than to be constructed: the stub is another one.
 *
 * @param {string} file
 */
function refuseKinship(file) {
  const own = partOf.get(file);
  for (const { from, names } of importsOf(file)) {
    const part = partOf.get(from);
    if (part === undefined || part === own) continue;
    const kin = names.find((name) =>
      new RegExp(`\\b(instanceof|extends) ${name}\\b`).test(read(file))
    );
    if (kin !== undefined) {
      throw new ToolError(`${file} wants ${kin} itself, which is in a part: ${part}`);
    }
  }
}

/**
 * Makes `core.js`, or a part.
 *
 * @param {string} name
 */
async function build(name) {
  const { outputs } = await Bun.build({
    entrypoints: [`entry:${name}`],
    root,
    outdir: folder,
    naming: `${name}.js`,
    target: "bun",
    sourcemap: "linked",
    plugins: [dividing(name in parts ? name : undefined)],
  });
  const call = new RegExp(`${requirePart}\\(("[^"]*")\\)`, "g");
  for (const { path } of outputs) {
    if (!path.endsWith(".js")) continue;
    // Of a module that begins with "// @bun" Bun reads the map, and knows no require(); its bundler knows no other.
    const either = "(typeof require === 'undefined' ? import.meta.require($1) : require($1))";
    writeFileSync(path, readFileSync(path, "utf8").replace(call, either));
  }
}

for (const folder of ["src", "ffi"]) {
  for (const file of readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })) {
    if (file.endsWith(".ts")) refuseKinship(join(folder, file));
  }
}
await Promise.all(["core", ...Object.keys(parts)].map(build));
// What users import, and nothing of what the parts do.
const { exports } = new Bun.Transpiler({ loader: "js" }).scan(
  readFileSync(join(folder, "core.js"), "utf8"),
);
const names = exports.filter((name) => !name.includes("_of_"));
writeFileSync(join(folder, "mod.js"), `export { ${names.join(", ")} } from "${coreModule}";\n`);
