import { assert, describe, it } from "@effect/vitest"
import * as PartitionSupervisor from "@holdfast/core/PartitionSupervisor"
import * as Supervisor from "@holdfast/core/Supervisor"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"

const steady = (id: string) => Supervisor.child({ id, start: Effect.never })

describe("PartitionSupervisor", () => {
  it.live.prop(
    "law: a key leads to one partition, the same in every supervisor of as many, and its child is there alone",
    [FastCheck.integer({ min: 1, max: 9 }), FastCheck.uniqueArray(FastCheck.string(), { maxLength: 20 })],
    ([partitions, keys]) =>
      Effect.scoped(Effect.gen(function*() {
        const supervisor = yield* PartitionSupervisor.make({ name: "sessions", partitions })
        const another = yield* PartitionSupervisor.make({ name: "sessions", partitions })
        for (const key of keys) {
          yield* supervisor.startChild(key, steady(key))
          assert.strictEqual(supervisor.which(key).name, another.which(key).name)
        }
        for (const partition of supervisor.partitions) {
          const expected = keys.filter((key) => supervisor.which(key) === partition)
          assert.deepStrictEqual((yield* partition.whichChildren).map(({ id }) => id), expected)
        }
        assert.lengthOf(supervisor.partitions, partitions)
        assert.lengthOf(yield* supervisor.whichChildren, keys.length)
        assert.deepStrictEqual(yield* supervisor.countChildren, {
          specs: keys.length,
          active: keys.length,
          supervisors: 0,
          workers: keys.length
        })
      })),
    { fastCheck: { numRuns: 50 } }
  )

  it.scoped("spreads keys that differ in a number evenly", () =>
    Effect.gen(function*() {
      const supervisor = yield* PartitionSupervisor.make({ partitions: 8 })
      const counts = new Map<string, number>()
      for (let index = 0; index < 8_000; index++) {
        const { name } = supervisor.which(`user-${index}`)
        counts.set(name, (counts.get(name) ?? 0) + 1)
      }
      assert.deepStrictEqual(
        [...counts.keys()].toSorted(),
        [0, 1, 2, 3, 4, 5, 6, 7].map((n) => `supervisor/${n}`)
      )
      for (const count of counts.values()) assert.closeTo(count, 1_000, 250)
    }))

  it.scoped("keeps ids, budgets and the most children to each partition", () =>
    Effect.gen(function*() {
      const supervisor = yield* PartitionSupervisor.make({ partitions: 2, maxChildren: 1 })
      const keys = Array.from({ length: 9 }, (_, index) => `${index}`)
      const other = keys.find((key) => supervisor.which(key) !== supervisor.which("0")) ?? "none"
      const same = keys.find((key) => key !== "0" && supervisor.which(key) === supervisor.which("0")) ??
        "none"
      yield* supervisor.startChild("0", steady("a"))
      yield* supervisor.startChild(other, steady("a"))
      assert.deepInclude(yield* Effect.flip(supervisor.startChild(same, steady("b"))), {
        _tag: "MaxChildrenReached",
        supervisor: supervisor.which("0").name
      })
      yield* supervisor.which("0").terminateChild("a")
      assert.deepStrictEqual(yield* supervisor.whichChildren, [{ id: "a", status: "running", restarts: 0 }])
    }))

  it.effect("stops all partitions at once", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const supervisor = yield* Scope.extend(PartitionSupervisor.make({ partitions: 4 }), scope)
      const slow = Effect.onInterrupt(Effect.never, () => Effect.sleep("1 second"))
      for (const partition of supervisor.partitions) {
        yield* partition.startChild(Supervisor.child({ id: "slow", start: slow }))
      }
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(closing)
      assert.deepStrictEqual(yield* supervisor.whichChildren, [])
    }))

  it.effect("is started and stopped with a layer, and dies on a number of partitions that is none", () =>
    Effect.gen(function*() {
      class Sessions extends Context.Tag("holdfast/test/core/PartitionSupervisor.test/Sessions")<
        Sessions,
        PartitionSupervisor.PartitionSupervisor
      >() {}
      const sessions = yield* Effect.provide(Sessions, PartitionSupervisor.layer(Sessions, { partitions: 2 }))
      yield* Effect.forEach(sessions.partitions, (partition) => partition.await)
      for (const partitions of [0, -1, 1.5, Number.NaN]) {
        const exit = yield* Effect.exit(Effect.scoped(PartitionSupervisor.make({ partitions })))
        assert.include(
          Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "",
          `positive integer, not ${partitions}`
        )
      }
    }))
})
