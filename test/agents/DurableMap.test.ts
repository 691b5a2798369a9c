import { describe, expect, it } from "@effect/vitest"
import * as DurableMap from "@holdfast/agents/DurableMap"
import * as DurableQueue from "@holdfast/agents/DurableQueue"
import { EntryUndecodable } from "@holdfast/agents/EntryCodec"
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { backends } from "./backends.ts"
import { makeAgent } from "./entries.ts"

const Item = Schema.Struct({ count: Schema.Int })
const Orders = DurableMap.make("orders", { key: Schema.NumberFromString, value: Item })

const key = FastCheck.integer({ min: 0, max: 12 })
const step = FastCheck.oneof(
  FastCheck.record({ does: FastCheck.constant("set" as const), key, count: FastCheck.nat(9) }),
  FastCheck.record({ does: FastCheck.constant("remove" as const), key }),
  FastCheck.record({ does: FastCheck.constant("get" as const), key }),
  FastCheck.record({ does: FastCheck.constant("size" as const) }),
  FastCheck.record({ does: FastCheck.constant("page" as const), key, limit: FastCheck.nat(4) }),
  FastCheck.record({ does: FastCheck.constant("entries" as const) })
)
type Step = typeof step extends FastCheck.Arbitrary<infer A> ? A : never

const message = FastCheck.record({
  steps: FastCheck.array(step, { maxLength: 8 }),
  fails: FastCheck.nat(4).map((n) => n === 0),
  land: FastCheck.nat(2),
  settle: FastCheck.nat(2)
})

type Map_ = ReadonlyMap<number, { readonly count: number }>

const sorted = (map: Map_) => Array.from(map).sort(([a], [b]) => (String(a) < String(b) ? -1 : 1))

/** What a step does to the map, and what it answers. */
const expectedOf = (map: Map<number, { readonly count: number }>, does: Step): unknown => {
  switch (does.does) {
    case "set":
      return void map.set(does.key, { count: does.count })
    case "remove":
      return void map.delete(does.key)
    case "get":
      return [Option.fromNullable(map.get(does.key)), map.has(does.key)]
    case "size":
      return map.size
    case "page":
      return sorted(map).filter(([key]) => String(key) > String(does.key)).slice(0, does.limit)
    case "entries":
      return sorted(map)
  }
}

const run = (orders: DurableMap.Entries<number, typeof Item.Type>, does: Step) => {
  switch (does.does) {
    case "set":
      return orders.set(does.key, { count: does.count })
    case "remove":
      return orders.remove(does.key)
    case "get":
      return Effect.all([orders.get(does.key), orders.has(does.key)])
    case "size":
      return orders.size
    case "page":
      return orders.page({ after: does.key, limit: does.limit })
    case "entries":
      return Effect.map(Stream.runCollect(orders.entries), Chunk.toReadonlyArray)
  }
}

const defectOf = <A, E>(exit: Exit.Exit<A, E>) =>
  Exit.isFailure(exit) ? Option.getOrNull(Cause.dieOption(exit.cause)) : null

for (const { name, numRuns, storage } of backends) {
  const withAgent = <A, E>(use: (agent: Effect.Effect.Success<typeof makeAgent>) => Effect.Effect<A, E>) =>
    Effect.flatMap(storage, (layer) => Effect.provide(Effect.flatMap(makeAgent, use), layer))

  describe(`DurableMap on ${name}`, () => {
    it.scopedLive.prop(
      "law: messages see what a plain map would hold, committed or not, and nothing of those that failed",
      { messages: FastCheck.array(message, { maxLength: 12 }) },
      ({ messages }) =>
        withAgent((agent) =>
          Effect.gen(function*() {
            let map = new Map<number, { readonly count: number }>()
            for (const { fails, land, settle, steps } of messages) {
              const draft = new Map(map)
              const expected = steps.map((does) => expectedOf(draft, does))
              const handled = agent.handle((handle) => {
                const orders = DurableMap.of(handle, Orders)
                const answers = Effect.forEach(
                  steps,
                  (does): Effect.Effect<unknown, unknown> => run(orders, does)
                )
                return Effect.flatMap(
                  answers,
                  (answers) => (fails ? Effect.fail(answers) : Effect.succeed(answers))
                )
              })
              expect(yield* Effect.map(Effect.either(handled), Either.merge)).toEqual(expected)
              if (!fails) map = draft
              yield* agent.land(land)
              yield* agent.settle(settle)
            }
            yield* agent.settle(messages.length)
            const stored = (yield* agent.stored("map:orders")).map((
              { key, value }
            ) => [Number(key), JSON.parse(value)])
            expect(stored).toEqual(sorted(map))
          })
        ),
      { fastCheck: { numRuns } }
    )

    it.scopedLive("reads more entries than a page has, each once, in the order of the encoded keys", () =>
      withAgent((agent) =>
        Effect.gen(function*() {
          const count = DurableMap.pageSize * 2
          yield* agent.handle((handle) => {
            const orders = DurableMap.of(handle, Orders)
            return Effect.forEach(Array.from({ length: count }, (_, key) => key), (key) =>
              orders.set(key, { count: 1 }))
          })
          yield* agent.settle(1)
          const keys = yield* agent.handle((handle) => {
            const orders = DurableMap.of(handle, Orders)
            return Effect.zipRight(
              orders.remove(0),
              Stream.runCollect(Stream.map(orders.entries, ([key]) =>
                key))
            )
          })
          expect(Chunk.toReadonlyArray(keys)).toEqual(
            Array.from({ length: count - 1 }, (_, key) => key + 1).sort((
              a,
              b
            ) => (String(a) < String(b) ? -1 : 1))
          )
        })
      ))

    it.scopedLive("has nothing in common with a queue or another map of the agent, whatever they are called", () =>
      withAgent((agent) =>
        agent.handle((handle) =>
          Effect.gen(function*() {
            const names = ["x", "x:", "map:x", "queue:x", ""]
            const maps = names.map((name) =>
              DurableMap.make(name, { key: Schema.String, value: Schema.String })
            )
            const queues = names.map((name) => DurableQueue.make(name, { item: Schema.String }))
            for (const map of maps) yield* DurableMap.of(handle, map).set("k", map.name)
            for (const queue of queues) yield* DurableQueue.of(handle, queue).offer(queue.name)
            const values = yield* Effect.forEach(maps, (map) =>
              Effect.flatten(DurableMap.of(handle, map).get("k")))
            const items = yield* Effect.forEach(queues, (queue) =>
              DurableQueue.of(handle, queue).takeAll)
            expect(values).toEqual(names)
            expect(items).toEqual(names.map((name) => [name]))
          })
        )
      ))

    it.scopedLive("dies of a stored entry that it cannot read, naming it, and leaves it where it is", () =>
      withAgent((agent) =>
        Effect.gen(function*() {
          const broken = { collection: "map:orders", key: "1", value: "{\"count\":\"many\"}" }
          yield* agent.write([broken])
          const dies = (
            use: (orders: DurableMap.Entries<number, typeof Item.Type>) => Effect.Effect<unknown, unknown>
          ) => Effect.map(Effect.exit(agent.handle((handle) => use(DurableMap.of(handle, Orders)))), defectOf)
          const reads = yield* Effect.all([
            dies((orders) => orders.get(1)),
            dies((orders) => orders.page({ limit: 1 })),
            dies((orders) => Stream.runDrain(orders.entries))
          ])
          for (const defect of reads) {
            expect(defect).toBeInstanceOf(EntryUndecodable)
            expect(defect).toMatchObject({ collection: "map:orders", key: "1", text: broken.value })
          }
          expect(yield* agent.stored("map:orders")).toEqual([{ key: "1", value: broken.value }])
          yield* agent.handle((handle) => DurableMap.of(handle, Orders).remove(1))
          yield* agent.settle(1)
          expect(yield* agent.stored("map:orders")).toEqual([])
        })
      ))

    it.scopedLive("dies of a value or key that does not fit, and of one that is too large", () =>
      withAgent((agent) =>
        Effect.gen(function*() {
          const Texts = DurableMap.make("texts", { key: Schema.String, value: Schema.NonEmptyString })
          const sets = (key: string, value: string) =>
            Effect.map(
              Effect.exit(agent.handle((handle) => DurableMap.of(handle, Texts).set(key, value))),
              defectOf
            )
          const large = "x".repeat(1024 * 1024)
          expect(yield* sets("k", "")).toMatchObject({ _tag: "EntryInvalid", collection: "map:texts" })
          expect(yield* sets("k", large)).toMatchObject({ _tag: "PayloadTooLarge", bytes: large.length + 2 })
          expect(yield* sets(`${large}x`, "v")).toMatchObject({ _tag: "PayloadTooLarge" })
          expect(yield* sets("\ud800", "v")).toMatchObject({ message: expect.stringContaining("Unicode") })
        })
      ))
  })
}
