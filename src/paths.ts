/** Paths by their text: node:path's rules, without loading it for the paths that need none of them. */

import { nodeModule } from "../ffi/host.ts";

/** Absolute, with neither a doubled slash nor one at the end, and no part that begins with a dot. */
const clean = /^(?:\/[^/.][^/]*)+$/;

/** Go's filepath.Join, of a directory and a name without a slash. */
export function joinPath(directory: string, name: string): string {
  if (clean.test(directory)) return `${directory}/${name}`;
  return nodeModule("node:path/posix").join(directory, name);
}

/** Go's filepath.Dir. */
export function parentPath(path: string): string {
  return nodeModule("node:path/posix").dirname(path);
}

/**
 * Go's filepath.Abs: `path` against `cwd`, with ".", ".." and doubled slashes resolved by their text
 * alone, so that a symbolic link in it keeps its name.
 */
export function absolutePath(path: string, cwd: string): string {
  if (clean.test(path)) return path;
  return nodeModule("node:path/posix").resolve(cwd, path);
}
