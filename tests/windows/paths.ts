/** Go's tables for looking programs up on Windows: what lies where, what is asked for, and what is found. */

/** One row: all paths are below a folder that is the current one. */
export interface LookPathRow {
  readonly name: string;
  readonly pathext?: string;
  /** Ending in a backslash: a directory. */
  readonly files: readonly string[];
  /** Absent: the folders of all files. */
  readonly path?: readonly string[];
  readonly searchFor: string;
  readonly want?: string;
  readonly code?: "ERR_NOT_FOUND" | "ERR_DOT" | "ENOENT";
}

/** TestLookPathWindows. */
export const lookPathRows: readonly LookPathRow[] = [
  {
    name: "first match",
    files: ["p1\\a.exe", "p2\\a.exe", "p2\\a"],
    searchFor: "a",
    want: "p1\\a.exe",
  },
  {
    name: "dirs with extensions",
    files: ["p1.dir\\a", "p2.dir\\a.exe"],
    searchFor: "a",
    want: "p2.dir\\a.exe",
  },
  {
    name: "first with extension",
    files: ["p1\\a.exe", "p2\\a.exe"],
    searchFor: "a.exe",
    want: "p1\\a.exe",
  },
  { name: "specific name", files: ["p1\\a.exe", "p2\\b.exe"], searchFor: "b", want: "p2\\b.exe" },
  { name: "no extension", files: ["p1\\b", "p2\\a"], searchFor: "a", code: "ERR_NOT_FOUND" },
  {
    name: "directory, no extension",
    files: ["p1\\a.exe", "p2\\a.exe"],
    searchFor: "p2\\a",
    want: "p2\\a.exe",
  },
  { name: "no match", files: ["p1\\a.exe", "p2\\a.exe"], searchFor: "b", code: "ERR_NOT_FOUND" },
  {
    name: "no match with dir",
    files: ["p1\\b.exe", "p2\\a.exe"],
    searchFor: "p2\\b",
    code: "ERR_NOT_FOUND",
  },
  {
    name: "no match with dir and extension",
    files: ["p1\\b.exe"],
    searchFor: "p1\\c.exe",
    code: "ENOENT",
  },
  {
    name: "extensionless file in CWD ignored",
    files: ["a", "p1\\a.exe", "p2\\a.exe"],
    searchFor: "a",
    want: "p1\\a.exe",
  },
  {
    name: "extensionless file in PATH ignored",
    files: ["p1\\a", "p2\\a.exe"],
    searchFor: "a",
    want: "p2\\a.exe",
  },
  {
    name: "specific extension",
    files: ["p1\\a.exe", "p2\\a.bat"],
    searchFor: "a.bat",
    want: "p2\\a.bat",
  },
  {
    name: "mismatched extension",
    files: ["p1\\a.exe", "p2\\a.exe"],
    searchFor: "a.com",
    code: "ERR_NOT_FOUND",
  },
  {
    name: "doubled extension",
    files: ["p1\\a.exe.exe"],
    searchFor: "a.exe",
    want: "p1\\a.exe.exe",
  },
  {
    name: "extension not in PATHEXT",
    pathext: ".COM;.BAT",
    files: ["p1\\a.exe", "p2\\a.exe"],
    searchFor: "a.exe",
    want: "p1\\a.exe",
  },
  {
    name: "first allowed by PATHEXT",
    pathext: ".COM;.EXE",
    files: ["p1\\a.bat", "p2\\a.exe"],
    searchFor: "a",
    want: "p2\\a.exe",
  },
  {
    name: "first directory containing a PATHEXT match",
    pathext: ".COM;.EXE;.BAT",
    files: ["p1\\a.bat", "p2\\a.exe"],
    searchFor: "a",
    want: "p1\\a.bat",
  },
  {
    name: "first PATHEXT entry",
    pathext: ".COM;.EXE;.BAT",
    files: ["p1\\a.bat", "p1\\a.exe", "p2\\a.bat", "p2\\a.exe"],
    searchFor: "a",
    want: "p1\\a.exe",
  },
  {
    name: "PATHEXT without dots",
    pathext: "com;exe;;",
    files: ["p1\\a.exe"],
    searchFor: "a",
    want: "p1\\a.exe",
  },
  {
    name: "ignore dir with PATHEXT extension",
    files: ["a.exe\\"],
    searchFor: "a",
    code: "ERR_NOT_FOUND",
  },
  {
    name: "ignore empty PATH entry",
    files: ["p0\\a.bat", "p\\a.bat"],
    path: ["", "p"],
    searchFor: "a",
    want: "p\\a.bat",
  },
  {
    name: "the current directory first, which is refused",
    files: ["a.bat", "p\\a.bat"],
    path: ["p"],
    searchFor: "a",
    want: "a.bat",
    code: "ERR_DOT",
  },
  {
    name: "ErrDot if found by a different absolute path",
    files: ["p1\\a.bat", "p2\\a.bat"],
    path: [".\\p1", "p2"],
    searchFor: "a",
    want: "p1\\a.bat",
    code: "ERR_DOT",
  },
  {
    name: "no ErrDot if also found in absolute path",
    files: ["p1\\a.bat", "p2\\a.bat"],
    path: [".\\p1", "p1", "p2"],
    searchFor: "a",
    want: "p1\\a.bat",
  },
  { name: "no name", files: ["p1\\a.exe"], searchFor: "..", code: "ERR_NOT_FOUND" },
];

/** The folders of PATH: relative ones as they are, others below `root`. */
export function pathOf({ path, files }: LookPathRow, root: string): string {
  const own = files.map((file) => file.includes("\\") ? file.replace(/\\[^\\]*$/, "") : "none");
  const folders = path ?? [...new Set(own)];
  const isKept = (folder: string): boolean => folder === "" || folder.startsWith(".");
  return folders.map((each) => isKept(each) ? each : `${root}\\${each}`).join(";");
}
