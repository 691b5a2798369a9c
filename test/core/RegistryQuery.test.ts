import { describe, expect, it } from "@effect/vitest"
import * as RegistryOperation from "@holdfast/core/RegistryOperation"
import * as RegistryPlan from "@holdfast/core/RegistryPlan"
import * as RegistryQuery from "@holdfast/core/RegistryQuery"
import * as RegistryState from "@holdfast/core/RegistryState"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as HashMap from "effect/HashMap"
import * as RedBlackTree from "effect/RedBlackTree"

interface Metadata {
  readonly a?: RegistryQuery.Comparable
  readonly b?: RegistryQuery.Comparable
  readonly c?: RegistryQuery.Comparable
}

const value: FastCheck.Arbitrary<RegistryQuery.Comparable> = FastCheck.oneof(
  { weight: 6, arbitrary: FastCheck.integer({ min: -2, max: 3 }) },
  FastCheck.constantFrom(true, false, null, undefined, NaN, Infinity, -Infinity, -0, 0.5),
  FastCheck.constantFrom("", "a", "b", "B", "é", "10", "9"),
  FastCheck.constantFrom(-1, 0, 1, NaN).map((millis) => new Date(millis))
)

const metadata: FastCheck.Arbitrary<Metadata> = FastCheck.record({ a: value, b: value, c: value }, {
  requiredKeys: []
})

const attribute = FastCheck.constantFrom("a" as const, "b" as const, "c" as const)

const { filter } = FastCheck.letrec<{ filter: RegistryQuery.Filter<Metadata> }>((tie) => ({
  filter: FastCheck.oneof(
    { maxDepth: 3, withCrossShrink: true },
    FastCheck.record({
      _tag: FastCheck.constantFrom(
        "Eq" as const,
        "Neq" as const,
        "Gt" as const,
        "Gte" as const,
        "Lt" as const,
        "Lte" as const
      ),
      attribute,
      value
    }),
    FastCheck.record({
      _tag: FastCheck.constantFrom("In" as const, "NotIn" as const),
      attribute,
      values: FastCheck.array(value, { maxLength: 3 })
    }),
    FastCheck.record({
      _tag: FastCheck.constantFrom("And" as const, "Or" as const),
      filters: FastCheck.array(tie("filter"), { maxLength: 3 })
    }),
    FastCheck.record({ _tag: FastCheck.constant("Not" as const), filter: tie("filter") })
  )
}))

const direction = FastCheck.constantFrom("ascending" as const, "descending" as const)
const key = FastCheck.constantFrom("k", "l", "m")

const query: FastCheck.Arbitrary<RegistryQuery.Query<Metadata>> = FastCheck.record({
  where: filter,
  key,
  orderBy: FastCheck.record({ attribute, direction }, { requiredKeys: ["attribute"] }),
  limit: FastCheck.nat(6),
  offset: FastCheck.nat(4)
}, { requiredKeys: [] })

/** The documented order, written again without looking at the code: kinds in a list, later `<`. */
const kinds = ["boolean", "number", "Date", "string", "missing"]
const kindOf = (value: unknown): string =>
  value === undefined || value === null || (typeof value !== "string" && Number.isNaN(Number(value)))
    ? "missing"
    : value instanceof Date
    ? "Date"
    : typeof value
const orderOf = (a: unknown, b: unknown): number => {
  const byKind = kinds.indexOf(kindOf(a)) - kinds.indexOf(kindOf(b))
  if (byKind !== 0 || kindOf(a) === "missing") return byKind
  if (typeof a === "string" && typeof b === "string") return a === b ? 0 : a < b ? -1 : 1
  const [x, y] = [Number(a), Number(b)]
  return x - y < 0 ? -1 : x === y ? 0 : 1
}

const holds = (filter: RegistryQuery.Filter<Metadata>, metadata: Metadata): boolean => {
  if (filter._tag === "And") return filter.filters.every((inner) => holds(inner, metadata))
  if (filter._tag === "Or") return filter.filters.some((inner) => holds(inner, metadata))
  if (filter._tag === "Not") return !holds(filter.filter, metadata)
  const actual = metadata[filter.attribute]
  if (filter._tag === "In") return filter.values.some((one) => orderOf(actual, one) === 0)
  if (filter._tag === "NotIn") return filter.values.every((one) => orderOf(actual, one) !== 0)
  const order = orderOf(actual, filter.value)
  if (filter._tag === "Eq") return order === 0
  if (filter._tag === "Neq") return order !== 0
  if (kindOf(actual) !== kindOf(filter.value)) return false
  return { Gt: order > 0, Gte: order >= 0, Lt: order < 0, Lte: order <= 0 }[filter._tag]
}

type Item = RegistryState.Entry<number, Metadata>

const naive = (
  entries: ReadonlyArray<Item>,
  { key, limit, offset = 0, orderBy, where }: RegistryQuery.Query<Metadata>
): ReadonlyArray<Item> => {
  const meant = entries
    .filter((entry) => key === undefined || entry.key === key)
    .filter((entry) => where === undefined || holds(where, entry.metadata))
  const sorted = orderBy === undefined ? meant : meant.toSorted((x, y) => {
    const order = orderOf(x.metadata[orderBy.attribute], y.metadata[orderBy.attribute])
    return (orderBy.direction === "descending" ? -order : order) || x.id - y.id
  })
  return sorted.slice(offset, limit === undefined ? undefined : offset + limit)
}

interface Past {
  readonly key: string
  readonly metadata: Metadata
  readonly later: Metadata | "end" | "stay"
}

/** Registers, later updates and ends some, so that indexes have seen every kind of change. */
const stateOf = (
  indexes: ReadonlyArray<"a" | "b" | "c">,
  entries: ReadonlyArray<Past>
) => {
  let state = RegistryState.empty<number, Metadata>("test", "duplicate", indexes)
  for (const [id, { key, metadata, later }] of entries.entries()) {
    const apply = (operation: RegistryOperation.Operation<number, Metadata>, owner: object) => {
      state = Either.getOrThrow(RegistryOperation.apply(state, operation, owner)).state
    }
    const owner = {}
    apply(RegistryOperation.register(key, id, metadata), owner)
    if (later === "end") apply(RegistryOperation.unregister(key), owner)
    else if (later !== "stay") apply(RegistryOperation.update<Metadata>(key, () => later), owner)
  }
  return state
}

const history = FastCheck.array(
  FastCheck.record({
    key,
    metadata,
    later: FastCheck.oneof(FastCheck.constantFrom("end" as const, "stay" as const, "stay" as const), metadata)
  }),
  { maxLength: 25 }
)

const left = (entries: ReadonlyArray<Past>): ReadonlyArray<Item> =>
  entries.flatMap(({ key, metadata, later }, id) =>
    later === "end" ? [] : [{ id, key, value: id, metadata: later === "stay" ? metadata : later }]
  )

describe("RegistryQuery", () => {
  it.prop(
    "law: with any indexes a query finds what a naive filter, sort and slice over all entries finds",
    { history, query, indexes: FastCheck.uniqueArray(attribute) },
    ({ history, indexes, query }) => {
      const found = Either.getOrThrow(RegistryPlan.find(stateOf(indexes, history), query))
      expect(found.entries).toEqual(naive(left(history), query))
    },
    { fastCheck: { numRuns: 5_000 } }
  )

  it.prop("law: the values have one total order", { a: value, b: value, c: value }, ({ a, b, c }) => {
    const order = (x: unknown, y: unknown) =>
      RegistryQuery.compare(RegistryQuery.sortable(x), RegistryQuery.sortable(y))
    expect(order(a, b) + order(b, a)).toBe(0)
    expect(Math.sign(orderOf(a, b)) + 0).toBe(order(a, b))
    if (order(a, b) <= 0 && order(b, c) <= 0) expect(order(a, c)).toBeLessThanOrEqual(0)
  }, { fastCheck: { numRuns: 1_000 } })

  it.prop(
    "law: an index keeps nothing of entries that are gone",
    { history },
    ({ history }) => {
      const all = stateOf(["a", "b"], history)
      const none = RegistryState.release(all, left(history).map(({ id }) => id)).state
      expect(RedBlackTree.size(none.entries) + HashMap.size(none.byKey)).toBe(0)
      expect(Array.from(none.indexes.values(), RedBlackTree.size)).toEqual([0, 0])
    }
  )

  it("says whether an index was used", () => {
    const state = stateOf(["a"], [{ key: "k", metadata: { a: 1, b: 1 }, later: "stay" }])
    const plan = (query: RegistryQuery.Query<Metadata>) =>
      Either.getOrThrow(RegistryPlan.find(state, query)).plan
    const { and, eq, gt, neq, or } = RegistryQuery
    expect(plan({ where: eq("a", 1) })).toBe("index")
    expect(plan({ where: and(eq("b", 1), gt("a", 0)) })).toBe("index")
    expect(plan({ where: or(eq("a", 1), gt("a", 3)) })).toBe("index")
    expect(plan({ orderBy: { attribute: "a" } })).toBe("index")
    expect(plan({ key: "k", where: eq("b", 1) })).toBe("index")
    expect(plan({ where: eq("b", 1) })).toBe("scan")
    expect(plan({ where: neq("a", 1) })).toBe("scan")
    expect(plan({ where: or(eq("a", 1), eq("b", 1)) })).toBe("scan")
    expect(plan({ orderBy: { attribute: "b" } })).toBe("scan")
    expect(plan({})).toBe("scan")
  })

  it("refuses counts that are none, naming the option", () => {
    const state = stateOf([], [])
    for (const value of [-1, 0.5, NaN, Infinity]) {
      for (const option of ["limit", "offset"] as const) {
        expect(Either.flip(RegistryPlan.find(state, { [option]: value }))).toMatchObject({
          right: { _tag: "QueryOutOfRange", message: `${option} must be a whole number from 0, not ${value}` }
        })
      }
    }
  })
})
