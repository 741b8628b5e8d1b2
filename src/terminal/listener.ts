/** What a command's child prints where no copy takes it: who reads it, and what becomes of the terminal it comes from. */

import { Attendant } from "./attendant.ts";
import { closeQuietly, type OSFile } from "../file/file.ts";
import { holdWith, type Process } from "../process/process.ts";
import type { Stdio } from "../command/stdio.ts";
import { type Terminal, terminalAttendant, terminalFile } from "./terminal.ts";

/** Of one child. */
export class Listener {
  /** The child's, if it has one. */
  readonly terminal: Terminal | undefined;
  /** Absent where the command itself takes the output. */
  readonly attendant: Attendant | undefined;

  private constructor(terminal: Terminal | undefined, attendant: Attendant | undefined) {
    this.terminal = terminal;
    this.attendant = attendant;
  }

  /** Of a child that has a terminal. */
  static ofTerminal(terminal: Terminal, { drains }: Stdio, process: Process): Listener {
    if (drains.length > 0) return new Listener(terminal, undefined);
    holdWith(process, terminalFile(terminal));
    return new Listener(terminal, terminalAttendant(terminal));
  }

  /** Of a child's output that a dialogue reads. */
  static ofPipe(output: OSFile, process: Process): Listener {
    holdWith(process, output);
    return new Listener(undefined, new Attendant(output));
  }

  /** The child's end is waited for from now on. */
  begin(): void {
    this.attendant?.begin();
  }

  /** Nobody waits any more. A terminal whose output the command has taken goes with a child that `hasEnded`. */
  end(hasEnded: boolean): void {
    if (this.attendant !== undefined) this.attendant.end();
    else if (hasEnded) this.hangUp();
  }

  /** Closes the terminal. */
  hangUp(): void {
    if (this.terminal !== undefined) closeQuietly(terminalFile(this.terminal));
  }
}
