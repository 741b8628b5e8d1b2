/** OSEXEC_DEBUG=1: a line on stderr at each command's start and end, and what those wait for that do not end. */

import { type HostTimer, onExit, printError, startTimer, stopTimer } from "../../ffi/host.ts";
import { currentRuntime } from "../../ffi/runtime.ts";
import type { Command } from "../command/command.ts";
import { ExitError } from "../errors.ts";
import { Holdings, whatHolds } from "./hangs.ts";
import type { Observation } from "./observe.ts";
import { nameOf, showValue } from "../quote.ts";

/** Seconds after which it is told what a command waits for. */
const patience = 5;

/** A command that has not ended. */
interface Open {
  readonly command: Command;
  pid: number | undefined;
  readonly timer: HostTimer;
}

/** The observer of OSEXEC_DEBUG. */
export class Debugger {
  readonly #open = new Map<Command, Open>();

  /** Will also be heard at the end of the program. */
  constructor() {
    let isTold = false;
    const tellOnce = (): void => {
      if (!isTold) this.#tellRest();
      isTold = true;
    };
    onExit(tellOnce);
    // On Deno, where process knows nothing of it: Deno.exit().
    currentRuntime().onUnload(tellOnce);
  }

  /** A pipe of a command's own was taken, so it is to be started. */
  took(command: Command): void {
    if (!this.#open.has(command)) this.#begin(command, undefined);
  }

  /** Prints it. */
  hear(observation: Observation): void {
    const { kind, command } = observation;
    if (kind === "started") {
      // Anew: what is told is how long it has run.
      this.#forget(command);
      this.#begin(command, observation.pid);
      return print(command, observation.pid, "started");
    }
    if (kind === "abort") {
      return print(command, observation.pid, `aborted: ${showValue(observation.reason)}`);
    }
    if (kind === "failed") {
      this.#forget(command);
      return print(command, undefined, `failed: ${observation.error.message}`);
    }
    if (kind !== "end") return;
    const { pid, state, error } = observation;
    this.#forget(command);
    const reason = error === undefined || (error instanceof ExitError && error.cause === undefined)
      ? ""
      : `: ${error instanceof ExitError ? showValue(error.cause) : error.message}`;
    print(command, pid, `${state} after ${Math.round(state.durationMs)} ms${reason}`);
  }

  #begin(command: Command, pid: number | undefined): void {
    const timer = startTimer(() => this.#tell(command, pid), patience * 1000);
    // Whatever else keeps the program alive is what it is to be told of.
    timer.unref();
    this.#open.set(command, { command, pid, timer });
  }

  #forget(command: Command): void {
    const open = this.#open.get(command);
    if (open === undefined) return;
    stopTimer(open.timer);
    this.#open.delete(command);
  }

  #tell(command: Command, pid: number | undefined): void {
    this.#tellWhat(command, pid, `after ${patience} s`, new Holdings());
  }

  #tellWhat(command: Command, pid: number | undefined, when: string, holdings: Holdings): void {
    const what = whatHolds(command, holdings);
    if (what !== null) print(command, pid, `${when}: ${what}`);
  }

  #tellRest(): void {
    const holdings = new Holdings();
    for (const { command, pid } of this.#open.values()) {
      this.#tellWhat(command, pid, "at exit", holdings);
    }
  }
}

function print(command: Command, pid: number | undefined, words: string): void {
  printError(`osexec: ${nameOf(command)}${pid === undefined ? "" : ` (pid ${pid})`}: ${words}`);
}
