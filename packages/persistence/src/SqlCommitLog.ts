/**
 * The commit log on SQLite: one writer per process, which gathers what callers want to commit while its last transaction
 * ran, writes it as one transaction in one synchronous turn, and only then wakes them.
 */
import * as AgentSignals from "@holdfast/agents/AgentSignals"
import type {
  CommitError,
  CommitLog,
  NodeFenced,
  Transacted,
  TransactionError
} from "@holdfast/agents/CommitLog"
import { commitOutside, outsideTransaction } from "@holdfast/agents/CommitLog"
import type * as Operation from "@holdfast/agents/Operation"
import * as QueueSignals from "@holdfast/agents/QueueSignals"
import { StorageError } from "@holdfast/core/StorageError"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import type * as Scope from "effect/Scope"
import * as Batch from "./Batch.ts"
import * as CommitBuffer from "./CommitBuffer.ts"
import * as CommitWriter from "./CommitWriter.ts"
import * as FailedLanes from "./FailedLanes.ts"
import type { NodeIdentity } from "./NodeRows.ts"
import * as SqlTransaction from "./SqlTransaction.ts"
import type { InTransaction } from "./UserConnection.ts"

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
  readonly agentSignals: AgentSignals.AgentSignals
  /** The id of the present membership; empty while there is none. */
  readonly node: Effect.Effect<string>
  /** The statements of the user transaction that a fiber runs in; `null` in any other. */
  readonly transaction: Effect.Effect<InTransaction | null>
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
        commit: (operations) => commitOutside(operations, commit(log, operations)),
        within: (user, then, options) => outsideTransaction("within", within(log, user, then, options)),
        fenced: Effect.suspend(() => Deferred.await(log.writer.fenced))
      },
      signals: log.signals,
      agentSignals: log.agentSignals,
      node: Effect.sync(() => nodeOf(log)),
      transaction: Effect.map(FiberRef.get(log.transaction), (open) => open?.isOpen === true ? open : null),
      renew: Effect.asVoid(commit(log, []))
    }
  })

interface State {
  readonly writer: CommitWriter.Writer
  readonly signals: QueueSignals.QueueSignals
  readonly agentSignals: AgentSignals.AgentSignals
  readonly transaction: SqlTransaction.Current
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
    agentSignals: AgentSignals.make(),
    transaction: FiberRef.unsafeMake<InTransaction | null>(null),
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
  operations: Ops,
  turn?: CommitBuffer.Turn
): Effect.Effect<Operation.Results<Ops>, CommitError | Operation.Refusal<Ops[number]>> =>
  Effect.suspend(() => {
    if (log.closing) return Effect.fail(closed)
    if (log.waitingBytes < waitingBytesMax && log.waiting.length < waitingUnitsMax) {
      return submit(log, operations, turn)
    }
    return Effect.zipRight(Effect.zipRight(log.room.close, log.room.await), commit(log, operations, turn))
  })

/** Waits for a turn with the log like a commit that is written alone, and gives it back however it ends. */
const within = <A, E, R, const Ops extends ReadonlyArray<Operation.Any>>(
  log: State,
  user: Effect.Effect<A, E, R>,
  then: (value: A) => Ops,
  options: { readonly deadline?: Duration.DurationInput } | undefined
): Effect.Effect<Transacted<A, Ops>, E | TransactionError | Operation.Refusal<Ops[number]>, R> =>
  Effect.flatMap(Deferred.make<void>(), (over) => {
    const turn: CommitBuffer.Turn = { over: Deferred.await(over), failedLanes: new Map() }
    const refuse = (operations: Batch.Unit) => FailedLanes.failureOf(turn.failedLanes, operations)
    const request = { user, operationsOf: then, deadline: options?.deadline, refuse }
    const transaction = Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(
        SqlTransaction.run(log.writer, log.transaction, { ...request, restore }),
        (ended) => conclude<A, Ops>(log, ended)
      )
    )
    return Effect.zipRight(commit(log, [], turn), transaction).pipe(
      Effect.ensuring(Deferred.succeed(over, undefined))
    )
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

const submit = <const Ops extends ReadonlyArray<Operation.Any>>(
  log: State,
  unit: Ops,
  turn: CommitBuffer.Turn | undefined
) =>
  Effect.async<Operation.Results<Ops>, CommitError | Operation.Refusal<Ops[number]>>((resume) => {
    let isAnswered = false
    let answered: (() => void) | null = null
    const entry: CommitBuffer.Entry = {
      unit,
      ...(turn === undefined ? {} : { turn }),
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
    const [first] = batch
    if (first?.turn !== undefined) return giveTurn(log, first, first.turn, since)
    return Effect.flatMap(CommitWriter.write(log.writer, batch.map((entry) => entry.unit)), (written) => {
      deliver(log, batch, written)
      return Effect.zipRight(log.room.open, letOthersIn(log, since))
    }).pipe(Effect.onError(() => Effect.sync(() => answerAll(batch, lost))))
  })

const giveTurn = (
  log: State,
  entry: CommitBuffer.Entry,
  turn: CommitBuffer.Turn,
  since: number
): Effect.Effect<void> =>
  Effect.suspend(() => {
    entry.answer(Either.right([]))
    return Effect.zipRight(turn.over, Effect.zipRight(log.room.open, letOthersIn(log, since)))
  })

/** Tells everybody whom it concerns what became of a user transaction. */
const conclude = <A, Ops extends ReadonlyArray<Operation.Any>>(
  log: State,
  ended: SqlTransaction.Ended<A>
): Effect.Effect<Transacted<A, Ops>, CommitError | Operation.Refusal<Ops[number]>> => {
  switch (ended._tag) {
    case "Failed":
      failWaiting(log, ended.error)
      return ended.error
    case "Refused":
      failLanes(log, [ended.operations], [Either.left(ended.error)])
      return Effect.fail(ended.error as Operation.Refusal<Ops[number]>)
    case "Written": {
      notify(log, ended.answer.awakened)
      const [unit] = ended.answer.answers
      const results = unit === undefined ? [] : Either.getOrElse(unit, () => [])
      // Each operation was answered by the handler of its own type.
      return Effect.succeed({ value: ended.value, results: results as Operation.Results<Ops> })
    }
  }
}

const deliver = (
  log: State,
  batch: ReadonlyArray<CommitBuffer.Entry>,
  written: CommitWriter.Written
): void => {
  if (written._tag === "Failed") {
    answerAll(batch, written.error)
    return failWaiting(log, written.error)
  }
  const { answers, awakened } = written.answer
  answers.forEach((answer, index) => batch[index]?.answer(answer))
  failLanes(log, batch.map(({ unit }) => unit), answers)
  notify(log, awakened)
}

const notify = (log: State, { agents, queues }: Batch.Awakened): void => {
  queues.forEach(log.signals.notify)
  log.agentSignals.notify(agents)
}

/** What waits was decided on the same past as what has failed, or would meet the same storage. */
const failWaiting = (log: State, error: StorageError | NodeFenced): void => {
  const untried = error._tag === "StorageError" ? new StorageError({ ...error, outcome: "none" }) : error
  answerAll(log.waiting.splice(0), untried)
  log.waitingBytes = 0
}

/** What waits behind a failed unit in one of its lanes fails with it, and so on. */
const failLanes = (
  log: State,
  units: ReadonlyArray<Batch.Unit>,
  answers: ReadonlyArray<Batch.UnitAnswer>
): void => {
  const failed: FailedLanes.FailedLanes = new Map()
  for (const [index, answer] of answers.entries()) {
    if (Either.isLeft(answer)) FailedLanes.add(failed, units[index] ?? [], answer.left)
  }
  if (failed.size === 0) return
  for (const entry of Array.from(log.waiting)) {
    failed.forEach((detail, lane) => entry.turn?.failedLanes.set(lane, detail))
    const failure = FailedLanes.failureOf(failed, entry.unit)
    if (failure === null) continue
    withdraw(log, entry)
    FailedLanes.add(failed, entry.unit, failure)
    entry.answer(Either.left(failure))
  }
}

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
