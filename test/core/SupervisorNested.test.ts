import { assert, describe, it } from "@effect/vitest"
import * as Supervisor from "@holdfast/core/Supervisor"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"

class Busy extends Data.TaggedError("Busy")<{}> {}

const one_for_one = { strategy: "one_for_one" } as const

const logged = (log: Array<string>, id: string, restart: "permanent" | "temporary" = "permanent") =>
  Supervisor.child({
    id,
    restart,
    start: Effect.acquireUseRelease(
      Effect.sync(() => log.push(`${id} up`)),
      () => Effect.never,
      () => Effect.sync(() => log.push(`${id} down`))
    )
  })

/** Crashes each time something is put into the queue. */
const crashing = (crashes: Queue.Dequeue<void>, id = "crashing") =>
  Supervisor.child({ id, start: Effect.zipRight(Queue.take(crashes), Effect.die("bug")) })

const awaitRestart = <E>(supervisor: Supervisor.Supervisor<E>, child: string) =>
  Stream.runHead(
    Stream.filter(supervisor.events, (event) => event._tag === "ChildRestarted" && event.child === child)
  )

describe("nested supervisors", () => {
  it.effect("start and stop with the tree, in its order", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const nested = Supervisor.supervisor({
        ...one_for_one,
        id: "nested",
        children: [logged(log, "b"), logged(log, "c")]
      })
      yield* Effect.scoped(
        Supervisor.make({ ...one_for_one, children: [logged(log, "a"), nested, logged(log, "d")] })
      )
      assert.deepStrictEqual(log, [
        "a up",
        "b up",
        "c up",
        "d up",
        "d down",
        "c down",
        "b down",
        "a down"
      ])
    }))

  it.scoped("are restarted whole when they give up, as the parent's intensity allows", () =>
    Effect.gen(function*() {
      const crashes = yield* Queue.unbounded<void>()
      const log: Array<string> = []
      const nested = Supervisor.supervisor({
        ...one_for_one,
        id: "nested",
        maxRestarts: 0,
        children: [logged(log, "sibling"), crashing(crashes)]
      })
      const supervisor = yield* Supervisor.make({
        ...one_for_one,
        name: "root",
        maxRestarts: 1,
        children: [nested]
      })
      yield* Queue.offer(crashes, undefined)
      yield* awaitRestart(supervisor, "nested")
      assert.deepStrictEqual(log, ["sibling up", "sibling down", "sibling up"])
      yield* Queue.offer(crashes, undefined)
      const error = yield* Effect.flip(supervisor.await)
      assert.deepStrictEqual([error.supervisor, error.child], ["root", "nested"])
      assert.include(error.lastCause, "gave up on child \"crashing\"")
    }))

  it.scoped("that are transient are left stopped when they give up", () =>
    Effect.gen(function*() {
      const nested = Supervisor.supervisor({
        ...one_for_one,
        id: "nested",
        restart: "transient",
        significant: true,
        maxRestarts: 0,
        children: [Supervisor.child({ id: "a", start: Effect.die("bug") })]
      })
      const supervisor = yield* Supervisor.make({ ...one_for_one, autoShutdown: "any", children: [nested] })
      yield* supervisor.await
      assert.deepStrictEqual(yield* supervisor.whichChildren, [{
        id: "nested",
        status: "stopped",
        restarts: 0
      }])
    }))

  it.scoped("hand typed failures up, floor by floor, to whoever does not escalate them", () =>
    Effect.gen(function*() {
      const failing = Supervisor.child({
        id: "failing",
        start: new Busy(),
        onFailure: { Busy: "escalate" }
      })
      const inner = Supervisor.supervisor({
        ...one_for_one,
        id: "inner",
        children: [failing],
        onFailure: { Busy: "escalate" }
      })
      const outer = Supervisor.supervisor({
        ...one_for_one,
        id: "outer",
        children: [inner],
        onFailure: { Busy: "park" }
      })
      const supervisor = yield* Supervisor.make({ ...one_for_one, children: [outer] })
      yield* Stream.runHead(Stream.filter(supervisor.events, (event) => event._tag === "ChildExited"))
      assert.deepStrictEqual(yield* supervisor.whichChildren, [{
        id: "outer",
        status: "parked",
        restarts: 0
      }])
    }))

  it.scoped("are seen in the tree, those made inside a worker below it, and no longer when they have ended", () =>
    Effect.gen(function*() {
      const crashes = yield* Queue.unbounded<void>()
      const ended = yield* Deferred.make<void>()
      const nested = Supervisor.supervisor({
        id: "nested",
        strategy: "rest_for_one",
        children: [crashing(crashes)]
      })
      const making = Supervisor.child({
        id: "making",
        onFailure: { RestartIntensityExceeded: "restart" },
        start: Supervisor.withReady((ready) =>
          Effect.scoped(Effect.zipRight(
            Supervisor.make({ ...one_for_one, name: "inside", children: [] }),
            Effect.zipRight(ready, Deferred.await(ended))
          )).pipe(Effect.zipRight(Effect.never))
        )
      })
      const supervisor = yield* Supervisor.make({ ...one_for_one, name: "root", children: [nested, making] })
      const inside = {
        name: "inside",
        kind: "supervisor",
        strategy: "one_for_one",
        status: "running",
        restarts: 0,
        children: []
      } as const
      const worker = { kind: "worker", status: "running", restarts: 0, children: [] } as const
      const tree = yield* supervisor.tree
      assert.deepStrictEqual(tree, {
        ...inside,
        name: "root",
        children: [
          {
            ...inside,
            name: "nested",
            strategy: "rest_for_one",
            children: [{ ...worker, name: "crashing" }]
          },
          { ...worker, name: "making", children: [inside] }
        ]
      })
      yield* Deferred.succeed(ended, undefined)
      yield* Effect.yieldNow().pipe(Effect.repeatN(20))
      assert.deepStrictEqual((yield* supervisor.tree).children[1]?.children, [])
    }))
})

describe("automatic shutdown", () => {
  const ending = (id: string, end: Deferred.Deferred<void>) =>
    Supervisor.child({ id, restart: "transient", significant: true, start: Deferred.await(end) })

  it.scoped("ends the supervisor with any significant child, the others stopped", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const end = yield* Deferred.make<void>()
      const supervisor = yield* Supervisor.make({
        ...one_for_one,
        autoShutdown: "any",
        children: [logged(log, "a"), ending("s", end), logged(log, "b", "temporary")]
      })
      yield* Deferred.succeed(end, undefined)
      yield* supervisor.await
      assert.deepStrictEqual(log, ["a up", "b up", "b down", "a down"])
    }))

  it.scoped("ends the supervisor with the last significant child, one terminated not counted", () =>
    Effect.gen(function*() {
      const first = yield* Deferred.make<void>()
      const supervisor = yield* Supervisor.make({
        ...one_for_one,
        autoShutdown: "all",
        children: [ending("first", first), ending("second", yield* Deferred.make<void>())]
      })
      yield* supervisor.terminateChild("second")
      assert.deepStrictEqual((yield* supervisor.whichChildren).map(({ status }) => status), [
        "running",
        "stopped"
      ])
      yield* Deferred.succeed(first, undefined)
      yield* supervisor.await
    }))
})
