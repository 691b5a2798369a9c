/**
 * Tasks per second through a queue: claimed, run (an effect that does nothing) and settled, each durably.
 */
import * as Memory from "@holdfast/agents/Memory"
import * as TaskQueue from "@holdfast/agents/TaskQueue"
import * as TaskWorkers from "@holdfast/agents/TaskWorkers"
import * as Sqlite from "@holdfast/persistence/Sqlite"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { Contestant } from "./Measure.ts"

const queue = TaskQueue.make("bench", { payload: Schema.Number, success: Schema.Number })

/** The contestants. */
export const contestants = (directory: string): ReadonlyArray<Contestant> => [
  contestant("memory, 64 workers", 5_000, 64, () => Memory.layer),
  contestant("SQLite, 1 worker", 1_000, 1, fresh(directory)),
  contestant("SQLite, 64 workers", 5_000, 64, fresh(directory)),
  contestant("SQLite, 1024 workers", 5_000, 1_024, fresh(directory))
]

let stores = 0
const fresh = (directory: string) => () =>
  Layer.orDie(Sqlite.layer({ filename: `${directory}/tasks-${stores++}.db` }))

const contestant = (
  name: string,
  count: number,
  concurrency: number,
  layer: () => typeof Memory.layer
): Contestant => ({
  name,
  run: () =>
    Effect.runPromise(
      Effect.scoped(Effect.gen(function*() {
        const items = Stream.map(Stream.range(1, count), (payload) => ({ payload, id: String(payload) }))
        yield* TaskQueue.load(queue, items)
        const workers = yield* TaskWorkers.make(queue, Effect.succeed, { concurrency, until: "drained" })
        yield* workers.await
        return count
      })).pipe(Effect.provide(layer()))
    )
})
