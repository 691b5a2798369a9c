import type { QueueSettings } from "@holdfast/agents/Queue"
import * as TaskOperation from "@holdfast/agents/TaskOperation"
import * as FastCheck from "effect/FastCheck"
import * as TaskModel from "./TaskModel.ts"

/** What somebody does to queues, in terms that mean something whatever happened before. */
export type Step =
  | { readonly do: "put"; readonly queue: string; readonly stale: number; readonly settings: QueueSettings }
  | { readonly do: "enqueue"; readonly queue: string; readonly tasks: ReadonlyArray<StepTask> }
  | { readonly do: "claim"; readonly queue: string; readonly limit: number }
  /** Of any claim ever made: most are late. */
  | { readonly do: "settle"; readonly claim: number; readonly how: How; readonly delay: number }
  | { readonly do: "settleLast"; readonly how: How; readonly delay: number }
  | { readonly do: "retry"; readonly queue: string; readonly id: string | null; readonly limit: number }
  | { readonly do: "skip"; readonly queue: string; readonly limit: number }
  | { readonly do: "purge"; readonly queue: string }
  | { readonly do: "crash"; readonly limit: number }

export type How = TaskOperation.Settlement["_tag"]

export interface StepTask {
  readonly id: string
  readonly priority: number
  readonly delay: number
  readonly attemptsMax: number
}

/** What a claim of the model was: `number` is the model's sequence. */
export interface ModelClaim {
  readonly queue: string
  readonly number: number
  readonly activation: number
}

const queue = FastCheck.constantFrom("a", "b")

const id = FastCheck.nat({ max: 9 }).map((n) => `t${n}`)

const limit = FastCheck.integer({ min: 1, max: 4 })

const delay = FastCheck.nat({ max: 3 })

const orNull = <A>(arbitrary: FastCheck.Arbitrary<A>) => FastCheck.option(arbitrary, { nil: null, freq: 3 })

const settings: FastCheck.Arbitrary<QueueSettings> = FastCheck.record({
  paused: FastCheck.nat({ max: 3 }).map((n) => n === 0),
  sealed: FastCheck.nat({ max: 3 }).map((n) => n > 0),
  sizeMax: orNull(FastCheck.nat({ max: 8 })),
  errorThreshold: orNull(FastCheck.integer({ min: 1, max: 3 })),
  label: orNull(FastCheck.constantFrom("x", "é\u0000'\"", ""))
})

export const stepTask: FastCheck.Arbitrary<StepTask> = FastCheck.record({
  id,
  priority: FastCheck.integer({ min: -1, max: 1 }),
  delay,
  attemptsMax: FastCheck.integer({ min: 1, max: 3 })
})

const how = FastCheck.constantFrom<Array<How>>("Completed", "Retry", "Dead", "Released")

const weighted = (weight: number, arbitrary: FastCheck.Arbitrary<Step>) => ({ weight, arbitrary })

export const enqueueStep = FastCheck.record({
  do: FastCheck.constant("enqueue" as const),
  queue,
  tasks: FastCheck.array(stepTask, { maxLength: 5 })
})

export const claimStep = FastCheck.record({ do: FastCheck.constant("claim" as const), queue, limit })

export const putStep = FastCheck.record({
  do: FastCheck.constant("put" as const),
  queue,
  stale: FastCheck.constantFrom(0, 0, 0, 1, -1),
  settings
})

export const settleStep = FastCheck.oneof(
  {
    weight: 1,
    arbitrary: FastCheck.record({
      do: FastCheck.constant("settle" as const),
      claim: FastCheck.nat(),
      how,
      delay
    })
  },
  {
    weight: 2,
    arbitrary: FastCheck.record({ do: FastCheck.constant("settleLast" as const), how, delay })
  }
)

export const step: FastCheck.Arbitrary<Step> = FastCheck.oneof(
  weighted(3, putStep),
  weighted(8, enqueueStep),
  weighted(8, claimStep),
  weighted(12, settleStep),
  weighted(
    3,
    FastCheck.record({ do: FastCheck.constant("retry" as const), queue, id: orNull(id), limit })
  ),
  weighted(1, FastCheck.record({ do: FastCheck.constant("skip" as const), queue, limit })),
  weighted(1, FastCheck.record({ do: FastCheck.constant("purge" as const), queue })),
  weighted(1, FastCheck.record({ do: FastCheck.constant("crash" as const), limit }))
)

/** The only node of the model. */
export const modelNode = "node"

/** More than a script ever enqueues. */
const everything = 1_000

/** The operation a step stands for, given what went before; `null` where it stands for none. */
export const operationOf = (
  step: Step,
  model: TaskModel.TaskModel,
  claims: ReadonlyArray<ModelClaim>,
  nowMillis: number
): TaskOperation.TaskOperation | null => {
  switch (step.do) {
    case "put": {
      const base = Math.max(0, TaskModel.queueOf(model, step.queue).version + step.stale)
      return TaskOperation.putQueue({ queue: step.queue, base, settings: step.settings })
    }
    case "enqueue":
      return TaskOperation.enqueueTasks({
        queue: step.queue,
        tasks: step.tasks.map((task) => newTask(task, nowMillis)),
        nowMillis
      })
    case "claim":
      return TaskOperation.claimTasks({ queue: step.queue, limit: step.limit, nowMillis })
    case "settle":
      return settleClaim(claims[step.claim % Math.max(1, claims.length)], step.how, step.delay, nowMillis)
    case "settleLast":
      return settleClaim(claims.at(-1), step.how, step.delay, nowMillis)
    case "retry":
      return TaskOperation.retryTasks({ queue: step.queue, id: step.id, limit: step.limit, nowMillis })
    case "skip":
      return TaskOperation.skipTasks({ queue: step.queue, limit: step.limit, nowMillis })
    case "purge":
      return TaskOperation.purgeTasks({ queue: step.queue, limit: everything })
    case "crash":
      return TaskOperation.releaseClaims({ node: modelNode, limit: step.limit, nowMillis })
  }
}

const newTask = ({ attemptsMax, delay, id, priority }: StepTask, nowMillis: number) => ({
  id,
  priority,
  attemptsMax,
  notBeforeMillis: nowMillis + delay,
  payload: JSON.stringify({ id, priority })
})

const settleClaim = (claim: ModelClaim | undefined, how: How, delay: number, nowMillis: number) =>
  claim === undefined ? null : TaskOperation.settleTask({
    queue: claim.queue,
    sequence: claim.number,
    activation: claim.activation,
    settlement: settlementOf(how, nowMillis, delay),
    nowMillis
  })

const settlementOf = (how: How, nowMillis: number, delay: number): TaskOperation.Settlement => {
  const outcome = JSON.stringify({ how, nowMillis })
  switch (how) {
    case "Completed":
    case "Dead":
      return { _tag: how, outcome }
    case "Retry":
      return { _tag: how, outcome, notBeforeMillis: nowMillis + delay }
    case "Released":
      return { _tag: how }
  }
}
