/**
 * What a batch shows of itself while it runs and when it ends.
 */
import type { QueueCounts } from "@holdfast/agents/Queue"

/** A batch at one moment. */
export interface Snapshot {
  readonly total: number
  readonly counts: QueueCounts
  /** Tasks that had finished before this run began. */
  readonly before: number
  readonly elapsedMillis: number
  /** The breaker's state, where there is one. */
  readonly breaker: string | null
}

/** How many tasks have finished. */
export const finished = ({ counts }: Snapshot): number => counts.completed + counts.dead + counts.skipped

/** One line: `120/300 done, 2 failed, 8.4/s, 21s left`. */
export const line = (snapshot: Snapshot): string => {
  const done = finished(snapshot)
  const perSecond = (done - snapshot.before) / Math.max(snapshot.elapsedMillis / 1_000, 0.001)
  const left = perSecond > 0 ? `${duration((snapshot.total - done) / perSecond)} left` : "waiting"
  const parts = [
    `${done}/${snapshot.total} done`,
    `${snapshot.counts.dead} failed`,
    `${perSecond.toFixed(1)}/s`,
    ...(done < snapshot.total ? [left] : []),
    ...(snapshot.breaker === null || snapshot.breaker === "closed" ? [] : [`breaker ${snapshot.breaker}`])
  ]
  return parts.join(", ")
}

/** The line behind a bar, for a terminal of so many columns. */
export const bar = (snapshot: Snapshot, columns: number): string => {
  const text = line(snapshot)
  const width = Math.max(0, Math.min(30, columns - text.length - 4))
  const filled = Math.floor(width * finished(snapshot) / Math.max(1, snapshot.total))
  const drawn = width < 5 ? "" : `[${"#".repeat(filled)}${"-".repeat(width - filled)}] `
  return `${drawn}${text}`.slice(0, Math.max(1, columns - 1))
}

/** Seconds as `1h02m`, `3m05s` or `12s`. */
export const duration = (seconds: number): string => {
  const whole = Math.round(seconds)
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60]
  const two = (value: number) => String(value).padStart(2, "0")
  if (hours > 0) return `${hours}h${two(minutes)}m`
  return minutes > 0 ? `${minutes}m${two(rest)}s` : `${rest}s`
}
