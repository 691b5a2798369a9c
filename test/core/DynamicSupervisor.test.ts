import { assert, describe, it } from "@effect/vitest"
import * as Backoff from "@holdfast/core/Backoff"
import * as ChildError from "@holdfast/core/ChildError"
import * as DynamicSupervisor from "@holdfast/core/DynamicSupervisor"
import * as SupervisionTree from "@holdfast/core/SupervisionTree"
import * as Supervisor from "@holdfast/core/Supervisor"
import type { SupervisorEvent } from "@holdfast/core/SupervisorEvent"
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as RuntimeFlags from "effect/RuntimeFlags"
import * as RuntimeFlagsPatch from "effect/RuntimeFlagsPatch"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as FiberTracker from "effect/Supervisor"
import * as TestClock from "effect/TestClock"
import * as v8 from "node:v8"
import * as vm from "node:vm"
import * as Model from "./DynamicSupervisorModel.ts"

class Busy extends Data.TaggedError("Busy")<{}> {}

const { child } = Supervisor

const steady = (id: string) => child({ id, start: Effect.never })

/** Ends as it is told, once for each time it is told. */
const makePuppet = <E = never>() =>
  Effect.map(Queue.unbounded<Effect.Effect<void, E>>(), (orders) => ({
    program: Effect.flatten(Queue.take(orders)),
    end: (order: Effect.Effect<void, E>) => Queue.offer(orders, order)
  }))

/** Counts what is held by runs that have not released it. */
const makeResource = () => {
  const count = { held: 0, taken: 0 }
  const hold = Effect.acquireRelease(
    Effect.sync(() => (count.taken++, count.held++)),
    () => Effect.sync(() => count.held--)
  )
  return { count, hold }
}

const allEvents = (supervisor: DynamicSupervisor.DynamicSupervisor) =>
  Effect.map(Stream.runCollect(supervisor.events), Chunk.toReadonlyArray)

const firstEvent = (
  supervisor: DynamicSupervisor.DynamicSupervisor,
  predicate: (event: SupervisorEvent) => boolean
) =>
  Effect.flatMap(
    Stream.runHead(Stream.filter(supervisor.events, predicate)),
    Option.match({
      onNone: () => Effect.dieMessage("the supervisor ended without the event"),
      onSome: Effect.succeed
    })
  )

const isTold = (tag: SupervisorEvent["_tag"], id: string) => (event: SupervisorEvent) =>
  event._tag === tag && "child" in event && event.child === id

/** Lets every other fiber run until nothing but time can make it go on. */
const settle = Effect.repeatN(Effect.yieldNow(), 25)

const virtualClock = () => {
  let millis = 0
  const sleepers = new Set<{ readonly atMillis: number; readonly wake: () => void }>()
  const clock: Clock.Clock = {
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    unsafeCurrentTimeMillis: () => millis,
    unsafeCurrentTimeNanos: () => BigInt(millis) * 1_000_000n,
    currentTimeMillis: Effect.sync(() => millis),
    currentTimeNanos: Effect.sync(() => BigInt(millis) * 1_000_000n),
    sleep: (duration) =>
      Effect.async((resume) => {
        const sleeper = {
          atMillis: millis + Duration.toMillis(duration),
          wake: () => resume(Effect.void)
        }
        sleepers.add(sleeper)
        return Effect.sync(() => sleepers.delete(sleeper))
      })
  }
  const pass = (more: number) => {
    millis += more
    for (const sleeper of sleepers) {
      if (sleeper.atMillis <= millis && sleepers.delete(sleeper)) sleeper.wake()
    }
  }
  return { clock, pass, sleepers }
}

const decisions = {
  restart: "restart",
  later: Supervisor.restartAfter(Model.laterMillis),
  stop: "stop",
  park: "park"
} as const

const ends: Record<Model.End, Effect.Effect<void, Busy>> = {
  success: Effect.void,
  defect: Effect.die("bug"),
  interrupted: Effect.interrupt,
  Busy: new Busy()
}

const counting = RuntimeFlagsPatch.enable(RuntimeFlags.OpSupervision)

/** Counts the steps of the fibers it supervises. */
class StepCounter extends FiberTracker.AbstractSupervisor<number> {
  taken = 0
  override readonly value = Effect.sync(() => this.taken)
  override onEffect(): void {
    this.taken++
  }
}

const specOf = (spec: Model.Spec, program: Effect.Effect<void, Busy>) =>
  child({
    id: spec.id,
    start: program,
    restart: spec.restart,
    onFailure: { Busy: decisions[spec.onBusy] },
    ...spec.maxRestarts === null ? {} : {
      intensity: { maxRestarts: spec.maxRestarts, period: "5 seconds", exceeded: spec.exceeded }
    }
  })

const followOperations = (operations: ReadonlyArray<Model.Operation>) =>
  Effect.gen(function*() {
    const { clock, pass, sleepers } = virtualClock()
    const { count, hold } = makeResource()
    const puppets = new Map<string, Effect.Effect.Success<ReturnType<typeof makePuppet<Busy>>>>()
    const scope = yield* Scope.make()
    const supervisor = yield* DynamicSupervisor.make({
      maxChildren: Model.maxChildren,
      intensity: { maxRestarts: Model.maxRestarts, period: "5 seconds" }
    }).pipe(Scope.extend(scope))
    const follow = (operation: Model.Operation): Effect.Effect<string, { readonly _tag: string }> =>
      Effect.gen(function*() {
        switch (operation._tag) {
          case "start": {
            const puppet = yield* makePuppet<Busy>()
            const program = Effect.scoped(Effect.zipRight(hold, puppet.program))
            const { status } = yield* supervisor.startChild(specOf(operation.spec, program))
            puppets.set(operation.spec.id, puppet)
            return status
          }
          case "terminate":
            return yield* Effect.as(supervisor.terminateChild(operation.id), "done")
          case "restart":
            return (yield* supervisor.restartChild(operation.id)).status
          case "exit": {
            const { status } = Option.getOrElse(yield* supervisor.child(operation.id), () => ({ status: "" }))
            if (status !== "running") return "nobody"
            yield* puppets.get(operation.id)?.end(ends[operation.end]) ?? Effect.void
            return "done"
          }
          case "advance":
            pass(operation.millis)
            return "done"
        }
      })
    let model = Model.empty
    for (const operation of operations) {
      const [next, answer] = Model.apply(model, operation)
      const answered = yield* follow(operation).pipe(
        Effect.catchAll((error) => Effect.succeed(error._tag)),
        Effect.withClock(clock)
      )
      yield* settle
      model = next
      assert.strictEqual(answered, answer)
      assert.deepStrictEqual(yield* supervisor.whichChildren, Model.infos(model))
      assert.strictEqual(count.held, Model.infos(model).filter(({ status }) => status === "running").length)
    }
    yield* Effect.withClock(Scope.close(scope, Exit.void), clock)
    const told = (yield* allEvents(supervisor)).map(Model.told)
    for (const id of ["a", "b", "c", "d"]) {
      assert.deepStrictEqual(Model.logOf(told, id), Model.logOf(Model.closed(model).log, id))
    }
    assert.strictEqual(told.at(-1), "SupervisorStopped")
    assert.deepStrictEqual([count.held, sleepers.size, yield* supervisor.whichChildren], [0, 0, []])
  })

describe("DynamicSupervisor", () => {
  it.live.prop(
    "law: does what the model says: who is there, how often restarted, who is parked, what is answered and told",
    [Model.operations],
    ([operations]) => followOperations(operations),
    { fastCheck: { numRuns: 250 }, timeout: 60_000 }
  )

  it.scoped("hands what startChild's caller provides to the child, and answers when it has started", () =>
    Effect.gen(function*() {
      class Room extends Context.Tag("holdfast/test/core/DynamicSupervisor.test/Room")<Room, string>() {}
      const supervisor = yield* DynamicSupervisor.make()
      const mayBeReady = yield* Deferred.make<void>()
      const rooms: Array<string> = []
      const start = Supervisor.withReady((ready) =>
        Effect.gen(function*() {
          rooms.push(yield* Room)
          yield* Deferred.await(mayBeReady)
          yield* ready
          yield* Effect.never
        })
      )
      const starting = yield* supervisor.startChild(child({ id: "a", start })).pipe(
        Effect.provideService(Room, "kitchen"),
        Effect.fork
      )
      yield* settle
      assert.deepStrictEqual(rooms, ["kitchen"])
      assert.isTrue(Option.isNone(yield* Fiber.poll(starting)))
      yield* Deferred.succeed(mayBeReady, undefined)
      assert.deepStrictEqual(yield* Fiber.join(starting), { id: "a", status: "running", restarts: 0 })
    }))

  it.scoped("answers for a child that is not going to start: gone, or parked", () =>
    Effect.gen(function*() {
      const supervisor = yield* DynamicSupervisor.make({ intensity: { maxRestarts: 1, period: "1 second" } })
      const start = Supervisor.withReady(() => Effect.die("crash"))
      const gone = yield* supervisor.startChild(child({ id: "gone", start, restart: "temporary" }))
      const parked = yield* supervisor.startChild(child({ id: "parked", start }))
      assert.deepStrictEqual([gone.status, parked.status], ["stopped", "parked"])
      assert.deepStrictEqual(yield* supervisor.whichChildren, [parked])
      assert.deepStrictEqual(yield* supervisor.countChildren, {
        specs: 1,
        active: 0,
        supervisors: 0,
        workers: 1
      })
    }))

  it.scoped("stops what it is starting when startChild is interrupted", () =>
    Effect.gen(function*() {
      const { count, hold } = makeResource()
      const supervisor = yield* DynamicSupervisor.make()
      const start = Supervisor.withReady(() => Effect.zipRight(hold, Effect.never))
      const starting = yield* Effect.fork(supervisor.startChild(child({ id: "a", start })))
      yield* settle
      assert.strictEqual(count.held, 1)
      yield* Fiber.interrupt(starting)
      assert.deepStrictEqual([count.held, yield* supervisor.whichChildren], [0, []])
    }))

  it.scoped("parks past the budget even a child whose own intensity escalates", () =>
    Effect.gen(function*() {
      const supervisor = yield* DynamicSupervisor.make({ name: "rooms" })
      const intensity = { maxRestarts: 0, period: "1 second", exceeded: "escalate" } as const
      yield* supervisor.startChild(child({ id: "a", start: Effect.die("crash"), intensity }))
      const exceeded = yield* firstEvent(supervisor, isTold("IntensityExceeded", "a"))
      assert.deepInclude(exceeded, { supervisor: "rooms", restarts: 0, periodMillis: 1_000 })
      yield* settle
      assert.deepStrictEqual(
        yield* supervisor.child("a"),
        Option.some({ id: "a", status: "parked", restarts: 0 })
      )
    }))

  it.scoped("parks a child whose decision throws, tells the defect, and goes on with the others", () =>
    Effect.gen(function*() {
      const supervisor = yield* DynamicSupervisor.make()
      yield* supervisor.startChild(steady("b"))
      yield* supervisor.startChild(child({
        id: "a",
        start: new Busy(),
        onFailure: {
          Busy: (): "stop" => {
            throw new Error("undecided")
          }
        }
      }))
      const exited = yield* firstEvent(supervisor, isTold("ChildExited", "a"))
      assert.include(exited._tag === "ChildExited" ? exited.cause : "", "undecided")
      yield* settle
      assert.deepStrictEqual(
        (yield* supervisor.whichChildren).map(({ status }) => status),
        ["running", "parked"]
      )
    }))

  it.scoped("waits the backoff of a budget before each restart, and stops a child that waits at once", () =>
    Effect.gen(function*() {
      const starts: Array<number> = []
      const supervisor = yield* DynamicSupervisor.make({
        intensity: {
          maxRestarts: 9,
          period: "1 hour",
          backoff: Backoff.exponential({ base: "1 second", jitter: "none" })
        }
      })
      const start = Effect.zipRight(
        Effect.map(Clock.currentTimeMillis, (millis) => starts.push(millis)),
        Effect.die("crash")
      )
      yield* supervisor.startChild(child({ id: "a", start }))
      yield* TestClock.adjust("7 seconds")
      assert.deepStrictEqual(starts, [0, 1_000, 3_000, 7_000])
      yield* supervisor.terminateChild("a")
      yield* TestClock.adjust("1 hour")
      assert.lengthOf(starts, 4)
    }))

  it.effect("stops its children at once when its scope closes, and reports those it leaves behind", () =>
    Effect.gen(function*() {
      const release = yield* Deferred.make<void>()
      const slow = (id: string, millis: number) =>
        child({ id, start: Effect.onInterrupt(Effect.never, () => Effect.sleep(millis)) })
      const stubborn = child({
        id: "stubborn",
        start: Effect.onInterrupt(Effect.never, () => Deferred.await(release)),
        shutdown: "3 seconds"
      })
      const scope = yield* Scope.make()
      const supervisor = yield* Scope.extend(DynamicSupervisor.make(), scope)
      for (const spec of [slow("a", 2_000), stubborn, slow("c", 1_000)]) yield* supervisor.startChild(spec)
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("2999 millis")
      assert.isTrue(Option.isNone(yield* Fiber.poll(closing)))
      assert.instanceOf(
        yield* Effect.flip(supervisor.startChild(steady("late"))),
        ChildError.SupervisorClosed
      )
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(closing)
      yield* supervisor.await
      const ended = (yield* allEvents(supervisor)).slice(3)
      assert.deepStrictEqual(
        ended.map((event) => `${event.atMillis} ${Model.told(event)}`),
        [
          "1000 c ChildStopped",
          "2000 a ChildStopped",
          "3000 stubborn ChildAbandoned",
          "3000 SupervisorStopped"
        ]
      )
      yield* Deferred.succeed(release, undefined)
    }))

  it.scoped("lets a child terminate itself, and two terminate one child", () =>
    Effect.gen(function*() {
      const supervisor = yield* DynamicSupervisor.make()
      const orders = yield* makePuppet<ChildError.ChildNotFound>()
      const self = child({ id: "a", start: orders.program, onFailure: { ChildNotFound: "park" } })
      yield* supervisor.startChild(self)
      yield* orders.end(supervisor.terminateChild("a"))
      yield* settle
      assert.deepStrictEqual(yield* supervisor.whichChildren, [])
      yield* supervisor.startChild(steady("b"))
      const both = [supervisor.terminateChild("b"), supervisor.terminateChild("b")]
      yield* Effect.all(both, { concurrency: "unbounded" })
      assert.instanceOf(yield* Effect.flip(supervisor.terminateChild("b")), ChildError.ChildNotFound)
    }))

  it.scoped("dies on a limit that is none, and on a significant child", () =>
    Effect.gen(function*() {
      const supervisor = yield* DynamicSupervisor.make()
      const significant = child({ id: "a", start: Effect.never, restart: "transient", significant: true })
      const defectOf = <A, E>(effect: Effect.Effect<A, E, Scope.Scope>) =>
        Effect.map(Effect.exit(effect), (exit) => Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "")
      for (const maxChildren of [0, -1, 1.5, Number.NaN]) {
        assert.include(
          yield* defectOf(DynamicSupervisor.make({ maxChildren })),
          `integer, not ${maxChildren}`
        )
      }
      const intensity = { maxRestarts: -1, period: "1 second" } as const
      assert.include(yield* defectOf(DynamicSupervisor.make({ intensity })), "natural number, not -1")
      assert.include(yield* defectOf(supervisor.startChild(significant)), "cannot be significant")
    }))

  it.scoped("stands in the tree with what runs inside its children", () =>
    Effect.gen(function*() {
      const supervisor = yield* DynamicSupervisor.make({ name: "rooms" })
      const inside = Effect.flatMap(
        DynamicSupervisor.make({ name: "guests" }),
        (guests) => Effect.zipRight(Effect.orDie(guests.startChild(steady("ann"))), Effect.never)
      )
      yield* supervisor.startChild(child({ id: "kitchen", start: inside }))
      yield* settle
      assert.strictEqual(
        SupervisionTree.toText(yield* supervisor.tree),
        [
          "rooms         dynamic  running",
          "└─ kitchen    worker   running",
          "   └─ guests  dynamic  running",
          "      └─ ann  worker   running"
        ].join("\n")
      )
      yield* supervisor.terminateChild("kitchen")
      assert.lengthOf((yield* supervisor.tree).children, 0)
    }))

  it.effect("is started and stopped with a layer", () =>
    Effect.gen(function*() {
      class Rooms extends Context.Tag("holdfast/test/core/DynamicSupervisor.test/Rooms")<
        Rooms,
        DynamicSupervisor.DynamicSupervisor
      >() {}
      const rooms = yield* Effect.provide(Rooms, DynamicSupervisor.layer(Rooms, { name: "rooms" }))
      yield* rooms.await
      assert.strictEqual(rooms.name, "rooms")
    }))

  it.live.prop(
    "law: one flapping child among a hundred quiet ones is parked alone: no other is restarted",
    [FastCheck.integer({ min: 0, max: 4 }), FastCheck.nat({ max: 100 })],
    ([maxRestarts, place]) =>
      Effect.scoped(Effect.gen(function*() {
        const supervisor = yield* DynamicSupervisor.make({ intensity: { maxRestarts, period: "1 day" } })
        let starts = 0
        const quiet = Effect.zipRight(Effect.sync(() => starts++), Effect.never)
        for (let index = 0; index <= 100; index++) {
          const start = index === place ? Effect.die("flap") : quiet
          yield* supervisor.startChild(child({ id: `${index}`, start }))
        }
        yield* Effect.repeatN(settle, 4)
        const flapping = { id: `${place}`, status: "parked", restarts: maxRestarts }
        const others = (yield* supervisor.whichChildren).filter(({ id }) => id !== flapping.id)
        assert.deepStrictEqual(yield* supervisor.child(flapping.id), Option.some(flapping))
        assert.deepStrictEqual([starts, others.length], [100, 100])
        assert.isTrue(others.every(({ restarts, status }) => restarts === 0 && status === "running"))
      })),
    { fastCheck: { numRuns: 8 } }
  )

  it.live.prop(
    "law: start, terminate, restart and close settle at whatever moment they meet, and leave nothing",
    [
      FastCheck.array(
        FastCheck.tuple(
          FastCheck.constantFrom("start" as const, "terminate" as const, "restart" as const),
          FastCheck.nat(12)
        ),
        {
          minLength: 1,
          maxLength: 8
        }
      ),
      FastCheck.nat(30)
    ],
    ([requests, closeAfter]) =>
      Effect.gen(function*() {
        const tracker = yield* FiberTracker.track
        const { count, hold } = makeResource()
        const start = Effect.zipRight(hold, Effect.zipRight(Effect.yieldNow(), Effect.die("crash")))
        yield* Effect.gen(function*() {
          const scope = yield* Scope.make()
          const supervisor = yield* Scope.extend(DynamicSupervisor.make(), scope)
          const ask: Record<(typeof requests)[number][0], Effect.Effect<unknown>> = {
            start: Effect.either(supervisor.startChild(child({ id: "a", start }))),
            terminate: Effect.either(supervisor.terminateChild("a")),
            restart: Effect.either(supervisor.restartChild("a"))
          }
          const asked = yield* Effect.forEach(requests, ([request, yields]) =>
            Effect.fork(
              Effect.zipRight(Effect.repeatN(Effect.yieldNow(), yields), ask[request])
            ))
          yield* Effect.repeatN(Effect.yieldNow(), closeAfter)
          yield* Scope.close(scope, Exit.void)
          yield* Fiber.joinAll(asked)
          assert.deepStrictEqual(yield* supervisor.whichChildren, [])
        }).pipe(Effect.supervised(tracker), Effect.timeout("10 seconds"))
        yield* settle
        assert.deepStrictEqual([count.held, (yield* tracker.value).length], [0, 0])
      }),
    { fastCheck: { numRuns: 100 } }
  )
})

describe.sequential("DynamicSupervisor at scale", () => {
  const gc = ((): () => void => {
    v8.setFlagsFromString("--expose-gc")
    return vm.runInNewContext("gc")
  })()

  it.live("10,000 start, crash and stop cycles leave no child, no fiber, no resource and no heap", () =>
    Effect.gen(function*() {
      const tracker = yield* FiberTracker.track
      const { count, hold } = makeResource()
      const crashing = Effect.zipRight(hold, Effect.die("crash"))
      const holding = Effect.zipRight(hold, Effect.never)
      const cycles = (supervisor: DynamicSupervisor.DynamicSupervisor, from: number) =>
        Effect.gen(function*() {
          for (let index = from; index < from + 5_000; index++) {
            const id = `${index}`
            yield* supervisor.startChild(child({ id, start: index % 2 === 0 ? crashing : holding }))
            yield* supervisor.terminateChild(id)
          }
          yield* settle
          gc()
          return process.memoryUsage().heapUsed
        })
      yield* Effect.scoped(Effect.gen(function*() {
        const supervisor = yield* DynamicSupervisor.make()
        const before = yield* cycles(supervisor, 0)
        const after = yield* cycles(supervisor, 5_000)
        assert.isBelow(after, before * 1.02)
        assert.deepStrictEqual([count.held, yield* supervisor.whichChildren], [0, []])
        assert.isAtLeast(count.taken, 10_000)
      })).pipe(Effect.supervised(tracker))
      assert.lengthOf(yield* tracker.value, 0)
    }))

  it.live("what is done to one child takes as many steps among 2,000 others as among 50", () =>
    Effect.gen(function*() {
      const stepsAmong = (others: number) =>
        Effect.scoped(Effect.gen(function*() {
          const supervisor = yield* DynamicSupervisor.make()
          for (let index = 0; index < others; index++) yield* supervisor.startChild(steady(`${index}`))
          const steps = new StepCounter()
          const crash = child({
            id: "a",
            start: Effect.die("crash"),
            intensity: { maxRestarts: 3, period: "1 day" }
          })
          yield* Effect.gen(function*() {
            yield* supervisor.startChild(crash)
            yield* settle
            yield* supervisor.restartChild("a")
            yield* settle
            yield* supervisor.terminateChild("a")
          }).pipe(Effect.supervised(steps), Effect.withRuntimeFlagsPatch(counting))
          return steps.taken
        }))
      const [few, many] = [yield* stepsAmong(50), yield* stepsAmong(2_000)]
      assert.isAbove(few, 100)
      assert.closeTo(many, few, few / 20)
    }))
})
