import { describe, expect, it } from "@effect/vitest"
import * as DeadLetters from "@holdfast/core/DeadLetters"
import * as Scheduler from "@holdfast/core/Scheduler"
import * as ScheduleStore from "@holdfast/core/ScheduleStore"
import * as Timing from "@holdfast/core/Timing"
import * as Sqlite from "@holdfast/persistence/Sqlite"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { temporaryStore } from "../support/store-processes.ts"

describe("core's durable services on SQLite", () => {
  it.scopedLive("dead letters outlive the process that kept them, until a retry has succeeded", () =>
    Effect.gen(function*() {
      const life = Effect.provide(Sqlite.layer({ filename: yield* temporaryStore }))
      const open = DeadLetters.make("orders", Schema.Struct({ id: Schema.Number }))
      const draft = { recipient: "billing", reason: "failed", detail: "no answer", attempts: 3 } as const
      yield* life(
        Effect.flatMap(
          open,
          (letters) => Effect.forEach([1, 2], (id) => letters.add({ ...draft, message: { id } }))
        )
      )
      yield* life(Effect.gen(function*() {
        const letters = yield* open
        const [first, second] = yield* letters.list()
        expect(yield* Effect.flip(letters.retry(first?.id ?? "", () => Effect.fail("still none")))).toBe(
          "still none"
        )
        yield* letters.retry(second?.id ?? "", ({ id }) => Effect.sync(() => expect(id).toBe(2)))
      }))
      const left = yield* life(Effect.flatMap(open, (letters) => letters.list()))
      expect(left.map(({ attempts, encoded }) => ({ attempts, encoded })))
        .toEqual([{ attempts: 4, encoded: JSON.stringify({ id: 1 }) }])
    }))

  it.scopedLive("a durable schedule goes on where the process before left it, and runs no time twice", () =>
    Effect.gen(function*() {
      const life = Effect.provide(Sqlite.layer({ filename: yield* temporaryStore }))
      const timing = yield* Timing.every("20 millis")
      const runs = Effect.scoped(Effect.gen(function*() {
        const scheduler = yield* Scheduler.make()
        const ran = yield* Effect.makeSemaphore(0)
        yield* scheduler.scheduleDurable({ id: "tick", timing, run: ran.release(1) })
        yield* ran.take(3)
        return (yield* scheduler.history("tick")).map((run) => run.dueAtMillis)
      }))
      const first = yield* life(runs)
      const stored = yield* life(ScheduleStore.get("tick"))
      const second = yield* life(runs)
      const handledMillis = Option.getOrThrow(stored).value.handledMillis
      expect(handledMillis).toBeGreaterThanOrEqual(Math.max(...first))
      expect(Math.min(...second)).toBeGreaterThan(handledMillis)
    }))
})
