/**
 * The command of the batch: `node inspect.js --path PACKAGE` prints one inspection as a line of JSON.
 *
 * It is started once for each package, so it loads Node's own modules only. Exit codes: 0 inspected, 1 the
 * package could not be read (one line on stderr says why), 2 wrong usage.
 */
import { parseArgs } from "node:util"
import { inspectPackage } from "./inspection.ts"

const pathArgument = (): string | undefined => {
  try {
    return parseArgs({ options: { path: { type: "string" } } }).values.path
  } catch {
    return undefined
  }
}

const main = (path: string | undefined): number => {
  if (path === undefined) {
    process.stderr.write("usage: inspect --path PACKAGE\n")
    return 2
  }
  try {
    process.stdout.write(`${JSON.stringify(inspectPackage(path))}\n`)
    return 0
  } catch (error) {
    const reason = (error as Error).message.replaceAll(/\s+/g, " ")
    process.stderr.write(`inspect: ${path}: ${reason}\n`)
    return 1
  }
}

process.exitCode = main(pathArgument())
