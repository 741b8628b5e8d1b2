/** osexec/trace: what the channels publish, and spans, by a stand-in of @opentelemetry/api and by itself. */

import { channel, tracingChannel } from "node:diagnostics_channel";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { test } from "node:test";
import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { Command, ExitError, SpawnError, TimeoutError } from "../../mod.ts";
import {
  type CommandMessage,
  type CommandSpan,
  type SpanAttributes,
  trace,
  type TracingApi,
} from "../../trace.ts";
import { root, runScript, sh, until, wrong } from "../helper.ts";

const events = ["start", "end", "asyncStart", "asyncEnd", "error"] as const;

/** Subscribes to all for the length of a block. */
class Subscription implements Disposable {
  readonly seen: [name: string, message: CommandMessage][] = [];
  readonly #channels = tracingChannel("osexec:command");
  readonly #aborts = channel("osexec:command:abort");
  readonly #hear = (message: unknown, name: string | symbol): void => {
    const event = String(name).replace("tracing:osexec:command:", "");
    this.seen.push([event, wrong<CommandMessage>(message)]);
  };

  constructor() {
    for (const event of events) this.#channels[event].subscribe(this.#hear);
    this.#aborts.subscribe(this.#hear);
  }

  of(command: Command): [names: string, message: CommandMessage] {
    const own = this.seen.filter(([, message]) => message.command === command);
    const messages = new Set(own.map(([, message]) => message));
    assertEquals(messages.size, 1);
    const [message] = messages;
    assert(message !== undefined);
    return [own.map(([name]) => name).join(" "), message];
  }

  [Symbol.dispose](): void {
    for (const event of events) this.#channels[event].unsubscribe(this.#hear);
    this.#aborts.unsubscribe(this.#hear);
  }
}

test("issue 20, 10: the tracing channel has each command's start, end, error and what follows", async () => {
  using _ = trace();
  using subscription = new Subscription();
  const good = new Command("true");
  await good.run();
  const [names, message] = subscription.of(good);
  assertEquals(names, "start end asyncStart asyncEnd");
  assertStrictEquals(message.result, good.processState);
  assertEquals([message.pid, message.error], [good.processState?.pid, undefined]);

  const bad = sh("exit 3");
  const thrown = await bad.run().catch((error) => error);
  const [badNames, { error, result }] = subscription.of(bad);
  assertEquals(badNames, "start end error asyncStart asyncEnd");
  assert(thrown instanceof ExitError && result?.exitCode === 3);
  assertStrictEquals(error, thrown);

  const unstarted = new Command("/nonexistent/program");
  const refusal = assertThrows(() => unstarted.start(), SpawnError);
  const [unstartedNames, { error: told, pid }] = subscription.of(unstarted);
  assertEquals(unstartedNames, "start error end");
  assertStrictEquals(told, refusal);
  assertEquals(pid, undefined);

  const slow = sh("exec sleep 60", { timeout: 20 });
  await slow.run().catch(() => {});
  const [slowNames, { reason }] = subscription.of(slow);
  assertEquals(slowNames, "start end osexec:command:abort error asyncStart asyncEnd");
  assert(reason instanceof TimeoutError);
});

test("issue 20, 10: what is disposed of traces what runs to its end, and nothing more", async () => {
  const tracing = trace();
  using subscription = new Subscription();
  const command = new Command("cat");
  const input = command.stdinPipe();
  command.start();
  tracing[Symbol.dispose]();
  await new Command("true").run();
  input.close();
  await command.wait();
  assertEquals(subscription.of(command)[0], "start end asyncStart asyncEnd");
  assertEquals(subscription.seen.length, 4);
});

test("issue 20, 10: without trace() nothing is published", async () => {
  using subscription = new Subscription();
  await new Command("true").run();
  assertEquals(subscription.seen.length, 0);
});

/** A span as it went. */
class Span implements CommandSpan {
  readonly name: string;
  readonly kind: number;
  readonly attributes: SpanAttributes;
  readonly happened: [string, SpanAttributes][] = [];
  status: { readonly code: number; readonly message: string } | undefined;
  ends = 0;

  constructor(name: string, kind: number, attributes: SpanAttributes) {
    this.name = name;
    this.kind = kind;
    this.attributes = { ...attributes };
  }

  setAttribute(name: string, value: string | number): void {
    this.attributes[name] = value;
  }

  addEvent(name: string, attributes: SpanAttributes): void {
    this.happened.push([name, attributes]);
  }

  setStatus(status: { readonly code: number; readonly message: string }): void {
    this.status = status;
  }

  end(): void {
    this.ends += 1;
  }
}

/** An API, and the spans that it has made. */
function standIn(): { readonly api: TracingApi; readonly spans: Span[]; readonly names: string[] } {
  const spans: Span[] = [];
  const names: string[] = [];
  const api: TracingApi = {
    trace: {
      getTracer(name) {
        names.push(name);
        return {
          startSpan(name, { kind, attributes }) {
            const span = new Span(name, kind, attributes);
            spans.push(span);
            return span;
          },
        };
      },
    },
  };
  return { api, spans, names };
}

/** Runs one that ends well, one that does not, one that is too slow, and one that there is not. */
async function runFour(): Promise<void> {
  const secret = "hunter2";
  await new Command("/bin/sh", ["-c", ":", secret], { dir: "/tmp" }).run();
  await new Command("/bin/sh", ["-c", "exit 3", secret]).run().catch(() => {});
  await new Command("/bin/sh", ["-c", "exec sleep 60", secret], { timeout: 20 }).run()
    .catch(() => {});
  await new Command("/nonexistent/program", [secret]).run().catch(() => {});
}

test("issue 20, 10: a span for each command, after OpenTelemetry's conventions", async () => {
  const { api, spans, names } = standIn();
  using _ = trace({ api });
  await runFour();
  assertEquals(names, ["osexec"]);
  assertEquals(spans.map(({ name, kind, ends }) => [name, kind, ends]), [
    ["sh", 2, 1],
    ["sh", 2, 1],
    ["sh", 2, 1],
    ["program", 2, 1],
  ]);
  for (const { attributes } of spans) {
    const { "process.pid": pid } = attributes;
    assert(pid === undefined || (typeof pid === "number" && pid > 1));
    delete attributes["process.pid"];
  }
  const sh = {
    "process.executable.name": "sh",
    "process.executable.path": "/bin/sh",
    "process.command": "/bin/sh",
  };
  assertEquals(spans.map(({ attributes }) => attributes), [
    { ...sh, "process.working_directory": "/tmp", "process.exit.code": 0 },
    { ...sh, "process.exit.code": 3, "error.type": "ExitError" },
    { ...sh, "process.exit.code": -1, "error.type": "TimeoutError" },
    {
      "process.executable.name": "program",
      "process.executable.path": "/nonexistent/program",
      "process.command": "/nonexistent/program",
      "error.type": "SpawnError",
    },
  ]);
  assertEquals(spans.map(({ status }) => status), [
    undefined,
    { code: 2, message: "ExitError: exit status 3" },
    { code: 2, message: "ExitError: signal: killed" },
    {
      code: 2,
      message: "SpawnError: fork/exec /nonexistent/program: no such file or directory",
    },
  ]);
  const aborts = spans.map(({ happened }) => happened);
  const abort = ["osexec.abort", { "osexec.abort.reason": "TimeoutError" }];
  assertEquals(aborts, [[], [], [abort], []] as typeof aborts);
  assert(!JSON.stringify(spans).includes("hunter2"));
});

test("issue 20, 10: arguments are in a span where asked for, but not behind a label", async () => {
  const { api, spans } = standIn();
  using _ = trace({ api, args: true });
  await new Command("/bin/sh", ["-c", ":"]).run();
  await new Command("/bin/sh", ["-c", ": secret"], { label: "a secret" }).run();
  await sh("kill -9 $$").start().wait();
  await until(() => spans[2]?.ends === 1);
  assertEquals(spans.map(({ attributes }) => attributes["process.command_args"]), [
    ["/bin/sh", "-c", ":"],
    undefined,
    ["/bin/sh", "-c", "kill -9 $$"],
  ] as SpanAttributes[string][]);
  // That nobody has waited for the command makes it no success.
  assertEquals(spans[2]?.attributes["error.type"], "SIGKILL");
  assertEquals(spans[2]?.status?.message, "signal: killed");
});

test("issue 20, 10: a tracer that throws changes no run", async () => {
  const { code, stdout } = await runScript(`
    import process from "node:process";
    const { trace } = await import(${JSON.stringify(join(root, "trace.ts"))});
    const caught: string[] = [];
    process.on("uncaughtException", (error) => caught.push(error.message));
    const startSpan = () => { throw new Error("no span") };
    trace({ api: { trace: { getTracer: () => ({ startSpan }) } } });
    console.log(await new osexec.Command("echo", ["a"]).text());
    await new Promise((resolve) => setTimeout(resolve, 1));
    console.log(caught.join());
  `);
  assertEquals([code, stdout], [0, "a\n\nno span\n"]);
});

const telemetry = join(root, ".tools/opentelemetry/node_modules/");
/** `npm test` fetches them. */
const needsTelemetry = existsSync(telemetry) ? {} : { skip: "no OpenTelemetry in .tools" };

/** What is used of the SDK. */
interface Sdk {
  BasicTracerProvider: new (options: { spanProcessors: unknown[] }) => unknown;
  InMemorySpanExporter: new () => { getFinishedSpans(): FinishedSpan[] };
  SimpleSpanProcessor: new (exporter: unknown) => unknown;
}

interface FinishedSpan {
  readonly name: string;
  readonly kind: number;
  readonly attributes: Record<string, unknown>;
  readonly status: { readonly code: number };
  readonly events: { readonly name: string }[];
}

test("issue 20, 10: OpenTelemetry's own packages take it for spans", needsTelemetry, async () => {
  const load = createRequire(telemetry);
  const api: TracingApi & {
    readonly trace: { setGlobalTracerProvider(provider: unknown): boolean; disable(): void };
    readonly SpanKind: { readonly CLIENT: number };
    readonly SpanStatusCode: { readonly ERROR: number };
  } = load("@opentelemetry/api");
  const sdk: Sdk = load("@opentelemetry/sdk-trace-base");
  const exporter = new sdk.InMemorySpanExporter();
  const spanProcessors = [new sdk.SimpleSpanProcessor(exporter)];
  assert(api.trace.setGlobalTracerProvider(new sdk.BasicTracerProvider({ spanProcessors })));
  try {
    using _ = trace({ api });
    await runFour();
  } finally {
    api.trace.disable();
  }
  const spans = exporter.getFinishedSpans();
  assertEquals(spans.map(({ name }) => name), ["sh", "sh", "sh", "program"]);
  assert(spans.every(({ kind }) => kind === api.SpanKind.CLIENT));
  const { ERROR } = api.SpanStatusCode;
  assertEquals(spans.map(({ status }) => status.code === ERROR), [false, true, true, true]);
  assertEquals(spans.map(({ attributes }) => attributes["process.exit.code"]), [
    0,
    3,
    -1,
    undefined,
  ]);
  assertEquals(spans[2]?.events.map(({ name }) => name), ["osexec.abort"]);
});
