import { describe, expect, it } from "@effect/vitest"
import * as Encoded from "@holdfast/agents/Encoded"
import * as TaskQueue from "@holdfast/agents/TaskQueue"
import * as TaskWorkers from "@holdfast/agents/TaskWorkers"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberRef from "effect/FiberRef"
import * as Logger from "effect/Logger"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import { enqueue, JobFailed, Jobs, jobState, makeScript, onMemory, poll, settleFibers } from "./workers.ts"

describe("TaskWorkers: how an attempt ends", () => {
  it.scoped("completes a task with its encoded result, and the next one after it", () =>
    onMemory(Effect.gen(function*() {
      yield* enqueue("a", "b")
      const pool = yield* TaskWorkers.make(Jobs, (name, task) => Effect.succeed(`${name}${task.attempt}`), {
        concurrency: 1,
        poll,
        until: "drained"
      })
      yield* pool.await
      const success = (value: string) => ({
        status: "completed",
        attempt: 1,
        outcome: { _tag: "Success", value }
      })
      expect([yield* jobState("a"), yield* jobState("b")]).toEqual([success("a1"), success("b1")])
    })))

  it.scoped("tries a failed task again after the backoff, and makes it dead with its error after the last attempt", () =>
    onMemory(Effect.gen(function*() {
      yield* enqueue("a")
      const at: Array<number> = []
      yield* TaskWorkers.make(
        Jobs,
        () =>
          Effect.flatMap(Clock.currentTimeMillis, (millis) => {
            at.push(millis)
            return new JobFailed({ why: `attempt ${at.length}` })
          }),
        { concurrency: 2, poll }
      )
      yield* settleFibers
      expect(yield* jobState("a")).toMatchObject({
        status: "ready",
        attempt: 1,
        outcome: { error: { why: "attempt 1" } }
      })
      yield* TestClock.adjust("9999 millis")
      expect(at).toEqual([0])
      yield* TestClock.adjust("1 minute")
      expect(at).toEqual([0, 10_000, 20_000])
      expect(yield* jobState("a")).toMatchObject({
        status: "dead",
        attempt: 3,
        outcome: { _tag: "Failure", error: new JobFailed({ why: "attempt 3" }) }
      })
    })))

  it.scoped("treats a defect likewise, and logs every one", () => {
    const logged: Array<string> = []
    const logger = Logger.make(({ message }) => void logged.push(String(message)))
    return onMemory(Effect.gen(function*() {
      yield* enqueue("a")
      yield* TaskWorkers.make(Jobs, () => Effect.die(new Error("a bug")), { concurrency: 1, poll })
      yield* TestClock.adjust("1 minute")
      const { outcome, ...state } = yield* jobState("a")
      expect(state).toEqual({ status: "dead", attempt: 3 })
      expect(outcome).toMatchObject({ _tag: "Defect" })
      expect(JSON.stringify(outcome)).toContain("a bug")
      expect(logged.filter((text) => text.includes("task a of queue jobs ended with a defect"))).toHaveLength(
        3
      )
    })).pipe(Effect.provide(Logger.replace(Logger.defaultLogger, logger)))
  })

  it.scoped("takes a task that interrupts itself for a bug, not for a request to stop", () =>
    onMemory(Effect.gen(function*() {
      yield* enqueue("a")
      yield* TaskWorkers.make(Jobs, () => Effect.interrupt, { concurrency: 1, poll })
      yield* TestClock.adjust("1 minute")
      expect(yield* jobState("a")).toMatchObject({ status: "dead", attempt: 3, outcome: { _tag: "Defect" } })
    })))

  it.scoped("makes a defect of a payload, result or error that its schema refuses, or that is too large", () => {
    const Small = TaskQueue.make("jobs", {
      payload: Schema.Int,
      success: Schema.NonEmptyString,
      error: Schema.NonEmptyString,
      attemptsMax: 1
    })
    const ends: Record<string, Effect.Effect<string, string>> = {
      1: Effect.succeed(""),
      2: Effect.fail(""),
      3: Effect.succeed("x".repeat(Encoded.bytesMaxDefault))
    }
    return onMemory(Effect.gen(function*() {
      yield* enqueue("no number")
      yield* TaskQueue.enqueueAll(Small, [1, 2, 3].map((payload) => ({ id: String(payload), payload })))
      const pool = yield* TaskWorkers.make(Small, (payload) => ends[payload] ?? Effect.die("not asked for"), {
        concurrency: 1,
        poll,
        until: "drained"
      })
      yield* TestClock.adjust("1 hour")
      yield* pool.await
      const details = yield* Effect.forEach(
        ["no number", "1", "2", "3"],
        (id) =>
          Effect.map(jobState(id), ({ outcome, status }) => {
            expect(status).toBe("dead")
            return outcome?._tag === "Defect" ? outcome.detail : outcome
          })
      )
      expect(details).toEqual([
        expect.stringContaining("its payload could not be decoded"),
        expect.stringContaining("its outcome was not stored"),
        expect.stringContaining("its outcome was not stored"),
        expect.stringContaining("the limit is 1048576")
      ])
    }))
  })

  it.scoped("stores no more than 64 KiB of what a defect says", () =>
    onMemory(Effect.gen(function*() {
      yield* enqueue("a")
      const endless = "y".repeat(5_000_000)
      yield* TaskWorkers.make(Jobs, () => Effect.die(endless), { concurrency: 1, poll })
      yield* settleFibers
      const { outcome } = yield* jobState("a")
      expect(outcome?._tag === "Defect" ? outcome.detail.length : null).toBe(64 * 1024)
    })))

  it.scoped("runs each task in a fiber of its own: what it forks and sets is gone when it ends", () =>
    onMemory(Effect.gen(function*() {
      const ref = yield* FiberRef.make("initial")
      const seen: Array<string> = []
      yield* enqueue("a", "b")
      const pool = yield* TaskWorkers.make(
        Jobs,
        (name) =>
          Effect.gen(function*() {
            seen.push(`${name} finds ${yield* FiberRef.get(ref)}`)
            yield* FiberRef.set(ref, name)
            yield* Effect.fork(
              Effect.onInterrupt(Effect.never, () => Effect.sync(() => void seen.push(`${name} left`)))
            )
            yield* Effect.yieldNow()
            return name
          }),
        { concurrency: 1, poll, until: "drained" }
      )
      yield* pool.await
      expect(seen).toEqual(["a finds initial", "a left", "b finds initial", "b left"])
    })))
})

describe("TaskWorkers: when its scope closes", () => {
  it.effect("interrupts all tasks in hand at once and gives their attempts back", () =>
    onMemory(Effect.gen(function*() {
      const scope = yield* Scope.make()
      const script = yield* makeScript
      yield* enqueue("a", "b", "c", "d")
      const run = (name: string) => Effect.onInterrupt(script.run(name), () => Effect.sleep("1 second"))
      yield* Scope.extend(TaskWorkers.make(Jobs, run, { concurrency: 3, poll }), scope)
      yield* settleFibers
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("1 second")
      yield* closing.await
      expect(script.ended.toSorted()).toEqual(["a", "b", "c"])
      for (const name of ["a", "b", "c", "d"]) {
        expect(yield* jobState(name)).toEqual({ status: "ready", attempt: 0, outcome: null })
      }
    })))

  it.effect.prop("law: leaves nothing running, at whatever moment it closes", [
    Schema.Int.pipe(Schema.between(0, 150))
  ], ([yields]) =>
    onMemory(Effect.gen(function*() {
      const names = Array.from({ length: 12 }, (_, index) => `n${index}`)
      yield* enqueue(...names)
      const scope = yield* Scope.make()
      const run = (name: string) => Effect.as(Effect.yieldNow(), name)
      yield* Scope.extend(TaskWorkers.make(Jobs, run, { concurrency: 2, poll }), scope)
      yield* Effect.repeatN(Effect.yieldNow(), yields)
      yield* Scope.close(scope, Exit.void)
      const { counts } = yield* TaskQueue.stats("jobs")
      expect(counts).toMatchObject({ running: 0, ready: 12 - counts.completed })
      for (const name of names) {
        const { attempt, status } = yield* jobState(name)
        expect(attempt).toBe(status === "completed" ? 1 : 0)
      }
    })))
})
