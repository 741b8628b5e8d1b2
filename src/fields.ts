/**
 * Reading what a caller has given: each known field once, through getters and prototypes, but never through
 * Object.prototype, which anybody may have polluted. What is not known is refused by name.
 */

/** What other libraries call it, and what it is called here. */
const elsewhere: ReadonlyMap<string, string> = new Map([
  ["argv0", "args[0]"],
  ["clearEnv", "env, which replaces"],
  ["cwd", "dir"],
  ["detached", "sysProcAttr.setsid"],
  ["gid", "sysProcAttr.credential"],
  ["group", "sysProcAttr.credential"],
  ["killSignal", "cancel"],
  ["maxBuffer", "a Writer as stdout"],
  ["preexec_fn", "sysProcAttr"],
  ["shell", 'new Command("sh", ["-c", script])'],
  ["stdio", "stdin, stdout, stderr and extraFiles"],
  ["supplementaryGroups", "groups"],
  ["sys", "sysProcAttr"],
  ["uid", "sysProcAttr.credential"],
  ["user", "sysProcAttr.credential"],
]);

/** The sentence for a field that is not there; with its right name, where it is known. */
export function unknownField(what: string, name: string, known: Iterable<string>): string {
  const names = [...known];
  const similar = names.find((each) => each.toLowerCase() === name.toLowerCase());
  const right = similar ?? elsewhere.get(name);
  const isRight = right !== undefined && !names.includes(name);
  return `${what} has no field ${name}${isRight ? `; what it wants is ${right}` : ""}`;
}

/** Options that have been read: nothing of them is left out. */
export type Known<T> = { readonly [Name in keyof T]-?: Exclude<T[Name], undefined> };

/** Whether it is no promise, Map or Date, say, which would pass for a record without any fields. */
export function isRecord(value: unknown): value is object {
  return Object.prototype.toString.call(value) === "[object Object]";
}

/** Throws TypeError for what is no record. */
export function checkRecord(what: string, value: unknown): asserts value is object {
  if (!isRecord(value)) throw new TypeError(`${what} is not an object with fields`);
}

/** An object and its prototypes, without Object.prototype of whichever realm. */
export function* layersOf(value: object): Generator<object> {
  for (let layer: unknown = value; typeof layer === "object" && layer !== null;) {
    const next: unknown = Object.getPrototypeOf(layer);
    // The first one is the caller's own, even without a prototype and with keys like these.
    const isRoot = layer !== value && next === null && Object.hasOwn(layer, "isPrototypeOf");
    if (isRoot || layer === Object.prototype) return;
    yield layer;
    layer = next;
  }
}

/**
 * The fields of `value`, read once, as an object that has no prototype. `unknown` is called with the name of
 * one that is not known, and not undefined.
 */
export function fieldsOf<T extends object>(
  value: T,
  known: { has(name: string): boolean },
  unknown: (name: string) => void,
): T {
  const fields: T = Object.create(null);
  const take = (name: string): void => {
    if (name in fields) return;
    const field: unknown = Reflect.get(value, name);
    if (known.has(name)) Reflect.set(fields, name, field);
    else if (field !== undefined) unknown(name);
  };
  for (const name of Object.keys(value)) take(name);
  // Of most callers' there is no more, and a generator takes 1 µs where it has not run often.
  if (Object.getPrototypeOf(value) === Object.prototype) return fields;
  for (const layer of layersOf(value)) {
    if (layer === value) continue;
    // Not the methods of its classes.
    const all = Object.entries(Object.getOwnPropertyDescriptors(layer));
    for (const [name, { get, enumerable }] of all) {
      if (name !== "__proto__" && (get !== undefined || enumerable)) take(name);
    }
  }
  return fields;
}

/** The options of a function, read once. Throws TypeError for what is no record, or has a field that is none of them. */
export function readOptions<T extends object>(
  what: string,
  type: string,
  options: T,
  known: ReadonlySet<string>,
): T {
  checkRecord(`The options of ${what}`, options);
  return fieldsOf(options, known, (name) => {
    throw new TypeError(unknownField(type, name, known));
  });
}

/** -0 as 0: Deno's FFI refuses it for an i32. */
export function unsigned(number: number): number {
  return number + 0;
}
