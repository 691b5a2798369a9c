/**
 * A storage error says that storage could not do its work, and that no caller is to blame.
 */
import * as Schema from "effect/Schema"

/**
 * Why storage could not do its work.
 *
 * `Busy`: another process held the file past the deadline. `Full`: no space, or a size limit. `ReadOnly`: the file or
 * its file system cannot be written. `Corrupt`: not a database, or a damaged one. `Io`: the device failed. `Unsupported`:
 * the file, file system or SQLite version is refused. `Closed`: the log has ended. `NotFound`: there is no such store.
 */
export const StorageReason = Schema.Literal(
  "Busy",
  "Full",
  "ReadOnly",
  "Corrupt",
  "Io",
  "Unsupported",
  "Closed",
  "NotFound"
)
export type StorageReason = typeof StorageReason.Type

/**
 * Storage failed; no operation is to blame.
 *
 * `outcome` is `"none"` when nothing was written, and `"unknown"` when the answer to a COMMIT was lost and could not be
 * learnt within the deadline. Remedy: mend the storage and submit again (an operation with a condition can be repeated).
 */
export class StorageError extends Schema.TaggedError<StorageError>()("StorageError", {
  operation: Schema.String,
  reason: StorageReason,
  outcome: Schema.Literal("none", "unknown"),
  detail: Schema.String
}) {
  override get message(): string {
    const outcome = this.outcome === "none"
      ? "nothing was written"
      : "whether it was written is not known yet"
    return `storage failed (${this.reason}) in ${this.operation}: ${this.detail}; ${outcome}`
  }
}
