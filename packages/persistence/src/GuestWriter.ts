/**
 * A guest writer adds rows to a store as somebody who is none of its nodes: commands and messages, which nodes pick up.
 */
import type { StorageError } from "@holdfast/core/StorageError"
import * as Effect from "effect/Effect"
import * as Sqlite from "./SqliteConnection.ts"
import * as SqliteReader from "./SqliteReader.ts"
import type { SqlPlan } from "./SqlPlan.ts"

/**
 * Runs a plan in a transaction of its own on an existing store; `NotFound` where there is none.
 *
 * **Source** `durability.md`, rule 7: the plan inserts command, signal, inbox and task rows, and nothing else.
 */
export const write = <A>(
  filename: string,
  operation: string,
  plan: () => SqlPlan<A>
): Effect.Effect<A, StorageError> =>
  Effect.acquireUseRelease(
    SqliteReader.whileBusy(operation, () => Sqlite.openExisting(filename)),
    (connection) =>
      SqliteReader.whileBusy(operation, () => Sqlite.committed(Sqlite.transact(connection, plan))),
    (connection) => Effect.sync(() => connection.close())
  )
