/** What Windows calls an error: by native code, which asks the system for the text. */

import { library } from "../../ffi/library.ts";
import { decodeText } from "../../ffi/text.ts";

/** From here on an error number is what GetLastError says, and so much more; below it is one of POSIX's, by Linux. */
export const windowsFrom = 0x1_0000;

/** What Go has invented a number for: EWINDOWS. */
const unsupported = ["EWINDOWS", "not supported by windows"] as const;
const EOPNOTSUPP = 95;

/** Go's name and Windows' text; undefined: the number is POSIX's. */
export function windowsError(
  errno: number,
): readonly [code: string, text: string] | undefined {
  if (errno === EOPNOTSUPP) return unsupported;
  if (errno < windowsFrom) return undefined;
  const number = errno - windowsFrom;
  const bytes = new Uint8Array(1024);
  const length = library().osexec_error(number, bytes, bytes.length);
  const [name = "", text = ""] = decodeText(bytes.subarray(0, Math.max(length, 0))).split("\0");
  return [name === "" ? `errno ${number}` : name, text === "" ? `winapi error #${number}` : text];
}
