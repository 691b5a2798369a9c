/**
 * A SQL transaction of a user's is fenced like a batch and has the log's connection to itself: first come the user's
 * statements, then the operations they lead to.
 */
import { TransactionConnection } from "@effect/sql/SqlClient"
import type { LaneFailed, NodeFenced } from "@holdfast/agents/CommitLog"
import { OperationRejected, RefusedInTransaction, TransactionTimeout } from "@holdfast/agents/CommitLog"
import * as UserTransaction from "@holdfast/agents/UserTransaction"
import type { StorageError } from "@holdfast/core/StorageError"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import type * as FiberRef from "effect/FiberRef"
import * as Batch from "./Batch.ts"
import * as CommitWriter from "./CommitWriter.ts"
import * as Migrations from "./Migrations.ts"
import * as NodeRows from "./NodeRows.ts"
import * as Sqlite from "./SqliteConnection.ts"
import type { SqlPlan, StatementFailure } from "./SqlPlan.ts"
import { StorageFailure } from "./StorageFailure.ts"
import * as UserConnection from "./UserConnection.ts"

/** What to run. */
export interface Request<A, E, R> {
  readonly user: Effect.Effect<A, E, R>
  readonly operationsOf: (value: A) => Batch.Unit
  readonly deadline: Duration.DurationInput | undefined
  /** Makes what the caller may interrupt interruptible; all else is waited for. */
  readonly restore: <B, E2, R2>(effect: Effect.Effect<B, E2, R2>) => Effect.Effect<B, E2, R2>
  /** Why operations cannot be written that storage has not been asked about; `null` where they can. */
  readonly refuse: (operations: Batch.Unit) => LaneFailed | null
}

/** What became of it, where its user succeeded. */
export type Ended<A> =
  | { readonly _tag: "Written"; readonly value: A; readonly answer: Batch.BatchAnswer }
  /** An operation was refused or could not be executed: nothing was written. */
  | { readonly _tag: "Refused"; readonly operations: Batch.Unit; readonly error: unknown }
  | { readonly _tag: "Failed"; readonly error: StorageError | NodeFenced }

/** The statements of the user transaction in which a fiber was started, by log. */
export type Current = FiberRef.FiberRef<UserConnection.InTransaction | null>

/**
 * Runs it, again where storage fails in a way that may pass, until the writer's deadline. The caller sees to it that nobody
 * else writes meanwhile, and masks it.
 */
export const run = <A, E, R>(
  writer: CommitWriter.Writer,
  current: Current,
  request: Request<A, E, R>
): Effect.Effect<Ended<A>, E | RefusedInTransaction | TransactionTimeout, R> =>
  Effect.flatMap(Clock.currentTimeNanos, (started) => {
    const attempt: Attempt<A> = { nowMillis: 0, pending: null, value: null }
    const again = (failure: StorageFailure): Effect.Effect<Ended<A>, E | Refusal, R> =>
      Effect.matchEffect(CommitWriter.pause(writer, "commit", failure, started), {
        onFailure: (error) =>
          Effect.sync(() => toEnded(attempt, CommitWriter.giveUp(writer, attempt, error))),
        onSuccess: () => tries
      })
    const tries: Effect.Effect<Ended<A>, E | Refusal, R> = Effect.flatMap(
      once(writer, current, request, attempt),
      (ended) => ended instanceof StorageFailure ? again(ended) : Effect.succeed(ended)
    )
    return tries
  })

type Refusal = RefusedInTransaction | TransactionTimeout

/** A transaction on its way. */
interface Attempt<A> {
  nowMillis: number
  pending: CommitWriter.Pending | null
  /** What the user yielded in the run whose COMMIT is pending. */
  value: { readonly of: A } | null
}

/** One try; yields a `StorageFailure` where it may be tried again. */
const once = <A, E, R>(
  writer: CommitWriter.Writer,
  current: Current,
  request: Request<A, E, R>,
  attempt: Attempt<A>
): Effect.Effect<Ended<A> | StorageFailure, E | Refusal, R> =>
  Effect.flatMap(Clock.currentTimeMillis, (nowMillis) => {
    attempt.nowMillis = nowMillis
    const begun = caught(() => begin(writer, attempt))
    if (begun instanceof StorageFailure) return Effect.succeed(begun)
    if (begun._tag !== "Ready") return Effect.succeed(toEnded(attempt, begun))
    const open = UserConnection.inTransaction(begun.connection)
    const user = Effect.locally(alone(request.user), current, open)
    return Effect.flatMap(request.restore(UserTransaction.run(user, request.deadline)), (exit) => {
      open.isOpen = false
      return conclude(writer, begun, open, request, attempt, exit)
    }).pipe(Effect.ensuring(Effect.sync(() => {
      open.isOpen = false
      if (attempt.pending === null) caught(() => Sqlite.abandon(begun.connection))
    })))
  })

/** Another client's transaction around this one is not this one's. */
const alone = <A, E, R>(user: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.mapInputContext(
    user,
    (context: Context.Context<R>) => Context.omit(TransactionConnection)(context) as Context.Context<R>
  )

const caught = <A>(use: () => A): A | StorageFailure => {
  try {
    return use()
  } catch (error) {
    if (error instanceof StorageFailure) return error
    throw error
  }
}

const begin = <A>(
  writer: CommitWriter.Writer,
  attempt: Attempt<A>
): CommitWriter.Ready | CommitWriter.Written => {
  const next = CommitWriter.ready(writer, attempt)
  if (next._tag !== "Ready") return next
  const { connection, membership } = next
  const { batch, identity } = membership
  const { nowMillis } = attempt
  const fenced = Sqlite.begin(
    connection,
    () => NodeRows.fence(identity, batch + 1, nowMillis, Migrations.schemaVersion)
  )
  writer.busySince = null
  if (fenced) return next
  Sqlite.abandon(connection)
  return CommitWriter.fencedOut(writer, membership)
}

const conclude = <A, E, R>(
  writer: CommitWriter.Writer,
  begun: CommitWriter.Ready,
  open: UserConnection.InTransaction,
  request: Request<A, E, R>,
  attempt: Attempt<A>,
  exit: Exit.Exit<A, E | TransactionTimeout>
): Effect.Effect<Ended<A> | StorageFailure, E | Refusal> => {
  if (open.failure !== null && !isOver(exit)) return Effect.succeed(open.failure)
  if (Exit.isFailure(exit)) return Effect.failCause(exit.cause)
  if (open.isRolledBack) return new RefusedInTransaction({ operation: "ROLLBACK" })
  const operations = request.operationsOf(exit.value)
  const refused = request.refuse(operations)
  if (refused !== null) return Effect.succeed({ _tag: "Refused", operations, error: refused })
  attempt.value = { of: exit.value }
  return Effect.succeed(caught(() => write(writer, begun, attempt, operations)))
}

/** Whether the user may not run again, whatever the storage did. */
const isOver = <A, E>(exit: Exit.Exit<A, E | TransactionTimeout>): boolean =>
  Exit.isFailure(exit) && (Cause.isInterrupted(exit.cause) || isTimeout(exit.cause))

const isTimeout = <E>(cause: Cause.Cause<E>): boolean => {
  const failure = Cause.failureOption(cause)
  return failure._tag === "Some" && failure.value instanceof TransactionTimeout
}

const write = <A>(
  writer: CommitWriter.Writer,
  { membership }: CommitWriter.Ready,
  attempt: Attempt<A>,
  operations: Batch.Unit
): Ended<A> => {
  let answer: Batch.BatchAnswer | null = null
  let refusal: unknown = null
  const { handlers } = writer.config
  const ended = Sqlite.finish(
    // The file may have been replaced meanwhile.
    CommitWriter.connect(writer),
    function*(): SqlPlan<Batch.BatchAnswer | typeof Sqlite.rollback> {
      answer = yield* Batch.oneByOne(handlers, membership.identity.id, [operations])
      const [unit] = answer.answers
      if (unit === undefined || Either.isRight(unit)) return answer
      refusal = unit.left
      return Sqlite.rollback
    }
  )
  switch (ended._tag) {
    case "Committed":
      return toEnded(attempt, CommitWriter.written(membership, ended.value))
    case "RolledBack":
      return {
        _tag: "Refused",
        operations,
        error: ended.statement === null ? refusal : rejected(ended.statement)
      }
    case "Failed":
      throw ended.failure
    case "Uncertain":
      attempt.pending = answer === null ? null : { membership, answer }
      throw ended.failure
  }
}

/** The database refused at COMMIT what the user wrote. */
const rejected = ({ detail }: StatementFailure): OperationRejected =>
  new OperationRejected({ operation: "within", lane: "", detail })

const toEnded = <A>({ value }: Attempt<A>, written: CommitWriter.Written): Ended<A> => {
  if (written._tag === "Failed") return written
  if (value === null) throw new Error("A transaction was committed whose user had not succeeded")
  return { _tag: "Written", value: value.of, answer: written.answer }
}
