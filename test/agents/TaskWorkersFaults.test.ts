import { describe, expect, it } from "@effect/vitest"
import { CommitLog, NodeFenced, OperationRejected } from "@holdfast/agents/CommitLog"
import * as FaultyCommitLog from "@holdfast/agents/FaultyCommitLog"
import * as Memory from "@holdfast/agents/Memory"
import type * as Operation from "@holdfast/agents/Operation"
import * as TaskOperation from "@holdfast/agents/TaskOperation"
import * as TaskQueue from "@holdfast/agents/TaskQueue"
import * as TaskWorkers from "@holdfast/agents/TaskWorkers"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as FiberId from "effect/FiberId"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/TestClock"
import { backends } from "./backends.ts"
import { enqueue, Jobs, jobState, makeScript, onMemory, poll, settleFibers } from "./workers.ts"

const onFaulty = (plan: FaultyCommitLog.Plan) => <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.provide(effect, Layer.provideMerge(FaultyCommitLog.layer(plan), Memory.layer))

/** The log in memory behind another one. */
const behind =
  (make: (log: CommitLog["Type"]) => CommitLog["Type"]) => <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.provide(
      effect,
      Layer.provideMerge(Layer.effect(CommitLog, Effect.map(CommitLog, make)), Memory.layer)
    )

/** A log that rejects units. */
const rejecting = (isPoison: (operations: ReadonlyArray<Operation.Any>) => boolean) =>
  behind((log) => ({
    fenced: log.fenced,
    within: log.within,
    commit: (operations) =>
      isPoison(operations)
        ? new OperationRejected({ operation: operations[0]?._tag ?? "", lane: "l", detail: "poison" })
        : log.commit(operations)
  }))

/** A log whose node can be fenced: others take over what it had claimed, and it goes on under another id. */
const fenceable = () => {
  let fenced = Deferred.unsafeMake<NodeFenced>(FiberId.none)
  let refusals = 0
  const error = new NodeFenced({ node: "memory-1" })
  const takeOver = TaskOperation.releaseClaims({ node: error.node, limit: 99, nowMillis: 0 })
  return {
    on: behind((log) => ({
      fenced: Effect.suspend(() => Deferred.await(fenced)),
      within: log.within,
      commit: (operations) =>
        Effect.suspend(() => {
          if (refusals === 0) return log.commit(operations)
          refusals -= 1
          return Effect.fail(error)
        })
    })),
    /** `met`: how many commits are refused before the node has rejoined. */
    fence: (met: number) =>
      Effect.gen(function*() {
        const log = yield* CommitLog
        yield* log.commit([takeOver])
        refusals = met
        yield* settleFibers
        const ended = fenced
        fenced = Deferred.unsafeMake(FiberId.none)
        yield* Deferred.succeed(ended, error)
      })
  }
}

describe("TaskWorkers: faults of the storage", () => {
  it.scoped("outlasts an outage: reports it, settles what was in hand when storage is back, and goes on", () => {
    let out = false
    return onFaulty(() => (out ? { _tag: "Fail", reason: "Full" } : null))(Effect.gen(function*() {
      yield* enqueue("a", "b")
      const script = yield* makeScript
      const pool = yield* TaskWorkers.make(Jobs, script.run, { concurrency: 1, until: "drained", poll })
      const outage = yield* Effect.fork(pool.outage)
      yield* settleFibers
      expect(outage.unsafePoll()).toBeNull()
      out = true
      yield* script.finish("a")
      yield* TestClock.adjust("1 minute")
      expect(yield* outage).toMatchObject({ _tag: "StorageError", reason: "Full" })
      expect(yield* jobState("a")).toMatchObject({ status: "running" })
      out = false
      yield* TestClock.adjust(TaskWorkers.outagePause)
      yield* settleFibers
      expect(yield* jobState("a")).toMatchObject({ status: "completed", attempt: 1 })
      yield* script.finish("b")
      yield* pool.await
      expect(script.begun).toEqual(["a", "b"])
    }))
  })

  it.scoped("drops what it has in hand when its node is fenced, and claims anew", () => {
    const node = fenceable()
    return node.on(Effect.gen(function*() {
      yield* enqueue("a", "b", "c")
      const script = yield* makeScript
      const pool = yield* TaskWorkers.make(Jobs, script.run, { concurrency: 2, until: "drained", poll })
      yield* settleFibers
      yield* node.fence(0)
      yield* settleFibers
      expect(script.ended).toEqual(["a", "b"])
      expect(script.begun).toEqual(["a", "b", "a", "b"])
      expect(yield* jobState("a")).toMatchObject({ status: "running", attempt: 2, outcome: { _tag: "Lost" } })
      for (const name of ["a", "b", "c"]) {
        yield* settleFibers
        yield* script.finish(name)
      }
      yield* pool.await
      expect((yield* TaskQueue.stats("jobs")).counts).toMatchObject({ completed: 3, running: 0 })
    }))
  })

  it.scoped("goes on after fences that its commits meet before it hears of them", () => {
    const node = fenceable()
    return node.on(Effect.gen(function*() {
      yield* enqueue("a", "b", "c")
      const script = yield* makeScript
      const pool = yield* TaskWorkers.make(Jobs, script.run, { concurrency: 2, until: "drained", poll })
      for (const met of [2, 1]) {
        yield* settleFibers
        const fencing = yield* Effect.fork(node.fence(met))
        yield* Effect.yieldNow()
        yield* Effect.forEach(Array.from(script.running.keys()), script.finish)
        yield* fencing.await
      }
      const finishAll = Effect.suspend(() => Effect.forEach(Array.from(script.running.keys()), script.finish))
      yield* Effect.fork(Effect.forever(Effect.zipRight(finishAll, settleFibers)))
      yield* pool.await
      expect((yield* TaskQueue.stats("jobs")).counts).toMatchObject({ completed: 3, running: 0, ready: 0 })
    }))
  })

  it.scoped("keeps a result when it is the claim of the next task that the storage cannot execute", () =>
    rejecting((operations) => operations.length > 1)(Effect.gen(function*() {
      yield* enqueue("a", "b")
      const pool = yield* TaskWorkers.make(Jobs, Effect.succeed, { concurrency: 1, until: "drained", poll })
      yield* pool.await
      expect(yield* jobState("a")).toMatchObject({ status: "completed", outcome: { value: "a" } })
    })))

  it.scoped("makes a task dead whose outcome the storage cannot hold", () =>
    rejecting((operations) => JSON.stringify(operations).includes("poison "))(Effect.gen(function*() {
      yield* enqueue("a", "b")
      const run = (name: string) => Effect.succeed(name === "a" ? "poison " : name)
      const pool = yield* TaskWorkers.make(Jobs, run, { concurrency: 1, until: "drained", poll })
      yield* pool.await
      const { outcome, ...state } = yield* jobState("a")
      expect(state).toEqual({ status: "dead", attempt: 1 })
      expect(outcome).toMatchObject({ detail: expect.stringContaining("its outcome was not stored") })
      expect(yield* jobState("b")).toMatchObject({ status: "completed" })
    })))

  it.scoped("ends with its supervisor when it fails over and over, and can still be drained then", () =>
    onMemory(Effect.gen(function*() {
      const pool = yield* TaskWorkers.make(Jobs, Effect.succeed, {
        concurrency: 1,
        gate: Effect.die("a bug"),
        poll
      })
      expect(yield* Effect.flip(pool.await)).toMatchObject({ _tag: "RestartIntensityExceeded" })
      yield* pool.drain
    })))
})

const Many = TaskQueue.make("many", { payload: Schema.String, attemptsMax: 20 })

describe.each(backends)("TaskWorkers and crashes on $name", ({ numRuns, storage }) => {
  it.scopedLive.prop(
    "law: whatever commits a program crashes at, every task is completed once, and only those in hand run again",
    {
      crashes: FastCheck.array(
        FastCheck.record({
          at: FastCheck.integer({ min: 1, max: 12 }),
          when: FastCheck.constantFrom("CrashBefore" as const, "CrashAfter" as const)
        }),
        { maxLength: 4 }
      ),
      concurrency: FastCheck.integer({ min: 1, max: 3 })
    },
    ({ concurrency, crashes }) =>
      Effect.gen(function*() {
        const stored = yield* storage
        const names = Array.from({ length: 10 }, (_, index) => `n${index}`)
        const begun: Array<string> = []
        const run = (name: string) => Effect.zipRight(Effect.sync(() => begun.push(name)), Effect.yieldNow())
        const work = Effect.scoped(Effect.gen(function*() {
          const pool = yield* TaskWorkers.make(Many, run, { concurrency, until: "drained" })
          yield* pool.await
        }))
        const life = (crash: (typeof crashes)[number] | undefined) =>
          Effect.flatMap(FaultyCommitLog.FaultyCommitLog, ({ crashed }) =>
            Effect.raceFirst(Effect.as(Effect.disconnect(work), false), Effect.as(crashed, true))).pipe(
              Effect.provide(
                FaultyCommitLog.layer((commit) => (commit === crash?.at ? { _tag: crash.when } : null)).pipe(
                  Layer.provideMerge(stored)
                )
              )
            )
        yield* Effect.provide(
          TaskQueue.enqueueAll(Many, names.map((name) => ({ id: name, payload: name }))),
          stored
        )
        const lives = yield* Effect.forEach([...crashes, undefined], life)
        expect(lives.at(-1)).toBe(false)
        const { counts } = yield* Effect.provide(TaskQueue.stats("many"), stored)
        expect(counts).toEqual({ ready: 0, running: 0, completed: 10, dead: 0, skipped: 0 })
        expect(new Set(begun)).toEqual(new Set(names))
        const crashed = lives.filter((crashed) =>
          crashed
        ).length
        expect(begun.length).toBeLessThanOrEqual(10 + crashed * concurrency)
      }),
    { fastCheck: { numRuns } }
  )
})
