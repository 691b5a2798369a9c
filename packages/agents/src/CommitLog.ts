/**
 * The commit log is the one write port: everything durable goes through it as operations.
 */
import type { StorageError } from "@holdfast/core/StorageError"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import { globalValue } from "effect/GlobalValue"
import * as Schema from "effect/Schema"
import type * as Operation from "./Operation.ts"

/**
 * This process was declared dead, or lost sight of its own commits; what it had claimed belongs to others now.
 *
 * The log joins again under a new id by itself. Remedy: drop what was in hand and claim anew.
 */
export class NodeFenced extends Schema.TaggedError<NodeFenced>()("NodeFenced", { node: Schema.String }) {
  override get message(): string {
    return `node ${this.node} was fenced: what it had claimed belongs to others now`
  }
}

/** An earlier operation of the lane could not be executed, so this one, which may build on it, was not tried. */
export class LaneFailed extends Schema.TaggedError<LaneFailed>()("LaneFailed", {
  lane: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `an earlier operation of lane ${this.lane} was rejected: ${this.detail}`
  }
}

/** The storage could not execute this operation, tried alone: it and the later ones of its lane have left no trace. */
export class OperationRejected extends Schema.TaggedError<OperationRejected>()("OperationRejected", {
  operation: Schema.String,
  lane: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `${this.operation} of lane ${this.lane} was rejected: ${this.detail}`
  }
}

/**
 * What must not be done inside a user transaction was tried there: another transaction, an ask. It was not done.
 *
 * `operation` names it; a statement of SQL by its first word. Remedy: do it before or after.
 */
export class RefusedInTransaction extends Schema.TaggedError<RefusedInTransaction>()("RefusedInTransaction", {
  operation: Schema.String
}) {
  override get message(): string {
    return `${this.operation} is refused inside a user transaction: do it before or after`
  }
}

/** A user transaction did not come to its end in time, and nothing of it was written. Remedy: do less in it. */
export class TransactionTimeout extends Schema.TaggedError<TransactionTimeout>()("TransactionTimeout", {
  limitMillis: Schema.Number
}) {
  override get message(): string {
    return `a user transaction did not end within ${this.limitMillis} ms and was rolled back`
  }
}

/** How any commit can fail, beside the refusals of its operations. */
export type CommitError = StorageError | NodeFenced | LaneFailed | OperationRejected

/** How any user transaction can fail, beside its user and the refusals of its operations. */
export type TransactionError = CommitError | RefusedInTransaction | TransactionTimeout

/** How long a user transaction may take: 5 seconds. */
export const transactionDeadline = Duration.seconds(5)

/** What a user transaction came to. */
export interface Transacted<A, Ops extends ReadonlyArray<Operation.Any>> {
  /** What the user's effect yielded in the run that was committed. */
  readonly value: A
  readonly results: Operation.Results<Ops>
}

/**
 * The one write port.
 *
 * **Source** `durability.md`, rules 1-7.
 */
export class CommitLog extends Context.Tag("@holdfast/agents/CommitLog")<CommitLog, {
  /**
   * Writes the operations as one unit, all or nothing, and returns their results once they are durable.
   *
   * Units submitted at the same time share a transaction. Interrupting a unit that is not being written withdraws it;
   * one that is being written is waited for. Inside a user transaction a commit is rejected at once.
   */
  readonly commit: <const Ops extends ReadonlyArray<Operation.Any>>(
    operations: Ops
  ) => Effect.Effect<Operation.Results<Ops>, CommitError | Operation.Refusal<Ops[number]>>
  /**
   * Runs `user`, then applies the operations it leads to, in one fenced transaction that nobody else's commits share;
   * returns once it is durable.
   *
   * On SQL storage the statements of `user` are part of that transaction. Its failure, defect or interruption, the deadline
   * (5 s by default, from the moment the transaction is open) and a refused operation leave nothing of either. Where storage
   * fails, `user` may run twice; it is committed once. What is committed meanwhile waits, so `user` has to be short. It
   * keeps its turn among the commits of its caller. Inside, a `commit` is rejected at once, and `within` and SQL of
   * transactions are refused.
   */
  readonly within: <A, E, R, const Ops extends ReadonlyArray<Operation.Any>>(
    user: Effect.Effect<A, E, R>,
    then: (value: A) => Ops,
    options?: { readonly deadline?: Duration.DurationInput }
  ) => Effect.Effect<Transacted<A, Ops>, E | TransactionError | Operation.Refusal<Ops[number]>, R>
  /** Completes when the process's present membership ends; what it claimed until then is no longer its own. */
  readonly fenced: Effect.Effect<NodeFenced>
}>() {}

/** A user transaction, as the fibers that run in it know it. */
export interface OpenTransaction {
  /** False when it has ended, however it did. */
  isOpen: boolean
}

/** The user transaction in which a fiber was started; it may have ended since. */
export const currentTransaction: FiberRef.FiberRef<OpenTransaction | null> = globalValue(
  Symbol.for("@holdfast/agents/CommitLog/currentTransaction"),
  () => FiberRef.unsafeMake<OpenTransaction | null>(null)
)

/** Whether this fiber runs inside a user transaction that is open. */
export const insideTransaction: Effect.Effect<boolean> = Effect.withFiberRuntime((fiber) =>
  Effect.succeed(isInside(fiber))
)

/** An effect, named by `operation`, that is refused inside a user transaction. */
export const outsideTransaction = <A, E, R>(
  operation: string,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E | RefusedInTransaction, R> =>
  Effect.withFiberRuntime<A, E | RefusedInTransaction, R>((fiber) =>
    isInside(fiber) ? new RefusedInTransaction({ operation }) : effect
  )

/** The commit of these operations, which is rejected inside a user transaction. */
export const commitOutside = <A, E>(
  operations: ReadonlyArray<Operation.Any>,
  commit: Effect.Effect<A, E>
): Effect.Effect<A, E | OperationRejected> =>
  Effect.withFiberRuntime<A, E | OperationRejected>((fiber) =>
    isInside(fiber) ? rejectedInside(operations) : commit
  )

const isInside = (fiber: Fiber.RuntimeFiber<unknown, unknown>): boolean =>
  fiber.getFiberRef(currentTransaction)?.isOpen === true

const rejectedInside = ([first]: ReadonlyArray<Operation.Any>): OperationRejected =>
  new OperationRejected({
    operation: first?._tag ?? "commit",
    lane: first?.lane ?? "",
    detail: "it was committed inside a user transaction; return it from `then` instead"
  })
