/**
 * A record store keeps small versioned records by collection and key: the one durable port of core.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { StorageError } from "./StorageError.ts"

/**
 * Is a stored record.
 *
 * `revision` is larger than that of every write before it in the whole store, so none comes back after a removal.
 * `value` is encoded text, JSON by convention. `updatedAtMillis` is since the epoch, by the writer's clock.
 */
export interface VersionedRecord {
  readonly collection: string
  readonly key: string
  readonly value: string
  readonly revision: number
  readonly updatedAtMillis: number
}

/** Is the revision a write demands to find: 0 demands that there is no record. Without one it takes what it finds. */
export type Expected = number

/** Writes a record. */
export interface Put {
  readonly _tag: "Put"
  readonly collection: string
  readonly key: string
  readonly value: string
  readonly expected?: Expected
}

/** Removes a record; one that is not there is no failure unless a revision was expected. */
export interface Remove {
  readonly _tag: "Remove"
  readonly collection: string
  readonly key: string
  readonly expected?: Expected
}

/** Is one change of a unit. */
export type Write = Put | Remove

/**
 * A record was not at the revision that the write expected; nothing of its unit was written.
 *
 * `actual` is 0 where there is no record. Remedy: read again, decide again, write again.
 */
export class RecordConflict extends Schema.TaggedError<RecordConflict>("@holdfast/core/RecordConflict")(
  "RecordConflict",
  {
    collection: Schema.String,
    key: Schema.String,
    expected: Schema.Number,
    actual: Schema.Number
  }
) {
  override get message(): string {
    return `record ${this.key} of ${this.collection} is at revision ${this.actual}, not at ${this.expected}`
  }
}

/**
 * Selects records of a collection by key, in the order of the keys' code points, which is that of their UTF-8 bytes.
 *
 * `prefix`: what keys begin with. `after`: exclusive, in the direction of `order`. `limit`: at the most so many, a whole
 * number; another is a defect.
 */
export interface RecordQuery {
  readonly prefix?: string
  readonly after?: string
  readonly order?: "ascending" | "descending"
  readonly limit: number
}

/** How many bytes of UTF-8 a record's value may have: 1 MiB. */
export const valueBytesMax = 1_048_576

/**
 * Keeps records. See `MemoryRecords.layer`; `@holdfast/persistence` has the layers on SQL.
 *
 * A value above `valueBytesMax` is a defect: what writes it has to bound it. So is a collection, key, prefix or value that
 * is not well-formed Unicode (half a surrogate pair): no storage could give it back.
 */
export class RecordStore extends Context.Tag("@holdfast/core/RecordStore")<RecordStore, {
  /** Reads one record. */
  readonly get: (
    collection: string,
    key: string
  ) => Effect.Effect<Option.Option<VersionedRecord>, StorageError>
  /** Reads records in the order of their keys. */
  readonly list: (
    collection: string,
    query: RecordQuery
  ) => Effect.Effect<ReadonlyArray<VersionedRecord>, StorageError>
  /** Counts the records of a collection whose keys begin with the prefix. */
  readonly count: (collection: string, prefix?: string) => Effect.Effect<number, StorageError>
  /**
   * Writes all or nothing; the revisions of the written records come back in order, 0 for a removal. A unit that names a
   * record twice is a defect.
   *
   * After a `StorageError` with outcome `"unknown"` a write that expected a revision can be submitted again: if the first
   * was written, the second is a `RecordConflict` whose record holds the value. One that expected nothing may then undo
   * what another wrote in between.
   */
  readonly commit: (
    writes: ReadonlyArray<Write>
  ) => Effect.Effect<ReadonlyArray<number>, RecordConflict | StorageError>
  /**
   * Subscribes to changes. The effect it yields completes when the collection may have changed since the subscription,
   * or since that effect last completed, in this process or, within a second, in another: a hint to read again.
   */
  readonly subscribe: (collection: string) => Effect.Effect<Effect.Effect<void>, never, Scope.Scope>
}>() {}

/** Makes a write of a record. */
export const put = (collection: string, key: string, value: string, expected?: Expected): Put => ({
  _tag: "Put",
  collection,
  key,
  value,
  ...(expected === undefined ? {} : { expected })
})

/** Makes a removal of a record. */
export const remove = (collection: string, key: string, expected?: Expected): Remove => ({
  _tag: "Remove",
  collection,
  key,
  ...(expected === undefined ? {} : { expected })
})

/** Throws on a unit that no store may be given: a record named twice, a value too large, text that is not Unicode. */
export const refuseMalformed = (writes: ReadonlyArray<Write>): void => {
  const places = new Set(writes.map(({ collection, key }) => JSON.stringify([collection, key])))
  if (places.size < writes.length) throw new Error("A unit of writes names a record twice")
  for (const write of writes) {
    const value = write._tag === "Put" ? write.value : ""
    refuseMalformedText(write.collection, write.key, value)
    const bytes = new TextEncoder().encode(value).length
    if (bytes > valueBytesMax) {
      throw new Error(
        `The value of ${write.key} in ${write.collection} has ${bytes} bytes, not ${valueBytesMax} at most`
      )
    }
  }
}

/** Throws on a query that no store may be given: text that is not Unicode, a limit that is not a whole number. */
export const refuseMalformedQuery = (
  collection: string,
  { after = "", limit, prefix = "" }: RecordQuery
): void => {
  refuseMalformedText(collection, prefix, after)
  if (!Number.isInteger(limit) || limit < 0) {
    throw new Error(`The limit of a query of records must be a whole number from 0, not ${limit}`)
  }
}

/** Throws on text that is not well-formed Unicode. */
export const refuseMalformedText = (...texts: ReadonlyArray<string>): void => {
  const malformed = texts.find((text) => loneSurrogate.test(text))
  if (malformed !== undefined) throw new Error(`${JSON.stringify(malformed)} is not well-formed Unicode`)
}

/** Compares keys by their code points: negative where `a` comes first. JavaScript's own order differs above U+FFFF. */
export const compareKeys = (a: string, b: string): number => {
  const length = Math.min(a.length, b.length)
  let at = 0
  while (at < length && a.charCodeAt(at) === b.charCodeAt(at)) at += 1
  return at === length ? a.length - b.length : rank(a.charCodeAt(at)) - rank(b.charCodeAt(at))
}

// internal

const loneSurrogate = /\p{Surrogate}/u

/** Code units in the order of the code points they belong to: surrogates behind all others. */
const rank = (unit: number): number => (unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit)
