/**
 * Sorts what SQLite throws into what blames a statement and what blames the storage, and says what may be tried again.
 */
import { StorageError } from "@holdfast/core/StorageError"
import type { StorageReason } from "@holdfast/core/StorageError"
import * as Data from "effect/Data"

/** The storage failed while it was used; no statement is to blame. */
export class StorageFailure extends Data.TaggedError("StorageFailure")<{
  readonly reason: StorageReason
  readonly detail: string
}> {}

/** Whether waiting may help. */
export const isTransient = (reason: StorageReason): boolean =>
  reason === "Busy" || reason === "Full" || reason === "Io"

/** The reason of a thrown error, or `null` when it is the statement's own. A bug that is not the database's is thrown on. */
export const reasonOf = (error: unknown): StorageReason | null => {
  const code = codeOf(error)
  if (code.startsWith("ERR_")) throw error
  const found = reasons.find(([prefix]) => code.startsWith(prefix))
  if (found !== undefined) return found[1]
  if (code.startsWith("SQLITE_")) return null
  if (error instanceof TypeError && error.message.includes("database connection is not open")) return "Closed"
  if (error instanceof TypeError || error instanceof RangeError) return null
  throw error
}

/** What a thrown error says, with its code. */
export const detailOf = (error: unknown): string => {
  const text = error instanceof Error ? error.message : String(error)
  const code = codeOf(error)
  return code === "" ? text : `${text} (${code})`
}

/** The typed error of a failure, for the operation that met it. */
export const toError = (
  failure: StorageFailure,
  operation: string,
  outcome: "none" | "unknown" = "none"
): StorageError => new StorageError({ operation, reason: failure.reason, outcome, detail: failure.detail })

const reasons: ReadonlyArray<readonly [string, StorageReason]> = [
  ["SQLITE_BUSY", "Busy"],
  ["SQLITE_LOCKED", "Busy"],
  ["SQLITE_FULL", "Full"],
  ["SQLITE_READONLY", "ReadOnly"],
  ["SQLITE_PERM", "ReadOnly"],
  ["EACCES", "ReadOnly"],
  ["EROFS", "ReadOnly"],
  ["SQLITE_CORRUPT", "Corrupt"],
  ["SQLITE_NOTADB", "Corrupt"],
  ["SQLITE_IOERR", "Io"],
  ["SQLITE_CANTOPEN", "Io"],
  ["SQLITE_NOMEM", "Io"],
  ["SQLITE_PROTOCOL", "Busy"],
  ["ENOSPC", "Full"],
  ["EDQUOT", "Full"],
  ["EFBIG", "Full"],
  ["ENOENT", "NotFound"],
  ["EISDIR", "Unsupported"],
  ["E", "Io"]
]

const codeOf = (error: unknown): string =>
  error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : ""
