/**
 * A record collection is a typed view of the records of one name: values of a schema instead of encoded text.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import type { Expected, Put, RecordQuery, Remove, VersionedRecord } from "./RecordStore.ts"
import * as RecordStore from "./RecordStore.ts"
import { StorageError } from "./StorageError.ts"

/** Is a decoded record. */
export interface Entry<out A> {
  readonly key: string
  readonly value: A
  readonly revision: number
  readonly updatedAtMillis: number
}

/** Is what to do with an entry, and what to answer: `Some` writes a value, `None` removes it, nothing leaves it. */
export interface Modification<out A, out B> {
  readonly answer: B
  readonly next?: Option.Option<A>
}

/** Is a collection of values of `A`. Make one per module: its codec is compiled once. */
export interface RecordCollection<A> {
  readonly name: string
  /** Reads one entry. A value that does not decode is a `Corrupt` storage error. */
  readonly get: (key: string) => Effect.Effect<Option.Option<Entry<A>>, StorageError, RecordStore.RecordStore>
  /** Reads entries in the order of their keys. */
  readonly list: (
    query: RecordQuery
  ) => Effect.Effect<ReadonlyArray<Entry<A>>, StorageError, RecordStore.RecordStore>
  /**
   * Reads an entry, decides, and writes what was decided, as one step: decides anew when somebody else wrote between.
   */
  readonly modify: <B>(
    key: string,
    decide: (current: Option.Option<Entry<A>>) => Modification<A, B>
  ) => Effect.Effect<B, StorageError, RecordStore.RecordStore>
  /** Makes a write for `RecordStore.commit`. A value that does not encode is a defect. */
  readonly put: (key: string, value: A, expected?: Expected) => Put
  /** Makes a removal for `RecordStore.commit`. */
  readonly remove: (key: string, expected?: Expected) => Remove
}

/** Makes a collection. */
export const make = <A, I>(name: string, schema: Schema.Schema<A, I>): RecordCollection<A> => {
  const json = Schema.parseJson(schema)
  const decode = Schema.decodeUnknownEither(json)
  const encode = Schema.encodeSync(json)
  const toEntry = (record: VersionedRecord): Effect.Effect<Entry<A>, StorageError> =>
    Effect.mapBoth(Effect.suspend(() => decode(record.value)), {
      onFailure: (issue) => corrupt(record, ParseResult.TreeFormatter.formatErrorSync(issue)),
      onSuccess: (value) => ({
        key: record.key,
        value,
        revision: record.revision,
        updatedAtMillis: record.updatedAtMillis
      })
    })
  const get: RecordCollection<A>["get"] = (key) =>
    Effect.flatMap(RecordStore.RecordStore, (store) =>
      Effect.flatMap(
        store.get(name, key),
        Option.match({
          onNone: () => Effect.succeedNone,
          onSome: (record) => Effect.asSome(toEntry(record))
        })
      ))
  const put: RecordCollection<A>["put"] = (key, value, expected) =>
    RecordStore.put(name, key, encode(value), expected)
  const remove: RecordCollection<A>["remove"] = (key, expected) => RecordStore.remove(name, key, expected)
  const modify: RecordCollection<A>["modify"] = (key, decide) =>
    Effect.flatMap(get(key), (current) => {
      const { answer, next } = decide(current)
      if (next === undefined) return Effect.succeed(answer)
      const expected = Option.match(current, { onNone: () => 0, onSome: (entry) => entry.revision })
      const write = Option.match(next, {
        onNone: () => remove(key, expected),
        onSome: (value) => put(key, value, expected)
      })
      return Effect.flatMap(RecordStore.RecordStore, (store) => store.commit([write])).pipe(
        Effect.as(answer),
        Effect.catchTag("RecordConflict", () => modify(key, decide))
      )
    })
  return {
    name,
    get,
    modify,
    list: (query) =>
      Effect.flatMap(
        RecordStore.RecordStore,
        (store) => Effect.flatMap(store.list(name, query), (records) => Effect.forEach(records, toEntry))
      ),
    put,
    remove
  }
}

// internal

const corrupt = (record: VersionedRecord, issue: string): StorageError =>
  new StorageError({
    operation: "decode",
    reason: "Corrupt",
    outcome: "none",
    detail: `record ${record.key} of ${record.collection} does not decode: ${issue}`
  })
