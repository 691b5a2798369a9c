/**
 * Which of several instances a caller gets, without time or effects.
 */
import * as Arr from "effect/Array"
import * as Number from "effect/Number"
import * as Order from "effect/Order"
import * as String from "effect/String"

/** How well a usable instance is. */
export type UsableStatus = "healthy" | "degraded"

/** An instance that may be chosen. No two have the same id. */
export interface Candidate {
  readonly id: string
  readonly status: UsableStatus
}

/** Orders instances: healthy ones before degraded ones, then the least loaded first, then as they came. */
export const byLoad = <A extends Candidate>(
  candidates: ReadonlyArray<readonly [candidate: A, load: number]>
): ReadonlyArray<A> => Arr.map(Arr.sort(candidates, loadOrder), ([candidate]) => candidate)

/**
 * Picks whose turn it is after `last`, in the order of the ids, round and round: among the healthy ones if there are any,
 * else among the degraded. Who comes or goes costs nobody else a turn.
 */
export const nextInTurn = <A extends Candidate>(
  candidates: ReadonlyArray<A>,
  last: string | undefined
): A | undefined => {
  const healthy = candidates.filter(({ status }) => status === "healthy")
  const inOrder = Arr.sort(healthy.length > 0 ? healthy : candidates, idOrder)
  return inOrder.find(({ id }) => last === undefined || id > last) ?? inOrder[0]
}

// internal

const idOrder = Order.mapInput(String.Order, ({ id }: Candidate) => id)

const loadOrder = Order.combine(
  Order.mapInput(Number.Order, ([{ status }]: readonly [Candidate, number]) => status === "healthy" ? 0 : 1),
  Order.mapInput(Number.Order, ([_, load]: readonly [Candidate, number]) => load)
)
