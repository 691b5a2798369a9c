import { describe, expect, it } from "@effect/vitest"
import * as DynamicSupervisor from "@holdfast/core/DynamicSupervisor"
import * as Lease from "@holdfast/core/Lease"
import * as Lock from "@holdfast/core/Lock"
import * as MemoryRecords from "@holdfast/core/MemoryRecords"
import * as Registry from "@holdfast/core/Registry"
import * as Router from "@holdfast/core/Router"
import * as Scheduler from "@holdfast/core/Scheduler"
import * as Supervisor from "@holdfast/core/Supervisor"
import * as Timing from "@holdfast/core/Timing"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"

setFlagsFromString("--expose-gc")
const gc: () => void = runInNewContext("gc")

const heapBytes = Effect.gen(function*() {
  // Finalizers of one collection free what the next one collects.
  for (let round = 0; round < 4; round++) {
    gc()
    yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
  }
  return process.memoryUsage().heapUsed
})

/** Everything that is scoped, in use at once: what comes and goes in it must leave nothing. */
const world = Effect.gen(function*() {
  const children = yield* DynamicSupervisor.make({ name: "children" })
  const names = yield* Registry.make<number, { readonly load: number }>({ keys: "unique", indexes: ["load"] })
  const router = yield* Router.make<number>()
  const scheduler = yield* Scheduler.make()
  const memory = MemoryRecords.memory()
  const leases = yield* Layer.build(Layer.provide(Lease.layer, MemoryRecords.layerFrom(memory)))
  const timing = yield* Timing.after("1 hour")
  const entered = yield* Deferred.make<void>()
  yield* Effect.forkScoped(Effect.provide(
    Lock.withLock(Effect.zipRight(Deferred.succeed(entered, undefined), Effect.never), { name: "held" }),
    leases
  ))
  yield* Deferred.await(entered)

  const cycle = (index: number) =>
    Effect.scoped(Effect.gen(function*() {
      const id = `id-${index}`
      yield* names.register(id, index, { load: index % 10 })
      yield* router.subscribe(`topic.${id}`, () => Effect.void)
      yield* scheduler.schedule({ id, timing, run: Effect.void })
      const run = index % 2 === 0 ? Effect.never : Effect.die("as told")
      yield* children.startChild(Supervisor.child({ id, start: run, restart: "temporary" }))
      const waiter = yield* Effect.fork(Effect.provide(Lock.withLock(Effect.void, { name: "held" }), leases))
      yield* Effect.yieldNow()
      yield* Fiber.interrupt(waiter)
      yield* Effect.ignoreLogged(children.terminateChild(id))
    }))

  const sizes = Effect.gen(function*() {
    const { entries, indexed, watchers } = yield* names.counts
    return {
      children: (yield* children.countChildren).specs,
      entries,
      indexed,
      watchers,
      recipients: (yield* router.stats).recipients.length,
      timers: (yield* scheduler.counts).timers,
      fibers: (yield* Fiber.roots).length,
      subscribers: memory.subscribers.size
    }
  })
  return { cycle, sizes }
})

describe("leaks", () => {
  it.scopedLive("10,000 cycles of children, registrations, subscriptions, timers and lock waiters leave nothing", () =>
    Effect.gen(function*() {
      const { cycle, sizes } = yield* world
      const cycles = (count: number) =>
        Effect.forEach(Array.from({ length: count }, (_, index) => index), cycle, { discard: true })
      const before = yield* sizes
      // What is compiled, cached and kept for replay comes first.
      yield* cycles(10_000)
      const heap = yield* heapBytes
      yield* cycles(10_000)
      const after = yield* heapBytes
      expect(yield* sizes).toEqual(before)
      expect(after / heap).toBeLessThan(1.02)
    }))
})
