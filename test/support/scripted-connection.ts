import type { SqliteConnection } from "@holdfast/persistence/SqliteConnection"
import * as Connection from "@holdfast/persistence/SqliteConnection"
import type { Statement } from "@holdfast/persistence/SqlPlan"
import { StorageFailure } from "@holdfast/persistence/StorageFailure"
import { sqliteError } from "./faulty-connection.ts"

/** What becomes of a statement that was let down by its storage. */
export interface ScriptedFault {
  /** How many statements are executed between the fault before and this one. */
  readonly after: number
  /** `crash`: the process ends; from then on nothing can be reached. */
  readonly code: "SQLITE_BUSY" | "SQLITE_FULL" | "SQLITE_IOERR_WRITE" | "crash"
  /** Whether the statement was done, was not, or was undone with its whole transaction. */
  readonly done: "before" | "after" | "rolledBack"
}

/** A file whose storage fails as its script says, over however many connections. */
export interface ScriptedSqlite {
  readonly open: (filename: string) => SqliteConnection
  /** Transactions are told that the file is busy for as long as this says so. */
  held: () => boolean
  readonly crashed: () => boolean
}

/** Makes it; `onCrash` is called at the moment of the crash. */
export const make = (
  script: ReadonlyArray<ScriptedFault>,
  onCrash: (filename: string) => void = () => undefined
): ScriptedSqlite => {
  const faults = [...script]
  let countdown = faults[0]?.after ?? Infinity
  let crashed = false
  const gone = () => {
    if (crashed) throw new StorageFailure({ reason: "Corrupt", detail: "the process has crashed" })
  }
  const next = (): ScriptedFault | undefined => {
    if (countdown > 0) {
      countdown -= 1
      return undefined
    }
    const fault = faults.shift()
    countdown = faults[0]?.after ?? Infinity
    return fault
  }
  const fail = (
    connection: SqliteConnection,
    filename: string,
    fault: ScriptedFault,
    statement: Statement
  ) => {
    if (fault.done === "after") connection.execute(statement)
    if (fault.done === "rolledBack" && connection.inTransaction()) {
      connection.execute({ sql: "ROLLBACK", params: [] })
    }
    if (fault.code === "crash") {
      onCrash(filename)
      crashed = true
      throw sqliteError("SQLITE_CORRUPT", "the process has crashed")
    }
    throw sqliteError(fault.code, "scripted")
  }
  const scripted: ScriptedSqlite = {
    open: (filename) => {
      gone()
      const connection = Connection.open(filename)
      return {
        ...connection,
        execute: (statement) => {
          gone()
          if (statement.sql === "BEGIN IMMEDIATE" && scripted.held()) throw sqliteError("SQLITE_BUSY", "held")
          const fault = next()
          return fault === undefined
            ? connection.execute(statement)
            : fail(connection, filename, fault, statement)
        }
      }
    },
    held: () => false,
    crashed: () => crashed
  }
  return scripted
}
