import { CommitLog } from "@holdfast/agents/CommitLog"
import type { Queue } from "@holdfast/agents/Queue"
import type { ClaimedTask, Task } from "@holdfast/agents/Task"
import type * as TaskOperation from "@holdfast/agents/TaskOperation"
import { TaskStore } from "@holdfast/agents/TaskStore"
import * as Effect from "effect/Effect"
import * as TaskModel from "./TaskModel.ts"
import * as TaskScript from "./TaskScript.ts"

/** A script on its way through a backend and the model at the same time. */
export interface Replay {
  model: TaskModel.TaskModel
  readonly claims: Array<TaskScript.ModelClaim>
  /** The backend's sequence of each task the model numbers, once it was claimed. */
  readonly sequences: Map<number, number>
  node: string
}

/** What a unit came to, in the model's terms: results, or the facts of its refusal. */
export type Outcome = { readonly answers: ReadonlyArray<unknown> } | { readonly refused: unknown }

type Unit = ReadonlyArray<TaskOperation.TaskOperation>

export const make = (): Replay => ({
  model: TaskModel.make(),
  claims: [],
  sequences: new Map(),
  node: "nobody"
})

/** The unit that steps stand for. */
export const unitOf = (replay: Replay, steps: ReadonlyArray<TaskScript.Step>, nowMillis: number): Unit =>
  steps.flatMap((step) => TaskScript.operationOf(step, replay.model, replay.claims, nowMillis) ?? [])

/** Commits a unit of the model's operations to the backend; what it claimed comes along as the backend gave it. */
export const submit = (replay: Replay, unit: Unit) =>
  Effect.gen(function*() {
    const log = yield* CommitLog
    const result = yield* Effect.either(log.commit(unit.map((op) => toBackend(replay, op))))
    if (result._tag === "Left") return { outcome: { refused: refusal(replay, result.left) }, claimed: [] }
    const answers: ReadonlyArray<unknown> = result.right
    const claimed = answers.flatMap((answer) => (isClaimed(answer) ? answer.tasks : []))
    if (claimed[0] !== undefined) replay.node = claimed[0].node
    return { outcome: { answers: answers.map((answer) => fromBackend(replay, answer)) }, claimed }
  })

/** What the model says of a unit, in the form in which `submit` puts the backend's word. */
export const predict = (
  model: TaskModel.TaskModel,
  unit: Unit
): {
  readonly model: TaskModel.TaskModel
  readonly outcome: Outcome
  readonly claimed: ReadonlyArray<TaskModel.ModelTask>
} => {
  const committed = TaskModel.commit(model, TaskScript.modelNode, unit)
  if ("refused" in committed) return { model, outcome: committed, claimed: [] }
  const claimed = committed.answers.flatMap((answer) =>
    isClaimed(answer) ? (answer.tasks as ReadonlyArray<unknown> as ReadonlyArray<TaskModel.ModelTask>) : []
  )
  const answers = committed.answers.map((answer) =>
    isClaimed(answer) ? { ...answer, tasks: answer.tasks.map((task) => facts(task)) } : answer
  )
  return { model: committed.model, outcome: { answers }, claimed }
}

/** Notes what was claimed, by the model and by the backend, in the same order. */
export const remember = (
  replay: Replay,
  model: ReadonlyArray<TaskModel.ModelTask>,
  backend: ReadonlyArray<ClaimedTask>
): void => {
  for (const [index, { activation, number, queue }] of model.entries()) {
    replay.claims.push({ queue, number, activation })
    replay.sequences.set(number, backend[index]?.sequence ?? -1)
  }
}

/** Everything the backend shows of queues and tasks, in the model's terms. */
export const stateOf = (replay: Replay) =>
  Effect.gen(function*() {
    const store = yield* TaskStore
    const queues = yield* store.queues
    const tasks = yield* store.tasks({ limit: 10_000 })
    return { queues, tasks: tasks.map((task) => facts(named(replay, task))) }
  })

/** The same of the model. */
export const modelState = (model: TaskModel.TaskModel) => ({
  queues: model.queues.map((queue) => queueFacts(model, queue)).sort((a, b) => (a.name < b.name ? -1 : 1)),
  tasks: model.tasks.map((task) => facts(task))
})

const queueFacts = (model: TaskModel.TaskModel, queue: TaskModel.ModelQueue): Queue => ({
  ...queue.settings,
  name: queue.name,
  version: queue.version,
  counts: {
    ready: TaskModel.countOf(model, queue.name, "ready"),
    running: TaskModel.countOf(model, queue.name, "running"),
    completed: TaskModel.countOf(model, queue.name, "completed"),
    dead: TaskModel.countOf(model, queue.name, "dead"),
    skipped: TaskModel.countOf(model, queue.name, "skipped")
  },
  deadInRow: queue.deadInRow,
  finishSequence: queue.finished
})

const facts = ({ number: _, sequence: __, ...task }: Partial<TaskModel.ModelTask & Task>) => task

const named = (replay: Replay, task: Task): Task => ({
  ...task,
  node: task.node === null ? null : TaskScript.modelNode,
  outcome: task.outcome?.replace(replay.node, TaskScript.modelNode) ?? null
})

const toBackend = (replay: Replay, op: TaskOperation.TaskOperation): TaskOperation.TaskOperation => {
  switch (op._tag) {
    case "SettleTask":
      return { ...op, sequence: replay.sequences.get(op.sequence) ?? -1 }
    case "ReleaseClaims":
      return { ...op, node: replay.node }
    default:
      return op
  }
}

const fromBackend = (replay: Replay, answer: unknown): unknown =>
  isClaimed(answer) ? { ...answer, tasks: answer.tasks.map((task) => facts(named(replay, task))) } : answer

const refusal = (replay: Replay, error: object): unknown => {
  const known = { ...error } as { sequence?: number }
  if (known.sequence === undefined) return known
  const number = Array.from(replay.sequences).find(([, sequence]) => sequence === known.sequence)?.[0]
  return { ...known, sequence: number }
}

const isClaimed = (answer: unknown): answer is TaskOperation.Claimed =>
  typeof answer === "object" && answer !== null && "tasks" in answer
