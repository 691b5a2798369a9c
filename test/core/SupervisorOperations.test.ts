import { assert, describe, it } from "@effect/vitest"
import * as Backoff from "@holdfast/core/Backoff"
import type { ChildSpec } from "@holdfast/core/ChildSpec"
import * as Supervisor from "@holdfast/core/Supervisor"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"

const worker = (id: string) => Supervisor.child({ id, start: Effect.never })

const made = (...children: ReadonlyArray<ChildSpec<string, never, never>>) =>
  Supervisor.make({ strategy: "one_for_one", children, name: "tree" })

const statuses = <E>(supervisor: Supervisor.Supervisor<E>) =>
  Effect.map(supervisor.whichChildren, (children) => children.map(({ id, status }) => `${id} ${status}`))

const tagOf = <A, E extends { readonly _tag: string }, R>(operation: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.flip(operation), (error) => error._tag)

const defectOf = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.exit(effect), (exit) => Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "")

describe("Supervisor operations", () => {
  it.scoped("start a child after the others, terminate, restart and delete it", () =>
    Effect.gen(function*() {
      const supervisor = yield* made(worker("a"))
      assert.deepStrictEqual(yield* supervisor.startChild(worker("b")), {
        id: "b",
        status: "running",
        restarts: 0
      })
      yield* supervisor.terminateChild("a")
      assert.deepStrictEqual(yield* statuses(supervisor), ["a stopped", "b running"])
      assert.strictEqual((yield* supervisor.restartChild("a")).status, "running")
      yield* supervisor.terminateChild("b")
      yield* supervisor.deleteChild("b")
      assert.deepStrictEqual(yield* statuses(supervisor), ["a running"])
    }))

  it.scoped("refuse what OTP refuses, by tag", () =>
    Effect.gen(function*() {
      const supervisor = yield* made(worker("up"), worker("down"))
      yield* supervisor.terminateChild("down")
      assert.deepStrictEqual(
        yield* Effect.all([
          tagOf(supervisor.startChild(worker("up"))),
          tagOf(supervisor.startChild(worker("down"))),
          tagOf(supervisor.restartChild("up")),
          tagOf(supervisor.deleteChild("up")),
          tagOf(supervisor.terminateChild("none")),
          tagOf(supervisor.restartChild("none")),
          tagOf(supervisor.deleteChild("none"))
        ]),
        [
          "ChildRunning",
          "ChildAlreadyPresent",
          "ChildRunning",
          "ChildRunning",
          "ChildNotFound",
          "ChildNotFound",
          "ChildNotFound"
        ]
      )
    }))

  it.scoped("forget a temporary child that was terminated", () =>
    Effect.gen(function*() {
      const supervisor = yield* made()
      yield* supervisor.startChild(Supervisor.child({ id: "t", start: Effect.never, restart: "temporary" }))
      yield* supervisor.terminateChild("t")
      assert.deepStrictEqual(yield* supervisor.whichChildren, [])
    }))

  it.effect("fail when the supervisor has ended, those that wait then included", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const mayStop = yield* Deferred.make<void>()
      const slow = Supervisor.child({
        id: "slow",
        start: Effect.onInterrupt(Effect.never, () => Deferred.await(mayStop)),
        shutdown: "infinity"
      })
      const supervisor = yield* Scope.extend(made(slow), scope)
      const terminating = yield* Effect.fork(supervisor.terminateChild("slow"))
      yield* Effect.yieldNow()
      const waiting = yield* Effect.fork(tagOf(supervisor.startChild(worker("late"))))
      yield* Effect.yieldNow()
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("1 hour")
      assert.isTrue(Option.isNone(yield* Fiber.poll(waiting)))
      yield* Deferred.succeed(mayStop, undefined)
      yield* Fiber.join(closing)
      yield* Fiber.join(terminating)
      assert.strictEqual(yield* Fiber.join(waiting), "SupervisorClosed")
      assert.strictEqual(yield* tagOf(supervisor.startChild(worker("later"))), "SupervisorClosed")
      assert.strictEqual(yield* tagOf(supervisor.terminateChild("slow")), "SupervisorClosed")
      assert.strictEqual(yield* tagOf(supervisor.restartChild("slow")), "SupervisorClosed")
      assert.strictEqual(yield* tagOf(supervisor.deleteChild("slow")), "SupervisorClosed")
    }))

  it.effect("asked by a child that is being stopped, fail at once", () =>
    Effect.gen(function*() {
      const answered = yield* Deferred.make<string>()
      const handle = yield* Deferred.make<Supervisor.Supervisor>()
      const asking = Supervisor.child({
        id: "asking",
        shutdown: "infinity",
        start: Effect.onInterrupt(Effect.never, () =>
          Deferred.await(handle).pipe(
            Effect.flatMap((supervisor) => supervisor.terminateChild("b")),
            Effect.match({ onFailure: (error) => error._tag, onSuccess: () => "done" }),
            Effect.flatMap((answer) => Deferred.succeed(answered, answer))
          ))
      })
      yield* Effect.scoped(
        Effect.flatMap(made(asking), (supervisor) => Deferred.succeed(handle, supervisor))
      )
      assert.strictEqual(yield* Deferred.await(answered), "SupervisorClosed")
    }))

  it.scoped("give a child the context of who started it", () =>
    Effect.gen(function*() {
      class Port extends Context.Tag("holdfast/test/core/SupervisorOperations.test/Port")<Port, number>() {}
      const supervisor = yield* made()
      const found = yield* Deferred.make<number>()
      const child = Supervisor.child({
        id: "a",
        start: Effect.zipRight(Effect.intoDeferred(Port, found), Effect.never)
      })
      yield* Effect.provideService(supervisor.startChild(child), Port, 8080)
      assert.strictEqual(yield* Deferred.await(found), 8080)
    }))

  it.scoped("count specifications, running children, supervisors and workers", () =>
    Effect.gen(function*() {
      const nested = Supervisor.supervisor({ id: "n", strategy: "one_for_one", children: [worker("x")] })
      const supervisor = yield* Supervisor.make({
        strategy: "one_for_one",
        children: [worker("a"), nested, worker("b")]
      })
      yield* supervisor.terminateChild("b")
      assert.deepStrictEqual(yield* supervisor.countChildren, {
        specs: 3,
        active: 2,
        supervisors: 1,
        workers: 2
      })
    }))

  it.scoped("restart a parked child with its intensity renewed", () =>
    Effect.gen(function*() {
      const mayCrash = yield* Effect.makeSemaphore(0)
      const supervisor = yield* Supervisor.make({
        strategy: "one_for_one",
        children: [
          Supervisor.child({
            id: "a",
            start: Effect.zipRight(mayCrash.take(1), Effect.die("bug")),
            intensity: {
              maxRestarts: 1,
              period: "1 minute",
              exceeded: "park",
              backoff: Backoff.fixed("1 second")
            }
          })
        ]
      })
      yield* mayCrash.release(2)
      yield* TestClock.adjust("999 millis")
      assert.deepStrictEqual(yield* statuses(supervisor), ["a starting"])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(yield* statuses(supervisor), ["a parked"])
      assert.strictEqual((yield* supervisor.restartChild("a")).status, "running")
      yield* mayCrash.release(1)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* statuses(supervisor), ["a running"])
    }))

  it.scoped("wait for a run that was left behind before the child runs again", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const mayStop = yield* Deferred.make<void>()
      const stubborn = Supervisor.child({
        id: "a",
        start: Effect.acquireUseRelease(
          Effect.sync(() => log.push("up")),
          () => Effect.never,
          () => Effect.zipRight(Deferred.await(mayStop), Effect.sync(() => log.push("down")))
        )
      })
      const supervisor = yield* made(stubborn)
      const terminating = yield* Effect.fork(supervisor.terminateChild("a"))
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(terminating)
      const restarting = yield* Effect.fork(supervisor.restartChild("a"))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(log, ["up"])
      assert.deepStrictEqual(yield* statuses(supervisor), ["a starting"])
      yield* Deferred.succeed(mayStop, undefined)
      yield* Fiber.join(restarting)
      yield* Effect.yieldNow()
      assert.deepStrictEqual(log, ["up", "down", "up"])
    }))
})

describe("Supervisor construction", () => {
  it("refuses a significant child that is permanent, and durations and intensities that are none", () => {
    const child = (options: Partial<Parameters<typeof Supervisor.child>[0]>) => () =>
      Supervisor.child({ id: "a", start: Effect.never, ...options })
    assert.throws(child({ significant: true }), /cannot be significant/)
    assert.throws(child({ shutdown: -1 }), /shutdown must be a duration that is not negative, not -1/)
    assert.throws(child({ shutdown: Number.NaN }), /not NaN/)
    assert.throws(child({ intensity: { maxRestarts: -1, period: 1 } }), /natural number, not -1/)
    assert.throws(child({ intensity: { maxRestarts: 1, period: "-1 seconds" } }), /not -1 seconds/)
    assert.throws(() => Supervisor.restartAfter(-5), /not -5/)
  })

  it.scoped("refuses a significant child where nothing shuts down, then and later", () =>
    Effect.gen(function*() {
      const spec = Supervisor.child({
        id: "s",
        start: Effect.never,
        restart: "transient",
        significant: true
      })
      assert.match(yield* defectOf(made(spec)), /has no autoShutdown/)
      const supervisor = yield* made()
      assert.match(yield* defectOf(supervisor.startChild(spec)), /has no autoShutdown/)
      assert.deepStrictEqual(yield* supervisor.whichChildren, [])
    }))

  it.scoped("refuses a supervisor nested in itself, however deep", () =>
    Effect.gen(function*() {
      const children: Array<ChildSpec<string, never, never>> = [worker("w")]
      const inner = Supervisor.supervisor({ id: "inner", strategy: "one_for_one", children })
      children.push(Supervisor.supervisor({ id: "outer", strategy: "one_for_one", children: [inner] }))
      assert.match(yield* defectOf(made(...children)), /is nested in itself/)
      const shared = { strategy: "one_for_one", children: [worker("w")] } as const
      const supervisor = yield* made(
        Supervisor.supervisor({ id: "a", ...shared }),
        Supervisor.supervisor({ id: "b", ...shared })
      )
      assert.deepStrictEqual(yield* statuses(supervisor), ["a running", "b running"])
    }))
})
