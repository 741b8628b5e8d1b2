/** Who takes part, and in what. */

import { join, resolve } from "node:path";
import { benchFolder, binFolder } from "./build.mjs";
import { REFERENCE } from "./workloads.mjs";

/**
 * "ours": osexec. "reference": what ratios are to. "bound": no peer, but what is possible. "own": the
 * runtime's own API. "peer": anything else.
 *
 * @typedef {"ours" | "reference" | "bound" | "own" | "peer"} Kind
 *
 * @typedef {object} Contestant
 * @property {string} name
 * @property {string} label
 * @property {Kind} kind
 * @property {string[]} argv up to and with the variant
 * @property {readonly string[]} workloads
 * @property {string[]} [startup] the whole program of the workload startup, if it takes part in it
 * @property {string} [empty] in startup, the contestant that does nothing on the same runtime
 * @property {Readonly<Record<string, string>>} [env]
 * @property {Readonly<Record<string, number>>} [counts] where the workload's count would take minutes
 *
 * @typedef {import("./build.mjs").Programs} Programs
 */

/** What one can do by calls that block the thread. */
const BLOCKING = ["sequential", "line", "block", "heap", "descriptors"];
const ALL = [...BLOCKING, "parallel", "out", "in"];
/** In JavaScript, and the reference: what a stream that is not spoken of costs. */
const BLOCKING_JAVASCRIPT = [...BLOCKING, "null"];
const ALL_JAVASCRIPT = [...ALL, "null"];

/** A fork takes as long as copying the tables of all pages does. */
const FORKING = { heap: 30 };

/**
 * All for which there is a program on this machine.
 *
 * @param {Programs} programs
 * @param {string} [otherCheckout] another checkout of osexec, to be compared with this one
 * @returns {Contestant[]}
 */
export function allContestants(programs, otherCheckout) {
  const list = [
    ...cContestants(programs),
    ...nativeContestants(programs),
    ...bunContestants(programs),
    ...denoContestants(programs),
    ...nodeContestants(programs),
  ];
  if (otherCheckout) {
    const env = { BENCH_OSEXEC: join(otherCheckout, "mod.ts") };
    for (const { startup: _, ...ours } of list.filter(({ kind }) => kind === "ours")) {
      const name = ours.name.replace("osexec", "other");
      list.push({ ...ours, name, label: `${ours.label}, the other`, kind: "own", env });
    }
  }
  return list;
}

/**
 * @param {Programs} programs
 * @returns {Contestant[]}
 */
function cContestants({ c }) {
  return [{
    name: REFERENCE,
    label: "C: clone, execve, waitpid",
    kind: "reference",
    argv: [c, "vfork"],
    workloads: [...ALL_JAVASCRIPT, "memory"],
    startup: [c, "vfork", "startup", "1", "0", "0"],
  }, {
    name: "c-window",
    label: "C, with CLOSE_RANGE_UNSHARE",
    kind: "bound",
    argv: [c, "window"],
    workloads: ["sequential", "descriptors"],
  }, {
    // What a process that does anything between two starts pays: the kernel moves its child at execve.
    name: "c-working",
    label: "C, 40 µs of other work before each",
    kind: "bound",
    argv: [c, "working"],
    workloads: ["sequential"],
  }, {
    name: "c-posix_spawn",
    label: "C: posix_spawn",
    kind: "peer",
    argv: [c, "posix_spawn"],
    workloads: BLOCKING,
  }, {
    name: "c-pipe-64k",
    label: "C, a pipe of 64 KiB",
    kind: "bound",
    argv: [c, "pipe-64k"],
    workloads: ["out", "in"],
  }, {
    name: "c-socket",
    label: "C, a socketpair",
    kind: "bound",
    argv: [c, "socket"],
    workloads: ["out", "in"],
  }];
}

/**
 * @param {Programs} programs
 * @returns {Contestant[]}
 */
function nativeContestants({ go, rust, python }) {
  /** @type {Contestant[]} */
  const list = [];
  if (go) {
    list.push({
      name: "go",
      label: "Go",
      kind: "peer",
      argv: [go, "plain"],
      workloads: [...ALL, "memory"],
      startup: [go, "plain", "startup", "1", "0", "0"],
    }, {
      name: "go-context",
      label: "Go, CommandContext",
      kind: "peer",
      argv: [go, "context"],
      workloads: ["sequential", "parallel"],
    });
  }
  if (rust) {
    list.push({
      name: "rust-std",
      label: "Rust: std",
      kind: "peer",
      argv: [rust, "std"],
      workloads: ALL,
      startup: [rust, "std", "startup", "1", "0", "0"],
    }, {
      name: "rust-tokio",
      label: "Rust: tokio",
      kind: "peer",
      argv: [rust, "tokio"],
      workloads: [...ALL, "memory"],
    }, {
      name: "rust-tokio-threads",
      label: "Rust: tokio, all cores",
      kind: "peer",
      argv: [rust, "tokio-threads"],
      workloads: ["parallel"],
    });
  }
  if (python) {
    const script = [python, join(benchFolder, "python/bench.py")];
    list.push({
      name: "python-subprocess",
      label: "Python: subprocess",
      kind: "peer",
      argv: [...script, "subprocess"],
      workloads: ALL,
      // -S: what a machine has in site-packages is not to count.
      startup: [python, "-S", join(benchFolder, "startup/python_subprocess.py")],
    }, {
      name: "python-asyncio",
      label: "Python: asyncio",
      kind: "peer",
      argv: [...script, "asyncio"],
      workloads: ["sequential", "line", "block", "parallel", "out", "in"],
    });
  }
  return list;
}

/**
 * A script of the workload startup; one that the bench has made is named by its whole path.
 *
 * @param {string} name
 */
function startupScript(name) {
  return resolve(benchFolder, "startup", name);
}

/**
 * What is the same on the runtimes that osexec is for.
 *
 * @param {"Bun" | "Deno" | "Node"} runtime
 * @param {string[]} script the runtime and the contestants' program
 * @param {(name: string) => string[]} startup
 * @returns {Contestant[]}
 */
function commonContestants(runtime, script, startup) {
  const prefix = runtime.toLowerCase();
  const empty = `${prefix}-empty`;
  return [{
    name: `${prefix}-osexec`,
    label: `osexec on ${runtime}`,
    kind: "ours",
    argv: [...script, "osexec-asynchronous"],
    workloads: [...ALL_JAVASCRIPT, "lateness", "memory"],
    startup: startup("osexec.mjs"),
    empty,
  }, {
    name: `${prefix}-osexec-sync`,
    label: `osexec on ${runtime}, Sync`,
    kind: "ours",
    argv: [...script, "osexec-synchronous"],
    workloads: [...BLOCKING_JAVASCRIPT, "memory"],
    startup: startup("osexec_sync.mjs"),
    empty,
  }, {
    name: `${prefix}-osexec-npm`,
    label: `osexec on ${runtime}, npm's`,
    kind: "ours",
    argv: [],
    workloads: [],
    startup: startup(join(binFolder, "osexec.mjs")),
    empty,
  }, {
    name: `${prefix}-osexec-npm-sync`,
    label: `osexec on ${runtime}, npm's, Sync`,
    kind: "ours",
    argv: [],
    workloads: [],
    startup: startup(join(binFolder, "osexec_sync.mjs")),
    empty,
  }, {
    name: `${prefix}-floor`,
    label: `C over ${{ Bun: "bun:ffi", Deno: "Deno.dlopen", Node: "node:ffi" }[runtime]}`,
    kind: "bound",
    argv: [...script, "floor-synchronous"],
    workloads: BLOCKING,
  }, {
    name: empty,
    label: `${runtime}, an empty script`,
    kind: "bound",
    argv: [],
    workloads: [],
    startup: startup("empty.mjs"),
  }];
}

/**
 * Node's own API where it is not the runtime's own.
 *
 * @param {"Bun" | "Deno"} runtime
 * @param {string[]} script
 * @returns {Contestant}
 */
function childProcess(runtime, script) {
  return {
    name: `${runtime.toLowerCase()}-child_process`,
    label: `node:child_process on ${runtime}`,
    kind: "peer",
    argv: [...script, "child_process-asynchronous"],
    workloads: ["sequential", "null", "parallel", "line", "block", "out", "in", "lateness"],
  };
}

/**
 * @param {Programs} programs
 * @returns {Contestant[]}
 */
function bunContestants({ bun }) {
  const prefix = [bun, "--no-install"];
  const script = [...prefix, join(benchFolder, "javascript/main.mjs")];
  const startup = (/** @type {string} */ name) => [...prefix, startupScript(name)];
  const executable = { argv: [], workloads: [], empty: "bun-executable-empty" };
  return [...commonContestants("Bun", script, startup), childProcess("Bun", script), {
    name: "bun-executable-empty",
    label: "Bun, an empty executable",
    kind: "bound",
    argv: [],
    workloads: [],
    startup: [join(binFolder, "empty.executable")],
  }, {
    ...executable,
    name: "bun-osexec-executable",
    label: "osexec on Bun, an executable",
    kind: "ours",
    startup: [join(binFolder, "osexec.executable")],
  }, {
    ...executable,
    name: "bun-osexec-executable-sync",
    label: "osexec on Bun, an executable, Sync",
    kind: "ours",
    startup: [join(binFolder, "osexec_sync.executable")],
  }, {
    name: "bun-spawn",
    label: "Bun.spawn",
    kind: "own",
    argv: [...script, "bun-asynchronous"],
    workloads: [...ALL_JAVASCRIPT, "lateness", "memory"],
    startup: startup("bun_spawn.mjs"),
    empty: "bun-empty",
  }, {
    name: "bun-spawnSync",
    label: "Bun.spawnSync",
    kind: "own",
    argv: [...script, "bun-synchronous"],
    workloads: [...BLOCKING_JAVASCRIPT, "memory"],
    startup: startup("bun_spawn_sync.mjs"),
    empty: "bun-empty",
  }, {
    name: "bun-shell",
    label: "Bun.$",
    kind: "peer",
    argv: [...script, "bun-shell"],
    workloads: ["sequential", "line"],
  }];
}

/**
 * @param {Programs} programs
 * @returns {Contestant[]}
 */
function denoContestants({ deno }) {
  const prefix = [deno, "run", "--allow-all", "--no-prompt"];
  const script = [...prefix, "--v8-flags=--expose-gc", join(benchFolder, "javascript/main.mjs")];
  const startup = (/** @type {string} */ name) => [...prefix, startupScript(name)];
  return [...commonContestants("Deno", script, startup), childProcess("Deno", script), {
    name: "deno-Command",
    label: "Deno.Command",
    kind: "own",
    argv: [...script, "deno-asynchronous"],
    workloads: [...ALL_JAVASCRIPT, "lateness", "memory"],
    startup: startup("deno_command.mjs"),
    empty: "deno-empty",
  }, {
    name: "deno-outputSync",
    label: "Deno.Command, outputSync",
    kind: "own",
    argv: [...script, "deno-synchronous"],
    workloads: [...BLOCKING_JAVASCRIPT, "memory"],
    startup: startup("deno_output_sync.mjs"),
    empty: "deno-empty",
  }];
}

/**
 * @param {Programs} programs
 * @returns {Contestant[]}
 */
function nodeContestants({ node, execa }) {
  const quiet = "--disable-warning=ExperimentalWarning";
  const script = [node, quiet, "--expose-gc", join(benchFolder, "javascript/main.mjs")];
  // With the warning: it is part of what a script with osexec takes there.
  const startup = (/** @type {string} */ name) => [node, startupScript(name)];
  const empty = "node-empty";
  /** @type {Contestant[]} */
  const list = [...commonContestants("Node", script, startup), {
    name: "node-spawn",
    label: "Node: spawn",
    kind: "own",
    argv: [...script, "child_process-asynchronous"],
    workloads: [...ALL_JAVASCRIPT, "lateness", "memory"],
    startup: startup("node_spawn.mjs"),
    empty,
    counts: FORKING,
  }, {
    name: "node-spawnSync",
    label: "Node: spawnSync",
    kind: "own",
    argv: [...script, "child_process-synchronous"],
    workloads: BLOCKING_JAVASCRIPT,
    startup: startup("node_spawn_sync.mjs"),
    empty,
    counts: FORKING,
  }];
  if (execa) {
    list.push({
      name: "node-execa",
      label: "Node: execa",
      kind: "peer",
      argv: [...script, "execa-asynchronous"],
      workloads: ["sequential", "parallel", "line", "block", "lateness"],
      startup: startup("execa.mjs"),
      empty,
      env: { BENCH_EXECA: execa },
    });
  }
  return list;
}
