/**
 * An error log remembers, per subject, which errors happened and how often, in a record store; it alerts when one kind
 * repeats.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Hash from "effect/Hash"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as ErrorLogConfig from "./ErrorLogConfig.ts"
import * as ErrorTally from "./ErrorTally.ts"
import type { Event } from "./internal/ErrorRecords.ts"
import { events, keyOf, prefixOf, prune, tallies } from "./internal/ErrorRecords.ts"
import type { Entry } from "./RecordCollection.ts"
import { RecordStore } from "./RecordStore.ts"
import type { StorageError } from "./StorageError.ts"

/** Is an error to record. */
export interface NewError {
  /** Who it happened to, such as an agent's name. */
  readonly subject: string
  /** What is counted, such as an error's tag; the first 256 characters of it. */
  readonly kind: string
  /** The first 4,096 characters of it are kept. */
  readonly message: string
  /** Its text is kept, the first 16,384 characters of it. */
  readonly cause?: Cause.Cause<unknown>
}

/** Is an error that was recorded. */
export interface ErrorEntry {
  readonly subject: string
  /** Grows with each error of the subject. */
  readonly sequence: number
  readonly kind: string
  readonly message: string
  readonly cause: Option.Option<string>
  readonly atMillis: number
}

/** Is a subject that has had errors. */
export interface ErrorSubject {
  readonly subject: string
  /** How many there were of each kind. */
  readonly counts: ReadonlyMap<string, number>
  readonly lastAtMillis: number
}

/** Says that errors of one kind repeat; `message` is that of the last one. */
export interface ErrorAlert {
  readonly subject: string
  readonly kind: string
  /** How many there were within the window. */
  readonly count: number
  readonly window: Duration.Duration
  readonly message: string
  readonly atMillis: number
}

/**
 * Records errors and tells of them.
 *
 * A kind that was silent for `maxAge` is forgotten with its count, and a subject with all of its kinds. A subject has 64
 * kinds at the most; the errors of further ones are counted as `(other)`.
 */
export class ErrorLog extends Context.Tag("@holdfast/core/ErrorLog")<ErrorLog, {
  /** Records an error; a `StorageError` with outcome `"unknown"` may have recorded it. */
  readonly record: (error: NewError) => Effect.Effect<void, StorageError>
  /** Lists errors of a subject, newest first. `before`: the last sequence of the page before. `limit`: 100 by default. */
  readonly history: (
    subject: string,
    page?: { readonly before?: number; readonly limit?: number }
  ) => Effect.Effect<ReadonlyArray<ErrorEntry>, StorageError>
  /** Counts the errors of a subject by kind, in this process and all others, those that history has lost too. */
  readonly counts: (subject: string) => Effect.Effect<ReadonlyMap<string, number>, StorageError>
  /** Lists subjects by name; an empty page is the last. `after`: the last name of the page before. `limit`: 100 by default. */
  readonly subjects: (
    page?: { readonly after?: string; readonly limit?: number }
  ) => Effect.Effect<ReadonlyArray<ErrorSubject>, StorageError>
  /**
   * Emits when `alertCount` errors of one kind of a subject lie within `alertWindow`, and not again before a window later.
   * Of all processes on a store, the one that recorded the last of them emits. A reader that falls behind more than 64
   * alerts misses the oldest.
   */
  readonly alerts: Stream.Stream<ErrorAlert>
}>() {}

/**
 * The error log with options.
 *
 * @example
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import * as ErrorLog from "@holdfast/core/ErrorLog"
 * import * as MemoryRecords from "@holdfast/core/MemoryRecords"
 *
 * const program = Effect.gen(function*() {
 *   const errors = yield* ErrorLog.ErrorLog
 *   yield* errors.record({ subject: "mailer", kind: "Bounced", message: "no such address" })
 *   return yield* errors.counts("mailer") // Map { "Bounced" => 1 }
 * })
 *
 * const layer = ErrorLog.layerWith({ maxAge: "1 day" }).pipe(Layer.provide(MemoryRecords.layer))
 * const runnable = Effect.provide(program, layer)
 */
export const layerWith = (
  options: ErrorLogConfig.Options
): Layer.Layer<ErrorLog, ErrorLogConfig.ErrorLogOutOfRange, RecordStore> =>
  Layer.scoped(ErrorLog, Effect.flatMap(ErrorLogConfig.fromOptions(options), make))

/** The error log with the defaults: 1,000 errors and 7 days per subject, an alert at 10 of one kind in 5 minutes. */
export const layer: Layer.Layer<ErrorLog, never, RecordStore> = Layer.scoped(
  ErrorLog,
  Effect.suspend(() => make(ErrorLogConfig.defaults))
)

/** How often what is too old is removed: 1 hour. What is too old is not shown either way. */
export const pruneInterval = Duration.hours(1)

/** How many alerts wait for a reader. */
export const alertsMax = 64

// internal

interface Log {
  readonly store: RecordStore["Type"]
  readonly rules: ErrorTally.Rules
  readonly alerts: PubSub.PubSub<ErrorAlert>
  /** Fibers of one process that record errors of one subject take turns, so that they do not make each other try again. */
  readonly turns: ReadonlyArray<Effect.Semaphore>
}

const turnCount = 16

const make = (
  rules: ErrorTally.Rules
): Effect.Effect<ErrorLog["Type"], never, RecordStore | Scope.Scope> =>
  Effect.gen(function*() {
    const store = yield* RecordStore
    const alerts = yield* Effect.acquireRelease(PubSub.sliding<ErrorAlert>(alertsMax), PubSub.shutdown)
    const turns = yield* Effect.replicateEffect(Effect.makeSemaphore(1), turnCount)
    const log: Log = { store, rules, alerts, turns }
    const stored = Effect.provideService(RecordStore, store)
    yield* Effect.forkScoped(
      Effect.forever(Effect.zipRight(stored(pruning(rules)), Effect.sleep(pruneInterval)))
    )
    return {
      record: (error) => stored(record(log, error)),
      history: (subject, page) => stored(history(rules, subject, page)),
      counts: (subject) => stored(counts(rules, subject)),
      subjects: (page) => stored(subjects(rules, page)),
      alerts: Stream.fromPubSub(alerts)
    }
  })

const record = (log: Log, error: NewError): Effect.Effect<void, StorageError, RecordStore> => {
  const turn = log.turns[Math.abs(Hash.string(error.subject)) % turnCount]
  const bounded = { ...error, kind: error.kind.slice(0, 256), message: error.message.slice(0, 4_096) }
  const recorded = Effect.flatMap(Clock.currentTimeMillis, (atMillis) => write(log, bounded, atMillis))
  return turn === undefined ? recorded : turn.withPermits(1)(recorded)
}

/** Tries again where another process was faster: each time one of them has got on. */
const write = (
  log: Log,
  error: NewError,
  atMillis: number
): Effect.Effect<void, StorageError, RecordStore> =>
  Effect.flatMap(tallies.get(error.subject), (found) => {
    const { revision, value } = Option.getOrElse(found, () => ({ value: ErrorTally.empty, revision: 0 }))
    const added = ErrorTally.add(value, error.kind, atMillis, log.rules)
    const writes = [
      tallies.put(error.subject, added.tally, revision),
      events.put(keyOf(error.subject, added.sequence), toEvent(error, atMillis)),
      ...added.evicted.map((sequence) => events.remove(keyOf(error.subject, sequence)))
    ]
    const alert = added.raisesAlert ? publish(log, error, added.kind, atMillis) : Effect.void
    return Effect.uninterruptible(Effect.zipRight(log.store.commit(writes), alert))
  }).pipe(Effect.catchTag("RecordConflict", () => write(log, error, atMillis)))

const publish = (log: Log, error: NewError, kind: string, atMillis: number): Effect.Effect<unknown> =>
  PubSub.publish(log.alerts, {
    subject: error.subject,
    kind,
    count: log.rules.alertCount,
    window: Duration.millis(log.rules.alertWindowMillis),
    message: error.message,
    atMillis
  })

const history = (
  rules: ErrorTally.Rules,
  subject: string,
  { before, limit = 100 }: { readonly before?: number; readonly limit?: number } = {}
): Effect.Effect<ReadonlyArray<ErrorEntry>, StorageError, RecordStore> =>
  Effect.gen(function*() {
    const nowMillis = yield* Clock.currentTimeMillis
    const after = before === undefined ? {} : { after: keyOf(subject, before) }
    const found = yield* events.list({ prefix: prefixOf(subject), order: "descending", ...after, limit })
    return found.filter(({ value }) => ErrorTally.isLive(value.atMillis, nowMillis, rules)).map((entry) =>
      toEntry(subject, entry)
    )
  })

const counts = (rules: ErrorTally.Rules, subject: string) =>
  Effect.zipWith(
    tallies.get(subject),
    Clock.currentTimeMillis,
    (found, nowMillis) =>
      countsOf(Option.match(found, {
        onNone: () => [],
        onSome: ({ value }) => ErrorTally.liveKinds(value, nowMillis, rules)
      }))
  )

const subjects = (
  rules: ErrorTally.Rules,
  { after, limit = 100 }: { readonly after?: string; readonly limit?: number } = {}
): Effect.Effect<ReadonlyArray<ErrorSubject>, StorageError, RecordStore> =>
  Effect.gen(function*() {
    const nowMillis = yield* Clock.currentTimeMillis
    const found = yield* tallies.list({ ...(after === undefined ? {} : { after }), limit })
    const live = found.flatMap(({ key, value }) => {
      const kinds = ErrorTally.liveKinds(value, nowMillis, rules)
      const lastAtMillis = Math.max(...kinds.map((kind) => kind.lastAtMillis))
      return kinds.length === 0 ? [] : [{ subject: key, counts: countsOf(kinds), lastAtMillis }]
    })
    const last = found.at(-1)
    return live.length > 0 || last === undefined ? live : yield* subjects(rules, { after: last.key, limit })
  })

const countsOf = (kinds: ReadonlyArray<ErrorTally.KindTally>): ReadonlyMap<string, number> =>
  new Map(kinds.map(({ count, kind }) => [kind, count]))

/** Storage that fails now may not the next time. */
const pruning = (rules: ErrorTally.Rules): Effect.Effect<void, never, RecordStore> =>
  Effect.catchTag(prune(rules), "StorageError", (error) => Effect.logDebug(error.message))

const toEvent = ({ cause, kind, message }: NewError, atMillis: number): Event => ({
  kind,
  message,
  cause: cause === undefined ? null : Cause.pretty(cause).slice(0, 16_384),
  atMillis
})

const toEntry = (
  subject: string,
  { key, value }: Entry<Event>
): ErrorEntry => ({
  subject,
  sequence: Number(key.slice(prefixOf(subject).length)),
  kind: value.kind,
  message: value.message,
  cause: Option.fromNullable(value.cause),
  atMillis: value.atMillis
})
