/**
 * The commit log on SQLite: one writer per process, which gathers what callers want to commit while its last transaction
 * ran, writes it as one transaction in one synchronous turn, and only then wakes them.
 */
import type { CommitError, CommitLog, NodeFenced } from "@holdfast/agents/CommitLog"
import { LaneFailed, OperationRejected } from "@holdfast/agents/CommitLog"
import type * as Operation from "@holdfast/agents/Operation"
import * as QueueSignals from "@holdfast/agents/QueueSignals"
import { StorageError } from "@holdfast/core/StorageError"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as Batch from "./Batch.ts"
import * as CommitBuffer from "./CommitBuffer.ts"
import * as CommitWriter from "./CommitWriter.ts"
import type { NodeIdentity } from "./NodeRows.ts"

/** How much may wait before callers are held back: 32 MiB. */
export const waitingBytesMax = 32 * 1024 * 1024

/** How many units may wait before callers are held back: 20,000. */
export const waitingUnitsMax = 20_000

/** How long a busy log may hold the file before it lets other processes in: 8 milliseconds. */
export const holdMillisMax = 8

/** How long it then leaves the file alone: 2 milliseconds. */
export const holdPause = Duration.millis(2)

/** A running log: the port, and what the rest of the storage needs to know of it. */
export interface SqlCommitLog {
  readonly port: CommitLog["Type"]
  readonly signals: QueueSignals.QueueSignals
  /** The id of the present membership; empty while there is none. */
  readonly node: Effect.Effect<string>
  /** Renews the lease, joining again where the membership has ended. */
  readonly renew: Effect.Effect<void, CommitError>
}

/**
 * Opens the store and starts the writer. When the scope closes, what waits is written, the node leaves with the
 * operations `leaving` makes for it, and later commits fail.
 */
export const make = (
  config: CommitWriter.Config,
  leaving: (node: NodeIdentity) => Effect.Effect<Batch.Unit>
): Effect.Effect<SqlCommitLog, StorageError, Scope.Scope> =>
  Effect.gen(function*() {
    const log = yield* makeState(config)
    yield* Effect.acquireRelease(CommitWriter.open(log.writer), () => CommitWriter.leave(log.writer, leaving))
    yield* Effect.acquireRelease(
      Effect.forkScoped(Effect.ensuring(writeUntilClosed(log), Effect.sync(() => end(log)))),
      (writing) => Effect.zipRight(close(log), Fiber.await(writing))
    )
    return {
      port: {
        commit: (operations) => commit(log, operations),
        fenced: Effect.suspend(() => Deferred.await(log.writer.fenced))
      },
      signals: log.signals,
      node: Effect.sync(() => nodeOf(log)),
      renew: Effect.asVoid(commit(log, []))
    }
  })

interface State {
  readonly writer: CommitWriter.Writer
  readonly signals: QueueSignals.QueueSignals
  readonly room: Effect.Latch
  /** Bounded: callers are held back by `room`. */
  waiting: Array<CommitBuffer.Entry>
  waitingBytes: number
  closing: boolean
  wake: () => void
  heldMillis: number
  heldUntil: number
}

const makeState = (config: CommitWriter.Config): Effect.Effect<State> =>
  Effect.map(Effect.all([CommitWriter.make(config), Effect.makeLatch(true)]), ([writer, room]) => ({
    writer,
    signals: QueueSignals.make(),
    room,
    waiting: [],
    waitingBytes: 0,
    closing: false,
    wake: () => undefined,
    heldMillis: 0,
    heldUntil: 0
  }))

const nodeOf = (log: State): string => log.writer.membership?.identity.id ?? ""

const commit = <const Ops extends ReadonlyArray<Operation.Any>>(
  log: State,
  operations: Ops
): Effect.Effect<Operation.Results<Ops>, CommitError | Operation.Refusal<Ops[number]>> =>
  Effect.suspend(() => {
    if (log.closing) return Effect.fail(closed)
    if (log.waitingBytes < waitingBytesMax && log.waiting.length < waitingUnitsMax) {
      return submit(log, operations)
    }
    return Effect.zipRight(Effect.zipRight(log.room.close, log.room.await), commit(log, operations))
  })

const closed = new StorageError({
  operation: "commit",
  reason: "Closed",
  outcome: "none",
  detail: "the log was closed"
})

const lost = new StorageError({
  operation: "commit",
  reason: "Closed",
  outcome: "unknown",
  detail: "the log ended by a defect"
})

const submit = <const Ops extends ReadonlyArray<Operation.Any>>(log: State, unit: Ops) =>
  Effect.async<Operation.Results<Ops>, CommitError | Operation.Refusal<Ops[number]>>((resume) => {
    let isAnswered = false
    let answered: (() => void) | null = null
    const entry: CommitBuffer.Entry = {
      unit,
      ...CommitBuffer.weighUnit(unit, log.writer.config.weigh),
      answer: (answer) => {
        isAnswered = true
        // Each operation was answered by the handler of its own type.
        resume(answer as Either.Either<Operation.Results<Ops>, Operation.Refusal<Ops[number]>>)
        answered?.()
      }
    }
    log.waiting.push(entry)
    log.waitingBytes += entry.bytes
    log.wake()
    return Effect.suspend(() =>
      isAnswered || withdraw(log, entry) ? Effect.void : Effect.async<void>((done) => {
        answered = () => done(Effect.void)
      })
    )
  })

const withdraw = (log: State, entry: CommitBuffer.Entry): boolean => {
  const at = log.waiting.indexOf(entry)
  if (at < 0) return false
  log.waiting.splice(at, 1)
  log.waitingBytes -= entry.bytes
  return true
}

const close = (log: State): Effect.Effect<void> =>
  Effect.zipRight(
    Effect.sync(() => {
      log.closing = true
      log.wake()
    }),
    log.room.open
  )

/** Whatever ends the writer, nobody waits for it for ever. */
const end = (log: State): void => {
  log.closing = true
  answerAll(log.waiting.splice(0), closed)
  log.room.unsafeOpen()
}

const answerAll = (entries: ReadonlyArray<CommitBuffer.Entry>, error: CommitError): void =>
  entries.forEach((entry) => entry.answer(Either.left(error)))

const writeUntilClosed = (log: State): Effect.Effect<void> =>
  Effect.uninterruptible(
    Effect.whileLoop({
      while: () => !log.closing || log.waiting.length > 0,
      body: () => Effect.zipRight(arrival(log), writeBatch(log)),
      step: () => undefined
    })
  )

/** Waits for something to write, and then for the end of this turn of the event loop, so that what comes in it shares. */
const arrival = (log: State): Effect.Effect<void> =>
  Effect.async<void>((resume) => {
    const gather = () => void setImmediate(() => resume(Effect.void))
    if (log.waiting.length > 0 || log.closing) return gather()
    log.wake = () => {
      log.wake = () => undefined
      gather()
    }
  })

const writeBatch = (log: State): Effect.Effect<void> =>
  Effect.suspend(() => {
    const { handlers, limits } = log.writer.config
    const { batch, rest } = CommitBuffer.take(log.waiting, (op) => Batch.rankOf(handlers, op), limits)
    log.waiting = rest
    log.waitingBytes = rest.reduce((sum, entry) => sum + entry.bytes, 0)
    if (batch.length === 0) return log.room.open
    const since = performance.now()
    return Effect.flatMap(CommitWriter.write(log.writer, batch.map((entry) => entry.unit)), (written) => {
      deliver(log, batch, written)
      return Effect.zipRight(log.room.open, letOthersIn(log, since))
    }).pipe(Effect.onError(() => Effect.sync(() => answerAll(batch, lost))))
  })

const deliver = (
  log: State,
  batch: ReadonlyArray<CommitBuffer.Entry>,
  written: CommitWriter.Written
): void => {
  if (written._tag === "Failed") {
    // What waits was decided on the same past, or would meet the same storage.
    answerAll(batch, written.error)
    answerAll(log.waiting.splice(0), untried(written.error))
    log.waitingBytes = 0
    return
  }
  written.answer.answers.forEach((answer, index) => batch[index]?.answer(answer))
  failLanes(log, batch, written.answer)
  written.answer.awakened.forEach(log.signals.notify)
}

/** The failure of a batch for what was not in it. */
const untried = (error: StorageError | NodeFenced): StorageError | NodeFenced =>
  error._tag === "StorageError" ? new StorageError({ ...error, outcome: "none" }) : error

/** What waits behind a failed unit in one of its lanes fails with it, and so on. */
const failLanes = (
  log: State,
  batch: ReadonlyArray<CommitBuffer.Entry>,
  { answers }: Batch.BatchAnswer
): void => {
  const failed = new Map<string, string>()
  for (const [index, answer] of answers.entries()) {
    if (Either.isRight(answer) || !isFailure(answer.left)) continue
    for (const op of batch[index]?.unit ?? []) failed.set(op.lane, answer.left.detail)
  }
  if (failed.size === 0) return
  for (const entry of Array.from(log.waiting)) {
    const behind = entry.unit.find((op) => failed.has(op.lane))
    if (behind === undefined) continue
    const detail = failed.get(behind.lane) ?? ""
    withdraw(log, entry)
    entry.unit.forEach((op) => failed.set(op.lane, detail))
    entry.answer(Either.left(Batch.laneFailed(behind.lane, detail)))
  }
}

const isFailure = (error: unknown): error is OperationRejected | LaneFailed =>
  error instanceof OperationRejected || error instanceof LaneFailed

/** Other processes get the file only while nobody holds it, and SQLite has no queue for them. */
const letOthersIn = (log: State, since: number): Effect.Effect<void> => {
  const now = performance.now()
  const rested = since - log.heldUntil >= Duration.toMillis(holdPause)
  log.heldMillis = (rested ? 0 : log.heldMillis) + (now - since)
  log.heldUntil = now
  if (log.heldMillis < holdMillisMax) return Effect.void
  log.heldMillis = 0
  return Effect.sleep(holdPause)
}
