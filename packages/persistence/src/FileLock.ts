/**
 * A file lock is held by a process for as long as it lives and ends with it, however it dies: whoever can take it has the
 * proof that no living process holds it.
 *
 * It is SQLite's exclusive lock on an empty file, which the operating system drops with the process. It holds under
 * SIGSTOP, between containers that share the file, and between two holders in one process.
 */
import Database from "better-sqlite3"
import * as fs from "node:fs"
import { detailOf, reasonOf, StorageFailure } from "./StorageFailure.ts"

/** A held lock. */
export interface FileLock {
  /** Gives the lock up and removes its file. */
  readonly release: () => void
}

/** Takes the lock of a file, creating it; `null` when somebody holds it. Throws `StorageFailure`. */
export const tryAcquire = (file: string): FileLock | null => {
  const before = inodeOf(file)
  const held = open(file, false)
  if (held === null) return null
  // The file may have been removed by its last holder after it was opened here: then this lock is on nothing.
  if (before === null || before === inodeOf(file)) return held
  held.release()
  return null
}

/** Takes the lock of a file that another process made, or learns that the file is gone; `null` when it is held. */
export const proveFree = (file: string): FileLock | null => (fs.existsSync(file) ? open(file, true) : noLock)

const noLock: FileLock = { release: () => undefined }

const open = (file: string, mustExist: boolean): FileLock | null => {
  let database: Database.Database | null = null
  try {
    database = new Database(file, { timeout: 0, fileMustExist: mustExist })
    database.exec("BEGIN EXCLUSIVE")
    const held = database
    return {
      release: () => {
        fs.rmSync(file, { force: true })
        held.close()
      }
    }
  } catch (error) {
    database?.close()
    const reason = reasonOf(error)
    if (reason === "Busy") return null
    if (mustExist && !fs.existsSync(file)) return noLock
    throw new StorageFailure({ reason: reason ?? "Io", detail: `${file}: ${detailOf(error)}` })
  }
}

const inodeOf = (file: string): number | null => fs.statSync(file, { throwIfNoEntry: false })?.ino ?? null
