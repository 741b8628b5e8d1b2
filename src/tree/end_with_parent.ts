/** Children that end when this program does, however that ends. */

import { hostProcess } from "../../ffi/host.ts";
import type { SysProcAttr } from "../start/attributes.ts";
import { currentOS } from "../os.ts";
import { onReaped, type Process } from "../process/process.ts";
import { type Signal, type SignalName, signalNumber } from "../process/signals.ts";

/** Throws TypeError for what is neither a boolean nor a signal. */
export function checkEndWithParent(end: boolean | Signal): void {
  if (typeof end === "boolean") return;
  if (typeof end !== "string" && typeof end !== "number") {
    throw new TypeError("endWithParent is neither a boolean nor a signal");
  }
  if (signalNumber(end, currentOS(), "endWithParent") === 0) {
    throw new TypeError("endWithParent: 0 is no signal");
  }
}

/** The signal that is meant, or undefined. */
export function endSignal(end: boolean | Signal | undefined): Signal | undefined {
  if (end === undefined || end === false) return undefined;
  return end === true ? "SIGKILL" : end;
}

/** Where the kernel does it: by the death of a thread that lasts as long as this process. */
export function withDeathSignal(
  sys: SysProcAttr,
  signal: Signal,
  refuse: (detail: string) => never,
): SysProcAttr {
  if (sys.pdeathsig !== undefined) refuse("endWithParent and pdeathsig: a child has one of them");
  return { ...sys, pdeathsig: signal };
}

/** What of the host's process it takes to hear of the end of this one. */
interface Host {
  readonly pid: number;
  on(event: string, heard: () => void): void;
  off(event: string, heard: () => void): void;
  listenerCount(event: string): number;
  kill(pid: number, signal: string): void;
}

/** What ends this process, where it does not say otherwise. */
const deadly: readonly SignalName[] = ["SIGTERM", "SIGINT", "SIGHUP"];

const children = new Map<Process, Signal>();
let stopHearing: (() => void) | undefined;

/**
 * Where the kernel tells no child of it (macOS): at an exit of this process's own, by an uncaught error too, and when one
 * of three signals ends it. Nothing tells of a SIGKILL, nor of an abort in native code.
 */
export function endAtExit(child: Process, signal: Signal): void {
  children.set(child, signal);
  stopHearing ??= hear(hostProcess() as Host);
  onReaped(child, () => {
    children.delete(child);
    if (children.size > 0) return;
    stopHearing?.();
    stopHearing = undefined;
  });
}

/** For as long as there are children: who listens to a signal takes its default away. */
function hear(host: Host): () => void {
  const heard = deadly.map((name) =>
    [name, (): void => {
      // Somebody else's listener decides what comes of it, and its exit is heard of.
      if (host.listenerCount(name) > 1) return;
      endAll();
      stop();
      host.kill(host.pid, name);
    }] as const
  );
  // Deno tells of no exit then. Who prevents the default of the global "error" event goes on without the children.
  const fail = (): void => {
    if (host.listenerCount("uncaughtException") === 0) endAll();
  };
  const stop = (): void => {
    host.off("exit", endAll);
    host.off("uncaughtExceptionMonitor", fail);
    for (const [name, listener] of heard) host.off(name, listener);
  };
  host.on("exit", endAll);
  host.on("uncaughtExceptionMonitor", fail);
  for (const [name, listener] of heard) host.on(name, listener);
  return stop;
}

function endAll(): void {
  for (const [child, signal] of children) {
    try {
      child.kill(signal);
    } catch {
      // It has ended, or may not be signalled: the others are still to be.
    }
  }
}
