import { describe, expect, it } from "@effect/vitest"
import * as Scheduler from "@holdfast/core/Scheduler"
import type { ScheduleSpec } from "@holdfast/core/ScheduleSpec"
import * as Timetable from "@holdfast/core/Timetable"
import * as Timing from "@holdfast/core/Timing"
import * as Cause from "effect/Cause"
import * as DateTime from "effect/DateTime"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import * as SchedulerClock from "./SchedulerClock.ts"

const every = (duration: Duration.DurationInput) => Either.getOrThrow(Timing.every(duration))
const after = (duration: Duration.DurationInput) => Either.getOrThrow(Timing.after(duration))
const everyFrom = (millis: number, startMillis: number) =>
  Either.getOrThrow(Timing.every(millis, { startAt: DateTime.unsafeMake(startMillis) }))

const dueTimes = (scheduler: Scheduler.Scheduler["Type"], id = "a") =>
  Effect.map(scheduler.history(id), (runs) => runs.map((run) => run.dueAtMillis))

const nothing = { schedules: 0, timers: 0, fibers: 0 }

/** Runs a test on a clock of its own with a scheduler on it. */
const scheduled = <E>(
  test: (
    scheduler: Scheduler.Scheduler["Type"],
    clock: SchedulerClock.SchedulerClock
  ) => Effect.Effect<void, E, Scope.Scope>,
  options: Scheduler.Options = {}
) =>
  Effect.suspend(() => {
    const clock = SchedulerClock.make()
    return Effect.flatMap(Scheduler.make(options), (scheduler) => test(scheduler, clock)).pipe(
      SchedulerClock.on(clock)
    )
  })

describe("Scheduler", () => {
  it.scoped("runs a 10 ms interval 360,000 times in an hour, each at its time", () =>
    scheduled((scheduler, clock) =>
      Effect.gen(function*() {
        let runs = 0
        let late = 0
        const run = Effect.sync(() => {
          runs += 1
          if (clock.wallMillis() !== runs * 10) late += 1
        })
        yield* scheduler.schedule({ id: "a", timing: every("10 millis"), run })
        yield* clock.advance("1 hour")
        expect({ runs, late }).toEqual({ runs: 360_000, late: 0 })
        expect(yield* scheduler.next("a", 2)).toEqual([3_600_010, 3_600_020])
      })
    ))

  it.scoped("registers and cancels 100,000 one-shots and leaves nothing", () =>
    Effect.gen(function*() {
      const scheduler = yield* Scheduler.make()
      const ids = Array.from({ length: 100_000 }, (_, index) => `${index}`)
      const timing = after("1 hour")
      yield* Effect.forEach(ids, (id) => scheduler.schedule({ id, timing, run: Effect.void }), {
        discard: true
      })
      expect(yield* scheduler.counts).toEqual({ schedules: 100_000, timers: 100_000, fibers: 0 })
      yield* Effect.forEach(ids, scheduler.cancel, { discard: true })
      expect(yield* scheduler.counts).toEqual(nothing)
    }))

  it.effect.prop(
    "law: runs are those of the pure timetable, however time passes",
    {
      intervalMillis: FastCheck.integer({ min: 1, max: 90_000 }),
      startMillis: FastCheck.integer({ min: 0, max: 100_000 }),
      kind: FastCheck.constantFrom("every" as const, "everyFrom" as const, "cron" as const, "at" as const),
      missed: FastCheck.constantFrom<Array<Timetable.MissedPolicy>>("skip", "runOnce", "runAll"),
      steps: FastCheck.array(
        FastCheck.record({ stall: FastCheck.boolean(), millis: FastCheck.integer({ min: 0, max: 300_000 }) }),
        { maxLength: 6 }
      )
    },
    ({ intervalMillis, kind, missed, startMillis, steps }) =>
      Effect.scoped(scheduled((scheduler, clock) =>
        Effect.gen(function*() {
          const timing = {
            every: every(intervalMillis),
            everyFrom: everyFrom(intervalMillis, startMillis),
            cron: Either.getOrThrow(Timing.cron(`${startMillis % 60} */2 * * * *`)),
            at: Timing.at(DateTime.unsafeMake(startMillis))
          }[kind]
          const timetable = Timetable.fromTiming(timing, 0)
          const ran: Array<number> = []
          const expected: Array<number> = []
          let handled = Timetable.handledAtStart(timetable, 0)
          const run = Effect.sync(() => {
            ran.push(clock.wallMillis())
          })
          yield* scheduler.schedule({ id: "a", timing, run, missed })
          const due = (now: number, atMillis: number) => {
            const decision = Timetable.decide(timetable, missed, handled, now)
            handled = decision.handledMillis
            expected.push(...decision.runs.map(() => atMillis))
          }
          for (
            const { millis, stall } of [{ stall: false, millis: 0 }, ...steps.map(fewerThan(intervalMillis))]
          ) {
            const end = clock.wallMillis() + millis
            if (stall) {
              yield* clock.stall(millis)
            } else {
              yield* clock.advance(millis)
              for (let next = handled; next !== undefined && next <= end;) {
                next = Timetable.nextAfter(timetable, handled) ?? Infinity
                if (next <= end) due(next, next)
              }
            }
            due(end, end)
          }
          expect(ran).toEqual(expected)
        })
      )),
    { fastCheck: { numRuns: 60 } }
  )

  it.scoped("obeys the missed-run policy when the wall clock is set forward", () =>
    Effect.forEach(
      [["skip", []], ["runOnce", [9_000_000]], ["runAll", [
        3_600_000,
        5_400_000,
        7_200_000,
        9_000_000
      ]]] as const,
      ([missed, expected]) =>
        scheduled((scheduler, clock) =>
          Effect.gen(function*() {
            const timing = Either.getOrThrow(Timing.cron("*/30 * * * *"))
            yield* scheduler.schedule({ id: "a", timing, run: Effect.void, missed })
            yield* clock.advance("45 minutes")
            yield* clock.jump(2 * 3_600_000)
            yield* clock.advance("1 minute")
            expect(yield* dueTimes(scheduler)).toEqual([0, 1_800_000, ...expected])
            yield* clock.advance("14 minutes")
            expect((yield* dueTimes(scheduler)).at(-1)).toBe(10_800_000)
          })
        ),
      { discard: true }
    ))

  it.scoped("runs nothing twice when the wall clock is set back", () =>
    scheduled((scheduler, clock) =>
      Effect.gen(function*() {
        const timing = Either.getOrThrow(Timing.cron("0 * * * *"))
        yield* scheduler.schedule({ id: "a", timing, run: Effect.void })
        yield* clock.advance("130 minutes")
        yield* clock.jump(-90 * 60_000)
        yield* clock.advance("139 minutes")
        expect(yield* dueTimes(scheduler)).toEqual([0, 3_600_000, 7_200_000])
        yield* clock.advance("1 minute")
        expect(yield* dueTimes(scheduler)).toEqual([0, 3_600_000, 7_200_000, 10_800_000])
      })
    ))

  it.scoped("lets a wall clock that is set move no interval and no delay", () =>
    scheduled((scheduler, clock) =>
      Effect.gen(function*() {
        let passed = 0
        const ran: Array<readonly [string, number]> = []
        const note = (id: string) =>
          Effect.sync(() => {
            ran.push([id, passed])
          })
        yield* scheduler.schedule({ id: "a", timing: every("20 minutes"), run: note("a"), missed: "runAll" })
        yield* scheduler.schedule({ id: "b", timing: after("50 minutes"), run: note("b") })
        for (const jump of [7_000_000, -9_000_000, 500_000]) {
          yield* clock.jump(jump)
          for (let tenth = 0; tenth < 2; tenth++) {
            passed += 10
            yield* clock.advance("10 minutes")
          }
        }
        expect(ran).toEqual([["a", 20], ["a", 40], ["b", 50], ["a", 60]])
      })
    ))

  it.scoped("skips a run that is due while one runs", () =>
    overlapping({ overlap: "skip" }, [[100, "end"], [400, "end"]], { skipped: 2 }))

  it.scoped("queues runs up to the bound while one runs, then runs them", () =>
    overlapping({ overlap: "queue" }, [[100, "end"], [200, "end"], [400, "end"]], { skipped: 1 }))

  it.scoped("cancels the previous run, and starts the next when it has let go", () =>
    overlapping(
      { overlap: "cancelPrevious" },
      [[100, "interrupt"], [200, "interrupt"], [300, "end"], [400, "end"]],
      { skipped: 0 }
    ))

  it.scoped("goes on after a run that fails and one that dies, and tells them apart", () =>
    scheduled((scheduler, clock) =>
      Effect.gen(function*() {
        const runs = [Effect.fail("no"), Effect.die("bug"), Effect.interrupt, Effect.void]
        let index = 0
        const run = Effect.suspend((): Effect.Effect<void, string> => runs[index++] ?? Effect.void)
        yield* scheduler.schedule({ id: "a", timing: every(10), run })
        yield* clock.advance(40)
        expect((yield* scheduler.history("a")).map(({ outcome }) => outcome)).toEqual([
          { _tag: "Failed", error: "no" },
          { _tag: "Died", defect: "bug" },
          { _tag: "Interrupted" },
          { _tag: "Succeeded" }
        ])
      })
    ))

  it.scoped("holds the last runs only", () =>
    scheduled((scheduler, clock) =>
      Effect.gen(function*() {
        yield* scheduler.schedule({ id: "a", timing: every(10), run: Effect.void })
        yield* clock.advance(100)
        expect(yield* dueTimes(scheduler)).toEqual([80, 90, 100])
        expect(yield* scheduler.list).toMatchObject([{ id: "a", runs: 10, timing: "every 10ms", missed: 0 }])
      }), { historyMax: 3 }))

  it.scoped("ends timers and interrupts runs when their owner's scope closes, and no others", () =>
    scheduled((scheduler, clock) =>
      Effect.gen(function*() {
        const owner = yield* Scope.make()
        let released = 0
        const run = Effect.onInterrupt(Effect.never, () =>
          Effect.sync(() => {
            released += 1
          }))
        const spec = { timing: every(10), run, overlap: "queue" } as const
        yield* Scope.extend(scheduler.schedule({ ...spec, id: "a" }), owner)
        yield* Scope.extend(scheduler.schedule({ ...spec, id: "b" }), owner)
        yield* scheduler.schedule({ id: "c", timing: every(10), run: Effect.void })
        yield* clock.advance(50)
        expect(yield* scheduler.counts).toEqual({ schedules: 3, timers: 3, fibers: 2 })
        yield* Scope.close(owner, Exit.void)
        expect(released).toBe(2)
        expect(yield* scheduler.counts).toEqual({ schedules: 1, timers: 1, fibers: 0 })
        yield* clock.advance(50)
        expect(yield* dueTimes(scheduler, "c")).toHaveLength(10)
      })
    ))

  it.scoped("stops a run before its owner releases what it acquired between two schedules", () =>
    scheduled((scheduler, clock) =>
      Effect.gen(function*() {
        const owner = yield* Scope.make()
        const told: Array<string> = []
        const tell = (word: string) =>
          Effect.sync(() => {
            told.push(word)
          })
        const spec = { timing: every(10), run: Effect.onInterrupt(Effect.never, () => tell("stopped")) }
        yield* Scope.extend(scheduler.schedule({ ...spec, id: "a", run: Effect.void }), owner)
        yield* Scope.addFinalizer(owner, tell("released"))
        yield* Scope.extend(scheduler.schedule({ ...spec, id: "b" }), owner)
        yield* clock.advance(10)
        yield* Scope.close(owner, Exit.void)
        expect(told).toEqual(["stopped", "released"])
        expect(yield* scheduler.counts).toEqual(nothing)
      })
    ))

  it.scoped("runs nothing of an owner that is closing, and ends what is asked to run", () =>
    scheduled((scheduler, clock) =>
      Effect.gen(function*() {
        const owner = yield* Scope.make()
        const releases = yield* Deferred.make<void>()
        const released = yield* Deferred.make<void>()
        let runs = 0
        const run = Effect.sync(() => {
          runs += 1
        })
        yield* Scope.extend(scheduler.schedule({ id: "a", timing: every(10), run }), owner)
        yield* Scope.addFinalizer(
          owner,
          Effect.zipRight(Deferred.succeed(releases, undefined), Deferred.await(released))
        )
        const closing = yield* Effect.fork(Scope.close(owner, Exit.void))
        yield* Deferred.await(releases)
        yield* clock.advance(50)
        expect(runs).toBe(0)
        expect(yield* scheduler.counts).toEqual(nothing)
        yield* Deferred.succeed(released, undefined)
        yield* Fiber.join(closing)
        const late = Effect.exit(Scope.extend(scheduler.schedule({ id: "b", timing: every(10), run }), owner))
        expect(Exit.isSuccess(yield* late)).toBe(true)
        expect(yield* scheduler.counts).toEqual(nothing)
      })
    ))

  it.scoped("interrupts all runs when the scheduler's scope closes, and lets nothing in afterwards", () =>
    Effect.gen(function*() {
      const clock = SchedulerClock.make()
      const scope = yield* Scope.make()
      const scheduler = yield* Scope.extend(SchedulerClock.on(clock)(Scheduler.make()), scope)
      const released = yield* Deferred.make<void>()
      const run = Effect.onInterrupt(Effect.never, () => Deferred.succeed(released, undefined))
      yield* scheduler.schedule({ id: "a", timing: every(10), run })
      yield* clock.advance(10)
      yield* Scope.close(scope, Exit.void)
      yield* Deferred.await(released)
      expect(yield* scheduler.counts).toEqual(nothing)
      expect(clock.sleeping()).toBe(0)
      const late = yield* Effect.exit(scheduler.schedule({ id: "b", timing: every(10), run: Effect.void }))
      expect(Exit.isInterrupted(late)).toBe(true)
    }))

  it.scoped("runs a one-shot once and forgets it", () =>
    scheduled((scheduler, clock) =>
      Effect.gen(function*() {
        let runs = 0
        const run = Effect.sync(() => {
          runs += 1
        })
        yield* scheduler.schedule({ id: "a", timing: after("1 minute"), run })
        yield* scheduler.schedule({ id: "b", timing: Timing.at(DateTime.unsafeMake(-3_600_000)), run })
        yield* clock.settle
        expect((yield* scheduler.list).map(({ id }) => id)).toEqual(["a"])
        yield* clock.advance("1 hour")
        expect(runs).toBe(1)
        expect(yield* scheduler.counts).toEqual(nothing)
        expect(clock.sleeping()).toBe(0)
      })
    ))

  it.scoped("pauses, runs on request without a second chain, and resumes on the grid", () =>
    scheduled((scheduler, clock) =>
      Effect.gen(function*() {
        yield* scheduler.schedule({ id: "a", timing: every(100), run: Effect.void, missed: "runAll" })
        yield* clock.advance(150)
        yield* scheduler.pause("a")
        yield* clock.advance(300)
        expect(yield* scheduler.trigger("a")).toBe("started")
        yield* clock.advance(10)
        yield* scheduler.resume("a")
        yield* scheduler.resume("a")
        expect(yield* scheduler.trigger("a")).toBe("started")
        yield* clock.advance(250)
        expect(yield* dueTimes(scheduler)).toEqual([100, 450, 460, 500, 600, 700])
      })
    ))

  it.scoped("lets a run cancel its own schedule and go on to its end", () =>
    scheduled((scheduler, clock) =>
      Effect.gen(function*() {
        const ended = yield* Deferred.make<void>()
        const run = Effect.zipRight(Effect.orDie(scheduler.cancel("a")), Deferred.succeed(ended, undefined))
        yield* scheduler.schedule({ id: "a", timing: every(10), run })
        yield* clock.advance(100)
        yield* Deferred.await(ended)
        expect(yield* scheduler.counts).toEqual(nothing)
      })
    ))

  it.scoped("leaves no timer, fiber or sleep after 10,000 schedules that ran and were cancelled", () =>
    scheduled((scheduler, clock) =>
      Effect.gen(function*() {
        const cycle = Effect.gen(function*() {
          yield* scheduler.schedule({ id: "a", timing: every(10), run: Effect.never })
          yield* scheduler.trigger("a")
          yield* Effect.yieldNow()
          yield* scheduler.cancel("a")
        })
        yield* Effect.repeatN(cycle, 9_999)
        yield* clock.settle
        expect(yield* scheduler.counts).toEqual(nothing)
        yield* clock.advance("1 minute")
        expect(clock.sleeping()).toBe(0)
      })
    ))

  it.effect.prop(
    "law: jitter starts each run at its time or up to so much later, and moves no time",
    { jitterMillis: FastCheck.integer({ min: 1, max: 99 }) },
    ({ jitterMillis }) =>
      Effect.scoped(scheduled((scheduler, clock) =>
        Effect.gen(function*() {
          yield* scheduler.schedule({ id: "a", timing: every(100), run: Effect.void, jitter: jitterMillis })
          yield* clock.advance(2_100 - 1 + jitterMillis)
          const runs = yield* scheduler.history("a")
          expect(runs.slice(0, 20).map((run) => run.dueAtMillis)).toEqual(
            Array.from({ length: 20 }, (_, index) => (index + 1) * 100)
          )
          for (const { dueAtMillis, startedAtMillis } of runs) {
            expect(startedAtMillis - dueAtMillis).toBeGreaterThanOrEqual(0)
            expect(startedAtMillis - dueAtMillis).toBeLessThanOrEqual(jitterMillis)
          }
        })
      )),
    { fastCheck: { numRuns: 20 } }
  )

  it.scoped("gives each run its own scope and its owner's services", () =>
    scheduled((scheduler, clock) =>
      Effect.gen(function*() {
        let open = 0
        const run = Effect.acquireRelease(
          Effect.sync(() => {
            open += 1
          }),
          () =>
            Effect.sync(() => {
              open -= 1
            })
        )
        yield* scheduler.schedule({ id: "a", timing: every(10), run })
        yield* clock.advance(100)
        expect(open).toBe(0)
        expect(yield* scheduler.list).toMatchObject([{ runs: 10 }])
      })
    ))

  it.scoped("works on the test clock", () =>
    Effect.gen(function*() {
      const scheduler = yield* Scheduler.make()
      yield* scheduler.schedule({ id: "a", timing: every("1 hour"), run: Effect.void })
      yield* TestClock.adjust("2 hours")
      expect(yield* dueTimes(scheduler)).toEqual([3_600_000, 7_200_000])
    }))

  it.scoped("fails typed for an id that is there already, and for one that is not", () =>
    scheduled((scheduler) =>
      Effect.gen(function*() {
        const spec = { id: "a", timing: every(10), run: Effect.void }
        yield* scheduler.schedule(spec)
        expect((yield* Effect.flip(scheduler.schedule(spec))).message).toBe(
          "there is a schedule \"a\" already"
        )
        yield* scheduler.cancel("a")
        yield* scheduler.schedule(spec)
        const { cancel, history, next, pause, resume, trigger } = scheduler
        for (const use of [cancel, history, pause, resume, trigger, (id: string) => next(id, 1)]) {
          expect(yield* Effect.flip(use("b"))).toMatchObject({ _tag: "ScheduleNotFound", id: "b" })
        }
      })
    ))

  it.scoped("refuses options out of range with their value", () =>
    scheduled((scheduler) =>
      Effect.gen(function*() {
        const spec = { id: "a", timing: every(10), run: Effect.void }
        for (const jitter of [0, -1, 10, Number.NaN]) {
          const error = yield* Effect.flip(scheduler.schedule({ ...spec, jitter }))
          expect(error).toMatchObject({ _tag: "TimingOutOfRange", option: "jitter", value: jitter })
        }
        const message = (effect: () => Effect.Effect<unknown, unknown, Scope.Scope>) =>
          Effect.map(Effect.sandbox(Effect.suspend(effect)).pipe(Effect.flip), Cause.pretty)
        expect(yield* message(() => scheduler.schedule({ ...spec, queueMax: 1_001 }))).toContain("not 1001")
        expect(yield* message(() => scheduler.schedule({ ...spec, id: "" }))).toContain("is empty")
        expect(yield* message(() => Scheduler.make({ historyMax: -1 }))).toContain("not -1")
        expect(yield* message(() => Scheduler.make({ lookEvery: 0 }))).toContain("not 0")
      })
    ))
})

/** So that no step makes more than 300 runs. */
const fewerThan =
  (intervalMillis: number) => (step: { readonly stall: boolean; readonly millis: number }) => ({
    ...step,
    millis: Math.min(step.millis, intervalMillis * 300)
  })

/** Runs every 100 ms; what runs at 350 ms ends then, and all later runs end at once. */
const overlapping = (
  options: Pick<ScheduleSpec<void, never, never>, "overlap">,
  expected: ReadonlyArray<readonly [dueAtMillis: number, ending: "end" | "interrupt"]>,
  info: { readonly skipped: number }
) =>
  scheduled((scheduler, clock) =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      let atOnce = 0
      let most = 0
      const run = Effect.acquireUseRelease(
        Effect.sync(() => {
          atOnce += 1
          most = Math.max(most, atOnce)
        }),
        () => Deferred.await(gate),
        () =>
          Effect.zipRight(
            Effect.yieldNow(),
            Effect.sync(() => {
              atOnce -= 1
            })
          )
      )
      yield* scheduler.schedule({ id: "a", timing: every(100), run, ...options })
      yield* clock.advance(350)
      yield* Deferred.succeed(gate, undefined)
      yield* clock.advance(100)
      const runs = yield* scheduler.history("a")
      expect(runs.map(({ dueAtMillis, outcome }) => [
        dueAtMillis,
        outcome._tag === "Interrupted" ? "interrupt" : "end"
      ])).toEqual(expected)
      expect(yield* scheduler.list).toMatchObject([{ ...info, isRunning: false, waiting: 0 }])
      expect(most).toBe(1)
    })
  )
