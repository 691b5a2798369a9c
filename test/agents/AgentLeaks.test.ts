import * as Rpc from "@effect/rpc/Rpc"
import { describe, expect, it } from "@effect/vitest"
import * as Agent from "@holdfast/agents/Agent"
import * as AgentRuntime from "@holdfast/agents/AgentRuntime"
import * as Sqlite from "@holdfast/persistence/Sqlite"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { temporaryStore } from "../support/store-processes.ts"

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

const Counter = Agent.make("Counter", {
  protocol: [
    Rpc.make("Add", { success: Schema.Int }),
    Rpc.make("Tell", { payload: { to: Schema.String } }),
    Rpc.make("Boom")
  ],
  state: Schema.Struct({ count: Schema.Int }),
  initial: { count: 0 }
})

const layer = Counter.toLayer({
  Add: (_, agent) =>
    Effect.flatMap(agent.get, ({ count }) => Effect.as(agent.set({ count: count + 1 }), count + 1)),
  Tell: ({ to }, agent) => agent.tell(Counter, to).Add(),
  Boom: () => Effect.die("boom")
})

const each = (count: number, work: (id: string) => Effect.Effect<unknown, unknown>) =>
  Effect.forEach(Array.from({ length: count }, (_, index) => `${index}`), work, {
    concurrency: 64,
    discard: true
  })

describe("agents", () => {
  it.scopedLive("that were activated, told, crashed and passivated, twice, leave nothing in memory", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryStore
      const storage = Sqlite.layer({ filename })
      yield* Effect.gen(function*() {
        const client = yield* Counter.client
        const runtime = yield* AgentRuntime.AgentRuntime
        const life = (id: string) =>
          Effect.gen(function*() {
            yield* client(id).Add()
            yield* client(id).Tell({ to: id })
            yield* Effect.flip(client(id).Boom())
            yield* client(id).Add()
            yield* runtime.stop({ type: "Counter", id })
          })
        yield* each(3_000, life)
        const before = yield* heapBytes
        yield* each(3_000, life)
        yield* each(3_000, life)
        expect(yield* runtime.list).toEqual([])
        const after = yield* heapBytes
        expect(after / before).toBeLessThan(1.02)
        expect(yield* client("7").Add()).toBeGreaterThanOrEqual(7)
      }).pipe(Effect.provide(layer.pipe(Layer.provideMerge(AgentRuntime.layer), Layer.provideMerge(storage))))
    }))
})
