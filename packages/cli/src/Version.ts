/**
 * The version of the package.
 */
import * as fs from "node:fs"

/** Read from `package.json`, which lies beside the folder of this file in source and build alike. */
export const version: string =
  JSON.parse(fs.readFileSync(new URL("../package.json", import.meta.url), "utf8")).version
