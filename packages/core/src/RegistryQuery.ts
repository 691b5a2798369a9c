/**
 * A registry query selects entries by their metadata: plain data that can be stored, printed and sent.
 *
 * Values have one order. First by kind: booleans, numbers, dates, texts, and last what is missing (`undefined`, `null`, an
 * absent attribute, `NaN`, an invalid date). Then within the kind: false before true; numbers by size; dates by time; texts
 * by UTF-16 code units. A comparison holds only between values of one kind; so `lt(5)` matches no text and nothing missing.
 * `neq`, `notIn` and `not` match exactly what `eq`, `in` and the inner filter do not, the missing included.
 */
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"

/** Is a value that queries can compare. */
export type Comparable = boolean | number | string | Date | null | undefined

/** Names an attribute of the metadata whose values can be compared. */
export type Attribute<Metadata> = {
  readonly [Key in keyof Metadata & string]-?: Metadata[Key] extends Comparable ? Key : never
}[keyof Metadata & string]

/** Compares an attribute with one value. */
export interface Comparison<
  Tag extends "Eq" | "Neq" | "Gt" | "Gte" | "Lt" | "Lte",
  Name extends string,
  Value extends Comparable
> {
  readonly _tag: Tag
  readonly attribute: Name
  readonly value: Value
}

/** Looks for an attribute's value among several. */
export interface Membership<Tag extends "In" | "NotIn", Name extends string, Value extends Comparable> {
  readonly _tag: Tag
  readonly attribute: Name
  readonly values: ReadonlyArray<Value>
}

/** Holds where all of its filters hold; without any, everywhere. */
export interface And<Inner> {
  readonly _tag: "And"
  readonly filters: ReadonlyArray<Inner>
}

/** Holds where one of its filters holds; without any, nowhere. */
export interface Or<Inner> {
  readonly _tag: "Or"
  readonly filters: ReadonlyArray<Inner>
}

/** Holds where its filter does not. */
export interface Not<Inner> {
  readonly _tag: "Not"
  readonly filter: Inner
}

/** Says which metadata an entry has to have. */
export type Filter<Metadata> =
  | {
    readonly [Name in Attribute<Metadata>]:
      | Comparison<"Eq" | "Neq" | "Gt" | "Gte" | "Lt" | "Lte", Name, Metadata[Name] & Comparable>
      | Membership<"In", Name, Metadata[Name] & Comparable>
      | Membership<"NotIn", Name, Metadata[Name] & Comparable>
  }[Attribute<Metadata>]
  | And<Filter<Metadata>>
  | Or<Filter<Metadata>>
  | Not<Filter<Metadata>>

/** Says which entries are meant: those under `key`, if given, that `where`, if given, holds for. */
export interface Selection<Metadata> {
  readonly key?: string
  readonly where?: Filter<Metadata>
}

/** Orders by an attribute, `ascending` by default. Ties are in registration order in both directions. */
export interface OrderBy<Metadata> {
  readonly attribute: Attribute<Metadata>
  readonly direction?: "ascending" | "descending"
}

/**
 * Asks for entries. In registration order without `orderBy`; all of them without `limit`; from the first without
 * `offset`, which counts entries to leave out. Both are whole numbers from 0.
 */
export interface Query<Metadata> extends Selection<Metadata> {
  readonly orderBy?: OrderBy<Metadata>
  readonly limit?: number
  readonly offset?: number
}

/** A query counts entries by something that is no whole number, or is too small. */
export class QueryOutOfRange extends Schema.TaggedError<QueryOutOfRange>("@holdfast/core/QueryOutOfRange")(
  "QueryOutOfRange",
  { option: Schema.Literal("limit", "offset", "pageSize"), value: Schema.Number, minimum: Schema.Number }
) {
  override get message(): string {
    return `${this.option} must be a whole number from ${this.minimum}, not ${this.value}`
  }
}

/** Holds where the attribute has this value. */
export const eq = <const Name extends string, const Value extends Comparable>(
  attribute: Name,
  value: Value
): Comparison<"Eq", Name, Value> => ({ _tag: "Eq", attribute, value })

/** Holds where the attribute has another value, or none. */
export const neq = <const Name extends string, const Value extends Comparable>(
  attribute: Name,
  value: Value
): Comparison<"Neq", Name, Value> => ({ _tag: "Neq", attribute, value })

/** Holds where the attribute is greater. */
export const gt = <const Name extends string, const Value extends Comparable>(
  attribute: Name,
  value: Value
): Comparison<"Gt", Name, Value> => ({ _tag: "Gt", attribute, value })

/** Holds where the attribute is greater or equal. */
export const gte = <const Name extends string, const Value extends Comparable>(
  attribute: Name,
  value: Value
): Comparison<"Gte", Name, Value> => ({ _tag: "Gte", attribute, value })

/** Holds where the attribute is less. */
export const lt = <const Name extends string, const Value extends Comparable>(
  attribute: Name,
  value: Value
): Comparison<"Lt", Name, Value> => ({ _tag: "Lt", attribute, value })

/** Holds where the attribute is less or equal. */
export const lte = <const Name extends string, const Value extends Comparable>(
  attribute: Name,
  value: Value
): Comparison<"Lte", Name, Value> => ({ _tag: "Lte", attribute, value })

/** Holds where the attribute has one of these values. */
export const isIn = <const Name extends string, const Value extends Comparable>(
  attribute: Name,
  values: ReadonlyArray<Value>
): Membership<"In", Name, Value> => ({ _tag: "In", attribute, values })

/** Holds where the attribute has none of these values. */
export const notIn = <const Name extends string, const Value extends Comparable>(
  attribute: Name,
  values: ReadonlyArray<Value>
): Membership<"NotIn", Name, Value> => ({ _tag: "NotIn", attribute, values })

/** Holds where all of the filters hold. */
export const and = <const Filters extends ReadonlyArray<AnyFilter>>(
  ...filters: Filters
): And<Filters[number]> => ({ _tag: "And", filters })

/** Holds where one of the filters holds. */
export const or = <const Filters extends ReadonlyArray<AnyFilter>>(
  ...filters: Filters
): Or<Filters[number]> => ({ _tag: "Or", filters })

/** Holds where the filter does not. */
export const not = <const Inner extends AnyFilter>(filter: Inner): Not<Inner> => ({ _tag: "Not", filter })

/** Is a filter over metadata of whatever type: what evaluates filters sees them so. */
export type AnyFilter =
  | AnyRange
  | Comparison<"Neq", string, Comparable>
  | Membership<"NotIn", string, Comparable>
  | And<AnyFilter>
  | Or<AnyFilter>
  | Not<AnyFilter>

/** Is a filter that holds for the values in some intervals. */
export type AnyRange =
  | Comparison<"Eq", string, Comparable>
  | Comparison<"Gt" | "Gte" | "Lt" | "Lte", string, Comparable>
  | Membership<"In", string, Comparable>

/**
 * Is a value as it is compared, always a primitive: a date is its milliseconds, a `bigint`, what is missing is `null`.
 * Two are equal where they are identical, as trees of them need it.
 */
export type Sortable = boolean | number | bigint | string | null

/** Is the values of one kind from a least one on, included unless said otherwise, to a greatest or to the end of the kind. */
export interface Interval {
  readonly from: Sortable
  readonly fromExcluded?: boolean
  readonly to?: Sortable
  readonly toExcluded?: boolean
}

/** Makes a value ready to be compared. A value of a type that queries do not know counts as missing. */
export const sortable = (value: unknown): Sortable => {
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : BigInt(value.getTime())
  if (typeof value === "number") return Number.isNaN(value) ? null : value
  return typeof value === "boolean" || typeof value === "string" ? value : null
}

/** Compares values by the order of all values. */
export const compare = (a: Sortable, b: Sortable): -1 | 0 | 1 => {
  const kinds = kindOf(a).rank - kindOf(b).rank
  if (kinds !== 0) return kinds < 0 ? -1 : 1
  return a === b || a === null || b === null ? 0 : a < b ? -1 : 1
}

/** Tells whether a value is of the kind of an interval, and not beyond its end. */
export const isBeforeEnd = ({ from, to, toExcluded }: Interval, value: Sortable): boolean =>
  kindOf(value) === kindOf(from) &&
  (to === undefined || compare(value, to) <= (toExcluded === true ? -1 : 0))

/** Reads an attribute. */
export const attributeOf = (metadata: unknown, attribute: string): Sortable =>
  sortable(
    typeof metadata === "object" && metadata !== null ? Reflect.get(metadata, attribute) : undefined
  )

/** Tells whether a filter holds for metadata. */
export const matches = (filter: AnyFilter, metadata: unknown): boolean => {
  switch (filter._tag) {
    case "And":
      return filter.filters.every((inner) => matches(inner, metadata))
    case "Or":
      return filter.filters.some((inner) => matches(inner, metadata))
    case "Not":
      return !matches(filter.filter, metadata)
    case "Neq":
      return !matches({ ...filter, _tag: "Eq" }, metadata)
    case "NotIn":
      return !matches({ ...filter, _tag: "In" }, metadata)
    default: {
      const value = attributeOf(metadata, filter.attribute)
      return intervalsOf(filter).some((interval) => isWithin(interval, value))
    }
  }
}

/** The values for which a filter on one attribute holds. */
export const intervalsOf = (filter: AnyRange): ReadonlyArray<Interval> => {
  if (filter._tag === "In") {
    return filter.values.flatMap((value) => intervalsOf({ ...filter, _tag: "Eq", value }))
  }
  const value = sortable(filter.value)
  switch (filter._tag) {
    case "Eq":
      return [{ from: value, to: value }]
    case "Gt":
      return [{ from: value, fromExcluded: true }]
    case "Gte":
      return [{ from: value }]
    case "Lt":
      return [{ from: kindOf(value).least, to: value, toExcluded: true }]
    case "Lte":
      return [{ from: kindOf(value).least, to: value }]
  }
}

/** Refuses a count that is no whole number from its minimum. */
export const checkCount = (
  option: QueryOutOfRange["option"],
  value: number,
  minimum: number
): Either.Either<number, QueryOutOfRange> =>
  Number.isSafeInteger(value) && value >= minimum
    ? Either.right(value)
    : Either.left(new QueryOutOfRange({ option, value, minimum }))

// internal

interface Kind {
  readonly rank: number
  readonly least: Sortable
}

const missing: Kind = { rank: 4, least: null }

const kinds: ReadonlyMap<string, Kind> = new Map<string, Kind>([
  ["boolean", { rank: 0, least: false }],
  ["number", { rank: 1, least: -Infinity }],
  ["bigint", { rank: 2, least: BigInt(-8.64e15) }],
  ["string", { rank: 3, least: "" }]
])

const kindOf = (value: Sortable): Kind => kinds.get(typeof value) ?? missing

const isWithin = (interval: Interval, value: Sortable): boolean =>
  isBeforeEnd(interval, value) &&
  compare(value, interval.from) >= (interval.fromExcluded === true ? 1 : 0)
