/**
 * A user connection lets users' SQL at a SQLite connection, in the shape in which `@effect/sql` uses one.
 */
import { SafeIntegers } from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import { RefusedInTransaction } from "@holdfast/agents/CommitLog"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Stream from "effect/Stream"
import type { SqliteConnection, UserQuery } from "./SqliteConnection.ts"
import * as SqliteReader from "./SqliteReader.ts"
import { detailOf, reasonOf, StorageFailure } from "./StorageFailure.ts"
import * as UserStatement from "./UserStatement.ts"

/** The statements of a user transaction. */
export interface InTransaction {
  readonly connection: Connection
  /** What storage failed with under a statement: nothing of the transaction can be committed then. */
  failure: StorageFailure | null
  /** Whether a statement's own `ROLLBACK` clause ended the transaction. */
  isRolledBack: boolean
  /** Statements are refused when it is not. */
  isOpen: boolean
}

/** Opens a connection inside whose transaction a user's statements are to run. */
export const inTransaction = (sqlite: SqliteConnection): InTransaction => {
  const open: InTransaction = {
    connection: toConnection((query) => executeIn(open, sqlite, query)),
    failure: null,
    isRolledBack: false,
    isOpen: true
  }
  return open
}

/** A connection that only reads. */
export const reading = (sqlite: SqliteConnection): Connection =>
  toConnection((query) => {
    const word = UserStatement.refusedWord(query.sql)
    if (word !== null) return new SqlError({ message: `${word} is refused: ${readsOnly}` })
    const answer = SqliteReader.whileBusy("sql", () => read(sqlite, query))
    return Effect.flatten(Effect.mapError(answer, (cause) => new SqlError({ cause, message: cause.detail })))
  })

/** The remedy of whoever would do more. */
export const readsOnly = "outside CommitLog.within this SqlClient only reads, one statement at a time"

const executeIn = (
  open: InTransaction,
  sqlite: SqliteConnection,
  query: UserQuery
): Effect.Effect<unknown, SqlError> => {
  const word = UserStatement.refusedWord(query.sql)
  if (word !== null) return refusal(word)
  if (!open.isOpen) return new SqlError({ message: "the transaction of this statement has ended" })
  if (open.failure !== null) return failed(open.failure)
  if (open.isRolledBack) return refusal("ROLLBACK")
  try {
    return Effect.succeed(sqlite.query(query))
  } catch (error) {
    open.failure = storageFailure(error)
    return failed(error)
  } finally {
    open.isRolledBack = !sqlite.inTransaction()
  }
}

const refusal = (operation: string): SqlError => {
  const cause = new RefusedInTransaction({ operation })
  return new SqlError({ cause, message: cause.message })
}

const failed = (cause: unknown): SqlError => new SqlError({ cause, message: detailOf(cause) })

const storageFailure = (error: unknown): StorageFailure | null => {
  if (error instanceof StorageFailure) return error
  const reason = reasonOf(error)
  return reason === null ? null : new StorageFailure({ reason, detail: detailOf(error) })
}

/** A write is the statement's fault here, and no failure of the storage. */
const read = (sqlite: SqliteConnection, query: UserQuery): Either.Either<unknown, SqlError> => {
  try {
    return Either.right(sqlite.query(query))
  } catch (error) {
    const failure = storageFailure(error)
    if (failure === null) return Either.left(failed(error))
    if (failure.reason !== "ReadOnly") throw failure
    return Either.left(new SqlError({ cause: error, message: `${failure.detail}: ${readsOnly}` }))
  }
}

const toConnection = (execute: (query: UserQuery) => Effect.Effect<unknown, SqlError>): Connection => {
  const ask = <A>(answer: UserQuery["answer"], sql: string, params: ReadonlyArray<unknown>) =>
    Effect.withFiberRuntime<A, SqlError>((fiber) => {
      const bigints = Context.get(fiber.currentContext, SafeIntegers)
      // The driver answers in the shape that was asked for.
      return execute({ sql, params, answer, bigints }) as Effect.Effect<A, SqlError>
    })
  const rows: Connection["execute"] = (sql, params, transform) => {
    const found = ask<ReadonlyArray<object>>("rows", sql, params)
    return transform === undefined ? found : Effect.map(found, transform)
  }
  return {
    execute: rows,
    executeUnprepared: rows,
    executeRaw: (sql, params) => ask("raw", sql, params),
    executeValues: (sql, params) => ask("values", sql, params),
    // A statement that is read bit by bit would hold back checkpoints.
    executeStream: (sql, params, transform) => Stream.fromIterableEffect(rows(sql, params, transform))
  }
}
