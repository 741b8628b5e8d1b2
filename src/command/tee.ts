/** One output to several places, as tee(1) does. */

import type { OpenSink } from "./sinks.ts";
import { closeQuietly, type OSFile } from "../file/file.ts";

/** A file of our own to write to, which goes with the sink. */
export class OwnFileSink implements OpenSink {
  readonly #file: OSFile;
  readonly #blocking: boolean;

  /** `blocking`: for a synchronous run. */
  constructor(file: OSFile, blocking: boolean) {
    this.#file = file;
    this.#blocking = blocking;
  }

  /** All of it. */
  write(chunk: Uint8Array): Promise<void> | undefined {
    if (!this.#blocking) return this.#write(chunk);
    this.#file.writeSync(chunk);
    return undefined;
  }

  async #write(chunk: Uint8Array): Promise<void> {
    await this.#file.write(chunk);
  }

  /** Closes it. */
  release(): void {
    closeQuietly(this.#file);
  }
}

/** Gives each sink every chunk; the slowest holds the others back. What one throws or rejects with ends it for all. */
export class TeeSink implements OpenSink {
  readonly #sinks: readonly OpenSink[];

  /** They are this one's to release. */
  constructor(sinks: readonly OpenSink[]) {
    this.#sinks = sinks;
  }

  /** Each has a copy of its own, to keep or to change. */
  write(chunk: Uint8Array): Promise<void> | undefined {
    const pending: Promise<void>[] = [];
    const last = this.#sinks.length - 1;
    try {
      for (const [index, sink] of this.#sinks.entries()) {
        const writing = sink.write(index === last ? chunk : chunk.slice());
        if (writing !== undefined) pending.push(writing);
      }
    } catch (error) {
      // The first failure is told.
      for (const writing of pending) writing.catch(() => {});
      throw error;
    }
    return pending.length === 0 ? undefined : all(pending);
  }

  /** Lets go of each. */
  release(): void {
    for (const sink of this.#sinks) sink.release();
  }
}

async function all(pending: readonly Promise<void>[]): Promise<void> {
  await Promise.all(pending);
}
