/**
 * A task agent with ten tasks killed and back: until it has answered with its counters, and the task that was in hand has
 * begun again.
 */
import * as AgentRuntime from "@holdfast/agents/AgentRuntime"
import * as Memory from "@holdfast/agents/Memory"
import * as TaskAgent from "@holdfast/agents/TaskAgent"
import * as Sqlite from "@holdfast/persistence/Sqlite"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Schema from "effect/Schema"
import type { Contestant } from "./Measure.ts"

const Worker = TaskAgent.make("Worker", { payload: Schema.Number })

/** The contestants. */
export const contestants = (directory: string): ReadonlyArray<Contestant> => [
  contestant("memory", () => Memory.layer),
  contestant("SQLite", fresh(directory))
]

const kills = 50

let stores = 0
const fresh = (directory: string) => () =>
  Layer.orDie(Sqlite.layer({ filename: `${directory}/task-agents-${stores++}.db` }))

/** The time to start up and enqueue is in it, once for all kills. */
const contestant = (name: string, storage: () => typeof Memory.layer): Contestant => ({
  name,
  run: () => Effect.runPromise(killed(storage()))
})

const killed = (storage: typeof Memory.layer) =>
  Effect.gen(function*() {
    const begun = yield* Queue.sliding<number>(1)
    const program = Effect.gen(function*() {
      const { restart } = yield* AgentRuntime.AgentRuntime
      const worker = yield* Worker.client
      yield* Effect.forEach([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], (payload) => worker.Enqueue({ payload }))
      yield* Queue.take(begun)
      for (let kill = 0; kill < kills; kill++) {
        yield* restart(Worker.address)
        const { ready, running } = yield* worker.Metrics()
        if (ready + running !== 10) return yield* Effect.dieMessage(`${ready} + ${running} tasks, not 10`)
        yield* Queue.take(begun)
      }
      return kills
    })
    const agents = Worker.toLayer((payload) => Effect.zipRight(Queue.offer(begun, payload), Effect.never))
    const layer = agents.pipe(Layer.provideMerge(AgentRuntime.layer), Layer.provideMerge(storage))
    return yield* Effect.orDie(Effect.provide(program, layer))
  })
