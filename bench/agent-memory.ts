/**
 * What agents hold of the heap while nobody needs them: live ones that wait for a message, and passive ones.
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
import type { Contestant } from "./Measure.ts"

const count = 10_000

const Counter = Agent.make("Counter", {
  protocol: [Rpc.make("Add", { success: Schema.Int })],
  state: Schema.Struct({ count: Schema.Int }),
  initial: { count: 0 },
  passivateAfter: "1 hour"
})

const layer = Counter.toLayer({
  Add: (_, agent) =>
    Effect.flatMap(agent.get, ({ count }) => Effect.as(agent.set({ count: count + 1 }), count + 1))
})

let stores = 0

/** The contestants. */
export const contestants = (directory: string): ReadonlyArray<Contestant> => [
  contestant("live, idle", directory, () => Effect.void),
  contestant("passive", directory, (runtime, id) => runtime.stop({ type: "Counter", id }))
]

type Runtime = AgentRuntime.AgentRuntime["Type"]

const contestant = (
  name: string,
  directory: string,
  afterwards: (runtime: Runtime, id: string) => Effect.Effect<void>
): Contestant => ({
  name,
  isFigure: true,
  run: () => {
    const storage = Sqlite.layer({ filename: `${directory}/memory-${stores++}.db` })
    const program = Effect.gen(function*() {
      const client = yield* Counter.client
      const runtime = yield* AgentRuntime.AgentRuntime
      const use = (id: string) => Effect.zipRight(client(id).Add(), afterwards(runtime, id))
      yield* each((index) => use(`warm-${index % 100}`))
      const before = yield* heapBytes
      yield* each((index) => use(`${index}`))
      return ((yield* heapBytes) - before) / count
    })
    return Effect.runPromise(
      Effect.provide(program, layer.pipe(Layer.provideMerge(AgentRuntime.layer), Layer.provide(storage)))
    )
  }
})

const each = <E>(work: (index: number) => Effect.Effect<void, E>) =>
  Effect.forEach(Array.from({ length: count }, (_, index) => index), work, {
    concurrency: 128,
    discard: true
  })

setFlagsFromString("--expose-gc")
const gc: () => void = runInNewContext("gc")

const heapBytes = Effect.gen(function*() {
  for (let round = 0; round < 4; round++) {
    gc()
    yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
  }
  return process.memoryUsage().heapUsed
})
