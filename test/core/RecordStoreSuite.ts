import { describe, expect, it } from "@effect/vitest"
import type { Put, RecordQuery, VersionedRecord, Write } from "@holdfast/core/RecordStore"
import { put, RecordConflict, RecordStore, remove, valueBytesMax } from "@holdfast/core/RecordStore"
import type { StorageError } from "@holdfast/core/StorageError"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { increment } from "./RecordIncrement.ts"

/** A storage that outlives the programs on it: every building of the layer opens it again. */
export type RecordStorage = Effect.Effect<Layer.Layer<RecordStore, StorageError>, never, Scope.Scope>

/** What every record store must do. */
export const recordStoreSuite = (name: string, storage: RecordStorage, numRuns: number) =>
  describe(`RecordStore on ${name}`, () => {
    it.scopedLive.prop(
      "law: whatever was written, removed, refused and reopened, reads and answers are those of the model",
      { sessions: FastCheck.array(steps, { minLength: 1, maxLength: 3 }) },
      ({ sessions }) =>
        Effect.scoped(Effect.gen(function*() {
          const layer = yield* storage
          const model: Model = { records: new Map(), lastRevision: 0 }
          yield* Effect.forEach(sessions, (steps) => Effect.provide(replay(model, steps), layer))
        })),
      { fastCheck: { numRuns } }
    )

    it.scopedLive("gives out no revision again, also not that of a record which was gone at once", () =>
      Effect.gen(function*() {
        const layer = yield* storage
        const store = yield* storeOf(layer)
        const [[first = 0]] = yield* Effect.all(
          [store.commit([put("c", "gone", "1")]), store.commit([remove("c", "gone")])],
          { concurrency: "unbounded" }
        )
        expect(yield* store.count("c")).toBe(0)
        const [second = 0] = yield* (yield* storeOf(layer)).commit([put("c", "other", "1")])
        expect(second).toBeGreaterThan(first)
      }))

    it.scopedLive("finds by prefix what begins with it, wherever the prefix ends", () =>
      Effect.gen(function*() {
        const store = yield* storeOf(yield* storage)
        yield* store.commit(keys.map((key) => put("c", key, "1")))
        for (const prefix of [...keys, "\u{10FFFF}"]) {
          const found = yield* store.list("c", { prefix, limit: 100 })
          expect(new Set(found.map(({ key }) => key))).toEqual(
            new Set(keys.filter((key) => key.startsWith(prefix)))
          )
          expect(yield* store.count("c", prefix)).toBe(found.length)
        }
      }))

    it.scopedLive("loses no increment of programs that read, add one, and write on condition", () =>
      Effect.gen(function*() {
        const layer = yield* storage
        const stores = yield* Effect.all([storeOf(layer), storeOf(layer)])
        yield* Effect.forEach(
          Array.from({ length: 20 }),
          (_, index) =>
            Effect.forEach(stores, (store) => increment(store, "counters", `${index % 2}`), {
              concurrency: "unbounded"
            }),
          { concurrency: "unbounded" }
        )
        const values = (yield* stores[0].list("counters", { limit: 9 })).map(({ value }) => value)
        expect(values).toEqual(["20", "20"])
      }))

    it.scopedLive("tells a subscriber of every change after the subscription, in its store and in others", () =>
      Effect.gen(function*() {
        const layer = yield* storage
        const [here, there] = yield* Effect.all([storeOf(layer), storeOf(layer)])
        for (const writer of [here, there]) {
          const changed = yield* here.subscribe("watched")
          const start = yield* valueOf(here, "watched", "key")
          const follow = Effect.gen(function*() {
            while ((yield* valueOf(here, "watched", "key")) < start + 5) yield* changed
          })
          const following = yield* Effect.fork(follow)
          yield* Effect.repeatN(
            Effect.zipRight(increment(writer, "watched", "key"), Effect.yieldNow()),
            4
          )
          yield* Fiber.join(following)
          yield* writer.commit([remove("watched", "key")])
          yield* changed
        }
      }))

    it.scopedLive("tells a subscriber of no change elsewhere, of none before, and of no refused one", () =>
      Effect.gen(function*() {
        const store = yield* storeOf(yield* storage)
        yield* store.commit([put("watched", "key", "0")])
        const changed = yield* Effect.fork(yield* store.subscribe("watched"))
        yield* store.commit([put("other", "key", "0")])
        yield* Effect.flip(store.commit([put("watched", "key", "1", 0), put("other", "key", "1")]))
        yield* Effect.repeatN(Effect.yieldNow(), 9)
        expect(changed.unsafePoll()).toBeNull()
        yield* store.commit([put("watched", "key", "1")])
        yield* Fiber.join(changed)
      }))

    it.scopedLive("keeps a subscriber that takes its time from missing what happened meanwhile", () =>
      Effect.gen(function*() {
        const store = yield* storeOf(yield* storage)
        const changed = yield* store.subscribe("watched")
        yield* store.commit([put("watched", "key", "0")])
        yield* store.commit([put("watched", "key", "1")])
        yield* changed
        yield* store.commit([put("watched", "key", "2")])
        yield* changed
      }))

    it.scopedLive("stamps a record with the writer's time", () =>
      Effect.gen(function*() {
        const store = yield* storeOf(yield* storage)
        const before = yield* Clock.currentTimeMillis
        yield* store.commit([put("c", "k", "v")])
        const after = yield* Clock.currentTimeMillis
        const { updatedAtMillis } = Option.getOrThrow(yield* store.get("c", "k"))
        expect(updatedAtMillis).toBeGreaterThanOrEqual(before)
        expect(updatedAtMillis).toBeLessThanOrEqual(after)
      }))

    it.scopedLive("keeps the largest value it allows, and dies of what no storage could give back", () =>
      Effect.gen(function*() {
        const store = yield* storeOf(yield* storage)
        const largest = "é".repeat(valueBytesMax / 2)
        yield* store.commit([put("c", "large", largest)])
        expect(Option.getOrThrow(yield* store.get("c", "large")).value === largest).toBe(true)
        const half = "\ud83d"
        const uses: ReadonlyArray<Effect.Effect<unknown, RecordConflict | StorageError>> = [
          store.commit([put("c", "k", `${largest}.`)]),
          store.commit([put("c", "k", "1"), remove("c", "k")]),
          store.commit([put("c", half, "1")]),
          store.commit([put(half, "k", "1")]),
          store.commit([put("c", "k", half)]),
          store.get("c", half),
          store.count("c", half),
          store.list("c", { prefix: half, limit: 1 }),
          store.list("c", { after: half, limit: 1 }),
          store.list("c", { limit: 0.5 }),
          store.list("c", { limit: -1 })
        ]
        for (const use of uses) {
          const exit = yield* Effect.exit(use)
          expect(Exit.isFailure(exit) && exit.cause._tag).toBe("Die")
        }
        expect(yield* store.count("c")).toBe(1)
        expect(yield* store.commit([])).toEqual([])
      }))
  })

/** Opens a storage for as long as the scope lives. */
export const storeOf = (layer: Layer.Layer<RecordStore, StorageError>) =>
  Effect.map(Layer.build(Layer.fresh(layer)), Context.get(RecordStore))

const valueOf = (store: RecordStore["Type"], collection: string, key: string) =>
  Effect.map(
    store.get(collection, key),
    Option.match({ onNone: () => 0, onSome: ({ value }) => Number(value) })
  )

interface Model {
  readonly records: Map<string, Omit<VersionedRecord, "updatedAtMillis">>
  lastRevision: number
}

const collections = ["a", "b", "a/b"]

/** Keys where UTF-16 and UTF-8 disagree, where prefixes end, and where text is easily cut. */
const keys = ["", "a", "a/", "a/b", "a\u0000", "a\u{10FFFF}", "a\uD7FF", "a\uE000", "\uFFFF", "😀", "b", "é"]

const place = { collection: FastCheck.constantFrom(...collections), key: FastCheck.constantFrom(...keys) }

const write = FastCheck.record({
  ...place,
  value: FastCheck.option(FastCheck.constantFrom("1", "\"é😀\"", ""), { nil: null }),
  /** What the write expects: nothing, what is there, what is not. */
  expects: FastCheck.constantFrom("nothing", "nothing", "present", "absent", "stale")
})

const unit = FastCheck.uniqueArray(write, {
  minLength: 1,
  maxLength: 4,
  selector: ({ collection, key }) => JSON.stringify([collection, key])
})

const step = FastCheck.oneof(
  {
    weight: 2,
    arbitrary: FastCheck.record({
      /** Submitted at the same time. */
      units: FastCheck.array(unit, { minLength: 1, maxLength: 5 })
    })
  },
  {
    weight: 1,
    arbitrary: FastCheck.record({
      ...place,
      query: FastCheck.record({
        prefix: FastCheck.constantFrom(...keys, "\u{10FFFF}"),
        after: FastCheck.constantFrom(...keys),
        order: FastCheck.constantFrom("ascending" as const, "descending" as const),
        limit: FastCheck.nat(6)
      }, { requiredKeys: ["limit"] })
    })
  }
)

type Step = typeof step extends FastCheck.Arbitrary<infer A> ? A : never

type Unit = typeof unit extends FastCheck.Arbitrary<infer A> ? A : never

const steps = FastCheck.array(step, { minLength: 5, maxLength: 25 })

const replay = (model: Model, steps: ReadonlyArray<Step>) =>
  Effect.gen(function*() {
    const store = yield* RecordStore
    for (const step of steps) {
      if ("units" in step) yield* submit(store, model, step.units)
      else yield* look(store, model, step)
    }
    for (const collection of collections) {
      const records = yield* store.list(collection, { limit: 1_000 })
      expect(withoutTime(records)).toEqual(select(model, collection, { limit: 1_000 }))
    }
  })

const submit = (store: RecordStore["Type"], model: Model, units: ReadonlyArray<Unit>) =>
  Effect.gen(function*() {
    const written = units.map((unit) => unit.map((write) => toWrite(model, write)))
    const answers = yield* Effect.forEach(written, (writes) => Effect.either(store.commit(writes)), {
      concurrency: "unbounded"
    })
    for (const [index, answer] of answers.entries()) applyUnit(model, written[index] ?? [], answer)
  })

const toWrite = (model: Model, { collection, expects, key, value }: Unit[number]): Write => {
  const actual = model.records.get(placeOf(collection, key))?.revision ?? 0
  const expected = { nothing: undefined, present: actual, absent: 0, stale: actual + 1 }[expects]
  return value === null ? remove(collection, key, expected) : put(collection, key, value, expected)
}

const applyUnit = (
  model: Model,
  writes: ReadonlyArray<Write>,
  answer: Either.Either<ReadonlyArray<number>, RecordConflict | StorageError>
): void => {
  const conflict = conflictOf(model, writes)
  if (conflict !== undefined || Either.isLeft(answer)) {
    return void expect(answer).toEqual(Either.left(conflict))
  }
  const puts = writes.filter((write): write is Put => write._tag === "Put")
  const revisions = answer.right.filter((_, index) => writes[index]?._tag === "Put")
  expect(answer.right.map((revision) => revision > 0)).toEqual(writes.map((write) => write._tag === "Put"))
  expect([model.lastRevision, ...revisions]).toEqual(
    Array.from(new Set([model.lastRevision, ...revisions])).sort((a, b) => a - b)
  )
  for (const { collection, key } of writes) model.records.delete(placeOf(collection, key))
  for (const [index, { collection, key, value }] of puts.entries()) {
    const revision = revisions[index] ?? 0
    model.records.set(placeOf(collection, key), { collection, key, value, revision })
    model.lastRevision = revision
  }
}

const conflictOf = (model: Model, writes: ReadonlyArray<Write>): RecordConflict | undefined => {
  for (const { collection, expected, key } of writes) {
    const actual = model.records.get(placeOf(collection, key))?.revision ?? 0
    if (expected !== undefined && expected !== actual) {
      return new RecordConflict({ collection, key, expected, actual })
    }
  }
  return undefined
}

const look = (
  store: RecordStore["Type"],
  model: Model,
  { collection, key, query }: Extract<Step, { readonly query: unknown }>
) =>
  Effect.gen(function*() {
    const found = model.records.get(placeOf(collection, key))
    expect(withoutTime(Option.toArray(yield* store.get(collection, key)))).toEqual(found ? [found] : [])
    const given = query as RecordQuery
    expect(withoutTime(yield* store.list(collection, given))).toEqual(select(model, collection, given))
    const { prefix } = given
    expect(yield* store.count(collection, prefix)).toBe(
      select(model, collection, { ...(prefix === undefined ? {} : { prefix }), limit: 1_000 }).length
    )
  })

const select = (model: Model, collection: string, { after, limit, order, prefix = "" }: RecordQuery) => {
  const ascending = Array.from(model.records.values())
    .filter((record) => record.collection === collection && record.key.startsWith(prefix))
    .sort((a, b) => Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)))
  const ordered = order === "descending" ? ascending.toReversed() : ascending
  const sign = order === "descending" ? -1 : 1
  return ordered.filter(({ key }) =>
    after === undefined || sign * Buffer.compare(Buffer.from(key), Buffer.from(after)) > 0
  )
    .slice(0, limit)
}

const withoutTime = (records: ReadonlyArray<VersionedRecord>) =>
  records.map(({ collection, key, revision, value }) => ({ collection, key, value, revision }))

const placeOf = (collection: string, key: string): string => JSON.stringify([collection, key])
