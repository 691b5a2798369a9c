/**
 * A task policy says how long an attempt of one kind of task may take, how many it has, and what stops them all.
 */
import type * as BreakerConfig from "@holdfast/core/BreakerConfig"
import * as BreakerConfigs from "@holdfast/core/BreakerConfig"
import * as CircuitBreaker from "@holdfast/core/CircuitBreaker"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import type * as Types from "effect/Types"
import type { ClaimedTask } from "./Task.ts"

/** How long an attempt may take, unless its policy says otherwise: 5 minutes. */
export const timeoutDefault: Duration.Duration = Duration.minutes(5)

/** Says that an attempt took longer than its kind may; it was interrupted. Remedy: raise `timeout`, or do less. */
export class TaskTimeout extends Schema.TaggedError<TaskTimeout>()("TaskTimeout", {
  queue: Schema.String,
  kind: Schema.String,
  timeoutMillis: Schema.Number
}) {
  override get message(): string {
    return `a task of kind "${this.kind}" of queue ${this.queue} took longer than ${this.timeoutMillis} ms`
  }
}

/**
 * Is what holds for tasks of one kind.
 *
 * - `timeout`: 5 minutes by default, `infinity` for none.
 * - `attemptsMax`: how many attempts a task has in all; as many as the queue says by default.
 * - `breaker`: none by default. An attempt waits while it is open, and is not spent; `errors` says how typed failures
 *   count, each as a failure by default. A timeout and a bug count as failures.
 */
export interface TaskPolicy<E> {
  readonly timeout?: Duration.DurationInput
  readonly attemptsMax?: number
  readonly breaker?: BreakerConfig.Options & {
    readonly errors?: CircuitBreaker.ErrorOutcomes<Types.Tags<E>>
  }
}

/**
 * Holds the policies of kinds. A kind is what `kindOf` says of a payload; those that `policies` does not name share
 * `policy`, and its breaker.
 */
export interface TaskPolicies<P, E> {
  readonly kindOf: (payload: P) => string
  readonly policy: TaskPolicy<E>
  readonly policies: Readonly<Record<string, TaskPolicy<E>>>
}

/** Says what holds for a payload. */
export const policyOf = <P, E>(self: TaskPolicies<P, E>, payload: P): TaskPolicy<E> =>
  self.policies[self.kindOf(payload)] ?? self.policy

/** Throws on a timeout or a number of attempts that is not positive, and on a breaker that cannot be made. */
export const unsafeCheck = <P, E>(queue: string, self: TaskPolicies<P, E>): void => {
  for (const { attemptsMax = 1, breaker = {}, timeout = timeoutDefault } of allOf(self)) {
    if (!Number.isSafeInteger(attemptsMax) || attemptsMax < 1) {
      throw new RangeError(`attemptsMax of queue ${queue} must be a positive integer, not ${attemptsMax}`)
    }
    if (Duration.toMillis(timeout) <= 0) {
      throw new RangeError(`timeout of queue ${queue} must be longer than nothing, not ${String(timeout)}`)
    }
    Either.getOrThrowWith(BreakerConfigs.fromOptions(queue, breaker), (error) => error)
  }
}

/** Makes `run` keep to the policies. Breakers live as long as what is made; there are as many as policies with one. */
export const enforce = <P, A, E, R>(
  queue: string,
  self: TaskPolicies<P, E>,
  run: (payload: P, task: ClaimedTask) => Effect.Effect<A, E, R>
): Effect.Effect<(payload: P, task: ClaimedTask) => Effect.Effect<A, E | TaskTimeout, R>> =>
  Effect.map(breakersOf(queue, self), (breakers) => (payload, task) => {
    const policy = policyOf(self, payload)
    const limited = withTimeout(queue, self.kindOf(payload), policy, Effect.suspend(() => run(payload, task)))
    const breaker = breakers.get(policy)
    return breaker === undefined
      ? limited
      : CircuitBreaker.protectWhenReady(limited, breaker, outcomesOf(policy))
  })

// internal

const allOf = <P, E>({ policies, policy }: TaskPolicies<P, E>): ReadonlyArray<TaskPolicy<E>> => [
  policy,
  ...Object.values(policies)
]

const breakersOf = <P, E>(
  queue: string,
  self: TaskPolicies<P, E>
): Effect.Effect<ReadonlyMap<TaskPolicy<E>, CircuitBreaker.CircuitBreaker>> => {
  const named = [["other", self.policy] as const, ...Object.entries(self.policies)]
  const made = Effect.forEach(named, ([kind, policy]) =>
    policy.breaker === undefined
      ? Effect.succeed([])
      : Effect.map(
        CircuitBreaker.make(`${queue}/${kind}`, policy.breaker),
        (breaker) => [[policy, breaker] as const]
      ))
  return Effect.orDie(Effect.map(made, (entries) => new Map(entries.flat())))
}

const withTimeout = <A, E, R>(
  queue: string,
  kind: string,
  { timeout = timeoutDefault }: TaskPolicy<never>,
  attempt: Effect.Effect<A, E, R>
): Effect.Effect<A, E | TaskTimeout, R> =>
  Effect.timeoutFail(attempt, {
    duration: timeout,
    onTimeout: () => new TaskTimeout({ queue, kind, timeoutMillis: Duration.toMillis(timeout) })
  })

/** What an error's tag counts as does not depend on whether `TaskTimeout` is among them. */
const outcomesOf = <A, E>({ breaker }: TaskPolicy<E>): CircuitBreaker.Outcomes<A, E | TaskTimeout> =>
  ({ errors: breaker?.errors ?? {} }) as CircuitBreaker.Outcomes<A, E | TaskTimeout>
