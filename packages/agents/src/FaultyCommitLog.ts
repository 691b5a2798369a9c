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
 * `Delay`: it is submitted later. What happens to a user transaction happens when its user has run, who then runs again
 * where it is written.
 */
export type Fault =
  | { readonly _tag: "CrashBefore" }
  | { readonly _tag: "CrashAfter" }
  | { readonly _tag: "Fail"; readonly reason: StorageReason }
  | { readonly _tag: "Delay"; readonly duration: Duration.DurationInput }

/**
 * Chooses what happens to a commit by its number in this log, from 1, and its operations; `null` for nothing. A user
 * transaction counts as one commit from its beginning, and is asked about when its operations are known.
 */
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
        Context.make(CommitLog, faulty(log, plan, crashed)).pipe(
          Context.add(FaultyCommitLog, { crashed: Deferred.await(crashed) })
        )
    )
  )

const faulty = (log: CommitLog["Type"], plan: Plan, crashed: Deferred.Deferred<void>): CommitLog["Type"] => {
  let commits = 0
  let alive = true
  const crash = Effect.suspend(() => {
    alive = false
    return Effect.zipRight(Deferred.succeed(crashed, undefined), silence)
  })
  const unlessCrashed = <A, E, R>(write: () => Effect.Effect<A, E, R>) =>
    Effect.suspend(() => (alive ? write() : silence))
  const answer = <A, E, R>(write: Effect.Effect<A, E, R>) =>
    Effect.flatMap(Effect.exit(write), (exit) => (alive ? exit : silence))
  const suffer = <A, E, R>(fault: Fault | null, write: Effect.Effect<A, E, R>) => {
    switch (fault?._tag) {
      case "CrashBefore":
        return crash
      case "CrashAfter":
        return Effect.zipRight(Effect.exit(write), crash)
      case "Fail":
        return new StorageError({ operation: "commit", reason: fault.reason, outcome: "none", detail })
      case "Delay":
        return Effect.zipRight(Effect.sleep(fault.duration), unlessCrashed(() => answer(write)))
      case undefined:
        return answer(write)
    }
  }
  return {
    commit: (operations) => unlessCrashed(() => suffer(plan(++commits, operations), log.commit(operations))),
    within: (user, then, options) =>
      unlessCrashed(() => {
        const number = ++commits
        const looking = Effect.flatMap(user, (value) => {
          const fault = plan(number, then(value))
          return alive && fault === null ? Effect.succeed(value) : Effect.fail(new Planned(fault))
        })
        return answer(log.within(looking, then, options)).pipe(
          Effect.catchIf(
            (error): error is Planned => error instanceof Planned,
            ({ fault }) => unlessCrashed(() => suffer(fault, log.within(user, then, options)))
          )
        )
      }),
    fenced: log.fenced
  }
}

/** Takes a user transaction back, when its operations are known, to do to it what the plan says. */
class Planned {
  readonly fault: Fault | null
  constructor(fault: Fault | null) {
    this.fault = fault
  }
}

const detail = "the plan of a faulty commit log asked for it"

/** Never answers, and holds no timer as `Effect.never` does: what waits for a crashed log is garbage. */
const silence: Effect.Effect<never> = Effect.async(() => undefined)
