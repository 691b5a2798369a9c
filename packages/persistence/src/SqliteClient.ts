/**
 * A SQLite client is the `SqlClient` of `@effect/sql` over a store: it reads on a connection of its own, and is part of the
 * log's transaction inside `CommitLog.within`, where alone it writes.
 *
 * User SQL holds the one writer there, and the file: every other commit waits until it is over, so it must be short.
 */
import type { Reactivity } from "@effect/experimental/Reactivity"
import * as SqlClient from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import * as Statement from "@effect/sql/Statement"
import { insideTransaction, RefusedInTransaction } from "@holdfast/agents/CommitLog"
import type { StorageError } from "@holdfast/core/StorageError"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Sqlite from "./SqliteConnection.ts"
import * as SqliteReader from "./SqliteReader.ts"
import * as UserConnection from "./UserConnection.ts"

/** Makes the client of a file. `transaction` yields the connection of the user transaction that a fiber is in, or `null`. */
export const make = (
  filename: string,
  transaction: Effect.Effect<Connection | null>
): Effect.Effect<SqlClient.SqlClient, StorageError, Reactivity | Scope.Scope> =>
  Effect.gen(function*() {
    const sqlite = yield* Effect.acquireRelease(
      SqliteReader.whileBusy("open", () => openReading(filename)),
      (connection) => Effect.sync(() => connection.close())
    )
    const reading = UserConnection.reading(sqlite)
    return yield* SqlClient.make({
      acquirer: Effect.map(transaction, (connection) => connection ?? reading),
      transactionAcquirer: noTransaction,
      compiler: Statement.makeCompilerSqlite(),
      spanAttributes: [["db.system.name", "sqlite"]]
    })
  })

const openReading = (filename: string): Sqlite.SqliteConnection => {
  const connection = Sqlite.openReadOnly(filename)
  connection.execute({ sql: "PRAGMA query_only = ON", params: [] })
  return connection
}

const noTransaction: Effect.Effect<never, SqlError> = Effect.flatMap(insideTransaction, (inside) => {
  if (!inside) return new SqlError({ message: `withTransaction is refused: ${UserConnection.readsOnly}` })
  const cause = new RefusedInTransaction({ operation: "withTransaction" })
  return new SqlError({ cause, message: cause.message })
})
