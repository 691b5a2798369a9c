import { describe, expect, it } from "@effect/vitest"
import * as Registry from "@holdfast/core/Registry"
import * as RegistryQuery from "@holdfast/core/RegistryQuery"
import { pendingMax } from "@holdfast/core/RegistryWatch"
import * as Chunk from "effect/Chunk"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"

interface Metadata {
  readonly load: number
}

const makeRegistry = Registry.make<string, Metadata>({ keys: "duplicate" })

const settle = Effect.repeatN(Effect.yieldNow(), 20)

describe("Registry.watch", () => {
  it.scoped("tells what enters and leaves a filter, by registration or by update", () =>
    Effect.gen(function*() {
      const registry = yield* makeRegistry
      yield* registry.register("old", "", { load: 1 })
      const where = RegistryQuery.lt("load", 5)
      const fiber = yield* Effect.fork(Stream.runCollect(Stream.take(registry.watch({ where }), 6)))
      yield* settle
      yield* registry.register("busy", "", { load: 9 })
      yield* registry.update("busy", () => ({ load: 4 }))
      yield* registry.update("busy", () => ({ load: 3 }))
      yield* registry.update("busy", () => ({ load: 8 }))
      yield* registry.unregister("busy")
      yield* Effect.scoped(registry.register("new", "", { load: 0 }))
      const events = Chunk.toReadonlyArray(yield* Fiber.join(fiber))
      expect(events).toMatchObject([
        { _tag: "Registered", entry: { key: "old" } },
        { _tag: "Registered", entry: { key: "busy", metadata: { load: 4 } } },
        { _tag: "Updated", entry: { metadata: { load: 3 } }, before: { load: 4 } },
        { _tag: "Unregistered", entry: { key: "busy", metadata: { load: 3 } } },
        { _tag: "Registered", entry: { key: "new" } },
        { _tag: "Unregistered", entry: { key: "new" } }
      ])
    }))

  it.scoped("lets a stalled watcher delay nobody, and tells it how much it missed", () =>
    Effect.gen(function*() {
      const registry = yield* makeRegistry
      const go = yield* Deferred.make<void>()
      const watch = registry.watch({ key: "a" })
      const stalled = yield* Effect.fork(
        watch.pipe(
          Stream.tap(() => Deferred.await(go)),
          Stream.take(1 + 1 + pendingMax),
          Stream.runCollect
        )
      )
      const others = yield* Effect.forkAll(
        Array.from({ length: 99 }, () => Stream.runCollect(Stream.take(watch, 2 * pendingMax)))
      )
      yield* registry.register("a", "", { load: 0 })
      yield* settle
      for (const load of Array.from({ length: 2 * pendingMax - 1 }, (_, index) => index + 1)) {
        yield* registry.update("a", () => ({ load }))
        yield* registry.register("b", "", { load })
        if (load % 50 === 0) yield* settle
      }
      const seen = yield* Fiber.join(others)
      expect(seen.every((events) => Chunk.size(events) === 2 * pendingMax)).toBe(true)
      expect(seen.some((events) => Chunk.some(events, (event) => event._tag === "Lagged"))).toBe(false)
      yield* Deferred.succeed(go, undefined)
      const [first, lagged, ...rest] = Chunk.toReadonlyArray(yield* Fiber.join(stalled))
      expect(first?._tag).toBe("Registered")
      expect(lagged).toEqual({ _tag: "Lagged", missed: pendingMax - 1 })
      expect(rest.map((event) => ("entry" in event ? event.entry.metadata.load : -1))).toEqual(
        Array.from({ length: pendingMax }, (_, index) => pendingMax + index)
      )
      yield* settle
      expect((yield* registry.counts).watchers).toBe(0)
    }))
})
