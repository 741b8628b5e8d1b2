/** How late a timer fires, which is how long the event loop was kept from it. */

/** The shortest that every runtime's setTimeout takes as it is. */
const INTERVAL_MS = 1;

/**
 * Sets a timer again and again until `work` has settled.
 *
 * @param {Promise<unknown>} work
 * @returns {Promise<number[]>} by how many milliseconds each was late, in the order they fired
 */
export async function lateness(work) {
  /** @type {number[]} */
  const late = [];
  let armed = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer = undefined;
  const arm = () => {
    armed = performance.now();
    timer = setTimeout(() => {
      late.push(performance.now() - armed - INTERVAL_MS);
      arm();
    }, INTERVAL_MS);
  };
  arm();
  try {
    await work;
  } finally {
    clearTimeout(timer);
    // The one that was due and did not come: the longest of all, perhaps.
    late.push(Math.max(0, performance.now() - armed - INTERVAL_MS));
  }
  return late.map((milliseconds) => Math.round(milliseconds * 1e3) / 1e3);
}
