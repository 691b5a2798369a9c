/**
 * A dynamic child has a fiber of its own, its keeper, that runs its program again and again, decides on each
 * end, and stops it when the keeper is interrupted. A keeper knows no other child.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type { ChildSpec, Tagged } from "../ChildSpec.ts"
import type { Verdict } from "../RestartDecision.ts"
import { exitClass } from "../RestartDecision.ts"
import * as RestartIntensity from "../RestartIntensity.ts"
import type { ChildInfo } from "../Supervisor.ts"
import * as ChildRun from "./ChildRun.ts"
import { monotonicMillis } from "./monotonicMillis.ts"
import * as SupervisedChild from "./SupervisedChild.ts"
import * as TreePlace from "./TreePlace.ts"

/** A child as its supervisor sees it. `R` is what its program needs. */
export interface Child<R = unknown> extends SupervisedChild.Child<never, R> {
  readonly keeper: Fiber.RuntimeFiber<unknown, unknown>
  /** Opened to have a parked child run again. */
  readonly resume: Effect.Latch
}

/** Is a child with what its keeper needs beside it. */
export interface Kept<R> {
  readonly teller: ChildRun.Teller
  readonly budget: RestartIntensity.ChildIntensity
  readonly child: Child<R>
}

export const unsafeMake = <R>(spec: ChildSpec<string, never, R>, keeper: Child["keeper"]): Child<R> => ({
  ...SupervisedChild.unsafeMake(spec),
  keeper,
  resume: Effect.unsafeMakeLatch(false)
})

/** Keeps the child until it is not to be started again. Interrupted, stops it. */
export const keep = <R>(kept: Kept<R>): Effect.Effect<void, never, R> =>
  Effect.gen(function*() {
    let delay = Option.some(Duration.zero)
    while (Option.isSome(delay)) {
      const exit = yield* runOnce(kept, delay.value)
      delay = yield* onExited(kept, exit)
    }
  })

/** Has a parked child run again, its budget renewed, and waits until it does or is not going to. */
export const unsafeResume = (child: Child): Effect.Effect<ChildInfo> => {
  child.status = "starting"
  child.restartTimes = []
  child.restarting = false
  child.resume.unsafeOpen()
  return SupervisedChild.unsafeSettled(child)
}

// internal

const runOnce = <R>({ child, teller }: Kept<R>, delay: Duration.Duration) =>
  Effect.gen(function*() {
    const program = child.spec.start(onStarted(teller, child, ++child.run))
    const run = yield* ChildRun.fork(TreePlace.inside(child.place, program), delay)
    const exit = Effect.interruptible(Fiber.await(run))
    return yield* Effect.onInterrupt(exit, () => ChildRun.stop(teller, child.spec, run))
  })

// The start of an earlier run is stale.
const onStarted = <R>(teller: ChildRun.Teller, child: Child<R>, run: number): Effect.Effect<void> =>
  Effect.uninterruptible(Effect.suspend(() => {
    if (child.run !== run || child.status !== "starting") return Effect.void
    const { restarting, restarts, spec: { id } } = child
    return Effect.flatMap(SupervisedChild.settle(teller, child, "running"), (downMillis) =>
      ChildRun.publish(
        teller,
        restarting
          ? { _tag: "ChildRestarted", child: id, restarts, downMillis }
          : { _tag: "ChildStarted", child: id }
      ))
  }))

// How long to wait before the child is started again, or none when it is not.
const onExited = <R>(kept: Kept<R>, exit: Exit.Exit<unknown, Tagged>) =>
  Effect.gen(function*() {
    const { child, teller } = kept
    const ranMillis = SupervisedChild.unsafeLeave(teller, child)
    const { cause, decision, delay } = yield* decide(kept, exit)
    const ended = { child: child.spec.id, exitClass: exitClass(exit), cause }
    yield* ChildRun.publish(teller, { _tag: "ChildExited", ...ended, decision, ranMillis })
    if (decision === "stop") return Option.none()
    const admitted = decision === "restart" ? yield* admit(kept, delay) : Option.none()
    return Option.isSome(admitted) ? admitted : yield* park(kept)
  })

interface Decided {
  readonly decision: Verdict<never>["decision"]
  readonly delay: Duration.Duration
  readonly cause: Exit.Exit<unknown, unknown>
}

// A decision that throws leaves nothing decided: the child is parked, and the defect is told.
const decide = <R>({ child }: Kept<R>, exit: Exit.Exit<unknown, Tagged>): Effect.Effect<Decided> =>
  Effect.map(
    Effect.exit(Effect.sync(() => child.spec.decide(exit))),
    (verdict) =>
      Exit.isSuccess(verdict)
        ? { delay: Duration.zero, ...verdict.value, cause: exit }
        : { decision: "park", delay: Duration.zero, cause: verdict }
  )

// Spends one restart of the child's budget: how long to wait before it, or none when the budget is spent.
const admit = <R>({ budget, child, teller }: Kept<R>, delay: Duration.Duration) =>
  Effect.gen(function*() {
    const times = RestartIntensity.admit(budget, child.restartTimes, monotonicMillis(teller.clock))
    if (Option.isNone(times)) {
      const { maxRestarts: restarts, periodMillis } = budget
      const facts = { child: child.spec.id, restarts, periodMillis }
      yield* ChildRun.publish(teller, { _tag: "IntensityExceeded", ...facts })
      return Option.none()
    }
    child.restartTimes = times.value
    SupervisedChild.unsafeRestarting(child)
    return Option.some(yield* ChildRun.restartDelay(budget, times.value, delay))
  })

// Returns when somebody has resumed the child, which is then started at once.
const park = <R>({ child, teller }: Kept<R>) =>
  Effect.gen(function*() {
    yield* child.resume.close
    yield* SupervisedChild.settle(teller, child, "parked")
    yield* Effect.interruptible(child.resume.await)
    return Option.some(Duration.zero)
  })
