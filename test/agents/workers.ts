import type { CommitLog } from "@holdfast/agents/CommitLog"
import * as Memory from "@holdfast/agents/Memory"
import * as TaskQueue from "@holdfast/agents/TaskQueue"
import { TaskStore } from "@holdfast/agents/TaskStore"
import * as Backoff from "@holdfast/core/Backoff"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

export class JobFailed extends Schema.TaggedError<JobFailed>()("JobFailed", { why: Schema.String }) {}

/** Three attempts, ten seconds apart. */
export const Jobs = TaskQueue.make("jobs", {
  payload: Schema.String,
  success: Schema.String,
  error: JobFailed,
  attemptsMax: 3,
  backoff: Backoff.fixed("10 seconds")
})

/** Pools of one process tell one another what has changed: no test waits for a look that comes by itself. */
export const poll = "1 day"

/** Adds a job per name, which is its id and payload. */
export const enqueue = (...names: ReadonlyArray<string>) =>
  TaskQueue.enqueueAll(Jobs, names.map((name) => ({ id: name, payload: name })))

/** Where a job stands. */
export const jobState = (name: string) =>
  Effect.gen(function*() {
    const task = yield* Effect.flatten(Effect.flatMap(TaskStore, (store) => store.task("jobs", name)))
    const outcome = yield* TaskQueue.outcome(Jobs, task)
    return { status: task.status, attempt: task.attempt, outcome: Option.getOrNull(outcome) }
  })

/** Jobs that run until they are told how to end, and what is known of them. */
export const makeScript = Effect.sync(() => {
  const running = new Map<string, Deferred.Deferred<string, JobFailed>>()
  const begun: Array<string> = []
  const ended: Array<string> = []
  const run = (name: string) =>
    Effect.gen(function*() {
      const end = yield* Deferred.make<string, JobFailed>()
      begun.push(name)
      running.set(name, end)
      return yield* Deferred.await(end)
    }).pipe(Effect.ensuring(Effect.sync(() => {
      running.delete(name)
      ended.push(name)
    })))
  return {
    run,
    begun,
    ended,
    running,
    /** Lets a running job succeed. */
    finish: (name: string) => Effect.suspend(() => Deferred.succeed(running.get(name) ?? unknown(name), name))
  }
})

const unknown = (name: string): never => {
  throw new Error(`${name} is not running`)
}

/** Lets every other fiber go as far as it can without time passing. */
export const settleFibers = Effect.repeatN(Effect.yieldNow(), 200)

/** Runs with a storage of its own. */
export const onMemory = <A, E, R>(effect: Effect.Effect<A, E, R | CommitLog | TaskStore>) =>
  Effect.provide(effect, Memory.layer as Layer.Layer<CommitLog | TaskStore>)
