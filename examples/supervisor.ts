/**
 * A supervisor in the shape of a service mesh's agent: it keeps one program running, as a user of its own.
 *
 *     sudo bun examples/supervisor.ts --user www-data -- nginx -e stderr -g "daemon off;"
 *     sudo deno run -A examples/supervisor.ts --user www-data -- nginx -e stderr -g "daemon off;"
 *
 * - What ends is started again, after a time that doubles with each failure in a row, with jitter, up to half a minute.
 * - Failures in a row are reported as a crash loop; who has run for long begins anew.
 * - SIGTERM or SIGINT: the program gets SIGQUIT, by which nginx drains, and after --drain ms SIGKILL.
 * - Its output is forwarded line by line, each behind its name, and its own reports go to stderr.
 * - However this program ends, be it by SIGKILL, the other one ends too, and as root so does all that it has started.
 */

import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { Command, type CommandOptions, type Writer } from "../mod.ts";

const { values, positionals: [program = "", ...args] } = parseArgs({
  allowPositionals: true,
  options: {
    user: { type: "string", default: "nobody" },
    drain: { type: "string", default: "10000" },
    /** ms after the first failure. */
    backoff: { type: "string", default: "500" },
  },
});
const longest = 30_000;
/** So many in a row are a loop. */
const loop = 5;
/** Who has run so long has not failed at the start. */
const stable = 10_000;

const name = program.slice(program.lastIndexOf("/") + 1);

/**
 * Its workers must not outlive it, as nginx's do if their master is killed, and keep its port. As root it is a user of
 * its own and the init of a pid namespace, which nothing leaves; else it leads a group, and is asked to end its workers
 * if this program dies.
 */
const way: CommandOptions = process.getuid?.() === 0
  ? {
    tree: "namespace",
    endWithParent: true,
    sysProcAttr: { credential: { user: values.user }, noNewPrivs: true },
  }
  : { tree: "group", endWithParent: "SIGTERM", sysProcAttr: { noNewPrivs: true } };

function report(text: string): void {
  console.error(`supervisor: ${text}`);
}

/** Prints each whole line as it comes; the last one may lack its end. */
function forward(prefix: string): Writer & { end(): void } {
  const decoder = new TextDecoder();
  let rest = "";
  return {
    write(chunk) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) console.log(`${prefix}${line}`);
    },
    end() {
      if (rest !== "") console.log(`${prefix}${rest}`);
    },
  };
}

const stopping = new AbortController();
for (const signal of ["SIGTERM", "SIGINT"] as const) {
  process.on(signal, () => {
    if (!stopping.signal.aborted) report(`${signal}: ${name} is told to finish`);
    stopping.abort();
  });
}

/** Runs it to its end; answers how that was, in words. */
async function runOnce(): Promise<string> {
  const stdout = forward(`${name}: `);
  const stderr = forward(`${name}! `);
  // Of what a crash has left behind nothing stays.
  await using command = new Command(program, args, {
    ...way,
    stdout,
    stderr,
    label: name,
    signal: stopping.signal,
    cancel: "SIGQUIT",
    waitDelay: Number(values.drain),
  });
  try {
    const { pid } = command.start();
    report(`${name} runs as pid ${pid}`);
    return `${name}: ${await command.wait()}`;
  } catch (error) {
    // It could not be started, or has failed: it is tried again all the same.
    return command.processState === undefined ? `${error}` : `${name}: ${command.processState}`;
  } finally {
    stdout.end();
    stderr.end();
  }
}

for (let failures = 0; !stopping.signal.aborted;) {
  const began = performance.now();
  const how = await runOnce();
  if (stopping.signal.aborted) {
    report(how);
    break;
  }
  failures = performance.now() - began > stable ? 1 : failures + 1;
  const delay = Math.min(Number(values.backoff) * 2 ** (failures - 1), longest);
  // So that many that have failed together do not come back together.
  const jittered = Math.round(delay * (0.5 + Math.random() / 2));
  if (failures === loop) report(`${name} is in a crash loop: ${failures} failures in a row`);
  report(`${how}; again in ${jittered} ms`);
  await sleep(jittered, undefined, { signal: stopping.signal }).catch(() => {});
}
