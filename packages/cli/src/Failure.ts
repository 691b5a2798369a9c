/**
 * A failure of the command: what it prints on stderr, and the exit code it ends with.
 */
import type { CommitError } from "@holdfast/agents/CommitLog"
import * as Data from "effect/Data"

/**
 * The exit codes. 0 done; 1 done, some work failed; 2 wrong usage or bad input, nothing was started; 3 storage
 * unavailable; 4 not found or conflict; 130 interrupted, state saved.
 */
export const exitCodes = {
  done: 0,
  someFailed: 1,
  usage: 2,
  storage: 3,
  conflict: 4,
  interrupted: 130
} as const

/** Ends the command with an exit code and a message. */
export class Failure extends Data.TaggedError("Failure")<{
  readonly exitCode: number
  readonly message: string
}> {}

/** Wrong usage or bad input. */
export const usage = (message: string): Failure => new Failure({ exitCode: exitCodes.usage, message })

/** Something is not there, or something else is. */
export const conflict = (message: string): Failure => new Failure({ exitCode: exitCodes.conflict, message })

/** The storage cannot be used: what was acknowledged is kept, and the same command goes on from there. */
export const storage = (db: string, error: CommitError): Failure =>
  new Failure({
    exitCode: error._tag === "StorageError" && error.reason === "NotFound"
      ? exitCodes.conflict
      : exitCodes.storage,
    message: `${db}: ${error.message}`
  })

/** A file beside the database could not be read or written. */
export const file = (name: string, error: unknown): Failure =>
  new Failure({
    exitCode: exitCodes.storage,
    message: `${name}: ${error instanceof Error ? error.message : String(error)}`
  })
