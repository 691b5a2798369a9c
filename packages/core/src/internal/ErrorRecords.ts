/**
 * The records of an error log: a tally per subject, and its errors in their order.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as ErrorTally from "../ErrorTally.ts"
import * as RecordCollection from "../RecordCollection.ts"
import { RecordStore } from "../RecordStore.ts"
import type { StorageError } from "../StorageError.ts"

const StoredEvent = Schema.Struct({
  kind: Schema.String,
  message: Schema.String,
  cause: Schema.NullOr(Schema.String),
  atMillis: Schema.Number
})

/** Is an error as it is stored. */
export type Event = typeof StoredEvent.Type

/** Tallies by subject. */
export const tallies = RecordCollection.make("errors/tallies", ErrorTally.ErrorTally)

/** Errors by `keyOf`. */
export const events = RecordCollection.make("errors/events", StoredEvent)

/** What the keys of a subject's errors begin with: encoded, so that none is the beginning of another's. */
export const prefixOf = (subject: string): string => `${encodeURIComponent(subject)}/`

/** The key of an error; keys are in the order of sequences. */
export const keyOf = (subject: string, sequence: number): string =>
  prefixOf(subject) + String(sequence).padStart(16, "0")

/** Removes what is too old: errors, kinds, and subjects that have nothing left. */
export const prune = (rules: ErrorTally.Rules): Effect.Effect<void, StorageError, RecordStore> =>
  pruneFrom(rules, undefined)

// internal

const pageMax = 100

const pruneFrom = (
  rules: ErrorTally.Rules,
  after: string | undefined
): Effect.Effect<void, StorageError, RecordStore> =>
  Effect.gen(function*() {
    const page = yield* tallies.list({ ...(after === undefined ? {} : { after }), limit: pageMax })
    yield* Effect.forEach(page, ({ key }) => pruneSubject(rules, key), { discard: true })
    const last = page[pageMax - 1]
    if (last !== undefined) yield* pruneFrom(rules, last.key)
  })

/** One that is written meanwhile is left for the next time. */
const pruneSubject = (
  rules: ErrorTally.Rules,
  subject: string
): Effect.Effect<void, StorageError, RecordStore> =>
  Effect.gen(function*() {
    const nowMillis = yield* Clock.currentTimeMillis
    const tally = Option.getOrUndefined(yield* tallies.get(subject))
    if (tally === undefined) return
    const oldest = yield* events.list({ prefix: prefixOf(subject), limit: pageMax })
    const aged = oldest.filter(({ value }) => !ErrorTally.isLive(value.atMillis, nowMillis, rules))
    const kinds = ErrorTally.liveKinds(tally.value, nowMillis, rules)
    const isEmpty = kinds.length === 0 && aged.length === oldest.length && aged.length < pageMax
    if (aged.length === 0 && kinds.length === tally.value.kinds.length && !isEmpty) return
    yield* (yield* RecordStore).commit([
      ...aged.map(({ key }) => events.remove(key)),
      isEmpty
        ? tallies.remove(subject, tally.revision)
        : tallies.put(subject, { ...tally.value, kinds }, tally.revision)
    ])
    if (aged.length === pageMax) yield* pruneSubject(rules, subject)
  }).pipe(Effect.catchTag("RecordConflict", () => Effect.void))
