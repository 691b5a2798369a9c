import type { SqliteConnection } from "@holdfast/persistence/SqliteConnection"
import * as Connection from "@holdfast/persistence/SqliteConnection"
import { StorageFailure } from "@holdfast/persistence/StorageFailure"

/** What becomes of the next COMMIT that is to be lost: whether it was done before its answer went astray. */
export interface LostCommit {
  readonly done: boolean
  readonly code: string
}

/** A file whose storage fails on demand. */
export interface FaultySqlite {
  readonly open: (filename: string) => SqliteConnection
  /** Loses COMMITs of transactions that write tasks for as long as it is not null. */
  lose: LostCommit | null
  /** Nothing can be opened while this is true. */
  gone: boolean
  /** Makes it gone when a COMMIT was lost. */
  goneAfter: boolean
}

/** A file whose storage does not fail yet. */
export const make = (): FaultySqlite => {
  const faults: FaultySqlite = {
    open: (filename) => {
      if (faults.gone) throw new StorageFailure({ reason: "Io", detail: "the device is gone" })
      return faulty(faults, Connection.open(filename))
    },
    lose: null,
    gone: false,
    goneAfter: false
  }
  return faults
}

const faulty = (faults: FaultySqlite, connection: SqliteConnection): SqliteConnection => {
  let wroteTasks = false
  return {
    ...connection,
    execute: (statement) => {
      if (faults.gone) throw sqliteError("SQLITE_IOERR", "the device is gone")
      if (statement.sql === "BEGIN IMMEDIATE") wroteTasks = false
      if (/\b(UPDATE|INTO) tasks\b/.test(statement.sql)) wroteTasks = true
      if (statement.sql !== "COMMIT" || !wroteTasks || faults.lose === null) {
        return connection.execute(statement)
      }
      const { code, done } = faults.lose
      if (done) connection.execute(statement)
      faults.gone = faults.goneAfter
      throw sqliteError(code, "the answer was lost")
    }
  }
}

/** An error as the driver throws it. */
export const sqliteError = (code: string, message: string): Error =>
  Object.assign(new Error(message), { code })
