/**
 * A queue's row: its settings, versioned as one, and exact counts of its tasks.
 */
import type { TaskStatus } from "./Task.ts"

/** What can be set on a queue; a change replaces them all and builds on the version it read. */
export interface QueueSettings {
  /** Nothing is claimed while this is true. */
  readonly paused: boolean
  /** Nothing is claimed before this is true: a bulk that takes several commits is loaded, then sealed. */
  readonly sealed: boolean
  /** How many unfinished tasks it may hold; `null` for no limit. */
  readonly sizeMax: number | null
  /** How many tasks may die in a row before it pauses itself; `null` for never. */
  readonly errorThreshold: number | null
  /** What its owner wants to remember with it. */
  readonly label: string | null
}

/** The settings of a queue that nobody has set. */
export const defaultSettings: QueueSettings = {
  paused: false,
  sealed: true,
  sizeMax: null,
  errorThreshold: null,
  label: null
}

/** How many tasks stand where. */
export type QueueCounts = { readonly [S in TaskStatus]: number }

/** A queue as storage knows it. */
export interface Queue extends QueueSettings {
  readonly name: string
  /** Raised by every change of its settings; 0 for one that is not stored. */
  readonly version: number
  readonly counts: QueueCounts
  /** Tasks that died since the last one that completed. */
  readonly deadInRow: number
  /** The highest `finishSequence` given out. */
  readonly finishSequence: number
}

/** A queue that has no row yet. */
export const empty = (name: string): Queue => ({
  ...defaultSettings,
  name,
  version: 0,
  counts: { ready: 0, running: 0, completed: 0, dead: 0, skipped: 0 },
  deadInRow: 0,
  finishSequence: 0
})

/** How many tasks are not finished. */
export const unfinished = (queue: Queue): number => queue.counts.ready + queue.counts.running

/** Whether anything may be claimed from it. */
export const isOpen = (queue: Queue): boolean => queue.sealed && !queue.paused

/** Moves `count` tasks from one status to another; `null` is outside the queue. */
export const move = (queue: Queue, from: TaskStatus | null, to: TaskStatus | null, count: number): Queue => {
  const counts = { ...queue.counts }
  if (from !== null) counts[from] -= count
  if (to !== null) counts[to] += count
  return { ...queue, counts }
}

/** Counts deaths in a row, and pauses the queue when they reach its threshold. */
export const recordDeaths = (queue: Queue, deaths: number, completions: number): Queue => {
  const deadInRow = completions > 0 ? 0 : queue.deadInRow + deaths
  const reached = queue.errorThreshold !== null && deaths > 0 && deadInRow >= queue.errorThreshold
  return reached
    ? { ...queue, deadInRow: 0, paused: true, version: queue.version + 1 }
    : { ...queue, deadInRow }
}

/** Whether waiting claimers should look again: there is more to claim, other settings, or nothing left at all. */
export const wakes = (before: Queue, after: Queue): boolean =>
  after.counts.ready > before.counts.ready || after.version !== before.version || unfinished(after) === 0
