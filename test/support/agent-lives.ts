/**
 * The lives of many agents on a store: activated, told, crashed, activated again and passivated, all of them twice over.
 */
import * as Rpc from "@effect/rpc/Rpc"
import * as Agent from "@holdfast/agents/Agent"
import * as AgentRuntime from "@holdfast/agents/AgentRuntime"
import * as Sqlite from "@holdfast/persistence/Sqlite"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { temporaryStore } from "./store-processes.ts"

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

/**
 * Yields how many agents are live afterwards, the heap by what it was before, how many bytes of it were added for each agent,
 * and what the first agent has counted.
 */
export const agentLives = (count: number) =>
  Effect.gen(function*() {
    const filename = yield* temporaryStore
    const lives = Effect.gen(function*() {
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
      yield* each(count, life)
      yield* each(count, life)
      const live = (yield* runtime.list).length
      const after = yield* heapBytes
      const counted = yield* client("0").Add()
      return { live, heap: after / before, bytesPerAgent: (after - before) / count, counted }
    })
    const storage = Sqlite.layer({ filename })
    return yield* Effect.provide(
      lives,
      layer.pipe(Layer.provideMerge(AgentRuntime.layer), Layer.provideMerge(storage))
    )
  })
