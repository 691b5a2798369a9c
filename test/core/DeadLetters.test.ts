import { describe, expect, it } from "@effect/vitest"
import type { Letter } from "@holdfast/core/DeadLetter"
import * as DeadLetters from "@holdfast/core/DeadLetters"
import * as MemoryRecords from "@holdfast/core/MemoryRecords"
import * as RecordStore from "@holdfast/core/RecordStore"
import * as Arr from "effect/Array"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/TestClock"

class Busy extends Data.TaggedError("Busy")<{}> {}

const Order = Schema.Struct({ id: Schema.Number, due: Schema.Date })
type Order = typeof Order.Type

const order = (id: number): Order => ({ id, due: new Date(0) })

const failed = (recipient: string, id: number) => ({
  recipient,
  message: order(id),
  reason: "failed" as const,
  detail: "why",
  attempts: 2
})

const idsOf = (letters: ReadonlyArray<Letter>): ReadonlyArray<number> =>
  letters.map(({ encoded }) => JSON.parse(encoded).id)

const turns = Effect.repeatN(Effect.yieldNow(), 20)

const isolated = <A, E>(effect: Effect.Effect<A, E, RecordStore.RecordStore>): Effect.Effect<A, E> =>
  Effect.provide(effect, MemoryRecords.layer)

describe("DeadLetters", () => {
  it.effect("keeps a message with where it went, why, how often it was tried, and when", () =>
    isolated(Effect.gen(function*() {
      const letters = yield* DeadLetters.make("orders", Order)
      yield* TestClock.adjust("5 seconds")
      const id = yield* letters.add({
        ...failed("billing", 1),
        topic: "orders.eu",
        detail: "x".repeat(2_000)
      })
      expect(yield* letters.list()).toEqual([{
        id,
        recipient: "billing",
        topic: "orders.eu",
        encoded: `{"id":1,"due":"1970-01-01T00:00:00.000Z"}`,
        reason: "failed",
        detail: "x".repeat(1_000),
        attempts: 2,
        atMillis: 5_000
      }])
      expect(yield* letters.count).toBe(1)
    })))

  it.effect.prop(
    "law: pages, filters, expiry and purge are those of a list in the order of time",
    {
      recipients: FastCheck.array(FastCheck.constantFrom("a", "b", "c"), { maxLength: 250 }),
      limit: FastCheck.integer({ min: 1, max: 120 }),
      cut: FastCheck.nat({ max: 250 })
    },
    ({ cut, limit, recipients }) =>
      isolated(Effect.gen(function*() {
        const letters = yield* DeadLetters.make("orders", Order)
        for (const [index, recipient] of recipients.entries()) {
          yield* letters.add(failed(recipient, index))
          yield* TestClock.setTime(index + 1)
        }
        const model = recipients.map((recipient, id) => ({ id, recipient }))
        const read: Array<Letter> = []
        for (let more = true; more;) {
          const last = read.at(-1)
          const page = yield* letters.list({ recipient: "a", limit, ...(last ? { after: last.id } : {}) })
          expect(page.length).toBeLessThanOrEqual(limit)
          read.push(...page)
          more = page.length > 0
        }
        expect(idsOf(read)).toEqual(model.filter(({ recipient }) => recipient === "a").map(({ id }) => id))

        const old = model.filter(({ id }) => id < recipients.length - cut)
        expect(yield* letters.expire(cut)).toBe(old.length)
        const left = model.slice(old.length)
        expect(idsOf(yield* letters.list({ limit: 1_000 }))).toEqual(left.map(({ id }) => id))

        const isB = ({ recipient }: { readonly recipient: string }) => recipient === "b"
        expect(yield* letters.purge({ recipient: "b" })).toBe(left.filter(isB).length)
        expect(yield* letters.count).toBe(left.filter((letter) => !isB(letter)).length)
        yield* letters.purge({ reason: "dropped" })
        expect(yield* letters.count).toBe(left.filter((letter) => !isB(letter)).length)
        yield* letters.purge({})
        expect(yield* letters.count).toBe(0)
      })),
    { fastCheck: { numRuns: 6 } }
  )

  it.effect.prop(
    "law: never more than the bound are kept, also added at once; the newest stay and those that went are counted",
    { max: FastCheck.integer({ min: 1, max: 250 }), adds: FastCheck.integer({ min: 1, max: 400 }) },
    ({ adds, max }) =>
      isolated(Effect.gen(function*() {
        const letters = yield* DeadLetters.make("orders", Order, { max })
        yield* Effect.forEach(
          Arr.makeBy(adds, (id) => id),
          (id) =>
            Effect.zipRight(letters.add(failed("a", id)), letters.count).pipe(
              Effect.map((count) => expect(count).toBeLessThanOrEqual(max))
            ),
          { concurrency: "unbounded", discard: true }
        )
        const kept = idsOf(yield* letters.list({ limit: 1_000 }))
        const evicted = yield* letters.evicted
        expect(kept).toEqual(Arr.makeBy(adds, (id) => id).slice(evicted))
        expect(kept.length).toBeGreaterThanOrEqual(Math.min(adds, max - Math.ceil(max / 100) + 1))
      })),
    { fastCheck: { numRuns: 6 } }
  )

  it.effect("removes a letter when its retry succeeded, and counts an attempt when it failed", () =>
    isolated(Effect.gen(function*() {
      const letters = yield* DeadLetters.make("orders", Order)
      const id = yield* letters.add(failed("a", 1))
      expect(yield* Effect.flip(letters.retry(id, () => new Busy()))).toEqual(new Busy())
      expect(yield* letters.list()).toMatchObject([{ id, attempts: 3 }])
      const exit = yield* Effect.exit(letters.retry(id, () => Effect.die("bug")))
      expect(exit).toEqual(Exit.die("bug"))
      expect(yield* letters.list()).toMatchObject([{ id, attempts: 4 }])
      const sent: Array<Order> = []
      yield* letters.retry(id, (message) => Effect.sync(() => void sent.push(message)))
      expect(sent).toEqual([order(1)])
      expect(yield* letters.count).toBe(0)
      expect(yield* Effect.flip(letters.retry(id, () => Effect.void))).toMatchObject({
        _tag: "LetterNotFound"
      })
    })))

  it.effect("lets one of two processes retry a letter, the other after the lease of one that died", () =>
    Effect.gen(function*() {
      const memory = MemoryRecords.memory()
      const store = MemoryRecords.make(memory)
      // Both have read the letter before either claims it.
      const slow = {
        ...store,
        get: (collection: string, key: string) => Effect.tap(store.get(collection, key), turns)
      }
      const open = Effect.provideService(
        DeadLetters.make("orders", Order, { lease: "10 seconds" }),
        RecordStore.RecordStore,
        slow
      )
      const [one, two] = [yield* open, yield* open]
      const id = yield* one.add(failed("a", 1))
      const sent: Array<string> = []
      const send = (who: string) => () =>
        Effect.zipRight(Effect.yieldNow(), Effect.sync(() => void sent.push(who)))
      const outcomes = yield* Effect.all(
        [Effect.exit(one.retry(id, send("one"))), Effect.exit(two.retry(id, send("two")))],
        { concurrency: "unbounded" }
      )
      expect(outcomes.filter(Exit.isSuccess)).toHaveLength(1)
      expect(sent).toHaveLength(1)

      const again = yield* one.add(failed("a", 2))
      const stuck = yield* Effect.fork(one.retry(again, () => Effect.never))
      yield* Effect.zipRight(turns, turns)
      expect(yield* Effect.flip(two.retry(again, send("two")))).toMatchObject({
        _tag: "LetterClaimed",
        untilMillis: 10_000
      })
      // As a process that died would have left it.
      const left = structuredClone(memory.collections)
      yield* Fiber.interrupt(stuck)
      left.forEach((records, name) => memory.collections.set(name, records))
      yield* TestClock.adjust("10 seconds")
      yield* two.retry(again, send("two"))
      expect(yield* two.count).toBe(0)
    }))

  it.effect("frees a letter whose retry was interrupted, without an attempt, and one that took too long, with one", () =>
    isolated(Effect.gen(function*() {
      const letters = yield* DeadLetters.make("orders", Order, { lease: "10 seconds" })
      const id = yield* letters.add(failed("a", 1))
      const begun = yield* Deferred.make<void>()
      const fiber = yield* Effect.fork(
        letters.retry(id, () => Effect.zipRight(Deferred.succeed(begun, undefined), Effect.never))
      )
      yield* Deferred.await(begun)
      yield* Fiber.interrupt(fiber)
      expect(yield* letters.list()).toMatchObject([{ attempts: 2 }])
      const slow = yield* Effect.fork(Effect.flip(letters.retry(id, () => Effect.never)))
      yield* TestClock.adjust("10 seconds")
      expect((yield* Fiber.join(slow)).message).toBe(`retrying dead letter ${id} took longer than 10s`)
      expect(yield* letters.list()).toMatchObject([{ attempts: 3 }])
      yield* letters.retry(id, () => Effect.void)
    })))

  it.effect("leaves alone a letter that somebody removed while it was retried", () =>
    isolated(Effect.gen(function*() {
      const letters = yield* DeadLetters.make("orders", Order)
      const id = yield* letters.add(failed("a", 1))
      yield* letters.retry(id, () => Effect.orDie(letters.remove(id)))
      const other = yield* letters.add(failed("a", 2))
      yield* Effect.flip(
        letters.retry(other, () => Effect.zipRight(Effect.orDie(letters.remove(other)), new Busy()))
      )
      expect(yield* letters.count).toBe(0)
      yield* letters.remove(other)
    })))

  it.effect("lists and removes letters its schema no longer reads, and says so on a retry", () =>
    isolated(Effect.gen(function*() {
      const before = yield* DeadLetters.make("orders", Schema.String)
      const id = yield* before.add({ ...failed("a", 1), message: "old form" })
      const letters = yield* DeadLetters.make("orders", Order)
      expect(yield* letters.list()).toMatchObject([{ encoded: `"old form"` }])
      const error = yield* Effect.flip(letters.retry(id, () => Effect.void))
      expect(error).toMatchObject({ _tag: "LetterUndecodable", letter: id })
      expect(yield* letters.purge({ recipient: "a" })).toBe(1)
    })))

  it.effect("refuses typed what cannot be stored, and keeps nothing of it", () =>
    isolated(Effect.gen(function*() {
      const texts = yield* DeadLetters.make("texts", Schema.Union(Schema.NonEmptyString, Schema.Undefined))
      for (const message of ["", "x".repeat(1_048_576), undefined]) {
        const error = yield* Effect.flip(texts.add({ ...failed("a", 1), message }))
        expect(error).toMatchObject({ _tag: "LetterUnkeepable", recipient: "a" })
      }
      expect(yield* texts.count).toBe(0)
      yield* texts.add({ ...failed("a", 1), message: "fits" })
    })))

  it.effect("dies on a bound or a lease that is none", () =>
    isolated(Effect.gen(function*() {
      for (const max of [0, 1.5, Number.NaN, 1_000_001]) {
        const exit = yield* Effect.exit(DeadLetters.make("orders", Order, { max }))
        expect(Exit.isFailure(exit) && String(exit.cause)).toContain(`1000000, not ${max}`)
      }
      for (const lease of ["0 seconds", "Infinity"] as const) {
        const duration = lease === "Infinity" ? Number.POSITIVE_INFINITY : lease
        const exit = yield* Effect.exit(DeadLetters.make("orders", Order, { lease: duration }))
        expect(Exit.isFailure(exit) && String(exit.cause)).toContain("lease")
      }
    })))

  it.effect("is a service", () => {
    class Orders extends Context.Tag("test/Orders")<Orders, DeadLetters.DeadLetters<Order>>() {}
    return Effect.gen(function*() {
      const letters = yield* Orders
      yield* letters.add(failed("a", 1))
      expect(yield* letters.count).toBe(1)
    }).pipe(Effect.provide(DeadLetters.layer(Orders, "orders", Order)), isolated)
  })
})
