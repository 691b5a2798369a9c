/**
 * An entry overlay is what an agent's uncommitted messages have changed in its collections, laid over what is stored.
 *
 * What is laid over may be stored already: a commit that lands while storage is read changes no answer.
 */
import { compareKeys } from "@holdfast/core/RecordStore"
import type { EntryChange } from "./AgentOperation.ts"
import type { AgentEntry } from "./AgentRecord.ts"
import type { EntryQuery } from "./AgentStore.ts"

/** The last change of each entry that one message changed, by {@link placeOf}. */
export type EntryChanges = ReadonlyMap<string, EntryChange>

/** How many entries more than a page has are read at once, in place of those that were removed. */
const replacedMax = 128

/** One text per collection and key, unlike that of any other. */
export const placeOf = (collection: string, key: string): string => `${collection.length}:${collection}${key}`

/** The last change of an entry in messages, oldest first; `null` where none has changed it. */
export const find = (
  messages: Iterable<EntryChanges>,
  collection: string,
  key: string
): EntryChange | null => {
  const place = placeOf(collection, key)
  let last: EntryChange | null = null
  for (const changes of messages) last = changes.get(place) ?? last
  return last
}

/** The last change of each entry of a collection in messages, oldest first; by key. Costs as much as they changed. */
export const changesOf = (
  messages: Iterable<EntryChanges>,
  collection: string
): ReadonlyArray<EntryChange> => {
  const last = new Map<string, EntryChange>()
  for (const changes of messages) {
    for (const change of changes.values()) if (change.collection === collection) last.set(change.key, change)
  }
  return Array.from(last.values()).sort((a, b) => compareKeys(a.key, b.key))
}

/** How many entries there are, when storage has `others` beside those that these changes name. */
export const count = (changes: ReadonlyArray<EntryChange>, others: number): number =>
  others + changes.filter(({ value }) => value !== null).length

/** A page on its way. */
export interface Page {
  readonly entries: ReadonlyArray<AgentEntry>
  /** How many entries it takes. */
  readonly limit: number
  /** What is to be read of storage next; `null` when the page is complete. */
  readonly next: EntryQuery | null
}

/** A page of which nothing is read. */
export const begin = (changes: ReadonlyArray<EntryChange>, { after, limit }: EntryQuery): Page => ({
  entries: [],
  limit,
  next: limit > 0 ? ask(changes, after, limit) : null
})

/** Adds to a page what storage answered to its `next`. */
export const advance = (
  changes: ReadonlyArray<EntryChange>,
  page: Page,
  stored: ReadonlyArray<AgentEntry>
): Page => {
  if (page.next === null) return page
  const { after, limit } = page.next
  const until = stored.length < limit ? undefined : stored[stored.length - 1]?.key
  const here = changes.filter(({ key }) =>
    (after === undefined || compareKeys(key, after) > 0) &&
    (until === undefined || compareKeys(key, until) <= 0)
  )
  const entries = [...page.entries, ...merge(here, stored)].slice(0, page.limit)
  const missing = page.limit - entries.length
  return {
    ...page,
    entries,
    next: until === undefined || missing === 0 ? null : ask(changes, until, missing)
  }
}

// internal

const ask = (
  changes: ReadonlyArray<EntryChange>,
  after: string | undefined,
  missing: number
): EntryQuery => {
  const isBehind = (key: string) => after === undefined || compareKeys(key, after) > 0
  const removed = changes.filter(({ key, value }) => value === null && isBehind(key)).length
  const limit = missing + Math.min(removed, replacedMax)
  return after === undefined ? { limit } : { after, limit }
}

const merge = (
  changes: ReadonlyArray<EntryChange>,
  stored: ReadonlyArray<AgentEntry>
): ReadonlyArray<AgentEntry> => {
  if (changes.length === 0) return stored
  const changed = new Set(changes.map(({ key }) => key))
  const put = changes.flatMap(({ key, value }) => (value === null ? [] : [{ key, value }]))
  const kept = stored.filter(({ key }) => !changed.has(key))
  return [...kept, ...put].sort((a, b) => compareKeys(a.key, b.key))
}
