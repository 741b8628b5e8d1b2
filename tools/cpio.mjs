/** An archive in cpio's "newc" format: what a Linux kernel unpacks into memory as its first root. */

import { Buffer } from "node:buffer";
import {
  closeSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";

const DIRECTORY = 0o040000;
const REGULAR = 0o100000;
const LINK = 0o120000;

/** Writes entries as they are added. All of them belong to root, and are from 1970. */
export class Archive {
  #file;
  #entries = 0;
  /** @type {Set<string>} */
  #folders = new Set();

  /** @param {string} path */
  constructor(path) {
    this.#file = openSync(path, "w");
  }

  /**
   * Adds a file, with the folders above it.
   *
   * @param {string} name
   * @param {string | Uint8Array} content
   * @param {number} [permissions]
   */
  file(name, content, permissions = 0o755) {
    this.#above(name);
    this.#write(name, REGULAR | permissions, Buffer.from(content));
  }

  /**
   * @param {string} name
   * @param {string} target
   */
  link(name, target) {
    this.#above(name);
    this.#write(name, LINK | 0o777, Buffer.from(target));
  }

  /** @param {string} name */
  folder(name) {
    if (this.#folders.has(name)) return;
    this.#above(name);
    this.#folders.add(name);
    this.#write(name, DIRECTORY | 0o755, Buffer.alloc(0));
  }

  /**
   * Adds a file or folder of this machine, and all in it.
   *
   * @param {string} from
   * @param {string} name the name it gets; "" for the root itself
   */
  copy(from, name) {
    const { mode } = lstatSync(from);
    const type = mode & 0o170000;
    if (type === LINK) return this.link(name, readlinkSync(from));
    if (type === REGULAR) return this.file(name, readFileSync(from), mode & 0o7777);
    if (type !== DIRECTORY) throw new Error(`${from} is no file, folder or link`);
    if (name !== "") this.folder(name);
    for (const entry of readdirSync(from).sort()) this.copy(join(from, entry), join(name, entry));
  }

  close() {
    this.#write("TRAILER!!!", 0, Buffer.alloc(0));
    closeSync(this.#file);
  }

  /** @param {string} name */
  #above(name) {
    const end = name.lastIndexOf("/");
    if (end > 0) this.folder(name.slice(0, end));
  }

  /**
   * @param {string} name
   * @param {number} mode
   * @param {Buffer} content
   */
  #write(name, mode, content) {
    const path = Buffer.from(`${name}\0`);
    // Inode, mode, uid, gid, links, time, size; four parts of device numbers; the name's size; no sum.
    const fields = [++this.#entries, mode, 0, 0, 1, 0, content.length, 0, 0, 0, 0, path.length, 0];
    const digits = fields.map((field) => field.toString(16).padStart(8, "0")).join("");
    const head = Buffer.concat([Buffer.from(`070701${digits}`), path]);
    for (const part of [head, content]) {
      let written = 0;
      while (written < part.length) written += writeSync(this.#file, part, written);
      writeSync(this.#file, Buffer.alloc((4 - part.length % 4) % 4));
    }
  }
}
