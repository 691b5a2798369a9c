/**
 * Starts the command line and ends the process with its exit code.
 */
import * as Effect from "effect/Effect"
import process from "node:process"
import * as Cli from "./Cli.ts"

/** Runs a command line. A defect rejects, and ends the process with the cause on stderr. */
export const main = (argv: ReadonlyArray<string>, version: string): Promise<void> =>
  Effect.runPromise(Effect.map(Cli.run(argv, version), (exitCode) => {
    process.exitCode = exitCode
  }))
