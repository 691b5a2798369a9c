/**
 * A leader election gives one of all processes on a record store a task that only one may do.
 */
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type { Lease, LeaseInfo, LeaseOptions } from "./Lease.ts"
import { Leases } from "./Lease.ts"
import type { StorageError } from "./StorageError.ts"

/** Says which election, and how to hold the leadership. */
export interface ElectionOptions extends LeaseOptions {
  readonly name: string
}

/**
 * Waits to be elected, and does what a leader does; ends as that ends, and another is elected then.
 *
 * When the leadership is lost, what the leader does is interrupted, and begins anew with the next election that is won.
 *
 * @example
 * ```ts
 * import * as LeaderElection from "@holdfast/core/LeaderElection"
 * import * as Effect from "effect/Effect"
 *
 * export const program = LeaderElection.lead({ name: "billing" }, ({ token }) =>
 *   Effect.zipRight(Effect.log(`leader of term ${token}`), Effect.never))
 * ```
 */
export const lead = <A, E, R>(
  election: ElectionOptions,
  whileLeader: (lease: Lease) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | StorageError, R | Leases> => {
  const term = Effect.scoped(Effect.gen(function*() {
    const lease = yield* (yield* Leases).acquire(election.name, election)
    return yield* Effect.raceFirst(
      Effect.asSome(whileLeader(lease)),
      Effect.zipRight(lease.lost, Effect.succeedNone)
    )
  }))
  return Effect.flatMap(
    term,
    (ended) => ended._tag === "Some" ? Effect.succeed(ended.value) : lead(election, whileLeader)
  )
}

/** Tells who leads; one that died counts until another was elected. */
export const leader = (name: string): Effect.Effect<Option.Option<LeaseInfo>, StorageError, Leases> =>
  Effect.flatMap(Leases, (leases) => leases.holder(name))
