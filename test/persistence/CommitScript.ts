import { LaneFailed, OperationRejected } from "@holdfast/agents/CommitLog"
import type * as TaskOperation from "@holdfast/agents/TaskOperation"
import { enqueueTasks, putQueue } from "@holdfast/agents/TaskOperation"
import * as FastCheck from "effect/FastCheck"
import * as TaskModel from "../agents/TaskModel.ts"
import type { ScriptedFault } from "../support/scripted-connection.ts"

/** What one operation of a unit does, to a queue whose lane it is in. */
export type Step =
  | { readonly do: "enqueue"; readonly queue: string; readonly count: number; readonly poison: boolean }
  | { readonly do: "put"; readonly queue: string; readonly stale: boolean }

/** Units that are submitted at once, one round after the other, on a storage with faults. */
export interface Script {
  readonly rounds: ReadonlyArray<ReadonlyArray<ReadonlyArray<Step>>>
  readonly faults: ReadonlyArray<ScriptedFault>
}

export type Unit = ReadonlyArray<TaskOperation.EnqueueTasks | TaskOperation.PutQueue>

/** What must become of a unit, or `null` where it is written. */
export type Refusal = { readonly _tag: string }

/** The payload that a trigger of the database refuses. */
export const poison = `"poison"`

const queue = FastCheck.constantFrom("a", "b", "c")

const enqueue = FastCheck.record({
  do: FastCheck.constant("enqueue" as const),
  queue,
  count: FastCheck.integer({ min: 1, max: 3 }),
  poison: FastCheck.nat(5).map((n) => n === 0)
})

const put = FastCheck.record({
  do: FastCheck.constant("put" as const),
  queue,
  stale: FastCheck.nat(4).map((n) => n === 0)
})

/** Every unit adds tasks, so that one can see whether it is there. */
const unit: FastCheck.Arbitrary<ReadonlyArray<Step>> = FastCheck.oneof(
  { weight: 4, arbitrary: FastCheck.tuple(enqueue) },
  { weight: 2, arbitrary: FastCheck.tuple(enqueue, enqueue) },
  { weight: 2, arbitrary: FastCheck.tuple(enqueue, put) },
  { weight: 1, arbitrary: FastCheck.tuple(put, enqueue) }
)

const done = FastCheck.constantFrom("before" as const, "after" as const, "rolledBack" as const)

const fault: FastCheck.Arbitrary<ScriptedFault> = FastCheck.record({
  after: FastCheck.nat(25),
  code: FastCheck.constantFrom("SQLITE_BUSY" as const, "SQLITE_FULL" as const, "SQLITE_IOERR_WRITE" as const),
  done
})

const crash: FastCheck.Arbitrary<ScriptedFault> = FastCheck.record({
  after: FastCheck.nat(60),
  code: FastCheck.constant("crash" as const),
  done
})

/** A crash, where there is one, is the last fault. */
export const script: FastCheck.Arbitrary<Script> = FastCheck.record({
  rounds: FastCheck.array(FastCheck.array(unit, { minLength: 1, maxLength: 6 }), {
    minLength: 1,
    maxLength: 4
  }),
  faults: FastCheck.tuple(
    FastCheck.array(fault, { maxLength: 4 }),
    FastCheck.array(crash, { maxLength: 1 })
  ).map((faults) => faults.flat())
})

/** The operations of a round; `id` makes the tasks of the script unique. */
export const unitsOf = (
  model: TaskModel.TaskModel,
  round: ReadonlyArray<ReadonlyArray<Step>>,
  id: (unit: number, step: number, task: number) => string
): ReadonlyArray<Unit> => {
  const versions = new Map<string, number>()
  const baseOf = (queue: string) => versions.get(queue) ?? TaskModel.queueOf(model, queue).version
  return round.map((steps, unit) =>
    steps.map((step, at) => {
      if (step.do === "put") {
        const base = baseOf(step.queue) + (step.stale ? 7 : 0)
        if (!step.stale) versions.set(step.queue, base + 1)
        return putQueue({ queue: step.queue, base, settings: { ...settings, label: id(unit, at, 0) } })
      }
      const tasks = Array.from({ length: step.count }, (_, task) => ({
        ...plain,
        id: id(unit, at, task),
        payload: step.poison && task === step.count - 1 ? poison : "null"
      }))
      return enqueueTasks({ queue: step.queue, tasks, nowMillis: 0 })
    })
  )
}

const settings = { paused: false, sealed: true, sizeMax: null, errorThreshold: null }

const plain = { priority: 0, notBeforeMillis: 0, attemptsMax: 1 }

/** What must become of a unit that comes behind the failed lanes; it adds its own to them where it fails. */
export const expected = (
  model: TaskModel.TaskModel,
  failedLanes: Set<string>,
  unit: Unit
): { readonly model: TaskModel.TaskModel; readonly refusal: Refusal | null } => {
  const behind = unit.find(({ lane }) => failedLanes.has(lane))
  const poisoned = unit.some((op) =>
    op._tag === "EnqueueTasks" && op.tasks.some(({ payload }) => payload === poison)
  )
  if (behind !== undefined || poisoned) {
    unit.forEach(({ lane }) => failedLanes.add(lane))
    return { model, refusal: { _tag: (behind === undefined ? OperationRejected : LaneFailed)._tag } }
  }
  const committed = TaskModel.commit(model, "node", unit)
  return "refused" in committed
    ? { model, refusal: committed.refused as Refusal }
    : { model: committed.model, refusal: null }
}
