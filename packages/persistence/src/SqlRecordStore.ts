/**
 * The record store on SQL: writes through the commit log, reads on a connection of its own.
 */
import type { CommitLog } from "@holdfast/agents/CommitLog"
import { insideTransaction } from "@holdfast/agents/CommitLog"
import type { RecordConflict, RecordQuery, RecordStore, VersionedRecord } from "@holdfast/core/RecordStore"
import { refuseMalformed, refuseMalformedQuery, refuseMalformedText } from "@holdfast/core/RecordStore"
import { StorageError } from "@holdfast/core/StorageError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import type { ChangesRow } from "./RecordHandlers.ts"
import * as RecordOperation from "./RecordOperation.ts"
import type { SqliteReader } from "./SqliteReader.ts"
import type { SqlPlan, SqlValue } from "./SqlPlan.ts"
import { query, queryIn } from "./SqlPlan.ts"

/** The port, and how it learns of other processes. */
export interface SqlRecordStore {
  readonly port: RecordStore["Type"]
  /** Looks once whether another process has changed what somebody here subscribes to. */
  readonly look: Effect.Effect<void, StorageError>
}

/** Makes the store over a log and a reader. */
export const make = (log: CommitLog["Type"], reader: SqliteReader): SqlRecordStore => {
  const watches: Watches = new Map()
  return {
    port: {
      get: (collection, key) => get(reader, collection, key),
      list: (collection, query) => list(reader, collection, query),
      count: (collection, prefix = "") => count(reader, collection, prefix),
      commit: (writes) =>
        Effect.flatMap(Clock.currentTimeMillis, (nowMillis) => {
          refuseMalformed(writes)
          if (writes.length === 0) return Effect.succeed([])
          const operation = RecordOperation.writeRecords({ writes, nowMillis })
          return Effect.map(submit(log, operation), ({ changes, revisions }) => {
            changes.forEach((changes, name) => learn(watches.get(name), changes))
            return revisions
          })
        }),
      subscribe: (collection) => subscribe(watches, reader, collection)
    },
    look: Effect.suspend(() => {
      const names = Array.from(watches.keys())
      if (names.length === 0) return Effect.void
      return Effect.map(
        changesOf(reader, names),
        (found) => names.forEach((name) => learn(watches.get(name), found.get(name) ?? 0))
      )
    })
  }
}

// internal

/**
 * Submits again after a fence, which ends what the node held and records are held by none, and after another unit was
 * rejected, since no unit builds on one that is not acknowledged. Each time somebody else has gone on: this ends.
 *
 * Well-formed writes are rejected inside a user transaction, which is `Unsupported`, and else only where the tables are not
 * as the migrations made them: that is `Corrupt`.
 */
const submit = (
  log: CommitLog["Type"],
  operation: RecordOperation.WriteRecords
): Effect.Effect<RecordOperation.RecordsWritten, RecordConflict | StorageError> =>
  Effect.map(log.commit([operation]), ([written]) => written).pipe(
    Effect.catchTags({
      NodeFenced: () => submit(log, operation),
      LaneFailed: () => submit(log, operation),
      OperationRejected: ({ detail }) =>
        Effect.flatMap(insideTransaction, (inside) => {
          const reason = inside ? "Unsupported" : "Corrupt"
          return new StorageError({ operation: "write records", reason, outcome: "none", detail })
        })
    })
  )

const get = (reader: SqliteReader, collection: string, key: string) =>
  Effect.map(
    Effect.suspend(() => {
      refuseMalformedText(collection, key)
      return reader.read(
        "record",
        () => query<RecordRow>("SELECT * FROM records WHERE collection = ? AND key = ?", [collection, key])
      )
    }),
    (rows) => Option.map(Option.fromNullable(rows[0]), fromRow)
  )

const list = (reader: SqliteReader, collection: string, query: RecordQuery) =>
  Effect.map(
    Effect.suspend(() => {
      refuseMalformedQuery(collection, query)
      return reader.read("records", () => selectRecords(collection, query))
    }),
    (rows) => rows.map(fromRow)
  )

const count = (reader: SqliteReader, collection: string, prefix: string) =>
  Effect.suspend(() => {
    refuseMalformedText(collection, prefix)
    const { params, text } = where([["collection = ?", collection], ...inPrefix(prefix)])
    return Effect.map(
      reader.read(
        "count records",
        () => query<{ readonly n: number }>(`SELECT COUNT(*) AS n FROM records WHERE ${text}`, params)
      ),
      (rows) => rows[0]?.n ?? 0
    )
  })

const selectRecords = (
  collection: string,
  { after, limit, order = "ascending", prefix = "" }: RecordQuery
): SqlPlan<ReadonlyArray<RecordRow>> => {
  const ascending = order === "ascending"
  const { params, text } = where([
    ["collection = ?", collection],
    ...inPrefix(prefix),
    [ascending ? "key > ?" : "key < ?", after]
  ])
  return query<RecordRow>(
    `SELECT * FROM records WHERE ${text} ORDER BY key ${ascending ? "ASC" : "DESC"} LIMIT ?`,
    [...params, limit]
  )
}

type Conditions = ReadonlyArray<readonly [string, string | undefined]>

const inPrefix = (prefix: string): Conditions =>
  prefix === "" ? [] : [["key >= ?", prefix], ["key < ?", endOf(prefix)]]

/** The first text behind all that begin with a prefix; none where there is no such text. */
const endOf = (prefix: string): string | undefined => {
  const points = Array.from(prefix, (char) => char.codePointAt(0) ?? 0)
  while (points.at(-1) === 0x10ffff) points.pop()
  const last = points.pop()
  if (last === undefined) return undefined
  // Surrogates are no code points of their own.
  return String.fromCodePoint(...points, last === 0xd7ff ? 0xe000 : last + 1)
}

const where = (
  conditions: Conditions
): { readonly text: string; readonly params: ReadonlyArray<SqlValue> } => {
  const given = conditions.flatMap(([text, value]) => (value === undefined ? [] : [{ text, value }]))
  return { text: given.map(({ text }) => text).join(" AND "), params: given.map(({ value }) => value) }
}

/** The collections somebody subscribes to. */
type Watches = Map<string, Watch>

interface Watch {
  readonly queues: Set<Queue.Queue<void>>
  /** How many batches are known to have changed the collection; null before it was read. */
  changes: number | null
}

/** One that cannot be read now is taken as changed when it can. */
const subscribe = (
  watches: Watches,
  reader: SqliteReader,
  collection: string
): Effect.Effect<Effect.Effect<void>, never, Scope.Scope> =>
  Effect.gen(function*() {
    const queue = yield* Effect.acquireRelease(
      Effect.tap(Queue.sliding<void>(1), (queue) => watch(watches, collection, queue)),
      (queue) => Effect.sync(() => unwatch(watches, collection, queue))
    )
    const { changes = 0 } = watches.get(collection) ?? {}
    if (changes === null) {
      const found = yield* Effect.option(changesOf(reader, [collection]))
      const known = watches.get(collection)
      if (Option.isSome(found) && known?.changes === null) known.changes = found.value.get(collection) ?? 0
    }
    return Queue.take(queue)
  })

const watch = (watches: Watches, collection: string, queue: Queue.Queue<void>): Effect.Effect<void> =>
  Effect.sync(() => {
    const known = watches.get(collection) ?? { queues: new Set(), changes: null }
    known.queues.add(queue)
    watches.set(collection, known)
  })

const unwatch = (watches: Watches, collection: string, queue: Queue.Queue<void>): void => {
  const known = watches.get(collection)
  known?.queues.delete(queue)
  if (known?.queues.size === 0) watches.delete(collection)
}

/** Tells subscribers of a change they have not been told of. */
const learn = (watch: Watch | undefined, changes: number): void => {
  if (watch === undefined || (watch.changes !== null && changes <= watch.changes)) return
  watch.changes = changes
  watch.queues.forEach((queue) => Queue.unsafeOffer(queue, undefined))
}

const changesOf = (
  reader: SqliteReader,
  names: ReadonlyArray<string>
): Effect.Effect<ReadonlyMap<string, number>, StorageError> =>
  Effect.map(
    reader.read("record changes", () =>
      queryIn<ChangesRow>(
        names,
        (list) => `SELECT name, changes FROM record_collections WHERE name IN ${list}`
      )),
    (rows) => new Map(rows.map(({ changes, name }) => [name, changes]))
  )

interface RecordRow {
  readonly revision: number
  readonly collection: string
  readonly key: string
  readonly value: string
  readonly updated_at: number
}

const fromRow = (row: RecordRow): VersionedRecord => ({
  collection: row.collection,
  key: row.key,
  value: row.value,
  revision: row.revision,
  updatedAtMillis: row.updated_at
})
