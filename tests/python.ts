/** Python, for tests whose child must be somebody else's program: it shows each system call as it is. */

import { existsSync } from "node:fs";
import type { Skip } from "./helper.ts";

/** The system's own: what PATH finds may be in a home that another user does not see. */
export const python = "/usr/bin/python3";

/** For a test that runs it. */
export const needsPython: Skip = existsSync(python) ? {} : { skip: `needs ${python}` };
