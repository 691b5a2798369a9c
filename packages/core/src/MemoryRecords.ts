/**
 * Records in memory, for tests and for programs without SQL.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import type { RecordQuery, VersionedRecord, Write } from "./RecordStore.ts"
import {
  compareKeys,
  RecordConflict,
  RecordStore,
  refuseMalformed,
  refuseMalformedQuery,
  refuseMalformedText
} from "./RecordStore.ts"

/** What outlives a store: stores on the same memory see one another's records, as processes on one file do. */
export interface MemoryRecords {
  readonly collections: Map<string, Map<string, VersionedRecord>>
  readonly subscribers: Map<string, Set<Queue.Queue<void>>>
  revision: number
}

/** Makes an empty memory. */
export const memory = (): MemoryRecords => ({ collections: new Map(), subscribers: new Map(), revision: 0 })

/** The store over a given memory. */
export const layerFrom = (memory: MemoryRecords): Layer.Layer<RecordStore> =>
  Layer.succeed(RecordStore, make(memory))

/** The store over a memory of its own. */
export const layer: Layer.Layer<RecordStore> = Layer.suspend(() => layerFrom(memory()))

/** Makes the store over a given memory. */
export const make = (memory: MemoryRecords): RecordStore["Type"] => ({
  get: (collection, key) =>
    Effect.sync(() => {
      refuseMalformedText(collection, key)
      return Option.fromNullable(find(memory, collection, key))
    }),
  list: (collection, query) =>
    Effect.sync(() => {
      refuseMalformedQuery(collection, query)
      return select(memory, collection, query)
    }),
  count: (collection, prefix = "") =>
    Effect.sync(() => {
      refuseMalformedText(collection, prefix)
      return keysOf(memory, collection).filter((key) => key.startsWith(prefix)).length
    }),
  commit: (writes) =>
    Effect.clockWith((clock) =>
      Effect.suspend(() => {
        refuseMalformed(writes)
        const conflict = conflictOf(memory, writes)
        if (conflict !== undefined) return Effect.fail(conflict)
        const now = clock.unsafeCurrentTimeMillis()
        const revisions = writes.map((write) => apply(memory, write, now))
        for (const collection of new Set(writes.map((write) => write.collection))) notify(memory, collection)
        return Effect.as(Effect.yieldNow(), revisions)
      })
    ),
  subscribe: (collection) =>
    Effect.map(
      Effect.acquireRelease(
        Effect.map(Queue.sliding<void>(1), (queue) => {
          const queues = memory.subscribers.get(collection) ?? new Set()
          memory.subscribers.set(collection, queues.add(queue))
          return queue
        }),
        (queue) => Effect.sync(() => unsubscribe(memory, collection, queue))
      ),
      Queue.take
    )
})

// internal

const find = (memory: MemoryRecords, collection: string, key: string): VersionedRecord | undefined =>
  memory.collections.get(collection)?.get(key)

const keysOf = (memory: MemoryRecords, collection: string): ReadonlyArray<string> =>
  Array.from(memory.collections.get(collection)?.keys() ?? [])

const select = (
  memory: MemoryRecords,
  collection: string,
  { after, limit, order = "ascending", prefix = "" }: RecordQuery
): ReadonlyArray<VersionedRecord> => {
  const compare = order === "ascending" ? compareKeys : (a: string, b: string) => compareKeys(b, a)
  return keysOf(memory, collection)
    .filter((key) => key.startsWith(prefix) && (after === undefined || compare(after, key) < 0))
    .sort(compare)
    .slice(0, limit)
    .flatMap((key) => find(memory, collection, key) ?? [])
}

const conflictOf = (memory: MemoryRecords, writes: ReadonlyArray<Write>): RecordConflict | undefined => {
  for (const { collection, expected, key } of writes) {
    const actual = find(memory, collection, key)?.revision ?? 0
    if (expected !== undefined && expected !== actual) {
      return new RecordConflict({ collection, key, expected, actual })
    }
  }
  return undefined
}

const apply = (memory: MemoryRecords, write: Write, updatedAtMillis: number): number => {
  const { collection, key } = write
  const records = memory.collections.get(collection) ?? new Map<string, VersionedRecord>()
  if (write._tag === "Remove") {
    records.delete(key)
    if (records.size === 0) memory.collections.delete(collection)
    return 0
  }
  memory.revision += 1
  memory.collections.set(
    collection,
    records.set(key, { collection, key, value: write.value, revision: memory.revision, updatedAtMillis })
  )
  return memory.revision
}

const notify = (memory: MemoryRecords, collection: string): void =>
  memory.subscribers.get(collection)?.forEach((queue) => Queue.unsafeOffer(queue, undefined))

const unsubscribe = (memory: MemoryRecords, collection: string, queue: Queue.Queue<void>): void => {
  const queues = memory.subscribers.get(collection)
  queues?.delete(queue)
  if (queues?.size === 0) memory.subscribers.delete(collection)
}
