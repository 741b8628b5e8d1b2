/**
 * What becomes of commands, for those who trace a whole program: on channels of node:diagnostics_channel, and as spans of
 * OpenTelemetry's. Importing this module does nothing; trace() begins. On npm it is "osexec/trace", on JSR
 * "@osexec/osexec/trace".
 *
 * @module
 */

import { channel, tracingChannel } from "node:diagnostics_channel";
import {
  type Command,
  ExitError,
  type Observation,
  observe,
  type ProcessState,
  TimeoutError,
} from "./mod.ts";
import { readOptions } from "./src/fields.ts";
import { showValue } from "./src/quote.ts";

/** How trace() traces. */
export interface TraceOptions {
  /**
   * The module "@opentelemetry/api" (1.x), for spans. It is handed in and not looked for: looking would make Bun download
   * it where there is no node_modules, and Deno ask for a permission. Absent: channels alone.
   */
  readonly api?: TracingApi | undefined;
  /**
   * Whether a span has the arguments, which may hold secrets: process.command_args. Never of a command that has a
   * `label`. Default false, as OpenTelemetry wants it.
   */
  readonly args?: boolean | undefined;
}

/** What is used of "@opentelemetry/api". */
export interface TracingApi {
  /** Its entry to tracing. */
  readonly trace: {
    /** Answers what makes spans. */
    getTracer(name: string): SpanMaker;
  };
}

/** What is used of OpenTelemetry's Tracer. */
export interface SpanMaker {
  /** Begins a span, in the active one. */
  startSpan(name: string, options: { kind: number; attributes: SpanAttributes }): CommandSpan;
}

/** What is used of OpenTelemetry's Span. */
export interface CommandSpan {
  /** Adds one attribute. */
  setAttribute(name: string, value: string | number): unknown;
  /** Adds something that has happened. */
  addEvent(name: string, attributes: SpanAttributes): unknown;
  /** Says how it went. */
  setStatus(status: { code: number; message: string }): unknown;
  /** Ends it. */
  end(): void;
}

/** Attributes of a span. */
export type SpanAttributes = Record<string, string | number | string[]>;

/** What the channels publish: one object for each run of a command, which gains what becomes known. */
export interface CommandMessage {
  /** The command. */
  readonly command: Command;
  /** Once it has been started. */
  pid?: number;
  /** How it ended. */
  result?: ProcessState;
  /** Why it failed: see Observation. */
  error?: Error;
  /** Of an abort. */
  reason?: unknown;
}

const optionNames: ReadonlySet<string> = new Set<keyof TraceOptions>(["api", "args"]);

/** By OpenTelemetry's specification, whose values of its API package do not change. */
const CLIENT = 2;
const ERROR = 2;

/** One run of a command. */
interface Traced {
  readonly message: CommandMessage;
  readonly span: CommandSpan | undefined;
}

/**
 * Traces each command that is started from now on, until what it answers is disposed of; those that run then are traced to
 * their end. All of it happens at once, in the context of who starts the command or waits for it.
 *
 * The tracing channel "osexec:command" publishes a CommandMessage, as TracingChannel.tracePromise() would: `start`; `end`,
 * when there is a process or it has failed; `error`, if there is one; `asyncStart` and `asyncEnd`, when it has ended. The
 * channel "osexec:command:abort" publishes it when an abort has come. diagnostics_channel.
 *
 * Each span is called by the program's name and of kind CLIENT, as OpenTelemetry's conventions for CLI programs want it,
 * with process.executable.name, process.executable.path, process.command, process.working_directory, process.pid,
 * process.exit.code (-1: ended by a signal), error.type (an error's name, or a signal's) and, if asked for,
 * process.command_args. An abort is an event of it, "osexec.abort". Where nobody waits for a command its span never ends.
 *
 * @example
 * ```ts
 * import { subscribe } from "node:diagnostics_channel";
 * import { Command } from "osexec";
 * import { trace } from "./trace.ts";
 *
 * using tracing = trace(); // with spans: trace({ api: await import("@opentelemetry/api") })
 * subscribe("tracing:osexec:command:asyncEnd", (message) => console.log(message));
 * await new Command("true").run();
 * ```
 */
export function trace(options: TraceOptions = {}): Disposable {
  const { api, args = false } = readOptions("trace()", "TraceOptions", options, optionNames);
  if (typeof args !== "boolean") throw new TypeError("args is no boolean");
  const tracer = api === undefined ? undefined : tracerOf(api);
  const { start, end, asyncStart, asyncEnd, error: failed } = tracingChannel("osexec:command");
  const aborts = channel("osexec:command:abort");
  const runs = new WeakMap<Command, Traced>();
  let running = 0;
  let isOver = false;

  function hear(event: Observation): void {
    const { kind, command } = event;
    if (kind === "start") {
      if (isOver) return;
      const message: CommandMessage = { command };
      runs.set(command, { message, span: tracer && beginSpan(tracer, command, args) });
      running += 1;
      return start.publish(message);
    }
    const run = runs.get(command);
    if (run === undefined) return;
    const { message, span } = run;
    if (kind === "started") {
      message.pid = event.pid;
      span?.setAttribute("process.pid", event.pid);
      return end.publish(message);
    }
    if (kind === "abort") {
      message.reason = event.reason;
      span?.addEvent("osexec.abort", { "osexec.abort.reason": kindOf(event.reason) });
      return aborts.publish(message);
    }
    running -= 1;
    if (kind === "end") message.result = event.state;
    if (event.error !== undefined) message.error = event.error;
    if (span !== undefined) endSpan(span, message);
    if (message.error !== undefined) failed.publish(message);
    if (message.pid === undefined) return end.publish(message);
    asyncStart.publish(message);
    asyncEnd.publish(message);
  }

  const watching = observe((event) => {
    try {
      hear(event);
    } finally {
      stopIfDone();
    }
  });
  function stopIfDone(): void {
    if (isOver && running === 0) watching[Symbol.dispose]();
  }
  return {
    [Symbol.dispose]() {
      isOver = true;
      stopIfDone();
    },
  };
}

function tracerOf(api: TracingApi): SpanMaker {
  const tracer = typeof api?.trace?.getTracer === "function"
    ? api.trace.getTracer("osexec")
    : undefined;
  if (typeof tracer?.startSpan === "function") return tracer;
  throw new TypeError(`api is no module "@opentelemetry/api", but ${showValue(api)}`);
}

function beginSpan(tracer: SpanMaker, command: Command, withArgs: boolean): CommandSpan {
  const { path, args, dir, label } = command;
  const name = path.slice(path.lastIndexOf("/") + 1);
  const attributes: SpanAttributes = {
    "process.executable.name": name,
    "process.executable.path": path,
    "process.command": args[0] ?? path,
  };
  if (typeof dir === "string") attributes["process.working_directory"] = dir;
  if (withArgs && label === undefined) attributes["process.command_args"] = [...args];
  return tracer.startSpan(name, { kind: CLIENT, attributes });
}

/** Not an Error's message, which may have the arguments. */
function kindOf(reason: unknown): string {
  return reason instanceof Error ? reason.name : showValue(reason);
}

function endSpan(span: CommandSpan, { result, error }: CommandMessage): void {
  if (result !== undefined) span.setAttribute("process.exit.code", result.exitCode);
  if (error !== undefined || result?.success === false) {
    const timedOut = error?.cause instanceof TimeoutError ? error.cause : undefined;
    const signal = error === undefined || error instanceof ExitError ? result?.signal : undefined;
    span.setAttribute("error.type", timedOut?.name ?? signal ?? error?.name ?? "ExitError");
    // Not its message, for the same reason.
    span.setStatus({ code: ERROR, message: String(error ?? result) });
  }
  span.end();
}
