/**
 * A lock lets one fiber of all processes on a record store run at a time, by name.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Schema from "effect/Schema"
import type { LeaseLost, LeaseOptions } from "./Lease.ts"
import { Leases } from "./Lease.ts"
import type { StorageError } from "./StorageError.ts"

/** The lock was not free in time; the waiter left and does not get it later. */
export class LockTimeout
  extends Schema.TaggedError<LockTimeout>("@holdfast/core/LockTimeout")("LockTimeout", {
    name: Schema.String,
    waitedMillis: Schema.Number
  })
{
  override get message(): string {
    return `the lock ${this.name} was not free within ${this.waitedMillis} ms`
  }
}

/**
 * Says which lock, and how to hold and await it.
 *
 * `timeout`: how long to wait; for ever by default. One shorter than `ttl` cannot outwait a holder that died.
 */
export interface LockOptions extends LeaseOptions {
  readonly name: string
  readonly timeout?: Duration.DurationInput
}

/**
 * Runs the effect while holding the lock, and interrupts it when the lock is lost. Not reentrant: an effect that asks
 * for a lock it runs under waits for itself.
 *
 * @example
 * ```ts
 * import * as Lease from "@holdfast/core/Lease"
 * import * as Lock from "@holdfast/core/Lock"
 * import * as MemoryRecords from "@holdfast/core/MemoryRecords"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 *
 * export const program = Effect.log("alone").pipe(
 *   Lock.withLock({ name: "report", timeout: "1 minute" }),
 *   Effect.provide(Layer.provide(Lease.layer, MemoryRecords.layer))
 * )
 * ```
 */
export const withLock: {
  (options: LockOptions): <A, E, R>(
    effect: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | LeaseLost | LockTimeout | StorageError, R | Leases>
  <A, E, R>(
    effect: Effect.Effect<A, E, R>,
    options: LockOptions
  ): Effect.Effect<A, E | LeaseLost | LockTimeout | StorageError, R | Leases>
} = dual(
  2,
  <A, E, R>(
    effect: Effect.Effect<A, E, R>,
    options: LockOptions
  ): Effect.Effect<A, E | LeaseLost | LockTimeout | StorageError, R | Leases> =>
    Effect.scoped(
      Effect.flatMap(acquire(options), ({ lost }) => Effect.raceFirst(effect, Effect.flip(lost)))
    )
)

// internal

const acquire = ({ name, timeout, ...options }: LockOptions) => {
  const acquired = Effect.flatMap(Leases, (leases) => leases.acquire(name, options))
  if (timeout === undefined) return acquired
  const onTimeout = () => new LockTimeout({ name, waitedMillis: Duration.toMillis(timeout) })
  return Effect.timeoutFail(acquired, { duration: timeout, onTimeout })
}
