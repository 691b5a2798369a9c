/**
 * A topic is a name of segments between dots, such as `orders.eu.created`; a pattern selects topics by their segments.
 */
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"

/**
 * Selects topics. Made by {@link parsePattern}.
 *
 * A segment is matched by itself; `*` matches any one segment; `**`, at the end, any number of them, none included.
 */
export interface Pattern {
  readonly text: string
  readonly segments: ReadonlyArray<string>
}

/** A text that selects no topics. Remedy: mend it as `problem` says. */
export class MalformedPattern
  extends Schema.TaggedError<MalformedPattern>("@holdfast/core/MalformedPattern")("MalformedPattern", {
    input: Schema.String,
    problem: Schema.String
  })
{
  override get message(): string {
    return `"${this.input}" is not a pattern of topics: ${this.problem}`
  }
}

/** How many segments a pattern may have. */
export const segmentsMax = 32

/**
 * Reads a pattern. Any text is a topic; a pattern has no empty segment, stars only as whole segments, `**` only at the
 * end.
 *
 * @example
 * import * as Topic from "@holdfast/core/Topic"
 *
 * Topic.parsePattern("orders.*.created") // Right: one segment between
 * Topic.parsePattern("orders.**")        // Right: `orders` and all below it
 * Topic.parsePattern("orders.eu*")       // Left(MalformedPattern)
 */
export const parsePattern = (input: string): Either.Either<Pattern, MalformedPattern> => {
  const segments = input.split(".")
  const problem = problemOf(segments)
  return problem === undefined
    ? Either.right({ text: input, segments })
    : Either.left(new MalformedPattern({ input, problem }))
}

/** Finds the values whose patterns select a topic. Made by {@link makeIndex}; a tree by segments, changed in place. */
export interface PatternIndex<in out A> {
  /** Those of the pattern that ends here. */
  readonly values: Set<A>
  /** Those of the pattern that ends here with `**`. */
  readonly rest: Set<A>
  readonly children: Map<string, PatternIndex<A>>
  /** What comes after `*`. */
  star: PatternIndex<A> | undefined
}

/** Makes an empty index. */
export const makeIndex = <A>(): PatternIndex<A> => ({
  values: new Set(),
  rest: new Set(),
  children: new Map(),
  star: undefined
})

/** Adds a value under a pattern. */
export const add = <A>(index: PatternIndex<A>, pattern: Pattern, value: A): void => {
  let node = index
  for (const segment of literalSegments(pattern)) node = child(node, segment) ?? grow(node, segment)
  placeOf(node, pattern).add(value)
}

/** Removes a value from under a pattern, and every part of the tree that only it needed. */
export const remove = <A>(index: PatternIndex<A>, pattern: Pattern, value: A): void => {
  const path = [index]
  let node: PatternIndex<A> | undefined = index
  for (const segment of literalSegments(pattern)) {
    node = child(node, segment)
    if (node === undefined) return
    path.push(node)
  }
  placeOf(node, pattern).delete(value)
  prune(path, pattern)
}

/** Finds the values whose patterns select the topic, in no order. It visits only beginnings of patterns that match. */
export const match = <A>(index: PatternIndex<A>, topic: string): ReadonlyArray<A> => {
  const found: Array<A> = []
  collect(index, topic.split("."), 0, found)
  return found
}

/** Counts the nodes of an index: 1 when it is empty. */
export const size = <A>(index: PatternIndex<A>): number =>
  [...index.children.values(), ...(index.star === undefined ? [] : [index.star])]
    .reduce((sum, node) => sum + size(node), 1)

// internal

const problemOf = (segments: ReadonlyArray<string>): string | undefined => {
  if (segments.includes("")) return "a segment is empty"
  if (segments.length > segmentsMax) {
    return `it has ${segments.length} segments, and ${segmentsMax} is the most`
  }
  if (segments.slice(0, -1).includes("**")) return "`**` stands only at the end"
  return segments.some((segment) => segment.includes("*") && segment !== "*" && segment !== "**")
    ? "`*` and `**` stand for whole segments"
    : undefined
}

const endsInRest = ({ segments }: Pattern): boolean => segments.at(-1) === "**"

const literalSegments = (pattern: Pattern): ReadonlyArray<string> =>
  endsInRest(pattern) ? pattern.segments.slice(0, -1) : pattern.segments

const placeOf = <A>(node: PatternIndex<A>, pattern: Pattern): Set<A> =>
  endsInRest(pattern) ? node.rest : node.values

const child = <A>(node: PatternIndex<A>, segment: string): PatternIndex<A> | undefined =>
  segment === "*" ? node.star : node.children.get(segment)

const grow = <A>(node: PatternIndex<A>, segment: string): PatternIndex<A> => {
  const grown = makeIndex<A>()
  if (segment === "*") node.star = grown
  else node.children.set(segment, grown)
  return grown
}

const isEmpty = <A>({ children, rest, star, values }: PatternIndex<A>): boolean =>
  values.size + rest.size + children.size === 0 && star === undefined

const prune = <A>(path: ReadonlyArray<PatternIndex<A>>, { segments }: Pattern): void => {
  for (let depth = path.length - 1; depth > 0; depth--) {
    const [parent, node, segment] = [path[depth - 1], path[depth], segments[depth - 1]]
    if (parent === undefined || node === undefined || segment === undefined || !isEmpty(node)) return
    if (segment === "*") parent.star = undefined
    else parent.children.delete(segment)
  }
}

const collect = <A>(
  node: PatternIndex<A>,
  segments: ReadonlyArray<string>,
  depth: number,
  found: Array<A>
): void => {
  for (const value of node.rest) found.push(value)
  const segment = segments[depth]
  if (segment === undefined) {
    for (const value of node.values) found.push(value)
    return
  }
  const named = node.children.get(segment)
  if (named !== undefined) collect(named, segments, depth + 1, found)
  if (node.star !== undefined) collect(node.star, segments, depth + 1, found)
}
