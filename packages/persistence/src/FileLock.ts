/**
 * A file lock is held by a process for as long as it lives and ends with it, however it dies: whoever can take it has the
 * proof that no living process holds it.
 *
 * It is SQLite's exclusive lock on an empty file, which the operating system drops with the process. It holds under
 * SIGSTOP, between containers that share the file, and between two holders in one process. A name is used once: what is
 * at it is the file its owner made, or nothing any more.
 */
import Database from "better-sqlite3"
import * as fs from "node:fs"
import { detailOf, reasonOf, StorageFailure } from "./StorageFailure.ts"

/** A held lock. */
export interface FileLock {
  /** Gives the lock up and removes its file. */
  readonly release: () => void
  /** Gives the lock up and leaves its file to whoever is to remove it. */
  readonly giveBack: () => void
}

/**
 * Makes a file with mode 0600 and takes its lock; `null` when there is such a file, or somebody proved it free and
 * removed it before it was locked. Throws `StorageFailure`.
 */
export const tryAcquire = (file: string): FileLock | null => {
  try {
    // Only a new file is opened here: closing a descriptor of another would drop this process's lock on it.
    fs.closeSync(fs.openSync(file, "wx", 0o600))
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return null
    throw failure(file, error)
  }
  const lock = lockExisting(file)
  return lock === "gone" ? null : lock
}

/** Takes the lock of a file that another process made, or learns that the file is gone; `null` when it is held. */
export const proveFree = (file: string): FileLock | null => {
  const lock = lockExisting(file)
  return lock === "gone" ? { release: () => undefined, giveBack: () => undefined } : lock
}

/** A lock on a file that was removed before it was locked is a lock on nothing. */
const lockExisting = (file: string): FileLock | "gone" | null => {
  if (!fs.existsSync(file)) return "gone"
  let database: Database.Database | null = null
  try {
    database = new Database(file, { timeout: 0, fileMustExist: true })
    // Without a journal beside it, which would outlive a kill.
    database.pragma("journal_mode = MEMORY")
    database.exec("BEGIN EXCLUSIVE")
    if (fs.existsSync(file)) return held(file, database)
  } catch (error) {
    const failed = failure(file, error)
    if (fs.existsSync(file)) {
      database?.close()
      if (failed.reason === "Busy") return null
      throw failed
    }
  }
  database?.close()
  return "gone"
}

const held = (file: string, database: Database.Database): FileLock => ({
  release: () => {
    fs.rmSync(file, { force: true })
    database.close()
  },
  giveBack: () => void database.close()
})

const failure = (file: string, error: unknown): StorageFailure =>
  new StorageFailure({ reason: reasonOf(error) ?? "Io", detail: `${file}: ${detailOf(error)}` })
