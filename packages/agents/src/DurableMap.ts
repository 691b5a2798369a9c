/**
 * A durable map is a map of an agent's that is stored entry by entry: a change costs the same however large the map is.
 */
import type { StorageError } from "@holdfast/core/StorageError"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { AgentEntry } from "./AgentRecord.ts"
import type { EntryQuery } from "./AgentStore.ts"
import type { EntryAccess } from "./EntryAccess.ts"
import * as EntryCodec from "./EntryCodec.ts"

/** How many entries `entries` reads at once. */
export const pageSize = 256

/** A map's name and the schemas of what is in it: a plain value. Every agent whose handlers use it has one of its own. */
export interface DurableMap<in out K, in out V> {
  readonly name: string
  /** What its entries are stored under; no queue has the same. */
  readonly collection: string
  readonly key: Schema.Schema<K, string>
  readonly value: EntryCodec.EntryCodec<V>
}

/** Which entries to read, by encoded key in code points. */
export interface PageQuery<K> {
  /** Only keys behind this one: the last one of the page before. */
  readonly after?: K
  /** At most this many. */
  readonly limit: number
}

/**
 * Is the map as one message sees it: with what it has changed, and what messages before it have.
 *
 * What it changes is committed with the message. A key or value that does not match its schema, or has more than 1 MiB, is
 * a defect, and so is a stored one that cannot be read: `EntryUndecodable`.
 */
export interface Entries<in out K, in out V> {
  readonly get: (key: K) => Effect.Effect<Option.Option<V>, StorageError>
  readonly has: (key: K) => Effect.Effect<boolean, StorageError>
  readonly set: (key: K, value: V) => Effect.Effect<void>
  /** Removes what is stored under the key, readable or not. */
  readonly remove: (key: K) => Effect.Effect<void>
  readonly size: Effect.Effect<number, StorageError>
  readonly page: (query: PageQuery<K>) => Effect.Effect<ReadonlyArray<readonly [K, V]>, StorageError>
  /** All entries, by encoded key in code points, read page by page: one that is changed meanwhile may be met as it was. */
  readonly entries: Stream.Stream<readonly [K, V], StorageError>
}

/**
 * Defines a map. Its name is unique among the maps of the agent; a queue may have the same.
 *
 * @example
 * import * as DurableMap from "@holdfast/agents/DurableMap"
 * import * as Schema from "effect/Schema"
 *
 * export const Orders = DurableMap.make("orders", {
 *   key: Schema.String,
 *   value: Schema.Struct({ item: Schema.String, count: Schema.Int })
 * })
 */
export const make = <K, V, VI>(name: string, options: {
  /** Encodes a key as text, which says where it stands in the map. */
  readonly key: Schema.Schema<K, string>
  readonly value: Schema.Schema<V, VI>
}): DurableMap<K, V> => {
  const collection = `map:${name}`
  return { name, collection, key: options.key, value: EntryCodec.make(collection, options.value) }
}

/**
 * Opens the map of the agent that handles a message, for as long as it does.
 *
 * @example
 * import * as DurableMap from "@holdfast/agents/DurableMap"
 * import type { EntryAccess } from "@holdfast/agents/EntryAccess"
 * import * as Effect from "effect/Effect"
 * import * as Option from "effect/Option"
 * import * as Schema from "effect/Schema"
 *
 * const Stock = DurableMap.make("stock", { key: Schema.String, value: Schema.Int })
 *
 * export const addStock = (agent: { readonly entries: EntryAccess }, item: string, count: number) =>
 *   Effect.gen(function*() {
 *     const stock = DurableMap.of(agent, Stock)
 *     const before = Option.getOrElse(yield* stock.get(item), () => 0)
 *     yield* stock.set(item, before + count)
 *   })
 */
export const of = <K, V>(
  { entries }: { readonly entries: EntryAccess },
  map: DurableMap<K, V>
): Entries<K, V> => {
  const { collection } = map
  const under = <A, E>(key: K, use: (text: string) => Effect.Effect<A, E>) =>
    Effect.flatMap(encodeKey(map, key), use)
  const page = (query: EntryQuery) =>
    Effect.flatMap(entries.page(collection, query), (found) => decodeAll(map, found))
  return {
    get: (key) =>
      under(
        key,
        (text) =>
          Effect.flatMap(entries.get(collection, text), (value) =>
            value === null ? Effect.succeedNone : Effect.asSome(Effect.orDie(map.value.decode(text, value))))
      ),
    has: (key) => under(key, (text) => Effect.map(entries.get(collection, text), (value) => value !== null)),
    set: (key, value) =>
      under(
        key,
        (text) =>
          Effect.flatMap(Effect.orDie(map.value.encode(value)), (encoded) =>
            entries.put(collection, text, encoded))
      ),
    remove: (key) => under(key, (text) => entries.remove(collection, text)),
    size: entries.count(collection),
    page: ({ after, limit }) =>
      after === undefined ? page({ limit }) : under(after, (text) => page({ after: text, limit })),
    entries: stream(map, entries)
  }
}

// internal

/** The pages follow the stored keys, whatever keys they are decoded to. */
const stream = <K, V>(
  map: DurableMap<K, V>,
  entries: EntryAccess
): Stream.Stream<readonly [K, V], StorageError> =>
  Stream.paginateChunkEffect(
    { limit: pageSize } as EntryQuery,
    (query) =>
      Effect.flatMap(entries.page(map.collection, query), (found) =>
        Effect.map(decodeAll(map, found), (decoded) => {
          const last = found.length < pageSize ? undefined : found[found.length - 1]
          const next = Option.map(Option.fromNullable(last), ({ key }) => ({ after: key, limit: pageSize }))
          return [Chunk.unsafeFromArray(decoded), next]
        }))
  )

const encodeKey = <K, V>({ collection, key }: DurableMap<K, V>, value: K): Effect.Effect<string> =>
  Effect.orDie(
    Either.flatMap(
      Either.mapLeft(
        Schema.encodeEither(key)(value),
        ({ message }) => new EntryCodec.EntryInvalid({ collection, issue: message })
      ),
      (text) => EntryCodec.sized(collection, text)
    )
  )

const decodeAll = <K, V>(
  map: DurableMap<K, V>,
  page: ReadonlyArray<AgentEntry>
): Effect.Effect<ReadonlyArray<readonly [K, V]>> =>
  Effect.orDie(
    Either.all(
      page.map(({ key, value }) => Either.all([decodeKey(map, key, value), map.value.decode(key, value)]))
    )
  )

const decodeKey = <K, V>(
  { collection, key }: DurableMap<K, V>,
  text: string,
  value: string
): Either.Either<K, EntryCodec.EntryUndecodable> =>
  Either.mapLeft(
    Schema.decodeEither(key)(text),
    ({ message }) => new EntryCodec.EntryUndecodable({ collection, key: text, text: value, issue: message })
  )
