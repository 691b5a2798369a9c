/**
 * Timers registered and cancelled per second, beside a fiber that sleeps for each.
 */
import * as Scheduler from "@holdfast/core/Scheduler"
import * as Timing from "@holdfast/core/Timing"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { Contestant } from "./Measure.ts"

const count = 100_000

const ids = Array.from({ length: count }, (_, index) => String(index))

/** The contestants. */
export const contestants = (): ReadonlyArray<Contestant> => [
  { name: "scheduler, 100,000 one-shots", run: () => Effect.runPromise(Effect.scoped(withScheduler)) },
  { name: "a sleeping fiber each, 100,000", run: () => Effect.runPromise(withFibers) }
]

const withScheduler = Effect.gen(function*() {
  const scheduler = yield* Scheduler.make()
  const timing = yield* Timing.after("1 hour")
  yield* Effect.forEach(ids, (id) => scheduler.schedule({ id, timing, run: Effect.void }), { discard: true })
  yield* Effect.forEach(ids, (id) => scheduler.cancel(id), { discard: true })
  return count
}).pipe(Effect.orDie)

const withFibers = Effect.gen(function*() {
  const fibers = yield* Effect.forEach(ids, () => Effect.fork(Effect.sleep("1 hour")))
  yield* Effect.yieldNow()
  yield* Effect.forEach(fibers, Fiber.interrupt, { discard: true })
  return count
})
