/**
 * The commit buffer holds what callers want to commit while the last transaction runs, and says what the next one takes.
 */
import type * as Operation from "@holdfast/agents/Operation"
import type * as Effect from "effect/Effect"
import type { Unit, UnitAnswer } from "./Batch.ts"
import type { FailedLanes } from "./FailedLanes.ts"

/** A unit that waits for its commit, and the caller it wakes. */
export interface Entry extends Weight {
  readonly unit: Unit
  /** Called once, with the answer. */
  readonly answer: (answer: UnitAnswer) => void
  /** Present where it waits for a turn of its own with the log, and not to be written. */
  readonly turn?: Turn
}

/** A turn with the log: nothing else is written before it is over. */
export interface Turn {
  readonly over: Effect.Effect<void>
  /** Those of which an operation was rejected while it waited. */
  readonly failedLanes: FailedLanes
}

/** How much one batch takes. */
export interface Limits extends Weight {
  /** The share of either that one lane may have, beyond its first unit; from 0 to 1. */
  readonly laneShare: number
}

/** 4,096 rows, 4 MiB; a lane may have a quarter of either. */
export const defaultLimits: Limits = { rows: 4_096, bytes: 4 * 1024 * 1024, laneShare: 0.25 }

/** How much an operation, or a unit of them, weighs in a batch. */
export interface Weight {
  readonly rows: number
  readonly bytes: number
}

/** The weight of a unit. */
export const weighUnit = (unit: Unit, weigh: (op: Operation.Any) => Weight): Weight =>
  unit.map(weigh).reduce((a, b) => ({ rows: a.rows + b.rows, bytes: a.bytes + b.bytes }), {
    rows: 0,
    bytes: 0
  })

/**
 * Splits waiting entries into what the next batch takes and what goes on waiting, both in order.
 *
 * An entry is left for later when the batch is full, when one of its lanes has had its share, or when an earlier entry of
 * its lane was left or would be executed after it. The first entry is always taken, whatever its size. A turn is taken
 * alone, when all before it has been, and nothing behind it is.
 */
export const take = (
  entries: ReadonlyArray<Entry>,
  rankOf: (op: Operation.Any) => number,
  limits: Limits
): { readonly batch: ReadonlyArray<Entry>; readonly rest: Array<Entry> } => {
  const batch: Array<Entry> = []
  const rest: Array<Entry> = []
  const lanes = new Map<string, Lane>()
  let rows = 0
  let bytes = 0
  for (const [at, entry] of entries.entries()) {
    if (entry.turn !== undefined) {
      const rested = rest.concat(entries.slice(at))
      return batch.length + rest.length === 0
        ? { batch: [entry], rest: rested.slice(1) }
        : { batch, rest: rested }
    }
    const fits = batch.length === 0 ||
      (rows + entry.rows <= limits.rows && bytes + entry.bytes <= limits.bytes)
    if (fits && entry.unit.every((op) => admits(lanes.get(op.lane), entry, rankOf(op), limits))) {
      batch.push(entry)
      rows += entry.rows
      bytes += entry.bytes
      for (const op of entry.unit) extend(lanes, op.lane, entry, rankOf(op))
    } else {
      rest.push(entry)
      for (const op of entry.unit) lanes.set(op.lane, closed)
    }
  }
  return { batch, rest }
}

interface Lane {
  readonly rank: number
  readonly rows: number
  readonly bytes: number
}

/** Nothing more of this lane in this batch. */
const closed: Lane = { rank: Infinity, rows: Infinity, bytes: Infinity }

const admits = (lane: Lane | undefined, entry: Entry, rank: number, limits: Limits): boolean =>
  lane === undefined || (
    rank >= lane.rank &&
    lane.rows + entry.rows <= limits.rows * limits.laneShare &&
    lane.bytes + entry.bytes <= limits.bytes * limits.laneShare
  )

const extend = (lanes: Map<string, Lane>, name: string, entry: Entry, rank: number): void => {
  const lane = lanes.get(name)
  lanes.set(name, {
    rank: Math.max(rank, lane?.rank ?? 0),
    rows: (lane?.rows ?? 0) + entry.rows,
    bytes: (lane?.bytes ?? 0) + entry.bytes
  })
}
