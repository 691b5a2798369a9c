/**
 * What becomes of a claimed task when its attempt ended: a pure decision.
 */
import * as Backoff from "@holdfast/core/Backoff"
import type { ClaimedTask } from "./Task.ts"
import type { Settlement } from "./TaskOperation.ts"
import * as TaskOutcome from "./TaskOutcome.ts"

/** How an attempt ended: its encoded outcome, or an interruption, which counts for nothing. */
export type AttemptEnd = TaskOutcome.Encoded | { readonly _tag: "Interrupted" }

/**
 * Decides what becomes of the task.
 *
 * A success completes it. A failure or a defect on the last attempt makes it dead, on an earlier one it is tried again
 * after the policy's delay. An interruption gives the attempt back.
 */
export const decide = (
  task: Pick<ClaimedTask, "attempt" | "attemptsMax">,
  end: AttemptEnd,
  at: { readonly backoff: Backoff.Backoff; readonly nowMillis: number; readonly random01: number }
): Settlement => {
  if (end._tag === "Interrupted") return { _tag: "Released" }
  const outcome = TaskOutcome.encode(end)
  if (end._tag === "Success") return { _tag: "Completed", outcome }
  if (task.attempt >= task.attemptsMax) return { _tag: "Dead", outcome }
  const delay = Backoff.delayMillis(at.backoff, task.attempt + 1, at.random01)
  return { _tag: "Retry", outcome, notBeforeMillis: at.nowMillis + delay }
}
