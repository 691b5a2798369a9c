import type { ClaimedTask } from "@holdfast/agents/Task"
import type * as TaskOperation from "@holdfast/agents/TaskOperation"
import * as Equal from "effect/Equal"
import * as Utils from "effect/Utils"
import type * as TaskModel from "./TaskModel.ts"
import * as TaskReplay from "./TaskReplay.ts"

/** A unit that was committed beside others, and what the backend said. */
export interface Committed {
  readonly unit: ReadonlyArray<TaskOperation.TaskOperation>
  readonly outcome: TaskReplay.Outcome
  readonly claimed: ReadonlyArray<ClaimedTask>
}

/** What the model becomes in one order, with its claims beside those of the backend. */
export interface Explanation {
  readonly model: TaskModel.TaskModel
  readonly claims: ReadonlyArray<readonly [TaskModel.ModelTask, ClaimedTask]>
}

/** Operations that take effect together, and the answer to explain. */
interface Item {
  readonly ops: ReadonlyArray<TaskOperation.TaskOperation>
  readonly outcome: TaskReplay.Outcome
  readonly claimed: ReadonlyArray<ClaimedTask>
}

/**
 * Orders in which the model gives every answer that the backend gave, with the operations of each lane in the order in
 * which they were submitted. Units that were written promise no more than that; a refused one was refused as a whole.
 */
export const explain = (
  model: TaskModel.TaskModel,
  committed: ReadonlyArray<Committed>
): Iterable<Explanation> => search({ model, claims: [] }, committed.flatMap(itemsOf))

const itemsOf = (committed: Committed): ReadonlyArray<Item> => {
  const { claimed, outcome, unit } = committed
  if ("refused" in outcome || unit.length === 1) return [{ ops: unit, outcome, claimed }]
  return unit.map((op, index) => ({
    ops: [op],
    outcome: { answers: [outcome.answers[index]] },
    claimed: op._tag === "ClaimTasks" ? claimed : []
  }))
}

function* search(before: Explanation, items: ReadonlyArray<Item>): Iterable<Explanation> {
  if (items.length === 0) yield before
  for (const [index, item] of items.entries()) {
    if (items.slice(0, index).some((earlier) => sharesLane(earlier, item))) continue
    const predicted = TaskReplay.predict(before.model, item.ops)
    if (!same(predicted.outcome, item.outcome)) continue
    const pairs = predicted.claimed.flatMap((task, at) => {
      const claimed = item.claimed[at]
      return claimed === undefined ? [] : [[task, claimed] as const]
    })
    yield* search(
      { model: predicted.model, claims: [...before.claims, ...pairs] },
      items.filter((other) => other !== item)
    )
  }
}

const sharesLane = (a: Item, b: Item) => a.ops.some(({ lane }) => b.ops.some((op) => op.lane === lane))

/** Structural equality of plain data. */
export const same = (a: unknown, b: unknown): boolean => Utils.structuralRegion(() => Equal.equals(a, b))
