import { describe, expect, it } from "@effect/vitest"
import * as MemoryRecords from "@holdfast/core/MemoryRecords"
import * as RecordCollection from "@holdfast/core/RecordCollection"
import * as RecordStore from "@holdfast/core/RecordStore"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

const Order = Schema.Struct({ at: Schema.DateFromNumber, lines: Schema.Array(Schema.NonEmptyString) })

const orders = RecordCollection.make("orders", Order)

const order = FastCheck.record({
  at: FastCheck.date({ noInvalidDate: true }),
  lines: FastCheck.array(FastCheck.string({ minLength: 1, unit: "grapheme" }))
})

const commit = (...writes: ReadonlyArray<RecordStore.Write>) =>
  Effect.flatMap(RecordStore.RecordStore, (store) => store.commit(writes))

const counters = RecordCollection.make("counters", Schema.Number)

describe("RecordCollection", () => {
  it.effect.prop(
    "law: reads what was written, by key and in the order of keys",
    {
      values: FastCheck.dictionary(FastCheck.string({ unit: "grapheme" }), order, { noNullPrototype: true })
    },
    ({ values }) =>
      Effect.gen(function*() {
        const keys = Object.keys(values).sort(RecordStore.compareKeys)
        const written = Object.entries(values).map(([key, value]) => orders.put(key, value, 0))
        yield* commit(...written)
        const listed = yield* orders.list({ limit: 1_000 })
        expect(listed.map(({ key, value }) => [key, value])).toEqual(keys.map((key) => [key, values[key]]))
        for (const entry of listed) expect(yield* orders.get(entry.key)).toEqual(Option.some(entry))
        yield* commit(...listed.map(({ key, revision }) => orders.remove(key, revision)))
        expect(yield* orders.list({ limit: 1_000 })).toEqual([])
      }).pipe(Effect.provide(MemoryRecords.layer))
  )

  it.effect("calls a record that does not decode corrupt, and names it", () =>
    Effect.gen(function*() {
      yield* commit(orders.put("good", { at: new Date(0), lines: [] }))
      for (const value of ["", "{", "{}", `{"at":0,"lines":[""]}`]) {
        yield* commit(RecordStore.put("orders", "bad", value))
        for (const read of [Effect.asVoid(orders.get("bad")), Effect.asVoid(orders.list({ limit: 9 }))]) {
          const error = yield* Effect.flip(read)
          expect(error).toMatchObject({ _tag: "StorageError", reason: "Corrupt", outcome: "none" })
          expect(error.message).toContain("record bad of orders does not decode")
        }
      }
      expect(Option.isSome(yield* orders.get("good"))).toBe(true)
    }).pipe(Effect.provide(MemoryRecords.layer)))

  it("dies of a value that does not encode", () => {
    const exit = Effect.runSyncExit(
      Effect.sync(() => orders.put("k", { at: new Date(0), lines: [""] }))
    )
    expect(Exit.isFailure(exit) && exit.cause._tag).toBe("Die")
  })

  it.effect("modifies in one step: decides again when somebody else was faster, and can leave or remove", () =>
    Effect.gen(function*() {
      const add = counters.modify("n", (current) => {
        const n = Option.match(current, { onNone: () => 0, onSome: ({ value }) => value }) + 1
        return { answer: n, next: Option.some(n) }
      })
      const answers = yield* Effect.all(Array.from({ length: 20 }, () => add), { concurrency: "unbounded" })
      expect(answers.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, index) => index + 1))
      const revision = Option.map(yield* counters.get("n"), (entry) => entry.revision)
      expect(yield* counters.modify("n", () => ({ answer: "left" }))).toBe("left")
      expect(Option.map(yield* counters.get("n"), (entry) => entry.revision)).toEqual(revision)
      expect(yield* counters.modify("n", () => ({ answer: "gone", next: Option.none() }))).toBe("gone")
      expect(yield* counters.get("n")).toEqual(Option.none())
    }).pipe(Effect.provide(MemoryRecords.layer)))

  it.effect("decides a modification on what stands when it is written", () =>
    Effect.gen(function*() {
      const store = yield* RecordStore.RecordStore
      let others = 3
      const busy = RecordStore.RecordStore.of({
        ...store,
        commit: (writes) => {
          others -= 1
          const other = others < 0 ? Effect.void : store.commit([counters.put("n", 10 + others)])
          return Effect.zipRight(other, store.commit(writes))
        }
      })
      const seen: Array<number> = []
      yield* counters.modify("n", (current) => {
        seen.push(Option.match(current, { onNone: () => 0, onSome: ({ value }) => value }))
        return { answer: undefined, next: Option.some(99) }
      }).pipe(Effect.provideService(RecordStore.RecordStore, busy))
      expect(seen).toEqual([0, 12, 11, 10])
      expect(Option.map(yield* counters.get("n"), ({ value }) => value)).toEqual(Option.some(99))
    }).pipe(Effect.provide(MemoryRecords.layer)))
})
