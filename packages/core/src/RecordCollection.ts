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

/** Is a collection of values of `A`. Make one per module: its codec is compiled once. */
export interface RecordCollection<A> {
  readonly name: string
  /** Reads one entry. A value that does not decode is a `Corrupt` storage error. */
  readonly get: (key: string) => Effect.Effect<Option.Option<Entry<A>>, StorageError, RecordStore.RecordStore>
  /** Reads entries in the order of their keys. */
  readonly list: (
    query: RecordQuery
  ) => Effect.Effect<ReadonlyArray<Entry<A>>, StorageError, RecordStore.RecordStore>
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
  return {
    name,
    get: (key) =>
      Effect.flatMap(RecordStore.RecordStore, (store) =>
        Effect.flatMap(
          store.get(name, key),
          Option.match({
            onNone: () => Effect.succeedNone,
            onSome: (record) => Effect.asSome(toEntry(record))
          })
        )),
    list: (query) =>
      Effect.flatMap(
        RecordStore.RecordStore,
        (store) => Effect.flatMap(store.list(name, query), (records) => Effect.forEach(records, toEntry))
      ),
    put: (key, value, expected) => RecordStore.put(name, key, encode(value), expected),
    remove: (key, expected) => RecordStore.remove(name, key, expected)
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
