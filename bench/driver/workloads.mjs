/**
 * What is measured.
 *
 * Every contestant is a program that is called as
 *
 *     PROGRAM VARIANT WORKLOAD COUNT WARMUP SIZE
 *
 * does the workload WARMUP times, and then COUNT times with the clock running. It finds the children
 * in the folder BENCH_CHILDREN, and prints one line of JSON:
 *
 *     seconds   how long the COUNT took
 *     cpu       seconds of processor time of its own that went into them
 *     late      lateness: by how many milliseconds each timer was late; idle: the same with nothing to do
 *
 * The workloads heap and descriptors are run twice, with their SIZE and with nothing to hold. What they
 * hold they take after a first warm-up, as a server has its libraries loaded before its connections.
 *
 * In the workload memory it writes "MARK fresh", "MARK warm", "MARK end" and "MARK idle" to stderr, and
 * after each waits for a byte on stdin, while the driver looks at it from outside. The workload startup
 * is one child, and the whole program is timed from outside.
 */

/**
 * @typedef {object} Workload
 * @property {string} name
 * @property {string} title
 * @property {"each" | "held" | "stream" | "startup" | "lateness" | "memory"} kind how it is reported
 * @property {string} unit of its main figure
 * @property {number} count children, or mebibytes; startup: whole programs
 * @property {number} quick the same with --quick
 * @property {number} warmup
 * @property {number} size in flight; bytes captured; MiB or descriptors held
 * @property {number} [runs] of each contestant in a round; 1 unless given
 * @property {number} [rounds] at most so many
 */

/** The contestant that ratios are to: clone(CLONE_VM | CLONE_VFORK), execve and waitpid, in C. */
export const REFERENCE = "c-vfork";

/** Of the tiny child, one at a time. */
const tiny = /** @type {const} */ ({
  kind: "each",
  unit: "µs",
  count: 2000,
  quick: 300,
  warmup: 2000,
  size: 0,
});

/** @type {readonly Workload[]} */
export const workloads = [
  { name: "sequential", title: "A tiny child, one at a time", ...tiny },
  {
    // What a child has that is given nothing; the reference's inherits, as in all others.
    name: "null",
    title: "A tiny child with its three streams at /dev/null, one at a time",
    ...tiny,
  },
  {
    name: "parallel",
    title: "A tiny child, 16 in flight",
    kind: "each",
    unit: "µs",
    count: 4000,
    quick: 600,
    warmup: 2000,
    size: 16,
  },
  {
    name: "line",
    title: "12 bytes captured, one at a time",
    kind: "each",
    unit: "µs",
    count: 1000,
    quick: 200,
    warmup: 2000,
    size: 12,
  },
  {
    name: "block",
    title: "64 KiB captured, one at a time",
    kind: "each",
    unit: "µs",
    count: 1000,
    quick: 200,
    warmup: 2000,
    size: 65536,
  },
  {
    name: "out",
    title: "1 GiB out of a child",
    kind: "stream",
    unit: "GiB/s",
    count: 1024,
    quick: 256,
    warmup: 64,
    size: 0,
  },
  {
    name: "in",
    title: "256 MiB into a child, 64 KiB at a time",
    kind: "stream",
    unit: "GiB/s",
    count: 256,
    quick: 128,
    warmup: 64,
    size: 0,
  },
  {
    name: "heap",
    title: "A tiny child of a process that has touched 2 GiB",
    kind: "held",
    unit: "µs",
    count: 500,
    quick: 100,
    warmup: 100,
    size: 2048,
  },
  {
    name: "descriptors",
    title: "A tiny child of a process with 15,000 open descriptors",
    kind: "held",
    unit: "µs",
    count: 300,
    quick: 60,
    warmup: 50,
    size: 15_000,
  },
  {
    name: "startup",
    title: "A whole script that runs one tiny child",
    kind: "startup",
    unit: "ms",
    count: 10,
    quick: 3,
    warmup: 0,
    size: 0,
  },
  {
    name: "lateness",
    title: "How late a timer of 1 ms fires while 500 children's outputs are taken, 8 at a time",
    kind: "lateness",
    unit: "ms",
    count: 500,
    quick: 500,
    warmup: 2000,
    size: 8,
    runs: 2,
  },
  {
    name: "memory",
    title: "What 100,000 children leave behind, 16 in flight",
    kind: "memory",
    unit: "MiB",
    count: 100_000,
    quick: 2000,
    warmup: 100_000,
    size: 16,
    rounds: 1,
  },
];
