/**
 * Failed lanes are those of which an operation was rejected, each with the reason: what comes behind it in its lane may
 * build on it, and fails as well.
 */
import { LaneFailed, OperationRejected } from "@holdfast/agents/CommitLog"
import type { Unit } from "./Batch.ts"

/** The reason by lane. */
export type FailedLanes = Map<string, string>

/** Adds the lanes of a unit, where it failed in a way that those behind it have to share. */
export const add = (failed: FailedLanes, unit: Unit, error: unknown): void => {
  if (!(error instanceof OperationRejected || error instanceof LaneFailed)) return
  for (const { lane } of unit) failed.set(lane, error.detail)
}

/** How a unit behind these lanes fails; `null` for one that is in none of them. */
export const failureOf = (failed: FailedLanes, unit: Unit): LaneFailed | null => {
  const behind = unit.find(({ lane }) => failed.has(lane))
  return behind === undefined
    ? null
    : new LaneFailed({ lane: behind.lane, detail: failed.get(behind.lane) ?? "" })
}
