import { assert, describe, it } from "@effect/vitest"
import * as Supervisor from "@holdfast/core/Supervisor"
import { eventsMax, type SupervisorEvent } from "@holdfast/core/SupervisorEvent"
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as FiberTracker from "effect/Supervisor"
import * as TestClock from "effect/TestClock"

class Busy extends Data.TaggedError("Busy")<{ readonly fatal: boolean }> {}
class BadConfig extends Data.TaggedError("BadConfig")<{ readonly key: string }> {}

const one_for_one = { strategy: "one_for_one" } as const

/** Ends as it is told, once for each time it is told. */
const makePuppet = <E = never>() =>
  Effect.map(Queue.unbounded<Effect.Effect<void, E>>(), (orders) => ({
    program: Effect.flatten(Queue.take(orders)),
    end: (order: Effect.Effect<void, E>) => Queue.offer(orders, order)
  }))

const recorded = (log: Array<string>, id: string) =>
  Effect.acquireRelease(
    Effect.sync(() => log.push(`${id} up`)),
    () => Effect.sync(() => log.push(`${id} down`))
  )

/** Runs until it is stopped, and says when it begins and when it has ended. */
const steady = (log: Array<string>, id: string) =>
  Supervisor.child({ id, start: Effect.zipRight(recorded(log, id), Effect.never) })

const awaitEvent = <E>(
  supervisor: Supervisor.Supervisor<E>,
  predicate: (event: SupervisorEvent) => boolean
): Effect.Effect<SupervisorEvent> =>
  Effect.flatMap(
    Stream.runHead(Stream.filter(supervisor.events, predicate)),
    Option.match({
      onNone: () => Effect.dieMessage("the supervisor ended without the event"),
      onSome: Effect.succeed
    })
  )

const restarted = (times: number) => (event: SupervisorEvent) =>
  event._tag === "ChildRestarted" && event.restarts === times

const allEvents = <E>(supervisor: Supervisor.Supervisor<E>): Effect.Effect<ReadonlyArray<SupervisorEvent>> =>
  Effect.map(Stream.runCollect(supervisor.events), Chunk.toReadonlyArray)

const brief = (events: ReadonlyArray<SupervisorEvent>): ReadonlyArray<string> =>
  events.map((event) => "child" in event ? `${event._tag} ${event.child}` : event._tag)

describe("Supervisor", () => {
  describe("start", () => {
    it.scoped("starts each child when the one before has said that it is ready", () =>
      Effect.gen(function*() {
        const log: Array<string> = []
        const mayBeReady = yield* Deferred.make<void>()
        const storage = Supervisor.child({
          id: "storage",
          start: Supervisor.withReady((ready) =>
            Effect.gen(function*() {
              log.push("storage begun")
              yield* Deferred.await(mayBeReady)
              log.push("storage ready")
              yield* ready
              yield* Effect.never
            })
          )
        })
        const agents = steady(log, "agents")
        const starting = yield* Effect.fork(Supervisor.make({ ...one_for_one, children: [storage, agents] }))
        yield* TestClock.adjust("1 hour")
        assert.deepStrictEqual(log, ["storage begun"])
        assert.isTrue(Option.isNone(yield* Fiber.poll(starting)))
        yield* Deferred.succeed(mayBeReady, undefined)
        const supervisor = yield* Fiber.join(starting)
        assert.deepStrictEqual(log, ["storage begun", "storage ready", "agents up"])
        assert.deepStrictEqual(yield* supervisor.whichChildren, [
          { id: "storage", status: "running", restarts: 0 },
          { id: "agents", status: "running", restarts: 0 }
        ])
      }))

    it.scoped("restarts a child that crashes before it is ready, and goes on when it is", () =>
      Effect.gen(function*() {
        let attempts = 0
        const supervisor = yield* Supervisor.make({
          ...one_for_one,
          children: [
            Supervisor.child({
              id: "slow to come",
              start: Supervisor.withReady((ready) =>
                Effect.suspend(() =>
                  ++attempts < 3 ? Effect.die("not yet") : Effect.zipRight(ready, Effect.never)
                )
              )
            }),
            Supervisor.child({
              id: "after it",
              start: Effect.sync(() => assert.strictEqual(attempts, 3)),
              restart: "temporary"
            })
          ]
        })
        assert.deepStrictEqual((yield* supervisor.whichChildren)[0], {
          id: "slow to come",
          status: "running",
          restarts: 2
        })
      }))

    it.scoped("fails when it gives up before every child has started", () =>
      Effect.gen(function*() {
        const log: Array<string> = []
        const error = yield* Effect.flip(Supervisor.make({
          ...one_for_one,
          name: "boot",
          children: [
            steady(log, "fine"),
            Supervisor.child({
              id: "broken",
              start: Supervisor.withReady(() => Effect.die(new Error("no disk")))
            }),
            Supervisor.child({ id: "never reached", start: recorded(log, "never reached") })
          ]
        }))
        assert.deepStrictEqual([error.supervisor, error.child, error.restarts, error.periodMillis], [
          "boot",
          "broken",
          3,
          5_000
        ])
        assert.include(error.lastCause, "no disk")
        assert.strictEqual(
          error.message,
          "Supervisor \"boot\" gave up on child \"broken\" after 3 restarts in 5000 ms: Error: no disk"
        )
        assert.deepStrictEqual(log, ["fine up", "fine down"])
      }))

    it.scoped("interrupted while it starts, stops what it has started", () =>
      Effect.gen(function*() {
        const log: Array<string> = []
        const begun = yield* Deferred.make<void>()
        const starting = yield* Effect.fork(Supervisor.make({
          ...one_for_one,
          children: [
            steady(log, "first"),
            Supervisor.child({
              id: "never ready",
              start: Supervisor.withReady(() =>
                Effect.zipRight(Deferred.succeed(begun, undefined), Effect.never)
              )
            })
          ]
        }))
        yield* Deferred.await(begun)
        yield* Fiber.interrupt(starting)
        assert.deepStrictEqual(log, ["first up", "first down"])
      }))

    it.scoped("dies on two children of one id, and on an intensity that is none", () =>
      Effect.gen(function*() {
        const a = Supervisor.child({ id: "a", start: Effect.never })
        const defects = yield* Effect.forEach(
          [
            { ...one_for_one, children: [a, a] },
            { ...one_for_one, children: [a], maxRestarts: -1 },
            { ...one_for_one, children: [a], period: 0 }
          ],
          (options) =>
            Effect.map(
              Effect.exit(Supervisor.make(options)),
              (exit) => Cause.pretty(Exit.causeOption(exit).pipe(Option.getOrElse(() => Cause.empty)))
            )
        )
        assert.match(defects[0] ?? "", /Two children of a supervisor have the id "a"/)
        assert.match(defects[1] ?? "", /maxRestarts must be a natural number, not -1/)
        assert.match(defects[2] ?? "", /period must be longer/)
      }))
  })

  describe("stop", () => {
    it.effect("stops the children in reverse order, then ends", () =>
      Effect.gen(function*() {
        const log: Array<string> = []
        const supervisor = yield* Effect.scoped(
          Supervisor.make({
            ...one_for_one,
            children: [steady(log, "a"), steady(log, "b"), steady(log, "c")]
          })
        )
        assert.deepStrictEqual(log, ["a up", "b up", "c up", "c down", "b down", "a down"])
        assert.deepStrictEqual(brief(yield* allEvents(supervisor)), [
          "ChildStarted a",
          "ChildStarted b",
          "ChildStarted c",
          "ChildStopped c",
          "ChildStopped b",
          "ChildStopped a",
          "SupervisorStopped"
        ])
        yield* supervisor.await
        assert.deepStrictEqual(
          (yield* supervisor.whichChildren).map((child) => child.status),
          ["stopped", "stopped", "stopped"]
        )
      }))

    it.effect("leaves a child behind that does not stop within its timeout, and stops the others", () =>
      Effect.gen(function*() {
        const log: Array<string> = []
        const release = yield* Deferred.make<void>()
        const stubborn = Supervisor.child({
          id: "stubborn",
          start: Effect.onInterrupt(
            Effect.never,
            () => Effect.zipRight(Deferred.await(release), Effect.sync(() => log.push("stubborn down")))
          )
        })
        const scope = yield* Scope.make()
        const supervisor = yield* Scope.extend(
          Supervisor.make({ ...one_for_one, children: [steady(log, "a"), stubborn, steady(log, "c")] }),
          scope
        )
        const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
        yield* TestClock.adjust("4999 millis")
        assert.deepStrictEqual(log, ["a up", "c up", "c down"])
        yield* TestClock.adjust("1 millis")
        yield* Fiber.join(closing)
        assert.deepStrictEqual(log, ["a up", "c up", "c down", "a down"])
        const abandoned = yield* awaitEvent(supervisor, (event) => event._tag === "ChildAbandoned")
        assert.deepInclude(abandoned, { child: "stubborn", timeoutMillis: 5_000, atMillis: 5_000 })
        yield* Deferred.succeed(release, undefined)
        yield* TestClock.adjust("0 millis")
        assert.strictEqual(log.at(-1), "stubborn down")
      }))

    it.effect("waits for an infinity child as long as it takes, and reports how long that was", () =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const slow = Supervisor.child({
          id: "slow",
          start: Effect.onInterrupt(Effect.never, () => Effect.sleep("1 day")),
          shutdown: "infinity"
        })
        const supervisor = yield* Scope.extend(Supervisor.make({ ...one_for_one, children: [slow] }), scope)
        const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
        yield* TestClock.adjust("23 hours")
        assert.isTrue(Option.isNone(yield* Fiber.poll(closing)))
        yield* TestClock.adjust("1 hour")
        yield* Fiber.join(closing)
        const stopped = yield* awaitEvent(supervisor, (event) => event._tag === "ChildStopped")
        assert.deepInclude(stopped, { exitClass: "interrupted", tookMillis: Duration.toMillis("1 day") })
      }))

    it.effect("waits for nothing that takes time with an immediate child", () =>
      Effect.gen(function*() {
        const log: Array<string> = []
        const supervisor = yield* Effect.scoped(Supervisor.make({
          ...one_for_one,
          children: [
            Supervisor.child({
              id: "quick",
              start: Effect.zipRight(recorded(log, "quick"), Effect.never),
              shutdown: "immediate"
            }),
            Supervisor.child({
              id: "slow",
              start: Effect.onInterrupt(Effect.never, () => Effect.sleep("1 millis")),
              shutdown: "immediate"
            })
          ]
        }))
        assert.deepStrictEqual(log, ["quick up", "quick down"])
        assert.includeMembers([...brief(yield* allEvents(supervisor))], [
          "ChildAbandoned slow",
          "ChildStopped quick"
        ])
      }))

    it.effect("reports the defect of a child that crashes while it is stopped", () =>
      Effect.gen(function*() {
        const supervisor = yield* Effect.scoped(Supervisor.make({
          ...one_for_one,
          children: [Supervisor.child({
            id: "a",
            start: Effect.onInterrupt(Effect.never, () => Effect.die("stuck pump"))
          })]
        }))
        const stopped = yield* awaitEvent(supervisor, (event) => event._tag === "ChildStopped")
        assert.deepInclude(stopped, { exitClass: "defect" })
        assert.include(stopped._tag === "ChildStopped" ? stopped.cause : "", "stuck pump")
      }))

    it.effect("stops when acquired in an uninterruptible region too", () =>
      Effect.gen(function*() {
        const log: Array<string> = []
        const child = steady(log, "a")
        yield* Effect.scoped(
          Effect.acquireRelease(Supervisor.make({ ...one_for_one, children: [child] }), () => Effect.void)
        )
        assert.deepStrictEqual(log, ["a up", "a down"])
      }))
  })

  describe("restart", () => {
    it.scoped("releases a child's resources before it is started again", () =>
      Effect.gen(function*() {
        const log: Array<string> = []
        const puppet = yield* makePuppet()
        const mayRelease = yield* Deferred.make<void>()
        const resource = Effect.acquireRelease(
          Effect.sync(() => log.push("open")),
          () => Effect.zipRight(Deferred.await(mayRelease), Effect.sync(() => log.push("closed")))
        )
        const supervisor = yield* Supervisor.make({
          ...one_for_one,
          children: [Supervisor.child({ id: "a", start: Effect.zipRight(resource, puppet.program) })]
        })
        yield* puppet.end(Effect.die("crash"))
        yield* TestClock.adjust("1 hour")
        assert.deepStrictEqual(log, ["open"])
        yield* Deferred.succeed(mayRelease, undefined)
        yield* awaitEvent(supervisor, restarted(1))
        assert.deepStrictEqual(log, ["open", "closed", "open"])
      }))

    it.scoped("leaves the siblings of a crashed child alone", () =>
      Effect.gen(function*() {
        const log: Array<string> = []
        const puppet = yield* makePuppet()
        const supervisor = yield* Supervisor.make({
          ...one_for_one,
          children: [steady(log, "a"), Supervisor.child({ id: "b", start: puppet.program }), steady(log, "c")]
        })
        yield* puppet.end(Effect.die("crash"))
        yield* awaitEvent(supervisor, restarted(1))
        assert.deepStrictEqual(log, ["a up", "c up"])
      }))

    it.scoped("restarts what somebody else interrupted, unless it is temporary", () =>
      Effect.gen(function*() {
        const fibers: Array<Fiber.RuntimeFiber<unknown, unknown>> = []
        const start = Effect.withFiberRuntime<never>((fiber) => {
          fibers.push(fiber)
          return Effect.never
        })
        const supervisor = yield* Supervisor.make({
          ...one_for_one,
          children: [
            Supervisor.child({ id: "permanent", start, restart: "permanent" }),
            Supervisor.child({ id: "transient", start, restart: "transient" }),
            Supervisor.child({ id: "temporary", start, restart: "temporary" })
          ]
        })
        for (const fiber of fibers.slice(0, 3)) yield* Fiber.interrupt(fiber)
        yield* awaitEvent(supervisor, (event) => event._tag === "ChildExited" && event.child === "temporary")
        yield* awaitEvent(
          supervisor,
          (event) => event._tag === "ChildRestarted" && event.child === "transient"
        )
        assert.deepStrictEqual(yield* supervisor.whichChildren, [
          { id: "permanent", status: "running", restarts: 1 },
          { id: "transient", status: "running", restarts: 1 }
        ])
      }))

    it.scoped("restarts after the delay that was decided, and says how long the child was down", () =>
      Effect.gen(function*() {
        const puppet = yield* makePuppet<Busy>()
        const supervisor = yield* Supervisor.make({
          ...one_for_one,
          children: [Supervisor.child({
            id: "a",
            start: puppet.program,
            onFailure: { Busy: Supervisor.restartAfter("10 seconds") }
          })]
        })
        yield* TestClock.adjust("2 seconds")
        yield* puppet.end(new Busy({ fatal: false }))
        yield* TestClock.adjust("9999 millis")
        assert.deepStrictEqual(yield* supervisor.whichChildren, [{
          id: "a",
          status: "starting",
          restarts: 1
        }])
        yield* TestClock.adjust("1 millis")
        const exited = yield* awaitEvent(supervisor, (event) => event._tag === "ChildExited")
        assert.deepInclude(exited, {
          exitClass: "failure",
          decision: "restart",
          ranMillis: 2_000,
          atMillis: 2_000
        })
        const again = yield* awaitEvent(supervisor, restarted(1))
        assert.deepInclude(again, { downMillis: 10_000, atMillis: 12_000 })
      }))

    it.effect("stops a child that waits to be restarted, at once", () =>
      Effect.gen(function*() {
        let starts = 0
        const supervisor = yield* Effect.scoped(Effect.gen(function*() {
          const supervisor = yield* Supervisor.make({
            ...one_for_one,
            children: [Supervisor.child({
              id: "a",
              start: Effect.suspend(() => {
                starts++
                return new Busy({ fatal: false })
              }),
              onFailure: { Busy: Supervisor.restartAfter("1 hour") }
            })]
          })
          yield* awaitEvent(supervisor, (event) => event._tag === "ChildExited")
          return supervisor
        }))
        yield* supervisor.await
        yield* TestClock.adjust("2 hours")
        assert.strictEqual(starts, 1)
      }))

    it.scoped("ignores the ready of a run that has ended", () =>
      Effect.gen(function*() {
        const readies: Array<Effect.Effect<void>> = []
        const puppet = yield* makePuppet()
        const starting = yield* Effect.fork(Supervisor.make({
          ...one_for_one,
          children: [Supervisor.child({
            id: "a",
            start: Supervisor.withReady((ready) => {
              readies.push(ready)
              return puppet.program
            })
          })]
        }))
        yield* puppet.end(Effect.die("crash before it is ready"))
        yield* TestClock.adjust("0 millis")
        yield* readies[0] ?? Effect.dieMessage("the first run did not begin")
        yield* TestClock.adjust("0 millis")
        assert.isTrue(Option.isNone(yield* Fiber.poll(starting)))
        yield* readies[1] ?? Effect.dieMessage("the second run did not begin")
        yield* Fiber.join(starting)
      }))
  })

  describe("intensity", () => {
    it.effect("refuses one restart past the intensity, and stops the children in reverse order", () =>
      Effect.gen(function*() {
        const log: Array<string> = []
        const puppet = yield* makePuppet()
        const supervisor = yield* Effect.scoped(Effect.gen(function*() {
          const supervisor = yield* Supervisor.make({
            ...one_for_one,
            children: [
              steady(log, "a"),
              Supervisor.child({ id: "b", start: puppet.program }),
              steady(log, "c")
            ]
          })
          for (const crash of [1, 2, 3, 4]) yield* puppet.end(Effect.die(new Error(`crash ${crash}`)))
          const error = yield* Effect.flip(supervisor.await)
          assert.instanceOf(error, Supervisor.RestartIntensityExceeded)
          assert.deepStrictEqual(log, ["a up", "c up", "c down", "a down"])
          assert.deepInclude(error, {
            supervisor: "supervisor",
            child: "b",
            restarts: 3,
            periodMillis: 5_000
          })
          assert.include(error.lastCause, "crash 4")
          return supervisor
        }))
        assert.deepStrictEqual(brief(yield* allEvents(supervisor)), [
          "ChildStarted a",
          "ChildStarted b",
          "ChildStarted c",
          "ChildExited b",
          "ChildRestarted b",
          "ChildExited b",
          "ChildRestarted b",
          "ChildExited b",
          "ChildRestarted b",
          "ChildExited b",
          "IntensityExceeded b",
          "ChildStopped c",
          "ChildStopped a",
          "SupervisorStopped"
        ])
      }))

    it.scoped("allows a restart again after the period", () =>
      Effect.gen(function*() {
        const puppet = yield* makePuppet()
        const supervisor = yield* Supervisor.make({
          ...one_for_one,
          maxRestarts: 1,
          period: "1 second",
          children: [Supervisor.child({ id: "a", start: puppet.program })]
        })
        yield* puppet.end(Effect.die("crash"))
        yield* TestClock.adjust("1001 millis")
        yield* puppet.end(Effect.void)
        yield* awaitEvent(supervisor, restarted(2))
        yield* TestClock.adjust("1 second")
        yield* puppet.end(Effect.void)
        assert.deepInclude(yield* Effect.flip(supervisor.await), {
          restarts: 1,
          lastCause: "",
          periodMillis: 1_000
        })
      }))

    it.scoped("counts the restarts of all children, and those decided on a failure", () =>
      Effect.gen(function*() {
        const failing = yield* makePuppet<Busy>()
        const crashing = yield* makePuppet()
        const supervisor = yield* Supervisor.make({
          ...one_for_one,
          maxRestarts: 1,
          children: [
            Supervisor.child({
              id: "failing",
              start: failing.program,
              restart: "temporary",
              onFailure: { Busy: Supervisor.restartAfter("1 millis") }
            }),
            Supervisor.child({ id: "crashing", start: crashing.program })
          ]
        })
        yield* failing.end(new Busy({ fatal: false }))
        yield* awaitEvent(supervisor, (event) => event._tag === "ChildExited")
        yield* crashing.end(Effect.die("crash"))
        assert.deepInclude(yield* Effect.flip(supervisor.await), { child: "crashing" })
      }))
  })

  describe("escalation", () => {
    it.scoped("ends with the typed failure a child escalates, its siblings stopped", () =>
      Effect.gen(function*() {
        const log: Array<string> = []
        const puppet = yield* makePuppet<Busy | BadConfig>()
        const supervisor = yield* Supervisor.make({
          ...one_for_one,
          children: [
            steady(log, "a"),
            Supervisor.child({
              id: "b",
              start: puppet.program,
              onFailure: { Busy: (busy) => busy.fatal ? "escalate" : "restart", BadConfig: "escalate" }
            })
          ]
        })
        yield* puppet.end(new Busy({ fatal: false }))
        yield* puppet.end(new Busy({ fatal: true }))
        const error = yield* Effect.flip(supervisor.await)
        assert.deepStrictEqual(error, new Busy({ fatal: true }))
        assert.deepStrictEqual((yield* supervisor.whichChildren)[1], {
          id: "b",
          status: "stopped",
          restarts: 1
        })
        assert.deepStrictEqual(log, ["a up", "a down"])
      }))

    it.effect("ends with the defect of a decision that throws, the children stopped", () =>
      Effect.gen(function*() {
        const log: Array<string> = []
        const puppet = yield* makePuppet<Busy>()
        const children = [
          steady(log, "a"),
          Supervisor.child({
            id: "b",
            start: puppet.program,
            onFailure: {
              Busy: () => {
                throw new Error("undecided")
              }
            }
          })
        ]
        const supervisor = yield* Effect.scoped(Effect.gen(function*() {
          const supervisor = yield* Supervisor.make({ ...one_for_one, children })
          yield* puppet.end(new Busy({ fatal: false }))
          const exit = yield* Effect.exit(supervisor.await)
          assert.isTrue(Exit.isFailure(exit) && Cause.isDie(exit.cause))
          assert.deepStrictEqual(log, ["a up", "a down"])
          return supervisor
        }))
        const stopped = (yield* allEvents(supervisor)).at(-1)
        assert.include(stopped?._tag === "SupervisorStopped" ? stopped.cause : "", "undecided")
      }))
  })

  describe("events", () => {
    it.scoped("tell each exit with its class, its cause and what was decided", () =>
      Effect.gen(function*() {
        const puppet = yield* makePuppet<BadConfig>()
        const supervisor = yield* Supervisor.make({
          ...one_for_one,
          name: "tree",
          maxRestarts: 9,
          children: [Supervisor.child({ id: "a", start: puppet.program, onFailure: { BadConfig: "stop" } })]
        })
        const orders = [
          Effect.void,
          Effect.die(new Error("bug")),
          Effect.interrupt,
          new BadConfig({ key: "port" })
        ]
        for (const order of orders) yield* puppet.end(order)
        yield* awaitEvent(supervisor, (event) => event._tag === "ChildExited" && event.decision === "stop")
        const exits = yield* Stream.runCollect(
          supervisor.events.pipe(Stream.filter((event) => event._tag === "ChildExited"), Stream.take(4))
        )
        assert.deepStrictEqual(
          Chunk.toReadonlyArray(exits).map((
            event
          ) => [event.supervisor, event.child, event.exitClass, event.decision]),
          [
            ["tree", "a", "success", "restart"],
            ["tree", "a", "defect", "restart"],
            ["tree", "a", "interrupted", "restart"],
            ["tree", "a", "failure", "stop"]
          ]
        )
        const causes = Chunk.toReadonlyArray(exits).map((event) => event.cause.split("\n", 1)[0])
        assert.deepStrictEqual(causes, [
          "",
          "Error: bug",
          "All fibers interrupted without errors.",
          causes[3]
        ])
        assert.match(causes[3] ?? "", /BadConfig/)
      }))

    it.effect("a subscriber that takes nothing delays nothing, and has the latest when it does", () =>
      Effect.gen(function*() {
        const crashes = eventsMax * 4
        const subscribed = yield* Deferred.make<void>()
        const mayTake = yield* Deferred.make<void>()
        let starts = 0
        const children = [Supervisor.child({ id: "a", start: Effect.suspend(() => Effect.die(++starts)) })]
        const scope = yield* Scope.make()
        const make = Supervisor.make({
          ...one_for_one,
          maxRestarts: crashes,
          children: [
            Supervisor.child({
              id: "first",
              start: Supervisor.withReady((ready) => Effect.zipRight(ready, Effect.never))
            }),
            ...children
          ]
        })
        const supervisor = yield* Scope.extend(make, scope)
        const slow = yield* Effect.fork(Stream.runCollect(Stream.tap(
          supervisor.events,
          () => Effect.zipRight(Deferred.succeed(subscribed, undefined), Deferred.await(mayTake))
        )))
        yield* Deferred.await(subscribed)
        assert.instanceOf(yield* Effect.flip(supervisor.await), Supervisor.RestartIntensityExceeded)
        assert.strictEqual(starts, crashes + 1)
        yield* Deferred.succeed(mayTake, undefined)
        const seen = Chunk.toReadonlyArray(yield* Fiber.join(slow))
        assert.isBelow(seen.length, crashes)
        assert.deepStrictEqual(brief(seen.slice(-3)), [
          "IntensityExceeded a",
          "ChildStopped first",
          "SupervisorStopped"
        ])
        assert.lengthOf(yield* allEvents(supervisor), eventsMax)
        yield* Scope.close(scope, Exit.void)
      }))
  })

  describe("layer", () => {
    class Workers extends Context.Tag("holdfast/test/core/Supervisor.test/Workers")<
      Workers,
      Supervisor.Supervisor<BadConfig>
    >() {}

    it.effect("starts the children with the layer and stops them with it", () =>
      Effect.gen(function*() {
        const log: Array<string> = []
        const WorkersLayer = Supervisor.layer(Workers, {
          ...one_for_one,
          children: [steady(log, "a")]
        })
        yield* Effect.provide(Effect.map(Workers, () => assert.deepStrictEqual(log, ["a up"])), WorkersLayer)
        assert.deepStrictEqual(log, ["a up", "a down"])
      }))

    it.effect("fails to build when a child fails for good before it is ready", () =>
      Effect.gen(function*() {
        const WorkersLayer = Supervisor.layer(Workers, {
          ...one_for_one,
          children: [
            Supervisor.child({
              id: "a",
              start: Supervisor.withReady(() => Effect.fail(new BadConfig({ key: "port" }))),
              onFailure: { BadConfig: "escalate" }
            })
          ]
        })
        assert.deepStrictEqual(
          yield* Effect.flip(Effect.scoped(Layer.build(WorkersLayer))),
          new BadConfig({ key: "port" })
        )
      }))
  })

  describe("laws", () => {
    it.effect("10,000 crashes and 300 supervisors leave no fiber and no resource", () =>
      Effect.gen(function*() {
        const tracker = yield* FiberTracker.track
        let held = 0
        let taken = 0
        const resource = Effect.acquireRelease(
          Effect.sync(() => (taken++, held++)),
          () => Effect.sync(() => held--)
        )
        const crashing = Supervisor.child({
          id: "crashing",
          start: Effect.zipRight(resource, Effect.die("crash"))
        })
        const holding = (id: string) =>
          Supervisor.child({ id, start: Effect.zipRight(resource, Effect.never) })
        yield* Effect.scoped(Effect.gen(function*() {
          const supervisor = yield* Supervisor.make({
            ...one_for_one,
            maxRestarts: 10_000,
            children: [holding("a"), crashing]
          })
          yield* Effect.flip(supervisor.await)
        })).pipe(Effect.supervised(tracker))
        assert.deepStrictEqual([taken, held], [10_002, 0])
        yield* Effect.scoped(Supervisor.make({ ...one_for_one, children: [holding("a"), holding("b")] }))
          .pipe(
            Effect.repeatN(299),
            Effect.supervised(tracker)
          )
        assert.deepStrictEqual([taken, held], [10_602, 0])
        assert.lengthOf(yield* tracker.value, 0)
      }))
  })
})
