/**
 * The commit writer holds the connection and the membership of a log, and writes one batch at a time through every fault
 * of the storage.
 */
import { NodeFenced } from "@holdfast/agents/CommitLog"
import type * as Operation from "@holdfast/agents/Operation"
import { StorageError } from "@holdfast/core/StorageError"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import * as Random from "effect/Random"
import * as Batch from "./Batch.ts"
import * as BlockedWriter from "./BlockedWriter.ts"
import type { Limits, Weight } from "./CommitBuffer.ts"
import * as Membership from "./Membership.ts"
import * as Migrations from "./Migrations.ts"
import * as NodeRows from "./NodeRows.ts"
import type { SqliteConnection } from "./SqliteConnection.ts"
import * as Sqlite from "./SqliteConnection.ts"
import type { SqlPlan } from "./SqlPlan.ts"
import * as StorageFailure from "./StorageFailure.ts"
import * as StoreHome from "./StoreHome.ts"

/** How a log writes. */
export interface Config {
  readonly filename: string
  readonly leaseMillis: number
  /** How long a batch is tried again while storage fails in a way that may pass. */
  readonly deadlineMillis: number
  readonly limits: Limits
  readonly handlers: Batch.Handlers
  readonly weigh: (op: Operation.Any) => Weight
  readonly open: (filename: string) => SqliteConnection
}

/** The connection and membership of a log, where it has them. */
export interface Writer {
  readonly config: Config
  connection: SqliteConnection | null
  membership: Membership.Membership | null
  /** The inode of the file when it was first opened; null before. */
  inode: number | null
  /** The membership that was left without knowing whether its last batch was written. */
  retired: NodeRows.NodeIdentity | null
  /** Since when the file was busy whenever it was tried, in monotonic nanoseconds; null when it was free the last time. */
  busySince: bigint | null
  /** Completes when the present membership ends. */
  fenced: Deferred.Deferred<NodeFenced>
}

/** What became of a batch. */
export type Written =
  | { readonly _tag: "Written"; readonly answer: Batch.BatchAnswer }
  | { readonly _tag: "Failed"; readonly error: StorageError | NodeFenced }

/** Makes a writer that has nothing open yet. */
export const make = (config: Config): Effect.Effect<Writer> =>
  Effect.map(Deferred.make<NodeFenced>(), (fenced) => ({
    config,
    connection: null,
    membership: null,
    inode: null,
    retired: null,
    busySince: null,
    fenced
  }))

/** Opens the store, brings its schema up to date, and joins it. */
export const open = (writer: Writer): Effect.Effect<Migrations.Migrated, StorageError> =>
  Effect.flatMap(
    Effect.all([Clock.currentTimeMillis, Effect.sync(() => globalThis.crypto.randomUUID())]),
    ([now, id]) =>
      retrying(writer, "open", () => {
        const connection = connect(writer)
        const migrated = Sqlite.committed(
          Sqlite.transact(connection, () => Migrations.migrate(id, now, StoreHome.of(writer.config.filename)))
        )
        join(writer, connection, now)
        return migrated
      })
  ).pipe(Effect.tapError(() => Effect.sync(() => disconnect(writer))))

/** Writes the units as one batch; a batch of none renews the lease. */
export const write = (writer: Writer, units: ReadonlyArray<Batch.Unit>): Effect.Effect<Written> =>
  Effect.flatMap(Clock.currentTimeMillis, (nowMillis) => {
    const attempt: Attempt = { units, nowMillis, mode: "together", pending: null }
    return retrying(writer, "commit", () => writeOnce(writer, attempt)).pipe(
      Effect.catchAll((error) => Effect.succeed(giveUp(writer, attempt, error)))
    )
  })

/** Leaves the store with the operations that `leaving` makes, and closes the file. */
export const leave = (
  writer: Writer,
  leaving: (node: NodeRows.NodeIdentity) => Effect.Effect<Batch.Unit>
): Effect.Effect<void> =>
  Effect.suspend(() =>
    writer.membership === null
      ? Effect.void
      : Effect.flatMap(leaving(writer.membership.identity), (operations) => write(writer, [operations]))
  ).pipe(
    Effect.zipRight(Effect.sync(() => {
      writer.membership?.lock.release()
      writer.membership = null
      disconnect(writer)
    }))
  )

/** A batch on its way. */
interface Attempt {
  readonly units: ReadonlyArray<Batch.Unit>
  readonly nowMillis: number
  mode: "together" | "oneByOne"
  pending: Pending | null
}

/** A COMMIT whose answer was lost, until it is learnt what became of it. */
export interface Pending {
  readonly membership: Membership.Membership
  readonly answer: Batch.BatchAnswer
}

/** One try: throws a `StorageFailure` where it may be tried again. */
const writeOnce = (writer: Writer, attempt: Attempt): Written => {
  const next = ready(writer, attempt)
  if (next._tag !== "Ready") return next
  const { connection, membership } = next
  const ended = transact(writer.config, connection, membership, attempt)
  if (ended === "fenced") return fencedOut(writer, membership)
  if (ended !== "again") return written(membership, ended)
  attempt.mode = "oneByOne"
  return writeOnce(writer, attempt)
}

/** A store that is open and joined. */
export interface Ready {
  readonly _tag: "Ready"
  readonly connection: SqliteConnection
  readonly membership: Membership.Membership
}

/** Gets ready for the next try, or yields what became of the last one. Throws a `StorageFailure` where it cannot tell. */
export const ready = (
  writer: Writer,
  attempt: { readonly nowMillis: number; pending: Pending | null }
): Ready | Written => {
  if (attempt.pending !== null) {
    const fate = learnFate(writer, attempt.pending)
    if (fate !== null) return fate
    attempt.pending = null
  }
  const connection = connect(writer)
  const membership = writer.membership ?? join(writer, connection, attempt.nowMillis)
  return { _tag: "Ready", connection, membership }
}

const transact = (
  config: Config,
  connection: SqliteConnection,
  membership: Membership.Membership,
  attempt: Attempt
): Batch.BatchAnswer | "fenced" | "again" => {
  const { batch, identity } = membership
  let stopped: "fenced" | "again" = "again"
  let answer: Batch.BatchAnswer | null = null
  const ended = Sqlite.transact(connection, function*(): SqlPlan<Batch.BatchAnswer | typeof Sqlite.rollback> {
    if (!(yield* NodeRows.fence(identity, batch + 1, attempt.nowMillis, Migrations.schemaVersion))) {
      stopped = "fenced"
      return Sqlite.rollback
    }
    const execute = attempt.mode === "together" ? Batch.together : Batch.oneByOne
    answer = yield* execute(config.handlers, identity.id, attempt.units)
    return answer ?? Sqlite.rollback
  })
  switch (ended._tag) {
    case "Committed":
      return ended.value
    case "RolledBack":
      if (attempt.mode === "oneByOne" && stopped === "again") {
        throw ended.statement ?? new Error("A batch was refused twice")
      }
      return stopped
    case "Failed":
      throw ended.failure
    case "Uncertain":
      attempt.pending = answer === null ? null : { membership, answer }
      throw ended.failure
  }
}

/**
 * What became of a COMMIT whose answer was lost; `null` where it was not written. It is read on a new connection: the old
 * one may still be inside the transaction.
 */
const learnFate = (writer: Writer, { answer, membership }: Pending): Written | null => {
  disconnect(writer)
  const last = Sqlite.read(connect(writer), () => NodeRows.lastBatch(membership.identity))
  // Also of a node that was declared dead since: its next batch learns that.
  if (last !== null && last.batch > membership.batch) return written(membership, answer)
  if (last?.alive === true) return null
  const fenced = fencedOut(writer, membership)
  return last === null ? { _tag: "Failed", error: forgotten } : fenced
}

const forgotten = new StorageError({
  operation: "commit",
  reason: "Io",
  outcome: "unknown",
  detail: "the answer to COMMIT was lost, and the node was removed before it could be learnt"
})

/** Counts a batch that was committed. */
export const written = (membership: Membership.Membership, answer: Batch.BatchAnswer): Written => {
  membership.batch += 1
  return { _tag: "Written", answer }
}

/** Ends the membership: whoever waits for that learns it, and the next batch joins under a new id. */
export const fencedOut = (writer: Writer, { identity, lock }: Membership.Membership): Written => {
  const { fenced } = writer
  const error = new NodeFenced({ node: identity.id })
  lock.release()
  writer.membership = null
  writer.fenced = Deferred.unsafeMake(FiberId.none)
  Deferred.unsafeDone(fenced, Effect.succeed(error))
  return { _tag: "Failed", error }
}

/**
 * Where the fate of a COMMIT is still not known, the membership is given up with it: under the next one, whatever the
 * lost batch had claimed is taken over like that of any dead node.
 */
export const giveUp = (
  writer: Writer,
  { pending }: { readonly pending: Pending | null },
  error: StorageError
): Written => {
  if (pending === null) return { _tag: "Failed", error }
  try {
    return learnFate(writer, pending) ?? { _tag: "Failed", error }
  } catch (failure) {
    if (!(failure instanceof StorageFailure.StorageFailure)) throw failure
  }
  writer.retired = pending.membership.identity
  if (writer.membership !== null) fencedOut(writer, writer.membership)
  return { _tag: "Failed", error: new StorageError({ ...error, outcome: "unknown" }) }
}

/** A file that is not the one it was any more ends the membership: whatever were written to the old one would be lost. */
export const connect = (writer: Writer): SqliteConnection => {
  const { connection, inode, membership } = writer
  const { filename } = writer.config
  if (inode !== null && !StoreHome.isSame(filename, inode)) {
    if (membership !== null) fencedOut(writer, membership)
    disconnect(writer)
    throw StoreHome.movedAway(filename)
  }
  if (connection !== null) return connection
  writer.connection = writer.config.open(filename)
  writer.inode ??= StoreHome.of(filename).inode
  return writer.connection
}

const disconnect = (writer: Writer): void => {
  const { connection } = writer
  writer.connection = null
  try {
    connection?.close()
  } catch (error) {
    // A connection that cannot be closed is lost as well; a bug is thrown on.
    StorageFailure.reasonOf(error)
  }
}

const join = (writer: Writer, connection: SqliteConnection, nowMillis: number): Membership.Membership => {
  const membership = Membership.make(writer.config, nowMillis)
  const { retired } = writer
  try {
    Sqlite.committed(Sqlite.transact(connection, function*() {
      yield* Migrations.refuseNewer()
      if (retired !== null) yield* NodeRows.markDead(retired.id, retired.epoch)
      yield* NodeRows.join(membership.identity, Migrations.schemaVersion)
    }))
  } catch (error) {
    membership.lock.release()
    throw error
  }
  writer.retired = null
  writer.membership = membership
  return membership
}

/** Tries for as long as the failure may pass and the deadline is not over; reopens the file after all but a busy one. */
const retrying = <A>(writer: Writer, operation: string, use: () => A): Effect.Effect<A, StorageError> =>
  Effect.flatMap(Clock.currentTimeNanos, (started) => {
    const attempt: Effect.Effect<A, StorageError> = Effect.suspend(() => {
      try {
        const result = use()
        writer.busySince = null
        return Effect.succeed(result)
      } catch (error) {
        if (!(error instanceof StorageFailure.StorageFailure)) throw error
        return Effect.zipRight(pause(writer, operation, error, started), attempt)
      }
    })
    return attempt
  })

/** Waits after a failure that may pass, and fails with one that does not, or when the deadline is over. */
export const pause = (
  writer: Writer,
  operation: string,
  failure: StorageFailure.StorageFailure,
  started: bigint
): Effect.Effect<void, StorageError> =>
  Effect.gen(function*() {
    const nanos = yield* Clock.currentTimeNanos
    const busy = failure.reason === "Busy"
    writer.busySince = busy ? writer.busySince ?? nanos : null
    const blocker = yield* findBlocker(writer, nanos)
    const over = Number(nanos - started) / 1e6 > writer.config.deadlineMillis
    if (over || !StorageFailure.isTransient(failure.reason)) {
      const detail = blocker === null ? failure.detail : `${failure.detail}; ${blocker}`
      return yield* StorageFailure.toError(
        new StorageFailure.StorageFailure({ ...failure, detail }),
        operation
      )
    }
    if (!busy) disconnect(writer)
    yield* Effect.sleep(yield* Random.nextIntBetween(1, busy ? busyPauseMillisMax : faultPauseMillisMax))
  })

/** Who keeps the file busy, where it has been for long; a stopped node of ours is ended. */
const findBlocker = (
  { busySince, config, connection }: Writer,
  nanos: bigint
): Effect.Effect<string | null> => {
  const busyMillis = busySince === null ? 0 : Number(nanos - busySince) / 1e6
  return busyMillis < BlockedWriter.busyMillisMin || connection === null
    ? Effect.succeed(null)
    : BlockedWriter.unblock(connection, config.filename, busyMillis)
}

/** **Source** `durability.md`, rule 8. */
const busyPauseMillisMax = 25

const faultPauseMillisMax = 250
