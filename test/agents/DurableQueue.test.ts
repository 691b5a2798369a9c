import { describe, expect, it } from "@effect/vitest"
import * as DurableQueue from "@holdfast/agents/DurableQueue"
import type { EntryAccess } from "@holdfast/agents/EntryAccess"
import { EntryUndecodable } from "@holdfast/agents/EntryCodec"
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { backends } from "./backends.ts"
import { makeAgent } from "./entries.ts"

/** `null` is an item like any other. */
const Letters = DurableQueue.make("letters", { item: Schema.NullOr(Schema.Int) })
type Letter = number | null

const letter = FastCheck.option(FastCheck.nat(99))
const step = FastCheck.oneof(
  FastCheck.record({ does: FastCheck.constant("offer" as const), items: FastCheck.tuple(letter) }),
  FastCheck.record({
    does: FastCheck.constant("offerAll" as const),
    items: FastCheck.array(letter, { maxLength: 12 })
  }),
  FastCheck.record({ does: FastCheck.constantFrom(...(["take", "peek", "size", "takeAll"] as const)) }),
  FastCheck.record({
    does: FastCheck.constant("takeUpTo" as const),
    count: FastCheck.integer({ min: -1, max: 8 })
  })
)
type Step = typeof step extends FastCheck.Arbitrary<infer A> ? A : never

const message = FastCheck.record({
  steps: FastCheck.array(step, { maxLength: 8 }),
  fails: FastCheck.nat(4).map((n) => n === 0),
  land: FastCheck.nat(2),
  settle: FastCheck.nat(2)
})

/** What a step does to the queue, and what it answers. */
const expectedOf = (queue: Array<Letter>, does: Step): unknown => {
  switch (does.does) {
    case "offer":
    case "offerAll":
      return void queue.push(...does.items)
    case "takeUpTo":
      return queue.splice(0, Math.max(0, does.count))
    case "takeAll":
      return queue.splice(0)
    case "take":
      return Arr.head(queue.splice(0, 1))
    case "peek":
      return Arr.head(queue)
    case "size":
      return queue.length
  }
}

const run = (letters: DurableQueue.Items<Letter>, does: Step): Effect.Effect<unknown, unknown> => {
  switch (does.does) {
    case "offer":
      return letters.offer(does.items[0])
    case "offerAll":
      return letters.offerAll(does.items)
    case "takeUpTo":
      return letters.takeUpTo(does.count)
    default:
      return letters[does.does]
  }
}

/** Lets other fibers run wherever storage may be read, for a while that differs from time to time. */
const yielding = (entries: EntryAccess, pauses: ReadonlyArray<number>): EntryAccess => {
  let reads = 0
  const pause = Effect.suspend(() => Effect.repeatN(Effect.yieldNow(), pauses[reads++ % pauses.length] ?? 0))
  const paused = <A, E>(read: Effect.Effect<A, E>) => Effect.zipRight(pause, Effect.zipLeft(read, pause))
  return {
    ...entries,
    get: (...args) => paused(entries.get(...args)),
    page: (...args) => paused(entries.page(...args))
  }
}

for (const { name, numRuns, storage } of backends) {
  const withAgent = <A, E>(use: (agent: Effect.Effect.Success<typeof makeAgent>) => Effect.Effect<A, E>) =>
    Effect.flatMap(storage, (layer) => Effect.provide(Effect.flatMap(makeAgent, use), layer))

  describe(`DurableQueue on ${name}`, () => {
    it.scopedLive.prop(
      "law: messages see what an array would hold, committed or not, and nothing of those that failed",
      { messages: FastCheck.array(message, { maxLength: 12 }) },
      ({ messages }) =>
        withAgent((agent) =>
          Effect.gen(function*() {
            let queue: Array<Letter> = []
            for (const { fails, land, settle, steps } of messages) {
              const draft = Array.from(queue)
              const expected = steps.map((does) => expectedOf(draft, does))
              const handled = agent.handle((handle) => {
                const letters = DurableQueue.of(handle, Letters)
                return Effect.flatMap(
                  Effect.forEach(steps, (does) => run(letters, does)),
                  (answers) => (fails ? Effect.fail(answers) : Effect.succeed(answers))
                )
              })
              expect(yield* Effect.map(Effect.either(handled), Either.merge)).toEqual(expected)
              if (!fails) queue = draft
              yield* agent.land(land)
              yield* agent.settle(settle)
            }
            yield* agent.settle(messages.length)
            const [, ...stored] = yield* agent.stored("queue:letters")
            expect(stored.map(({ value }) => JSON.parse(value))).toEqual(queue)
          })
        ),
      { fastCheck: { numRuns } }
    )

    it.scopedLive.prop(
      "law: fibers of one message lose no item and take none twice",
      {
        steps: FastCheck.array(step, { minLength: 2, maxLength: 12 }),
        pauses: FastCheck.array(FastCheck.nat(6), { minLength: 1, maxLength: 7 })
      },
      ({ pauses, steps }) =>
        withAgent((agent) =>
          Effect.gen(function*() {
            const numbered = Array.from({ length: 5 }, (_, index) => index)
            yield* agent.handle((handle) => DurableQueue.of(handle, Letters).offerAll(numbered))
            yield* agent.settle(1)
            const unique = steps.map((does, at) =>
              "items" in does
                ? { ...does, items: does.items.map((_, index) => 100 * (at + 1) + index) as [number] }
                : does
            )
            const left = yield* agent.handle((handle) =>
              Effect.gen(function*() {
                const letters = DurableQueue.of({ entries: yielding(handle.entries, pauses) }, Letters)
                const answers = yield* Effect.forEach(unique, (does) => run(letters, does), {
                  concurrency: "unbounded"
                })
                const taken = answers.flatMap((answer, at) => {
                  const { does } = unique[at] ?? { does: "size" }
                  if (does === "take") return Option.toArray(answer as Option.Option<number>)
                  return does === "takeAll" || does === "takeUpTo" ? answer as ReadonlyArray<number> : []
                })
                return [...taken, ...(yield* letters.takeAll)]
              })
            )
            const offered = [...numbered, ...unique.flatMap((does) => ("items" in does ? does.items : []))]
            expect(left.map(Number).sort((a, b) => a - b)).toEqual(offered.sort((a, b) => a - b))
          })
        ),
      { fastCheck: { numRuns } }
    )

    it.scopedLive("stores a long queue in the order of its items, and goes on after it was empty", () =>
      withAgent((agent) =>
        Effect.gen(function*() {
          const items = Array.from({ length: 120 }, (_, index) => index)
          yield* agent.handle((handle) => DurableQueue.of(handle, Letters).offerAll(items))
          yield* agent.settle(1)
          const taken = agent.handle((handle) => DurableQueue.of(handle, Letters).takeUpTo(115))
          expect(yield* taken).toEqual(items.slice(0, 115))
          yield* agent.settle(1)
          expect(yield* agent.handle((handle) => DurableQueue.of(handle, Letters).takeAll)).toEqual(
            items.slice(115)
          )
          yield* agent.settle(1)
          expect(yield* agent.stored("queue:letters")).toHaveLength(1)
          const again = agent.handle((handle) => {
            const letters = DurableQueue.of(handle, Letters)
            return Effect.zipRight(
              letters.offer(7),
              Effect.all([letters.size, letters.peek, letters.takeAll])
            )
          })
          expect(yield* again).toEqual([1, Option.some(7), [7]])
        })
      ))

    it.scopedLive("dies of an item that it cannot read or find, naming it, and leaves the queue as it was", () =>
      withAgent((agent) =>
        Effect.gen(function*() {
          const collection = "queue:letters"
          yield* agent.handle((handle) => DurableQueue.of(handle, Letters).offerAll([1, 2]))
          yield* agent.settle(1)
          const [, first] = yield* agent.stored(collection)
          const key = first?.key ?? ""
          const takes = (use: (letters: DurableQueue.Items<Letter>) => Effect.Effect<unknown, unknown>) =>
            Effect.map(
              Effect.exit(agent.handle((handle) => use(DurableQueue.of(handle, Letters)))),
              (exit) => Exit.isFailure(exit) ? Option.getOrNull(Cause.dieOption(exit.cause)) : null
            )
          for (const value of ["\"one\"", null]) {
            yield* agent.write([{ collection, key, value }])
            const before = yield* agent.stored(collection)
            for (const take of [takes((letters) => letters.take), takes((letters) => letters.takeAll)]) {
              const defect = yield* take
              expect(defect).toBeInstanceOf(EntryUndecodable)
              expect(defect).toMatchObject({ collection, key })
            }
            expect(yield* agent.stored(collection)).toEqual(before)
          }
          yield* agent.write([{ collection, key: "-", value: "2 1" }])
          expect(yield* takes((letters) => letters.size)).toMatchObject({ key: "-", text: "2 1" })
        })
      ))
  })
}
