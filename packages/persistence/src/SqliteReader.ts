/**
 * A reader runs plans of reads on a connection of its own, which cannot write.
 */
import type { StorageError } from "@holdfast/core/StorageError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as Migrations from "./Migrations.ts"
import * as Sqlite from "./SqliteConnection.ts"
import type { SqlPlan } from "./SqlPlan.ts"
import { StorageFailure, toError } from "./StorageFailure.ts"

/** Reads. Each plan runs in one synchronous turn, so that none holds back a checkpoint. */
export interface SqliteReader {
  readonly read: <A>(operation: string, plan: () => SqlPlan<A>) => Effect.Effect<A, StorageError>
}

/** How long a busy file is tried again: 10 seconds. **Source** `durability.md`, rule 8. */
export const busyMillisMax = 10_000

/** Opens an existing store for reading; `NotFound` where there is none, `Unsupported` where it is not one of ours. */
export const open = (filename: string): Effect.Effect<SqliteReader, StorageError, Scope.Scope> =>
  Effect.gen(function*() {
    const connection = yield* Effect.acquireRelease(
      whileBusy("open", () => Sqlite.openReadOnly(filename)),
      (connection) => Effect.sync(() => connection.close())
    )
    const read: SqliteReader["read"] = (operation, plan) =>
      whileBusy(operation, () => Sqlite.read(connection, plan))
    yield* read("open", () => Migrations.requireStore(filename))
    return { read }
  })

/** Tries a synchronous use of a file again while another process keeps it busy. */
export const whileBusy = <A>(operation: string, use: () => A): Effect.Effect<A, StorageError> =>
  Effect.flatMap(Clock.currentTimeNanos, (started) => {
    const attempt: Effect.Effect<A, StorageError> = Effect.suspend(() => {
      try {
        return Effect.succeed(use())
      } catch (error) {
        if (!(error instanceof StorageFailure)) throw error
        return Effect.zipRight(pause(operation, error, started), attempt)
      }
    })
    return attempt
  })

const pause = (
  operation: string,
  failure: StorageFailure,
  started: bigint
): Effect.Effect<void, StorageError> =>
  Effect.gen(function*() {
    const elapsedMillis = Number((yield* Clock.currentTimeNanos) - started) / 1e6
    if (failure.reason !== "Busy" || elapsedMillis > busyMillisMax) return yield* toError(failure, operation)
    yield* Effect.sleep(yield* Random.nextIntBetween(1, 25))
  })
