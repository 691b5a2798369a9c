import { describe, expect, it } from "@effect/vitest"
import * as MemoryRecords from "@holdfast/core/MemoryRecords"
import { RecordStore } from "@holdfast/core/RecordStore"
import * as Scheduler from "@holdfast/core/Scheduler"
import * as ScheduleStore from "@holdfast/core/ScheduleStore"
import { StorageError } from "@holdfast/core/StorageError"
import type { MissedPolicy } from "@holdfast/core/Timetable"
import * as Timing from "@holdfast/core/Timing"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import type * as Scope from "effect/Scope"
import * as SchedulerClock from "./SchedulerClock.ts"

const every = (duration: Duration.DurationInput) => Either.getOrThrow(Timing.every(duration))

/** Each process has a scheduler of its own; they share the clock and the store. */
const world = () => {
  const clock = SchedulerClock.make()
  const memory = MemoryRecords.make(MemoryRecords.memory())
  // Between what a process reads and what it writes there is time for the others.
  const store: RecordStore["Type"] = {
    ...memory,
    get: (collection, key) => Effect.zipLeft(memory.get(collection, key), Effect.yieldNow())
  }
  const ran: Array<number> = []
  const run = Effect.sync(() => {
    ran.push(clock.wallMillis())
  })
  const inWorld = SchedulerClock.on(clock)
  const process = (missed: MissedPolicy = "skip", timing: Timing.Timing = every(100)) =>
    inWorld(Effect.gen(function*() {
      const scheduler = yield* Scheduler.make()
      yield* scheduler.scheduleDurable({ id: "a", timing, run, missed })
      return scheduler
    }))
  const living = <A, E>(effect: Effect.Effect<A, E, Scope.Scope | RecordStore>) =>
    inWorld(Effect.provideService(Effect.scoped(effect), RecordStore, store))
  return { clock, store, ran, run, process, living }
}

const broken = new StorageError({ operation: "commit", reason: "Io", outcome: "unknown", detail: "test" })

describe("Scheduler.scheduleDurable", () => {
  it.effect("goes on where it was after a restart, and makes up for what it missed as it is told", () =>
    Effect.forEach(
      [["skip", 0], ["runOnce", 1], ["runAll", 2]] as const,
      ([missed, madeUp]) =>
        Effect.gen(function*() {
          const { clock, living, process, ran } = world()
          const hourly = Either.getOrThrow(Timing.cron("0 * * * *"))
          yield* living(Effect.zipRight(process(missed, hourly), clock.advance("10 minutes")))
          yield* clock.advance(7_290_000 - 600_000)
          yield* living(Effect.zipRight(process(missed, hourly), clock.advance("1 hour")))
          expect(ran).toEqual([0, ...Array.from({ length: madeUp }, () => 7_290_000), 10_800_000])
        }),
      { discard: true }
    ))

  it.effect.prop(
    "law: of several processes exactly one runs each time, while they come and go",
    {
      processes: FastCheck.array(
        FastCheck.record({ from: FastCheck.nat(1_000), length: FastCheck.integer({ min: 1, max: 1_000 }) }),
        { minLength: 1, maxLength: 4 }
      )
    },
    ({ processes }) =>
      Effect.gen(function*() {
        const { clock, living, process, ran } = world()
        const all = Effect.forEach([{ from: 0, length: 2_000 }, ...processes], ({ from, length }) =>
          Effect.fork(living(
            Effect.zipRight(Effect.sleep(from), Effect.zipRight(process(), Effect.sleep(length)))
          )), { discard: true })
        yield* living(all.pipe(Effect.zipRight(Effect.repeatN(clock.advance(10), 194))))
        expect(ran).toEqual(Array.from({ length: 19 }, (_, index) =>
          (index + 1) * 100))
      }),
    { fastCheck: { numRuns: 20 } }
  )

  it.effect("is paused, resumed and removed through the store, in every process", () =>
    Effect.gen(function*() {
      const { clock, living, process, ran } = world()
      yield* living(Effect.gen(function*() {
        const schedulers = [yield* process("runAll"), yield* process("runAll")]
        yield* clock.advance(150)
        yield* ScheduleStore.pause("a")
        yield* clock.advance(300)
        yield* ScheduleStore.resume("a")
        yield* clock.advance(100)
        expect(ran).toEqual([100, 500])
        yield* ScheduleStore.remove("a")
        yield* clock.advance(100)
        expect(ran).toEqual([100, 500])
        for (const scheduler of schedulers) {
          expect(yield* scheduler.counts).toEqual({ schedules: 0, timers: 0, fibers: 0 })
        }
        expect(yield* Effect.flip(ScheduleStore.pause("a"))).toMatchObject({ _tag: "StoredScheduleNotFound" })
      }))
    }))

  it.effect("waits while storage fails, and runs a time once though the answer to its claim was lost", () =>
    Effect.gen(function*() {
      const { clock, living, ran, run, store } = world()
      let failures = 0
      const faulty: RecordStore["Type"] = {
        ...store,
        commit: (writes) =>
          failures++ === 1 ? Effect.zipRight(store.commit(writes), broken) : store.commit(writes),
        get: (collection, key) => clock.wallMillis() === 1_300 ? broken : store.get(collection, key)
      }
      yield* living(Effect.gen(function*() {
        const scheduler = yield* Scheduler.make()
        yield* scheduler.scheduleDurable({ id: "a", timing: every(100), run, missed: "skip" }).pipe(
          Effect.provideService(RecordStore, faulty)
        )
        yield* clock.advance(1_150)
        expect(ran).toEqual([1_100, 1_100])
        yield* clock.advance(2_000)
        const due = (yield* scheduler.history("a")).map((run) => run.dueAtMillis)
        expect(due.slice(0, 5)).toEqual([100, 1_100, 1_200, 2_300, 2_400])
        expect(new Set(due).size).toBe(due.length)
      }))
    }))

  it.effect("begins anew when its timing has changed", () =>
    Effect.gen(function*() {
      const { clock, living, process, ran } = world()
      yield* living(Effect.zipRight(process("runAll"), clock.advance(250)))
      yield* clock.advance(1_000)
      yield* living(Effect.zipRight(process("runAll", every(30)), clock.advance(65)))
      expect(ran).toEqual([100, 200, 1_280, 1_310])
    }))
})
