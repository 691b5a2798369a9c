/**
 * A lease is an exclusive right to a name, shared by all processes on a record store, that ends with its scope or, some
 * time later, with the process that holds it.
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Gates from "./internal/Gates.ts"
import { monotonicMillis } from "./internal/monotonicMillis.ts"
import type { Entry } from "./RecordCollection.ts"
import * as RecordCollection from "./RecordCollection.ts"
import { RecordStore } from "./RecordStore.ts"
import type { StorageError } from "./StorageError.ts"

/** How long a lease outlives its last renewal: 10 seconds. */
export const ttlDefault: Duration.Duration = Duration.seconds(10)

/** Says how to hold a lease. `ttl`: how long it outlives a holder that died; 10 s by default, at least 30 ms. */
export interface LeaseOptions {
  readonly ttl?: Duration.DurationInput
}

/** Somebody else may hold the lease now: it could not be renewed in time. Remedy: stop what it protected. */
export class LeaseLost extends Schema.TaggedError<LeaseLost>("@holdfast/core/LeaseLost")("LeaseLost", {
  name: Schema.String,
  holder: Schema.String
}) {
  override get message(): string {
    return `${this.holder} lost the lease ${this.name}: it could not be renewed in time`
  }
}

/** Is a lease that is held. */
export interface Lease {
  readonly name: string
  readonly holder: string
  /** The fencing token: larger than that of every holder before, for storage that refuses older ones. */
  readonly token: number
  /** Completes when the lease may have passed to somebody else before its scope closed. */
  readonly lost: Effect.Effect<LeaseLost>
}

/** Tells who holds a lease. */
export interface LeaseInfo {
  readonly holder: string
  readonly token: number
}

/**
 * Grants leases. One process asks the store once for a name, however many of its fibers wait for it, in their order.
 *
 * A holder renews three times per `ttl`. A waiter takes over when it has seen no renewal for a whole `ttl` by its own
 * monotonic clock, so the clocks of machines need not agree; the holder gives up before that by its own.
 *
 * **Source** Kubernetes client-go `leaderelection` (observed records instead of timestamps).
 */
export class Leases extends Context.Tag("@holdfast/core/Lease/Leases")<Leases, {
  /** Waits for the lease, and holds it until the scope closes. */
  readonly acquire: (name: string, options?: LeaseOptions) => Effect.Effect<Lease, StorageError, Scope.Scope>
  /** Tells who holds it; a holder that died counts until its time is over and somebody took the lease. */
  readonly holder: (name: string) => Effect.Effect<Option.Option<LeaseInfo>, StorageError>
}>() {}

/** Grants leases to a holder of this name, made up where none is given. */
export const layerWith = (options: { readonly holder?: string }): Layer.Layer<Leases, never, RecordStore> =>
  Layer.effect(
    Leases,
    Effect.gen(function*() {
      const context = yield* Effect.context<RecordStore>()
      const holder = options.holder ?? (yield* randomName)
      const gates = Gates.make()
      return {
        acquire: (name, { ttl = ttlDefault } = {}) =>
          Effect.zipRight(
            Gates.enter(gates, name),
            Effect.mapInputContext(
              hold(name, holder, checkedMillis(ttl)),
              (scope: Context.Context<Scope.Scope>) => Context.merge(context, scope)
            )
          ),
        holder: (name) =>
          Effect.provide(
            Effect.map(leases.get(name), Option.map(toInfo)),
            context
          )
      }
    })
  )

/** Grants leases to a holder with a made up name. */
export const layer: Layer.Layer<Leases, never, RecordStore> = layerWith({})

// internal

/** `grant` tells an own write, whose answer was lost, from another's. */
const Grant = Schema.Struct({
  holder: Schema.String,
  grant: Schema.String,
  token: Schema.Number,
  ttlMillis: Schema.Number
})
type Grant = typeof Grant.Type

const leases = RecordCollection.make("coordination/leases", Grant)

/** A grant that was never renewed does not know its token yet: the revision of its first write. */
const toInfo = ({ revision, value }: Entry<Grant>): LeaseInfo => ({
  holder: value.holder,
  token: value.token === 0 ? revision : value.token
})

const randomName = Effect.map(Random.nextIntBetween(0, 2 ** 48), (number) => number.toString(36))

const ttlMillisMin = 30

const checkedMillis = (ttl: Duration.DurationInput): number => {
  const millis = Duration.toMillis(ttl)
  if (!(millis >= ttlMillisMin) || millis === Infinity) {
    throw new Error(`A lease's ttl must be ${ttlMillisMin} ms at least, and finite: ${millis} ms`)
  }
  return millis
}

const nowMillis: Effect.Effect<number> = Effect.map(Effect.clock, monotonicMillis)

/** A lease in hand: its latest revision, and when the write of that began. */
interface Held {
  readonly name: string
  readonly grant: Grant
  revision: number
  renewedAtMillis: number
}

const hold = (
  name: string,
  holder: string,
  ttlMillis: number
): Effect.Effect<Lease, StorageError, RecordStore | Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const held = yield* claim(name, holder, ttlMillis, restore)
      // An interruption that arrived during the claim must not leave the lease to a scope that may stay open.
      yield* Effect.onInterrupt(restore(Effect.yieldNow()), () => release(held))
      yield* Effect.addFinalizer(() => release(held))
      const lost = yield* Deferred.make<LeaseLost>()
      yield* Effect.forkScoped(Effect.flatMap(
        Effect.interruptible(keep(held)),
        () => Deferred.succeed(lost, new LeaseLost({ name, holder }))
      ))
      return { name, holder, token: held.grant.token, lost: Deferred.await(lost) }
    })
  )

const claim = (
  name: string,
  holder: string,
  ttlMillis: number,
  restore: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
) =>
  Effect.scoped(Effect.gen(function*() {
    const store = yield* RecordStore
    const changed = yield* store.subscribe(leases.name)
    const grant = yield* randomName
    let seen = { revision: 0, atMillis: 0 }
    while (true) {
      const current = yield* restore(leases.get(name))
      const revision = Option.match(current, { onNone: () => 0, onSome: (entry) => entry.revision })
      const atMillis = yield* nowMillis
      if (revision !== seen.revision) seen = { revision, atMillis }
      const leftMillis = Option.match(current, {
        onNone: () => 0,
        onSome: ({ value }) => seen.atMillis + value.ttlMillis - atMillis
      })
      if (leftMillis <= 0) {
        const taken = yield* take(name, { holder, grant, ttlMillis }, current, atMillis)
        if (Option.isSome(taken)) return taken.value
      } else {
        yield* restore(Effect.raceFirst(changed, Effect.sleep(Math.ceil(leftMillis))))
      }
    }
  }))

const take = (
  name: string,
  asked: Pick<Grant, "holder" | "grant" | "ttlMillis">,
  current: Option.Option<Entry<Grant>>,
  atMillis: number
): Effect.Effect<Option.Option<Held>, StorageError, RecordStore> => {
  const expected = Option.match(current, { onNone: () => 0, onSome: (entry) => entry.revision })
  const grant: Grant = { ...asked, token: 0 }
  return Effect.map(
    write(name, grant, expected),
    Option.map((revision) => ({
      name,
      grant: { ...grant, token: revision },
      revision,
      renewedAtMillis: atMillis
    }))
  )
}

/** Renews until the lease is lost: to another holder, or because its time is over. */
const keep = (held: Held): Effect.Effect<void, never, RecordStore> =>
  Effect.gen(function*() {
    const { ttlMillis } = held.grant
    let renewed: Renewed = "yes"
    while (renewed !== "no") {
      const leftMillis = deadlineMillis(held) - (yield* nowMillis)
      if (leftMillis <= 0) return
      // Three renewals in its time; storage that failed is asked more often.
      const pauseMillis = ttlMillis / (renewed === "yes" ? 3 : 10)
      yield* Effect.sleep(Math.ceil(Math.min(leftMillis, pauseMillis)))
      renewed = yield* renew(held)
    }
  })

type Renewed = "yes" | "no" | "unknown"

const renew = (held: Held): Effect.Effect<Renewed, never, RecordStore> =>
  Effect.gen(function*() {
    const atMillis = yield* nowMillis
    const answer = yield* write(held.name, held.grant, held.revision).pipe(
      // A commit that is being written is waited for, and may take longer than the lease has left.
      Effect.disconnect,
      Effect.timeoutOption(Math.max(0, deadlineMillis(held) - atMillis)),
      Effect.catchTag("StorageError", () => Effect.succeedNone)
    )
    if (Option.isNone(answer)) return "unknown"
    if (Option.isNone(answer.value)) return "no"
    held.revision = answer.value.value
    held.renewedAtMillis = atMillis
    return "yes"
  })

/** Gives the lease up while it is still held; later it is another's, or free, by itself. */
const release = (held: Held): Effect.Effect<void, never, RecordStore> =>
  Effect.gen(function*() {
    const store = yield* RecordStore
    const leftMillis = deadlineMillis(held) - (yield* nowMillis)
    if (leftMillis <= 0) return
    yield* store.commit([leases.remove(held.name, held.revision)]).pipe(
      Effect.disconnect,
      Effect.timeoutOption(leftMillis),
      Effect.catchTag("RecordConflict", () => Effect.void),
      Effect.catchTag("StorageError", (error) =>
        Effect.logWarning(`Lease ${held.name} ends with its time, for it was not released: ${error.message}`))
    )
  })

const deadlineMillis = (held: Held): number => held.renewedAtMillis + held.grant.ttlMillis

/** Writes a grant; `None` where the record is another's. An own one is there when the answer to a write was lost. */
const write = (
  name: string,
  grant: Grant,
  expected: number
): Effect.Effect<Option.Option<number>, StorageError, RecordStore> =>
  Effect.flatMap(RecordStore, (store) => store.commit([leases.put(name, grant, expected)])).pipe(
    Effect.map(([revision]) => Option.fromNullable(revision)),
    Effect.catchTag(
      "RecordConflict",
      () =>
        Effect.flatMap(
          leases.get(name),
          (entry) =>
            Option.isSome(entry) && entry.value.value.grant === grant.grant
              ? write(name, grant, entry.value.revision)
              : Effect.succeedNone
        )
    )
  )
