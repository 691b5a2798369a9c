/**
 * Entry access is what one message sees of its agent's collections, and how it changes them.
 */
import { refuseMalformedQuery, refuseMalformedText } from "@holdfast/core/RecordStore"
import type { StorageError } from "@holdfast/core/StorageError"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { AgentAddress } from "./AgentAddress.ts"
import type { EntryChange } from "./AgentOperation.ts"
import type { AgentEntry } from "./AgentRecord.ts"
import type { AgentStore, EntryQuery } from "./AgentStore.ts"
import * as EntryOverlay from "./EntryOverlay.ts"

/**
 * Reads and changes collections of encoded entries, each with a key of its own in its collection.
 *
 * A message sees what it has changed, and what messages before it have, committed or not. What it changes is committed
 * with its state, all or nothing, and costs as much as it changes, however large the collection. Text that is not
 * well-formed Unicode is a defect: no storage could give it back. So is a limit that is not a whole number from 0.
 */
export interface EntryAccess {
  /** The value of an entry; `null` where there is none. */
  readonly get: (collection: string, key: string) => Effect.Effect<string | null, StorageError>
  /** Entries by key, in code points. Costs as much as the page and what is not committed are long. */
  readonly page: (
    collection: string,
    query: EntryQuery
  ) => Effect.Effect<ReadonlyArray<AgentEntry>, StorageError>
  /** How many entries there are. Costs as much as is not committed. */
  readonly count: (collection: string) => Effect.Effect<number, StorageError>
  /** Sets the value of an entry. */
  readonly put: (collection: string, key: string, value: string) => Effect.Effect<void>
  /** Removes an entry; nothing happens where there is none. */
  readonly remove: (collection: string, key: string) => Effect.Effect<void>
  /**
   * Makes changes, all in one turn, unless an entry is not any more what `get` gave this message: then it makes none.
   * Says whether it did. So fibers of one message do not undo one another's changes.
   */
  readonly changeIf: (
    collection: string,
    key: string,
    given: string | null,
    changes: ReadonlyArray<readonly [key: string, value: string | null]>
  ) => Effect.Effect<boolean>
}

/**
 * Makes the access of one message.
 *
 * `pending` yields what the messages before it have changed that is not known to be committed, oldest first; `draft` what
 * this one has changed, which is added to. Both are by `EntryOverlay.placeOf`, and may throw where the message is over.
 */
export const make = (options: {
  readonly store: AgentStore["Type"]
  readonly address: AgentAddress
  readonly pending: () => Iterable<EntryOverlay.EntryChanges>
  readonly draft: () => Map<string, EntryChange>
}): EntryAccess => ({
  get: (collection, key) => get(options, collection, key),
  page: (collection, query) => page(options, collection, query),
  count: (collection) =>
    Effect.suspend(() => {
      const changes = EntryOverlay.changesOf(messagesOf(options), collection)
      const others = options.store.entryCount(options.address, collection, changes.map(({ key }) => key))
      return Effect.map(others, (others) => EntryOverlay.count(changes, others))
    }),
  put: (collection, key, value) => Effect.sync(() => change(options, { collection, key, value })),
  remove: (collection, key) => Effect.sync(() => change(options, { collection, key, value: null })),
  changeIf: (collection, key, given, changes) =>
    Effect.sync(() => {
      // Nobody else changes what is stored: an entry that no message has changed is what it was.
      const last = EntryOverlay.find(messagesOf(options), collection, key)
      if (last !== null && last.value !== given) return false
      for (const [key, value] of changes) change(options, { collection, key, value })
      return true
    })
})

// internal

type Options = Parameters<typeof make>[0]

/** Taken before storage is read: what lands meanwhile is then in both, and what is in neither does not exist. */
const messagesOf = ({ draft, pending }: Options): ReadonlyArray<EntryOverlay.EntryChanges> => [
  ...pending(),
  draft()
]

const get = (options: Options, collection: string, key: string): Effect.Effect<string | null, StorageError> =>
  Effect.suspend(() => {
    refuseMalformedText(collection, key)
    const found = EntryOverlay.find(messagesOf(options), collection, key)
    return found === null
      ? Effect.map(options.store.entry(options.address, collection, key), Option.getOrNull)
      : Effect.succeed(found.value)
  })

const page = (
  options: Options,
  collection: string,
  query: EntryQuery
): Effect.Effect<ReadonlyArray<AgentEntry>, StorageError> =>
  Effect.suspend(() => {
    refuseMalformedQuery(collection, query)
    const changes = EntryOverlay.changesOf(messagesOf(options), collection)
    const read = (page: EntryOverlay.Page): Effect.Effect<ReadonlyArray<AgentEntry>, StorageError> =>
      page.next === null
        ? Effect.succeed(page.entries)
        : Effect.flatMap(
          options.store.entries(options.address, collection, page.next),
          (stored) => read(EntryOverlay.advance(changes, page, stored))
        )
    return read(EntryOverlay.begin(changes, query))
  })

const change = ({ draft }: Options, change: EntryChange): void => {
  refuseMalformedText(change.collection, change.key, change.value ?? "")
  draft().set(EntryOverlay.placeOf(change.collection, change.key), change)
}
