import { describe, expect, it } from "@effect/vitest"
import { CommitLog } from "@holdfast/agents/CommitLog"
import type { Fault, Plan } from "@holdfast/agents/FaultyCommitLog"
import * as FaultyCommitLog from "@holdfast/agents/FaultyCommitLog"
import * as Memory from "@holdfast/agents/Memory"
import * as TaskOperation from "@holdfast/agents/TaskOperation"
import { TaskStore } from "@holdfast/agents/TaskStore"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/TestClock"
import { backends } from "./backends.ts"

const enqueue = (id: string) =>
  TaskOperation.enqueueTasks({
    queue: "q",
    tasks: [{ id, priority: 0, notBeforeMillis: 0, attemptsMax: 9, payload: "null" }],
    nowMillis: 0
  })

const ids = Effect.flatMap(
  TaskStore,
  (store) => Effect.map(store.tasks({ limit: 1_000 }), (tasks) => tasks.map(({ id }) => id))
)

/** A program that ends with the crash of its log, whatever it waits for. */
const untilCrash = <A, E, R>(program: Effect.Effect<A, E, R>) =>
  Effect.flatMap(
    FaultyCommitLog.FaultyCommitLog,
    ({ crashed }) => Effect.raceFirst(Effect.disconnect(program), crashed)
  )

const at = (fault: Fault, n: number): Plan => (commit) => (commit === n ? fault : null)

const fault: FastCheck.Arbitrary<Fault> = FastCheck.constantFrom(
  { _tag: "CrashBefore" },
  { _tag: "CrashAfter" },
  { _tag: "Fail", reason: "Full" },
  { _tag: "Delay", duration: "0 millis" }
)

describe.each(backends)("FaultyCommitLog over $name", ({ numRuns, storage }) => {
  it.scopedLive.prop(
    "law: what was answered before a crash is there, what was not submitted by then is not, and nobody is answered after, " +
      "of commits and user transactions alike",
    {
      transactions: FastCheck.array(FastCheck.boolean(), { maxLength: 12 }),
      faults: FastCheck.dictionary(FastCheck.nat(12).map(String), fault, { maxKeys: 4 }),
      commits: FastCheck.integer({ min: 1, max: 12 })
    },
    ({ commits, faults, transactions }) =>
      Effect.gen(function*() {
        const stored = yield* storage
        const plan: Plan = (commit) => faults[commit] ?? null
        const answers = new Map<string, string>()
        const program = Effect.gen(function*() {
          const log = yield* CommitLog
          for (let n = 1; n <= commits; n++) {
            const operations = [enqueue(String(n))] as const
            const written = transactions[n - 1] === true
              ? Effect.asVoid(log.within(Effect.void, () => operations))
              : Effect.asVoid(log.commit(operations))
            const result = yield* Effect.either(written)
            answers.set(String(n), result._tag)
          }
        })
        const ended = yield* untilCrash(Effect.as(program, "ended" as const)).pipe(
          Effect.provide(Layer.provideMerge(FaultyCommitLog.layer(plan), stored))
        )
        const planned = Array.from({ length: commits }, (_, index) => index + 1)
        const tagOf = (n: number) => faults[n]?._tag
        const crash = planned.find((n) => tagOf(n)?.startsWith("Crash"))
        expect(ended).toBe(crash === undefined ? "ended" : undefined)
        const before = planned.filter((n) => n < (crash ?? Infinity))
        expect(Array.from(answers)).toEqual(
          before.map((n) => [String(n), tagOf(n) === "Fail" ? "Left" : "Right"])
        )
        const expected = planned.filter((n) =>
          n === crash ? tagOf(n) === "CrashAfter" : before.includes(n) && tagOf(n) !== "Fail"
        )
        expect(yield* Effect.provide(ids, stored)).toEqual(expected.map(String))
      }),
    { fastCheck: { numRuns } }
  )
})

describe("FaultyCommitLog", () => {
  const on = (plan: Plan) => Layer.provideMerge(FaultyCommitLog.layer(plan), Memory.layer)

  it.effect("fails a commit with the reason of the plan, which sees its operations, and writes nothing of it", () =>
    Effect.gen(function*() {
      const log = yield* CommitLog
      const error = yield* Effect.flip(log.commit([enqueue("poor")]))
      expect(error).toMatchObject({ _tag: "StorageError", reason: "ReadOnly", outcome: "none" })
      yield* log.commit([enqueue("rich")])
      expect(yield* ids).toEqual(["rich"])
    }).pipe(
      Effect.provide(
        on((_, [operation]) =>
          JSON.stringify(operation).includes("poor") ? { _tag: "Fail", reason: "ReadOnly" } : null
        )
      )
    ))

  it.effect("shows a plan the operations of a user transaction, and takes back what its user was about to write", () =>
    Effect.gen(function*() {
      const log = yield* CommitLog
      let runs = 0
      const within = (id: string) => log.within(Effect.sync(() => runs++), () => [enqueue(id)])
      expect(yield* Effect.flip(within("poor"))).toMatchObject({ reason: "ReadOnly", outcome: "none" })
      yield* within("rich")
      expect([runs, yield* ids]).toEqual([2, ["rich"]])
    }).pipe(
      Effect.provide(
        on((_, [operation]) =>
          JSON.stringify(operation).includes("poor") ? { _tag: "Fail", reason: "ReadOnly" } : null
        )
      )
    ))

  it.effect("writes nothing of a user transaction that is under way at the crash, and does not answer it", () =>
    Effect.gen(function*() {
      const log = yield* CommitLog
      const { crashed } = yield* FaultyCommitLog.FaultyCommitLog
      const release = yield* Effect.makeLatch(false)
      const under = yield* Effect.fork(log.within(release.await, () => [enqueue("under")]))
      yield* Effect.yieldNow()
      yield* Effect.fork(log.commit([enqueue("crash")]))
      yield* crashed
      yield* release.open
      yield* Effect.repeatN(Effect.yieldNow(), 20)
      expect([under.unsafePoll(), yield* ids]).toEqual([null, []])
    }).pipe(Effect.provide(on(at({ _tag: "CrashBefore" }, 2)))))

  it.effect("submits a delayed commit when its time is over, and others meanwhile", () =>
    Effect.gen(function*() {
      const log = yield* CommitLog
      const slow = yield* Effect.fork(log.commit([enqueue("slow")]))
      yield* Effect.yieldNow()
      yield* log.commit([enqueue("fast")])
      yield* TestClock.adjust("59 seconds")
      expect(yield* ids).toEqual(["fast"])
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(slow)
      expect(yield* ids).toEqual(["fast", "slow"])
    }).pipe(Effect.provide(on(at({ _tag: "Delay", duration: Duration.minutes(1) }, 1)))))

  it.effect("does not submit a delayed commit after a crash", () =>
    Effect.gen(function*() {
      const log = yield* CommitLog
      const { crashed } = yield* FaultyCommitLog.FaultyCommitLog
      const slow = yield* Effect.fork(log.commit([enqueue("slow")]))
      yield* Effect.yieldNow()
      const crashing = yield* Effect.fork(log.commit([enqueue("crash")]))
      yield* crashed
      yield* TestClock.adjust("2 minutes")
      expect([slow.unsafePoll(), crashing.unsafePoll()]).toEqual([null, null])
      expect(yield* ids).toEqual([])
    }).pipe(Effect.provide(on((commit) =>
      commit === 1 ? { _tag: "Delay", duration: "1 minute" } : { _tag: "CrashBefore" }
    ))))

  it.effect("does not answer what was on its way at the crash, written or not", () =>
    Effect.gen(function*() {
      const log = yield* CommitLog
      const { crashed } = yield* FaultyCommitLog.FaultyCommitLog
      const early = yield* Effect.fork(log.commit([enqueue("early")]))
      const crashing = yield* Effect.fork(log.commit([enqueue("crash")]))
      yield* crashed
      yield* Effect.repeatN(Effect.yieldNow(), 9)
      expect([early.unsafePoll(), crashing.unsafePoll()]).toEqual([null, null])
      expect(yield* ids).toEqual(["early"])
    }).pipe(Effect.provide(on(at({ _tag: "CrashBefore" }, 2)))))

  it.effect("lets a program be thrown away that waits uninterruptibly", () =>
    Effect.gen(function*() {
      yield* untilCrash(
        Effect.uninterruptible(Effect.flatMap(CommitLog, (log) => log.commit([enqueue("1")])))
      )
      expect(yield* ids).toEqual(["1"])
    }).pipe(Effect.provide(on(at({ _tag: "CrashAfter" }, 1)))))
})
