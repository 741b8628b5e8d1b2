/**
 * How long this thread's event loop has been kept from its next turn, and giving it one.
 *
 * By time, not by counts: a read may bring 1 byte or 256 KiB, and what a program does with it may take
 * 1 µs or 8 ms. One measure for all of this package together, as it is one loop that they hold.
 */

import { now } from "./host.ts";
import { currentRuntime } from "./runtime.ts";

/** Milliseconds. A timer is late by so much at most, and by one more call of whoever has the turn. */
const budget = 8;

/** When the turn began, as far as is known. */
let begun = 0;
const waiting: (() => void)[] = [];

/** For who is called back by the event loop itself. */
export function turnBegins(): void {
  begun = now();
}

/** Whether it is time to give the event loop a turn. */
export function isTurnSpent(): boolean {
  return now() - begun >= budget;
}

/** Resolves in a turn of its own, after timers and whatever else was due; first come, first served. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    if (waiting.push(resolve) === 1) currentRuntime().giveTurn(serve);
  });
}

/** One in each turn: how long each of them takes is seen only when the next one begins. */
function serve(): void {
  begun = now();
  waiting.shift()?.();
  if (waiting.length > 0) currentRuntime().giveTurn(serve);
}
