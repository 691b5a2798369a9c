/**
 * A letter box is where the dead letters of one name lie: their records, ids and bound.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { ParseError } from "effect/ParseResult"
import * as Predicate from "effect/Predicate"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import type { Draft, Letter } from "../DeadLetter.ts"
import * as DeadLetter from "../DeadLetter.ts"
import type { Filter, Options } from "../DeadLetters.ts"
import * as RecordCollection from "../RecordCollection.ts"
import * as RecordStore from "../RecordStore.ts"
import type { StorageError } from "../StorageError.ts"

const pageMax = 100

/** Is a letter as it is stored. */
export const Stored = Schema.Struct({
  recipient: Schema.String,
  topic: Schema.optionalWith(Schema.String, { exact: true }),
  message: Schema.String,
  reason: DeadLetter.Reason,
  detail: Schema.String,
  attempts: Schema.Number,
  atMillis: Schema.Number,
  /** 0: nobody retries it. */
  claimedUntilMillis: Schema.Number
})
export type Stored = typeof Stored.Type

/** Is the box; what counts is changed in place. */
export interface Box<M> {
  readonly store: RecordStore.RecordStore["Type"]
  readonly letters: RecordCollection.RecordCollection<Stored>
  readonly encode: (message: M) => Effect.Effect<string, ParseError>
  readonly decode: (text: string) => Effect.Effect<M, ParseError>
  readonly max: number
  readonly lease: Duration.Duration
  /** Tells processes that add at the same millisecond apart. */
  readonly instance: string
  readonly gate: Effect.Semaphore
  added: number
  /** How many letters may be added before the store is counted again. */
  room: number
  evicted: number
}

export const make = <M>(
  name: string,
  message: Schema.Schema<M, string>,
  options: Options,
  store: RecordStore.RecordStore["Type"]
): Effect.Effect<Box<M>> =>
  Effect.map(Random.nextIntBetween(0, 2 ** 32), (instance) => {
    const { max = DeadLetter.defaultMax } = options
    const lease = Duration.decode(options.lease ?? DeadLetter.defaultLease)
    if (!Number.isInteger(max) || max < 1 || max > 1_000_000) {
      throw new RangeError(`max of dead letters must be a whole number from 1 to 1000000, not ${max}`)
    }
    if (!(Duration.toMillis(lease) > 0) || !Duration.isFinite(lease)) {
      throw new RangeError(`lease of dead letters must be positive and finite, not ${Duration.format(lease)}`)
    }
    return {
      store,
      letters: RecordCollection.make(`dead-letters/${name}`, Stored),
      encode: Schema.encode(message),
      decode: Schema.decode(message),
      max,
      lease,
      instance: instance.toString(16).padStart(8, "0"),
      gate: Effect.unsafeMakeSemaphore(1),
      added: 0,
      room: 0,
      evicted: 0
    }
  })

// Ids begin with the time, so that their order is that of the letters' age.
const timeKey = (millis: number): string => String(Math.max(0, Math.ceil(millis))).padStart(15, "0")

const nextId = <M>(box: Box<M>, millis: number): string => {
  box.added += 1
  return `${timeKey(millis)}-${String(box.added).padStart(12, "0")}-${box.instance}`
}

export const add = <M>(
  box: Box<M>,
  draft: Draft<M>
): Effect.Effect<string, StorageError | DeadLetter.LetterUnkeepable> =>
  Effect.gen(function*() {
    const atMillis = yield* Clock.currentTimeMillis
    const { message, topic, ...facts } = draft
    const stored = {
      ...facts,
      ...(topic === undefined ? {} : { topic }),
      message: yield* encode(box, draft.recipient, message),
      detail: draft.detail.slice(0, DeadLetter.detailMax),
      atMillis,
      claimedUntilMillis: 0
    }
    // One after the other, so that the room that was found is still there.
    return yield* box.gate.withPermits(1)(Effect.zipRight(makeRoom(box), write(box, stored)))
  })

const encode = <M>(
  box: Box<M>,
  recipient: string,
  message: M
): Effect.Effect<string, DeadLetter.LetterUnkeepable> =>
  Effect.mapError(
    Effect.filterOrFail(Effect.suspend(() => box.encode(message)), Predicate.isString, () => "it is no JSON"),
    (issue) =>
      new DeadLetter.LetterUnkeepable({
        recipient,
        detail: Predicate.isString(issue) ? issue : issue.message
      })
  )

const write = <M>(
  box: Box<M>,
  stored: Stored
): Effect.Effect<string, StorageError | DeadLetter.LetterUnkeepable> =>
  Effect.suspend(() => {
    const id = nextId(box, stored.atMillis)
    const put = box.letters.put(id, stored, 0)
    const bytes = new TextEncoder().encode(put.value).length
    if (bytes > RecordStore.valueBytesMax) {
      const detail = `it takes ${bytes} bytes, and ${RecordStore.valueBytesMax} is the most`
      return new DeadLetter.LetterUnkeepable({ recipient: stored.recipient, detail })
    }
    return box.store.commit([put]).pipe(
      Effect.as(id),
      Effect.catchTag("RecordConflict", () => write(box, stored))
    )
  })

const makeRoom = <M>(box: Box<M>): Effect.Effect<void, StorageError> =>
  Effect.zipRight(
    Effect.suspend(() => box.room > 0 ? Effect.void : findRoom(box)),
    Effect.sync(() => {
      box.room -= 1
    })
  )

const findRoom = <M>(box: Box<M>): Effect.Effect<void, StorageError> =>
  Effect.gen(function*() {
    const step = Math.ceil(box.max / 100)
    const count = yield* box.store.count(box.letters.name)
    const excess = count < box.max ? 0 : count - box.max + step
    yield* evict(box, excess)
    box.room = Math.min(step, box.max - count + excess)
  })

const evict = <M>(box: Box<M>, excess: number): Effect.Effect<void, StorageError> =>
  Effect.gen(function*() {
    for (let left = excess; left > 0;) {
      const page = yield* box.store.list(box.letters.name, { limit: Math.min(left, pageMax) })
      if (page.length === 0) return
      box.evicted += yield* removeAll(box, page.map(({ key }) => key))
      left -= page.length
    }
  })

/** Reads on until the page is full; bounded by `max`. */
export const list = <M>(
  box: Box<M>,
  filter: Filter,
  after: string | undefined,
  limit: number
): Effect.Effect<ReadonlyArray<Letter>, StorageError> =>
  Effect.gen(function*() {
    const found: Array<Letter> = []
    let last = after
    while (found.length < limit) {
      const page = yield* inStore(
        box,
        box.letters.list({ limit: pageMax, ...(last === undefined ? {} : { after: last }) })
      )
      found.push(...page.filter(({ value }) => selects(filter, value)).map(toLetter))
      last = page.at(-1)?.key
      if (page.length < pageMax) break
    }
    return found.slice(0, limit)
  })

const selects = ({ reason, recipient }: Filter, stored: Stored): boolean =>
  (recipient === undefined || stored.recipient === recipient) &&
  (reason === undefined || stored.reason === reason)

export const toLetter = ({ key, value }: RecordCollection.Entry<Stored>): Letter => {
  const { claimedUntilMillis: _, message, ...facts } = value
  return { id: key, encoded: message, ...facts }
}

export const purge = <M>(box: Box<M>, filter: Filter): Effect.Effect<number, StorageError> =>
  Effect.gen(function*() {
    let removed = 0
    for (let page = yield* list(box, filter, undefined, pageMax); page.length > 0;) {
      removed += yield* removeAll(box, page.map(({ id }) => id))
      page = yield* list(box, filter, page.at(-1)?.id, pageMax)
    }
    return removed
  })

export const expire = <M>(box: Box<M>, beforeMillis: number): Effect.Effect<number, StorageError> =>
  Effect.gen(function*() {
    const older = { after: timeKey(beforeMillis), order: "descending", limit: pageMax } as const
    let removed = 0
    for (;;) {
      const page = yield* box.store.list(box.letters.name, older)
      if (page.length === 0) return removed
      removed += yield* removeAll(box, page.map(({ key }) => key))
    }
  })

export const removeAll = <M>(box: Box<M>, ids: ReadonlyArray<string>): Effect.Effect<number, StorageError> =>
  box.store.commit(ids.map((id) => box.letters.remove(id))).pipe(
    Effect.as(ids.length),
    // It expects no revision.
    Effect.catchTag("RecordConflict", Effect.die)
  )

export const inStore = <M, A, E>(
  box: Box<M>,
  effect: Effect.Effect<A, E, RecordStore.RecordStore>
): Effect.Effect<A, E> => Effect.provideService(effect, RecordStore.RecordStore, box.store)
