import type { SqliteConnection } from "@holdfast/persistence/SqliteConnection"
import * as Connection from "@holdfast/persistence/SqliteConnection"

/** A statement of a transaction, and how many rows it answered. */
export interface Executed {
  readonly sql: string
  readonly rows: number
}

/** Opens a connection that shows what each transaction has done just before it is committed. */
export const openWatched =
  (beforeCommit: (statements: ReadonlyArray<Executed>) => void) => (filename: string): SqliteConnection => {
    const connection = Connection.open(filename)
    let statements: Array<Executed> = []
    return {
      ...connection,
      execute: (statement) => {
        const { sql } = statement
        if (sql === "COMMIT") beforeCommit(statements)
        const rows = connection.execute(statement)
        if (sql === "BEGIN IMMEDIATE") statements = []
        else statements.push({ sql, rows: rows.length })
        return rows
      }
    }
  }

/** How many rows of `tasks` were written. */
export const tasksWritten = (statements: ReadonlyArray<Executed>): number =>
  statements.filter(({ sql }) => /\b(UPDATE|INTO) tasks\b/.test(sql)).reduce((sum, { rows }) => sum + rows, 0)
