/**
 * A tree place is where a child stands in its tree: it holds the supervisors that run inside the child.
 */
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import { globalValue } from "effect/GlobalValue"
import type { TreeNode } from "../SupervisionTree.ts"

/** Bounded by the supervisors that run inside the child. */
export interface TreePlace {
  readonly supervisors: Set<() => TreeNode>
}

export const unsafeMake = (): TreePlace => ({ supervisors: new Set() })

/** Runs the program of a child in its place. For the first effect of a fiber that nobody joins. */
export const inside = <A, E, R>(place: TreePlace, program: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.zipRight(FiberRef.set(current, place), program)

/** Shows a supervisor where the fiber runs, until the effect that it returns is run. */
export const attach = (node: () => TreeNode): Effect.Effect<Effect.Effect<void>> =>
  Effect.map(FiberRef.get(current), (place) => {
    place?.supervisors.add(node)
    return Effect.sync(() => place?.supervisors.delete(node))
  })

/** What runs inside a place, in the order in which it began. */
export const nodes = (place: TreePlace): ReadonlyArray<TreeNode> =>
  Array.from(place.supervisors, (node) => node())

// internal

const current = globalValue(
  Symbol.for("@holdfast/core/internal/TreePlace"),
  () => FiberRef.unsafeMake<TreePlace | null>(null)
)
