/**
 * The `holdfast` program.
 */
import process from "node:process"
import { fileURLToPath } from "node:url"
import * as CompiledFile from "./CompiledFile.ts"
import type * as Main from "./main.ts"
import { version } from "./Version.ts"

const argv = process.argv.slice(2)

// Asked for by scripts, often: answered before the command line itself is loaded.
if (argv.length === 1 && argv[0] === "--version") {
  process.stdout.write(`${version}\n`)
} else {
  const file = fileURLToPath(new URL("main.cjs", import.meta.url))
  await CompiledFile.load<typeof Main>(file).main(argv, version, (url) => import(url))
}
