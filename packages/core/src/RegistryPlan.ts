/**
 * A registry plan answers a query from a state: by the key or an index where one serves, else by looking at every entry.
 */
import * as Either from "effect/Either"
import * as RedBlackTree from "effect/RedBlackTree"
import * as RegistryIndex from "./RegistryIndex.ts"
import * as RegistryQuery from "./RegistryQuery.ts"
import type { Entry, Held, RegistryState } from "./RegistryState.ts"
import { itemsUnder } from "./RegistryState.ts"

/** Says how a query was answered: by a key or an index, or, slower, by looking at every entry. */
export type Plan = "index" | "scan"

/** Is the answer to a query. */
export interface Found<out Value, out Metadata> {
  readonly plan: Plan
  readonly entries: ReadonlyArray<Entry<Value, Metadata>>
}

/** Is an answer that is worked out as it is read. */
export interface Answer<out Value, out Metadata> {
  readonly plan: Plan
  readonly entries: IterableIterator<Entry<Value, Metadata>>
}

/** Answers a query. */
export const find = <Value, Metadata>(
  state: RegistryState<Value, Metadata>,
  query: RegistryQuery.Query<Metadata>
): Either.Either<Found<Value, Metadata>, RegistryQuery.QueryOutOfRange> =>
  Either.map(answer(state, query), ({ entries, plan }) => ({ plan, entries: Array.from(entries) }))

/** The entries that are meant, in registration order, worked out as they are read. */
export const select = <Value, Metadata>(
  state: RegistryState<Value, Metadata>,
  selection: RegistryQuery.Selection<Metadata>
): Iterable<Entry<Value, Metadata>> => slice(choose(state, selection).items, selection, 0, Infinity)

/** Answers a query as the answer is read. */
export const answer = <Value, Metadata>(
  state: RegistryState<Value, Metadata>,
  query: RegistryQuery.Query<Metadata>
): Either.Either<Answer<Value, Metadata>, RegistryQuery.QueryOutOfRange> =>
  Either.map(countsOf(query), ({ limit, offset }) => {
    const { items, plan } = choose(state, query)
    return { plan, entries: slice(items, query, offset, limit) }
  })

/** Tells whether an entry is among those meant. */
export const isSelected = <Metadata>(
  { key, where }: RegistryQuery.Selection<Metadata>,
  entry: Entry<unknown, Metadata>
): boolean =>
  (key === undefined || key === entry.key) &&
  (where === undefined || RegistryQuery.matches(where, entry.metadata))

// internal

interface Chosen<Value, Metadata> {
  readonly plan: Plan
  /** In the order that was asked for; those that are not meant are still among them. */
  readonly items: Iterable<Held<Value, Metadata>>
}

const countsOf = <Metadata>({ limit, offset = 0 }: RegistryQuery.Query<Metadata>) =>
  Either.all({
    limit: limit === undefined ? Either.right(Infinity) : RegistryQuery.checkCount("limit", limit, 0),
    offset: RegistryQuery.checkCount("offset", offset, 0)
  })

const choose = <Value, Metadata>(
  state: RegistryState<Value, Metadata>,
  { key, orderBy, where }: RegistryQuery.Query<Metadata>
): Chosen<Value, Metadata> => {
  if (key !== undefined) {
    return { plan: "index", items: sorted(RedBlackTree.values(itemsUnder(state, key)), orderBy) }
  }
  const candidates = where === undefined ? undefined : candidatesOf(state, where)
  if (candidates !== undefined) {
    return { plan: "index", items: sorted(inRegistrationOrder(candidates.items()), orderBy) }
  }
  const index = orderBy === undefined ? undefined : state.indexes.get(orderBy.attribute)
  if (index !== undefined) {
    return { plan: "index", items: RegistryIndex.ordered(index, orderBy?.direction ?? "ascending") }
  }
  return { plan: "scan", items: sorted(RedBlackTree.values(state.entries), orderBy) }
}

/** Some of the entries, among them all that a filter holds for. */
interface Candidates<Value, Metadata> {
  /** How many there may be. Of a range it is not known. */
  readonly estimate: number
  readonly items: () => Iterable<Held<Value, Metadata>>
}

const candidatesOf = <Value, Metadata>(
  state: RegistryState<Value, Metadata>,
  filter: RegistryQuery.AnyFilter
): Candidates<Value, Metadata> | undefined => {
  switch (filter._tag) {
    case "Neq":
    case "NotIn":
    case "Not":
      return undefined
    case "And":
      return filter.filters.flatMap((inner) => candidatesOf(state, inner) ?? [])
        .toSorted((a, b) => a.estimate - b.estimate)[0]
    case "Or":
      return allOf(filter.filters.map((inner) => candidatesOf(state, inner)))
    default: {
      const index = state.indexes.get(filter.attribute)
      return index === undefined
        ? undefined
        : allOf(RegistryQuery.intervalsOf(filter).map((interval) => inInterval(index, interval)))
    }
  }
}

const inInterval = <Value, Metadata>(
  index: RegistryIndex.RegistryIndex<Held<Value, Metadata>>,
  interval: RegistryQuery.Interval
): Candidates<Value, Metadata> => {
  return {
    estimate: interval.from === interval.to
      ? RedBlackTree.size(RegistryIndex.itemsOf(index, interval.from))
      : Number.MAX_SAFE_INTEGER,
    items: () => RegistryIndex.within(index, interval)
  }
}

const allOf = <Value, Metadata>(
  parts: ReadonlyArray<Candidates<Value, Metadata> | undefined>
): Candidates<Value, Metadata> | undefined => {
  const known = parts.filter((part) => part !== undefined)
  return known.length < parts.length ? undefined : {
    estimate: known.reduce((sum, { estimate }) => sum + estimate, 0),
    items: () => known.flatMap((part) => Array.from(part.items()))
  }
}

/** Candidates of several filters may be the same. */
const inRegistrationOrder = <Value, Metadata>(
  items: Iterable<Held<Value, Metadata>>
): ReadonlyArray<Held<Value, Metadata>> => Array.from(new Set(items)).sort((a, b) => a.entry.id - b.entry.id)

const sorted = <Value, Metadata>(
  items: Iterable<Held<Value, Metadata>>,
  orderBy: RegistryQuery.OrderBy<Metadata> | undefined
): Iterable<Held<Value, Metadata>> => {
  if (orderBy === undefined) return items
  const sign = orderBy.direction === "descending" ? -1 : 1
  return Array.from(items, (held) => ({
    held,
    value: RegistryQuery.attributeOf(held.entry.metadata, orderBy.attribute)
  })).sort((a, b) => sign * RegistryQuery.compare(a.value, b.value)).map(({ held }) => held)
}

function* slice<Value, Metadata>(
  items: Iterable<Held<Value, Metadata>>,
  selection: RegistryQuery.Selection<Metadata>,
  offset: number,
  limit: number
): Generator<Entry<Value, Metadata>> {
  let seen = 0
  if (limit === 0) return
  for (const { entry } of items) {
    if (!isSelected(selection, entry)) continue
    seen += 1
    if (seen > offset) yield entry
    if (seen === offset + limit) return
  }
}
