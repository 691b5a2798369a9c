/**
 * Starts the command line and ends the process with its exit code.
 */
import * as Effect from "effect/Effect"
import process from "node:process"
import * as Cli from "./Cli.ts"

/**
 * Runs a command line. A defect rejects, and ends the process with the cause on stderr.
 *
 * `load` imports a module by its URL: in a script that was compiled before, as this one may be, `import()` does not work.
 */
export const main = (argv: ReadonlyArray<string>, version: string, load: Cli.Load): Promise<void> =>
  Effect.runPromise(Effect.map(Cli.run(argv, version, load), (exitCode) => {
    process.exitCode = exitCode
  }))
