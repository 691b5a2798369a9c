/**
 * Reports on a batch: a bar on a terminal, else a line every few seconds, and a summary at the end.
 */
import * as TaskQueue from "@holdfast/agents/TaskQueue"
import { TaskStore } from "@holdfast/agents/TaskStore"
import type * as CircuitBreaker from "@holdfast/core/CircuitBreaker"
import type { StorageError } from "@holdfast/core/StorageError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import process from "node:process"
import { exitCodes } from "../Failure.ts"
import { Output } from "../Output.ts"
import type { BatchOptions } from "./BatchOptions.ts"
import type { Prepared } from "./Prepare.ts"
import * as Progress from "./Progress.ts"

/** Why a batch's run ended. */
export type Ended = "drained" | "interrupted"

/** Shows a batch. */
export interface Report {
  /** Shows progress for ever. */
  readonly show: Effect.Effect<never, StorageError>
  /** Shows the summary and yields the exit code. */
  readonly end: (ended: Ended) => Effect.Effect<number, StorageError>
}

/** Makes the report of a batch. */
export const make = (of: {
  readonly prepared: Prepared
  readonly options: BatchOptions
  readonly before: number
  readonly breaker: CircuitBreaker.CircuitBreaker | null
}): Effect.Effect<Report, never, Output | TaskStore> =>
  Effect.gen(function*() {
    const output = yield* Output
    const store = yield* TaskStore
    const startedMillis = yield* Clock.currentTimeMillis
    const snapshot = Effect.gen(function*() {
      const queue = yield* Effect.provideService(TaskQueue.stats(of.prepared.name), TaskStore, store)
      const status = of.breaker === null ? null : yield* of.breaker.status
      const snapshot: Progress.Snapshot = {
        total: of.prepared.label.tasks,
        counts: queue.counts,
        before: of.before,
        elapsedMillis: (yield* Clock.currentTimeMillis) - startedMillis,
        breaker: status === null ? null : status.state.toLowerCase()
      }
      return snapshot
    })
    const once = Effect.flatMap(snapshot, (now) =>
      output.interactive
        ? output.draw(`\r\u001b[K${Progress.bar(now, process.stderr.columns)}`)
        : output.say(`${of.prepared.name}: ${Progress.line(now)}`))
    return {
      show: Effect.forever(Effect.delay(once, output.interactive ? "200 millis" : "3 seconds")),
      end: (ended) => Effect.flatMap(snapshot, (now) => summarize(output, of, ended, now))
    }
  })

const summarize = (
  output: Output["Type"],
  of: { readonly prepared: Prepared; readonly options: BatchOptions; readonly before: number },
  ended: Ended,
  now: Progress.Snapshot
): Effect.Effect<number> =>
  Effect.gen(function*() {
    const { counts } = now
    const { name } = of.prepared
    const exitCode = ended === "interrupted"
      ? exitCodes.interrupted
      : counts.dead + counts.skipped > 0
      ? exitCodes.someFailed
      : exitCodes.done
    yield* output.say(`${name}: ${headline(of, ended, now)}`)
    if (of.options.json) {
      const ran = Progress.finished(now) - of.before
      const left = counts.ready + counts.running
      yield* output.result(JSON.stringify({
        batch: name,
        total: now.total,
        ok: counts.completed,
        failed: counts.dead,
        skipped: counts.skipped,
        left,
        ran,
        elapsedMillis: now.elapsedMillis,
        exitCode
      }))
    }
    return exitCode
  })

const headline = (
  { before, options }: { readonly before: number; readonly options: BatchOptions },
  ended: Ended,
  now: Progress.Snapshot
): string => {
  const { counts } = now
  const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : ""
  const tally = `${counts.completed} ok, ${counts.dead} failed${skipped}, of ${now.total}`
  if (ended === "interrupted") {
    const again = options.restart ? "the same command without --restart" : "the same command"
    return `interrupted, state saved: ${tally}; run ${again} to continue`
  }
  if (before === now.total) return `was already done: ${tally}`
  const continued = before > 0 ? ` (continued behind ${before})` : ""
  return `done in ${Progress.duration(now.elapsedMillis / 1_000)}: ${tally}${continued}`
}
