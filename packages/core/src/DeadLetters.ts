/**
 * Dead letters are the messages that could not be handled, kept in a record store with the reason until somebody
 * retries or removes them.
 */
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type { Draft, Letter, LetterUnkeepable, Reason, RetryError } from "./DeadLetter.ts"
import * as LetterBox from "./internal/LetterBox.ts"
import { retry } from "./internal/LetterRetry.ts"
import * as RecordStore from "./RecordStore.ts"
import type { StorageError } from "./StorageError.ts"

/** Selects letters; all of them without a member. */
export interface Filter {
  readonly recipient?: string
  readonly reason?: Reason
}

/** Says how letters are kept. */
export interface Options {
  /** How many are kept, from 1 to 1,000,000. Default: 10,000. When full, the oldest 1 % (at least one) go. */
  readonly max?: number
  /** How long a retry may take before it is interrupted and another may try. Default: 1 minute. */
  readonly lease?: Duration.DurationInput
}

/** Keeps dead letters of messages `M`. */
export interface DeadLetters<in out M> {
  /** Keeps a message; answers the letter's id. */
  readonly add: (draft: Draft<M>) => Effect.Effect<string, StorageError | LetterUnkeepable>
  /** Lists letters, oldest first. `after`: the id of the last one of the page before. `limit`: 100 by default. */
  readonly list: (
    query?: Filter & { readonly after?: string; readonly limit?: number }
  ) => Effect.Effect<ReadonlyArray<Letter>, StorageError>
  readonly count: Effect.Effect<number, StorageError>
  /**
   * Sends a letter's message again and removes the letter when that succeeded; else it stays, with one attempt more.
   *
   * Of those who retry a letter at once, in any process, one does. A process that dies between the sending and the removal
   * leaves the letter: its message may be sent twice.
   */
  readonly retry: <E, R>(
    id: string,
    send: (message: M, letter: Letter) => Effect.Effect<void, E, R>
  ) => Effect.Effect<void, E | RetryError, R>
  /** Removes a letter; one that is not there is no failure. */
  readonly remove: (id: string) => Effect.Effect<void, StorageError>
  /** Removes the letters that the filter selects; answers how many. */
  readonly purge: (filter: Filter) => Effect.Effect<number, StorageError>
  /** Removes the letters older than that; answers how many. */
  readonly expire: (olderThan: Duration.DurationInput) => Effect.Effect<number, StorageError>
  /** How many letters had to go for newer ones, since these dead letters were made. */
  readonly evicted: Effect.Effect<number>
}

/**
 * Opens the dead letters of a name, whose messages have a schema. Dies on a `max` outside its bounds and on a lease that
 * is not positive and finite.
 *
 * @example
 * import * as Effect from "effect/Effect"
 * import * as Schema from "effect/Schema"
 * import * as DeadLetters from "@holdfast/core/DeadLetters"
 *
 * const Order = Schema.Struct({ id: Schema.String })
 *
 * const program = Effect.gen(function*() {
 *   const letters = yield* DeadLetters.make("orders", Order, { max: 1_000 })
 *   for (const { id } of yield* letters.list({ recipient: "billing" })) {
 *     yield* letters.retry(id, (order) => Effect.log(order.id))
 *   }
 *   yield* letters.expire("30 days")
 * })
 */
export const make = <M, I>(
  name: string,
  message: Schema.Schema<M, I>,
  options: Options = {}
): Effect.Effect<DeadLetters<M>, never, RecordStore.RecordStore> =>
  Effect.gen(function*() {
    const store = yield* RecordStore.RecordStore
    const box = yield* LetterBox.make(name, Schema.parseJson(message), options, store)
    return {
      add: (draft) => LetterBox.add(box, draft),
      list: ({ after, limit = 100, ...filter } = {}) => LetterBox.list(box, filter, after, limit),
      count: store.count(box.letters.name),
      retry: (id, send) => retry(box, id, send),
      remove: (id) => Effect.asVoid(LetterBox.removeAll(box, [id])),
      purge: (filter) => LetterBox.purge(box, filter),
      expire: (olderThan) =>
        Effect.flatMap(Clock.currentTimeMillis, (now) =>
          LetterBox.expire(box, now - Duration.toMillis(olderThan))),
      evicted: Effect.sync(() =>
        box.evicted
      )
    }
  })

/** Opens dead letters as a service. Arguments are those of {@link make}. */
export const layer = <Id, M, I>(
  tag: Context.Tag<Id, DeadLetters<M>>,
  name: string,
  message: Schema.Schema<M, I>,
  options: Options = {}
): Layer.Layer<Id, never, RecordStore.RecordStore> => Layer.effect(tag, make(name, message, options))
