import { describe, expect, it } from "@effect/vitest"
import * as QueueSignals from "@holdfast/agents/QueueSignals"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"

/** What signals remember is their maps: those that are made while they are. */
const makeWatched = () => {
  const maps: Array<Map<unknown, unknown>> = []
  const Original = globalThis.Map
  globalThis.Map = class<K, V> extends Original<K, V> {
    constructor(entries?: Iterable<readonly [K, V]> | null) {
      super(entries ?? [])
      maps.push(this)
    }
  }
  const signals = QueueSignals.make()
  globalThis.Map = Original
  return { signals, remembered: () => maps.reduce((sum, map) => sum + map.size, 0), maps: maps.length }
}

type Step =
  | { readonly do: "await" | "notify"; readonly queue: string }
  | { readonly do: "interrupt"; readonly waiter: number }

const queue = FastCheck.constantFrom("a", "b")

const step: FastCheck.Arbitrary<Step> = FastCheck.oneof(
  FastCheck.record({ do: FastCheck.constantFrom("await" as const, "notify" as const), queue }),
  FastCheck.record({ do: FastCheck.constant("interrupt" as const), waiter: FastCheck.nat(9) })
)

describe("QueueSignals", () => {
  it.effect.prop(
    "law: a notification wakes exactly those who wait on its queue, and what nobody waits for is forgotten",
    { steps: FastCheck.array(step, { maxLength: 40 }) },
    ({ steps }) =>
      Effect.gen(function*() {
        const { maps, remembered, signals } = makeWatched()
        expect(maps).toBe(1)
        const waiters: Array<{ queue: string; fiber: Fiber.RuntimeFiber<void>; waiting: boolean }> = []
        for (const step of steps) {
          if (step.do === "interrupt") {
            const waiter = waiters[step.waiter]
            if (waiter?.waiting === true) {
              yield* Fiber.interrupt(waiter.fiber)
              waiters.splice(step.waiter, 1)
            }
          } else if (step.do === "await") {
            const fiber = yield* Effect.fork(signals.await(step.queue))
            waiters.push({ queue: step.queue, fiber, waiting: true })
          } else {
            signals.notify(step.queue)
            for (const waiter of waiters) {
              if (waiter.queue === step.queue) waiter.waiting = false
            }
          }
          yield* Effect.repeatN(Effect.yieldNow(), 3)
          expect(waiters.map(({ fiber }) => fiber.unsafePoll() === null)).toEqual(
            waiters.map(({ waiting }) => waiting)
          )
          const queues = waiters.flatMap(({ queue, waiting }) => (waiting ? [queue] : []))
          expect(remembered()).toBe(new Set(queues).size)
        }
        yield* Fiber.interruptAll(waiters.map(({ fiber }) => fiber))
        expect(remembered()).toBe(0)
      })
  )

  it.effect("lets one who waits again while others are being woken wait for the next notification", () =>
    Effect.gen(function*() {
      const signals = QueueSignals.make()
      let times = 0
      const again = yield* Effect.fork(
        Effect.forever(Effect.zipRight(signals.await("q"), Effect.sync(() => void times++)))
      )
      for (const expected of [1, 2, 3]) {
        yield* Effect.repeatN(Effect.yieldNow(), 3)
        signals.notify("q")
        yield* Effect.repeatN(Effect.yieldNow(), 3)
        expect(times).toBe(expected)
      }
      yield* Fiber.interrupt(again)
    }))
})
