/**
 * The `holdfast` program.
 */
import process from "node:process"
import { version } from "./Version.ts"

const argv = process.argv.slice(2)

// Asked for by scripts, often: answered before the command line itself is loaded.
if (argv.length === 1 && argv[0] === "--version") {
  process.stdout.write(`${version}\n`)
} else {
  const { main } = await import("./main.ts")
  await main(argv, version)
}
