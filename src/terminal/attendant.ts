/** Reading for nobody, so that a child that is waited for is not held back by what it prints. */

import { type OSFile, putBack, readChunk } from "../file/file.ts";
import type { Operation } from "../file/operations.ts";

/**
 * While somebody waits for a child's end and nobody reads what it prints: takes that in, and puts it back for who reads
 * later. Nothing is lost, at the price of as much memory as there is of it.
 */
export class Attendant {
  readonly #file: OSFile;
  #kept: Uint8Array<ArrayBuffer>[] = [];
  #isWanted = false;
  /** How many others read. */
  #readers = 0;
  #reading: Operation<Uint8Array | null> | undefined;

  /** Does nothing yet. */
  constructor(file: OSFile) {
    this.#file = file;
  }

  /** The child's end is waited for from now on. */
  begin(): void {
    this.#isWanted = true;
    this.#next();
  }

  /** It has come, or nobody waits for it any more. */
  end(): void {
    this.#isWanted = false;
    this.#stop();
  }

  /** Before somebody else reads. */
  stepAside(): void {
    this.#readers++;
    this.#stop();
  }

  /** That one has read. */
  comeBack(): void {
    this.#readers--;
    this.#next();
  }

  #next(): void {
    const isOn = this.#isWanted && this.#readers === 0 && !this.#file.closed;
    if (!isOn || this.#reading !== undefined) return;
    // Taken as soon as it is read: who steps in before the promise is heard of must find it.
    const reading = readChunk(this.#file, (chunk) => {
      if (chunk !== null) this.#kept.push(chunk);
    });
    this.#reading = reading;
    const heard = (goesOn: boolean): void => {
      if (this.#reading !== reading) return;
      this.#reading = undefined;
      if (goesOn) this.#next();
    };
    // What reading fails of is for the next reader to be told.
    reading.promise.then((chunk) => heard(chunk !== null), () => heard(false));
  }

  #stop(): void {
    this.#reading?.cancel();
    this.#reading = undefined;
    putBack(this.#file, this.#kept);
    this.#kept = [];
  }
}
