/**
 * The commit writer holds the connection and the membership of a log, and writes one batch at a time through every fault
 * of the storage.
 */
import { NodeFenced, StorageError } from "@holdfast/agents/CommitLog"
import type * as Operation from "@holdfast/agents/Operation"
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
  )

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

/** A batch on its way. `pending` is the answer of a COMMIT that was lost, until it is learnt what became of it. */
interface Attempt {
  readonly units: ReadonlyArray<Batch.Unit>
  readonly nowMillis: number
  mode: "together" | "oneByOne"
  pending: Batch.BatchAnswer | null
}

/** One try: throws a `StorageFailure` where it may be tried again. */
const writeOnce = (writer: Writer, attempt: Attempt): Written => {
  const connection = connect(writer)
  if (attempt.units.every((unit) => unit.length === 0)) {
    StoreHome.requireSame(writer.config.filename, writer.inode)
  }
  const membership = writer.membership ?? join(writer, connection, attempt.nowMillis)
  if (attempt.pending !== null) {
    const last = Sqlite.read(connection, () => NodeRows.lastBatch(membership.identity))
    if (last === null) return fencedOut(writer, membership)
    if (last > membership.batch) return written(membership, attempt.pending)
    attempt.pending = null
  }
  const ended = transact(writer.config, connection, membership, attempt)
  if (ended === "fenced") return fencedOut(writer, membership)
  if (ended !== "again") return written(membership, ended)
  attempt.mode = "oneByOne"
  return writeOnce(writer, attempt)
}

const transact = (
  config: Config,
  connection: SqliteConnection,
  { batch, identity }: Membership.Membership,
  attempt: Attempt
): Batch.BatchAnswer | "fenced" | "again" => {
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
      attempt.pending = answer
      throw ended.failure
  }
}

const written = (membership: Membership.Membership, answer: Batch.BatchAnswer): Written => {
  membership.batch += 1
  return { _tag: "Written", answer }
}

const fencedOut = (writer: Writer, membership: Membership.Membership): Written => {
  const error = new NodeFenced({ node: membership.identity.id })
  endMembership(writer, membership, error)
  return { _tag: "Failed", error }
}

const endMembership = (writer: Writer, { lock }: Membership.Membership, error: NodeFenced): void => {
  const { fenced } = writer
  lock.release()
  writer.membership = null
  writer.fenced = Deferred.unsafeMake(FiberId.none)
  Deferred.unsafeDone(fenced, Effect.succeed(error))
}

/**
 * Where the fate of a COMMIT is still not known, the membership is given up with it: under the next one, whatever the
 * lost batch had claimed is taken over like that of any dead node.
 */
const giveUp = (writer: Writer, attempt: Attempt, error: StorageError): Written => {
  const { membership } = writer
  if (attempt.pending === null || membership === null) return { _tag: "Failed", error }
  writer.retired = membership.identity
  endMembership(writer, membership, new NodeFenced({ node: membership.identity.id }))
  return { _tag: "Failed", error: new StorageError({ ...error, outcome: "unknown" }) }
}

const connect = (writer: Writer): SqliteConnection => {
  if (writer.connection !== null) return writer.connection
  const { filename } = writer.config
  if (writer.inode !== null) StoreHome.requireSame(filename, writer.inode)
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
        return Effect.succeed(use())
      } catch (error) {
        if (!(error instanceof StorageFailure.StorageFailure)) throw error
        return Effect.zipRight(pause(writer, operation, error, started), attempt)
      }
    })
    return attempt
  })

const pause = (
  writer: Writer,
  operation: string,
  failure: StorageFailure.StorageFailure,
  started: bigint
): Effect.Effect<void, StorageError> =>
  Effect.gen(function*() {
    const { deadlineMillis, filename, leaseMillis } = writer.config
    const elapsedMillis = Number((yield* Clock.currentTimeNanos) - started) / 1e6
    const busy = failure.reason === "Busy"
    const blocker = busy && elapsedMillis > leaseMillis && writer.connection !== null
      ? yield* BlockedWriter.unblock(writer.connection, filename)
      : null
    if (!StorageFailure.isTransient(failure.reason) || elapsedMillis > deadlineMillis) {
      const detail = blocker === null ? failure.detail : `${failure.detail}; ${blocker}`
      return yield* StorageFailure.toError(
        new StorageFailure.StorageFailure({ ...failure, detail }),
        operation
      )
    }
    if (!busy) disconnect(writer)
    yield* Effect.sleep(yield* Random.nextIntBetween(1, busy ? busyPauseMillisMax : faultPauseMillisMax))
  })

/** **Source** `durability.md`, rule 8. */
const busyPauseMillisMax = 25

const faultPauseMillisMax = 250
