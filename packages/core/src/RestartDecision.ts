/**
 * A restart decision: what a supervisor does about a child that has ended, as a pure function of how it
 * ended.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { unsafeDuration } from "./internal/unsafeDuration.ts"

/**
 * Says when a child that ended is started again. It governs success, defects and interruption; a typed
 * failure is governed by the child's `onFailure` alone.
 *
 * `permanent`: always. `transient`: unless it succeeded. `temporary`: never.
 *
 * **Source** OTP `supervisor`, restart types; a child interrupted by somebody other than its supervisor ended
 * abnormally, as one that received a `kill` signal did.
 */
export type RestartKind = "permanent" | "transient" | "temporary"

/** Restarts a child when `delay` has passed. Made by {@link restartAfter}. */
export interface RestartAfter {
  readonly _tag: "RestartAfter"
  readonly delay: Duration.Duration
}

/**
 * Is what follows a typed failure of a child: start it again, at once or after a delay; leave it stopped; park
 * it, to be started by somebody's `restartChild`; or end the supervisor with that failure, which is then in
 * the error type of `Supervisor.make` and `Supervisor.await`.
 */
export type Decision = "restart" | "stop" | "park" | "escalate" | RestartAfter

/**
 * Decides that a child is started again when `delay` has passed. Its resources are released at once. Throws
 * on a delay that is negative or not a number.
 */
export const restartAfter = (delay: Duration.DurationInput): RestartAfter => ({
  _tag: "RestartAfter",
  delay: unsafeDuration("restartAfter", delay)
})

/** Names how a child ended. In a mixed cause a defect outweighs a typed failure, and that an interruption. */
export type ExitClass = "success" | "failure" | "defect" | "interrupted"

/** Is a {@link Decision} made, with what is needed to carry it out. `E` is what may escalate. */
export type Verdict<E> =
  | { readonly decision: "restart"; readonly delay: Duration.Duration }
  | { readonly decision: "stop" }
  | { readonly decision: "park" }
  | { readonly decision: "escalate"; readonly error: E }

/** Classifies an exit: die outweighs fail, fail outweighs interrupt. */
export const exitClass = <A, E>(exit: Exit.Exit<A, E>): ExitClass => {
  if (Exit.isSuccess(exit)) return "success"
  if (Cause.isDie(exit.cause)) return "defect"
  return Cause.isFailure(exit.cause) ? "failure" : "interrupted"
}

/**
 * Decides what follows an exit. Of several typed failures (a parallel cause) the first in the cause is
 * decided on.
 */
export const decide = <A, E>(
  restart: RestartKind,
  onFailure: (error: E) => Decision,
  exit: Exit.Exit<A, E>
): Verdict<E> => {
  if (Exit.isSuccess(exit)) return restart === "permanent" ? restartNow : stop
  const failure = exitClass(exit) === "failure" ? Cause.failureOption(exit.cause) : Option.none()
  if (Option.isNone(failure)) return restart === "temporary" ? stop : restartNow
  return verdict(onFailure(failure.value), failure.value)
}

// internal

const restartNow: Verdict<never> = { decision: "restart", delay: Duration.zero }
const stop: Verdict<never> = { decision: "stop" }
const park: Verdict<never> = { decision: "park" }

const verdict = <E>(decision: Decision, error: E): Verdict<E> => {
  switch (decision) {
    case "restart":
      return restartNow
    case "stop":
      return stop
    case "park":
      return park
    case "escalate":
      return { decision, error }
    default:
      return { decision: "restart", delay: decision.delay }
  }
}
