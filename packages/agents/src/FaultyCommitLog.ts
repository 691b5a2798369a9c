/**
 * A faulty commit log crashes, fails or is slow where a plan says so, over any storage: it shows that a program survives.
 */
import type { StorageReason } from "@holdfast/core/StorageError"
import { StorageError } from "@holdfast/core/StorageError"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { CommitLog } from "./CommitLog.ts"
import type * as Operation from "./Operation.ts"

/**
 * What happens to a commit.
 *
 * `CrashBefore` and `CrashAfter`: the process ends before or after it is written. From then on no commit of this log is
 * answered, and none that comes later is written. `Fail`: nothing is written, and the caller gets a `StorageError`.
 * `Delay`: it is submitted later.
 */
export type Fault =
  | { readonly _tag: "CrashBefore" }
  | { readonly _tag: "CrashAfter" }
  | { readonly _tag: "Fail"; readonly reason: StorageReason }
  | { readonly _tag: "Delay"; readonly duration: Duration.DurationInput }

/** Chooses what happens to a commit by its number in this log, from 1, and its operations; `null` for nothing. */
export type Plan = (commit: number, operations: ReadonlyArray<Operation.Any>) => Fault | null

/** What the harness around the program has to know. */
export class FaultyCommitLog extends Context.Tag("@holdfast/agents/FaultyCommitLog")<FaultyCommitLog, {
  /** Completes when the log has crashed. */
  readonly crashed: Effect.Effect<void>
}>() {}

/**
 * Puts a plan's faults before a commit log.
 *
 * What waits for a commit of a crashed log waits for ever, also where it cannot be interrupted. So a program is thrown
 * away by racing it, disconnected, against `crashed`; the next one gets a layer of its own over the same storage.
 *
 * @example
 * import * as FaultyCommitLog from "@holdfast/agents/FaultyCommitLog"
 * import * as Memory from "@holdfast/agents/Memory"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 *
 * const storage = Memory.storage()
 * const crashAt = (n: number) =>
 *   FaultyCommitLog.layer((commit) => (commit === n ? { _tag: "CrashAfter" } : null)).pipe(
 *     Layer.provideMerge(Memory.layerFrom(storage))
 *   )
 * const untilCrash = <A, E, R>(program: Effect.Effect<A, E, R>) =>
 *   Effect.flatMap(FaultyCommitLog.FaultyCommitLog, ({ crashed }) =>
 *     Effect.raceFirst(Effect.disconnect(Effect.asVoid(program)), crashed))
 */
export const layer = (plan: Plan): Layer.Layer<CommitLog | FaultyCommitLog, never, CommitLog> =>
  Layer.effectContext(
    Effect.map(
      Effect.all([CommitLog, Deferred.make<void>()]),
      ([log, crashed]) =>
        Context.make(CommitLog, { commit: faulty(log.commit, plan, crashed), fenced: log.fenced }).pipe(
          Context.add(FaultyCommitLog, { crashed: Deferred.await(crashed) })
        )
    )
  )

const faulty = (commit: CommitLog["Type"]["commit"], plan: Plan, crashed: Deferred.Deferred<void>) => {
  let commits = 0
  let alive = true
  const crash = Effect.suspend(() => {
    alive = false
    return Effect.zipRight(Deferred.succeed(crashed, undefined), silence)
  })
  const answer: CommitLog["Type"]["commit"] = (operations) =>
    Effect.flatMap(Effect.exit(commit(operations)), (exit) => (alive ? exit : silence))
  const next: CommitLog["Type"]["commit"] = (operations) => {
    const fault = plan(++commits, operations)
    switch (fault?._tag) {
      case "CrashBefore":
        return crash
      case "CrashAfter":
        return Effect.zipRight(Effect.exit(commit(operations)), crash)
      case "Fail":
        return new StorageError({ operation: "commit", reason: fault.reason, outcome: "none", detail })
      case "Delay":
        return Effect.zipRight(Effect.sleep(fault.duration), unlessCrashed(() => answer(operations)))
      case undefined:
        return answer(operations)
    }
  }
  const unlessCrashed = <A, E>(write: () => Effect.Effect<A, E>) =>
    Effect.suspend(() => (alive ? write() : silence))
  const port: CommitLog["Type"]["commit"] = (operations) => unlessCrashed(() => next(operations))
  return port
}

const detail = "the plan of a faulty commit log asked for it"

/** Never answers, and holds no timer as `Effect.never` does: what waits for a crashed log is garbage. */
const silence: Effect.Effect<never> = Effect.async(() => undefined)
