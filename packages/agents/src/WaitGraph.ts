/**
 * A wait-for graph says which agents of a process wait for the answer of which others, and never has a cycle.
 *
 * Every function takes and gives a plain value. The asks that wait bound its size.
 */
import * as Either from "effect/Either"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"

/** Holds for each waiter whom it waits for, and by how many asks. Agents are named by their rendered addresses. */
export type WaitGraph = HashMap.HashMap<string, HashMap.HashMap<string, number>>

/** Is what would have closed: those who wait, each for the next, from the waiter back to itself. */
export type CyclePath = ReadonlyArray<string>

/** Is the graph of a process in which nobody waits. */
export const empty: WaitGraph = HashMap.empty()

/**
 * Adds an ask, or refuses it with the path of the cycle it would close. An ask of oneself is the shortest cycle.
 *
 * Takes as long as what the target waits for, directly or through others: one path where each agent asks one at a
 * time.
 */
export const add = (graph: WaitGraph, waiter: string, target: string): Either.Either<WaitGraph, CyclePath> =>
  Option.match(pathBetween(graph, target, waiter), {
    onSome: (path) => Either.left([waiter, ...path]),
    onNone: () => Either.right(HashMap.set(graph, waiter, count(targetsOf(graph, waiter), target, 1)))
  })

/** Removes one ask that was added; of one that was not, nothing. */
export const remove = (graph: WaitGraph, waiter: string, target: string): WaitGraph => {
  const targets = count(targetsOf(graph, waiter), target, -1)
  return HashMap.isEmpty(targets) ? HashMap.remove(graph, waiter) : HashMap.set(graph, waiter, targets)
}

// internal

type Targets = HashMap.HashMap<string, number>

const noTargets: Targets = HashMap.empty()

const targetsOf = (graph: WaitGraph, waiter: string): Targets =>
  Option.getOrElse(HashMap.get(graph, waiter), () => noTargets)

const count = (targets: Targets, target: string, change: 1 | -1): Targets => {
  const asks = Option.getOrElse(HashMap.get(targets, target), () => 0) + change
  return asks > 0 ? HashMap.set(targets, target, asks) : HashMap.remove(targets, target)
}

/** Finds a way along the waits, depth first, each agent visited once. */
const pathBetween = (graph: WaitGraph, from: string, to: string): Option.Option<CyclePath> => {
  const reachedFrom = new Map<string, string | null>([[from, null]])
  const open = [from]
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    if (at === to) return Option.some(pathBack(reachedFrom, at))
    for (const target of HashMap.keys(targetsOf(graph, at))) {
      if (reachedFrom.has(target)) continue
      reachedFrom.set(target, at)
      open.push(target)
    }
  }
  return Option.none()
}

const pathBack = (reachedFrom: ReadonlyMap<string, string | null>, to: string): CyclePath => {
  const path: Array<string> = []
  for (let at: string | null = to; at !== null; at = reachedFrom.get(at) ?? null) path.push(at)
  return path.toReversed()
}
