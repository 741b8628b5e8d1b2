/**
 * The package for Bun, in `dist/bun/`: what every start needs as one module, `core.js`, and each part of what few need as
 * a file of its own, which is loaded when something of it is first called. Bun takes 0.02 to 0.05 ms for each KB of a
 * module that it loads, whether it is called or not (docs/PERFORMANCE.md, "Start-up"). All of it is there twice: as text,
 * and as bytecode for one version of Bun.
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
    "src/start/sys.ts",
    "src/start/system_calls.ts",
    "src/windows/attributes.ts",
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
 * What the package is built as.
 *
 * @typedef {object} Form
 * @property {string} folder
 * @property {Partial<import("bun").BuildConfig>} options
 * @property {string} load what requires a part
 * @property {string} directory an expression: where the module lies
 * @property {string} [url] an expression: its address, where import.meta has that of the machine where it was built
 * @property {(lists: ExportList[]) => string} exporting statements
 */

/**
 * What a module passes on of another: names there, and here.
 *
 * @typedef {{ readonly from: string, readonly names: readonly (readonly [theirs: string, ours: string])[] }} ExportList
 */

/** Text, for each Bun and for its bundler. @type {Form} */
const text = {
  folder,
  options: {},
  load: requirePart,
  directory: "import.meta.dir",
  exporting: (lists) => lists.map((list) => `export ${selection(list)}`).join("\n"),
};

/**
 * Bytecode, which this very version of Bun takes in half the time (docs/PERFORMANCE.md, "Start-up"). Another one, given it,
 * parses the text, or fails, so `mod.js` asks for Bun's revision first. On every platform it is the same, as Bun's own tests
 * say (github.com/oven-sh/bun/pull/40270); on musl, which that was not always true of, the package's check runs it.
 *
 * @type {Form}
 */
const bytecode = {
  folder: join(folder, Bun.revision),
  // It is CommonJS outside executables. Nobody reads the text beside it, but Bun, at each start.
  options: {
    format: "cjs",
    bytecode: true,
    minify: { whitespace: true },
    // In a module the bundler puts the path of the source for these.
    banner: "const own = module, ownFile = __filename, ownFolder = __dirname;",
  },
  load: "require",
  directory: "ownFolder",
  url: "Bun.pathToFileURL(ownFile).href",
  // As values: none changes once all is evaluated, and a getter for each takes half a millisecond to make.
  exporting: (lists) => `
    ${lists.map((list) => `import ${selection(list)}`).join("\n")}
    own.exports = { ${lists.flatMap(({ names }) => names.map(([, ours]) => ours)).join(", ")} };
  `,
};

/** @param {ExportList} list */
function selection({ from, names }) {
  return `{ ${names.map(([theirs, ours]) => `${theirs} as ${ours}`).join(", ")} } from ${from};`;
}

/**
 * What loads a part. Where that fails, as when no descriptor is left, Bun's own error has no code: our opening of the file
 * says why, as a SyscallError. In a bundle there is no such file.
 *
 * @param {string} part
 * @param {Form} form
 */
function loader(part, { load, directory }) {
  return `
    import { withFile } from ${at(opener)};
    let part;
    export function load() {
      try {
        return part ??= ${load}("./${part}.js");
      } catch (error) {
        throw failure(error);
      }
    }
    function failure(error) {
      try {
        withFile(${directory} + "/${part}.js", () => {});
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
 * @param {Form} form
 * @returns {import("bun").BunPlugin}
 */
function dividing(own, form) {
  return {
    name: "parts",
    setup(build) {
      build.onResolve({ filter: /^\.?\.?\// }, ({ path, importer, kind }) => {
        if (path === coreModule || kind === "require-call") return { path, external: true };
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
      /** @type {Readonly<Record<string, (path: string, form: Form) => string>>} */
      const made = { entry, stub: stubs, part: loader, core: sharing };
      for (const [namespace, make] of Object.entries(made)) {
        build.onLoad({ filter: /./, namespace }, ({ path }) => ({
          contents: make(path, form),
          loader: "js",
        }));
      }
      const { url } = form;
      if (url === undefined) return;
      build.onLoad({ filter: /\.ts$/ }, ({ path }) => ({
        contents: readFileSync(path, "utf8").replaceAll("import.meta.url", url),
        loader: "ts",
      }));
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
 * @param {Form} form
 */
function entry(name, { exporting }) {
  const own = parts[name]?.map((file) => ({ file, names: callablesOf(file) }));
  /** @type {{ file: string, names: string[], as?: (each: string) => string }[]} */
  const lists = own ?? [
    { file: "mod.ts", names: exportsOf("mod.ts") },
    ...[...shared].map(([file, names]) => ({
      file,
      names: [...names],
      as: (/** @type {string} */ each) => sharedName(file, each),
    })),
  ];
  return exporting(
    lists.filter(({ names }) => names.length > 0).map(({ file, names, as }) => ({
      from: at(file),
      names: names.map((each) => [each, as?.(each) ?? each]),
    })),
  );
}

/**
 * What a module exports, but types.
 *
 * @param {string} file
 */
function exportsOf(file) {
  const code = new Bun.Transpiler({ loader: "ts" }).transformSync(read(file));
  return new Bun.Transpiler({ loader: "js" }).scan(code).exports;
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
 * @param {Form} form
 */
async function build(name, form) {
  const { outputs } = await Bun.build({
    entrypoints: [`entry:${name}`],
    root,
    outdir: form.folder,
    naming: `${name}.js`,
    target: "bun",
    sourcemap: "linked",
    plugins: [dividing(name in parts ? name : undefined, form)],
    ...form.options,
    // Base64 is as good as text.
    bytecode: name !== "embedded" && form.options.bytecode === true,
  });
  if (form.load !== requirePart) return;
  const call = new RegExp(`${requirePart}\\(("[^"]*")\\)`, "g");
  for (const { path } of outputs) {
    if (!path.endsWith(".js")) continue;
    // Of a module that begins with "// @bun" Bun reads the map, and knows no require(); its bundler knows no other.
    writeFileSync(path, readFileSync(path, "utf8").replace(call, eitherRequire("$1")));
  }
}

/** @param {string} path an expression */
function eitherRequire(path) {
  return `(typeof require === "undefined" ? import.meta.require(${path}) : require(${path}))`;
}

for (const folder of ["src", "ffi"]) {
  for (const file of readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })) {
    if (file.endsWith(".ts")) refuseKinship(join(folder, file));
  }
}
const modules = ["core", ...Object.keys(parts)];
await Promise.all([text, bytecode].flatMap((form) => modules.map((name) => build(name, form))));
writePublic("mod.js", "core", exportsOf("mod.ts"));
writePublic("mod_trace.js", "trace", exportsOf("trace.ts"));

/**
 * What users import: the module as bytecode for this build of Bun, where the package lies on a disk, or as text.
 *
 * @param {string} file
 * @param {string} name
 * @param {readonly string[]} names what it exports: of the core nothing of what the parts do
 */
function writePublic(file, name, names) {
  writeFileSync(
    join(folder, file),
    `
export const { ${names.join(", ")} } = load();

function load() {
  if (globalThis.Bun?.revision === "${Bun.revision}" && import.meta.url.endsWith("/dist/bun/${file}")) {
    try {
      return import.meta.require(import.meta.dir + "/${Bun.revision}/${name}.js");
    } catch { /* It cannot be read; or the text cannot either, and tells why. */ }
  }
  return ${eitherRequire(`"./${name}.js"`)};
}
`,
  );
}
