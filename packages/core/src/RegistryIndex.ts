/**
 * A registry index keeps entries by the value of one attribute, and those of one value in registration order: an immutable
 * tree of trees, in which each operation takes time logarithmic in the number of entries.
 */
import * as Option from "effect/Option"
import * as RedBlackTree from "effect/RedBlackTree"
import * as RegistryQuery from "./RegistryQuery.ts"

/** Holds items by their ids, the smallest first. */
export type Items<A> = RedBlackTree.RedBlackTree<number, A>

/** Holds items by a value. No value without items is kept. */
export type RegistryIndex<A> = RedBlackTree.RedBlackTree<RegistryQuery.Sortable, Items<A>>

/** Makes a holder of no items. */
export const noItems = <A>(): Items<A> =>
  RedBlackTree.empty<number, A>((a, b) => (a < b ? -1 : a > b ? 1 : 0))

/** Makes an index without items. */
export const empty = <A>(): RegistryIndex<A> =>
  RedBlackTree.empty<RegistryQuery.Sortable, Items<A>>(RegistryQuery.compare)

/** Puts what is under a key, in place of what was. */
export const put = <K, V>(
  tree: RedBlackTree.RedBlackTree<K, V>,
  key: K,
  value: V
): RedBlackTree.RedBlackTree<K, V> => RedBlackTree.insert(RedBlackTree.removeFirst(tree, key), key, value)

/** Adds an item. */
export const add = <A>(
  index: RegistryIndex<A>,
  value: RegistryQuery.Sortable,
  id: number,
  item: A
): RegistryIndex<A> => put(index, value, put(itemsOf(index, value), id, item))

/** Removes an item. */
export const remove = <A>(
  index: RegistryIndex<A>,
  value: RegistryQuery.Sortable,
  id: number
): RegistryIndex<A> => {
  const left = RedBlackTree.removeFirst(itemsOf(index, value), id)
  return RedBlackTree.size(left) === 0
    ? RedBlackTree.removeFirst(index, value)
    : put(index, value, left)
}

/** The items of one value. */
export const itemsOf = <A>(index: RegistryIndex<A>, value: RegistryQuery.Sortable): Items<A> =>
  Option.getOrElse(RedBlackTree.findFirst(index, value), () => noItems<A>())

/** The items whose values are in an interval, by value and then by id. */
export function* within<A>(index: RegistryIndex<A>, interval: RegistryQuery.Interval): Generator<A> {
  const { from, fromExcluded } = interval
  const start = fromExcluded === true ? RedBlackTree.greaterThan : RedBlackTree.greaterThanEqual
  for (const [value, items] of start(index, from)) {
    if (!RegistryQuery.isBeforeEnd(interval, value)) return
    yield* RedBlackTree.values(items)
  }
}

/** All items, by value in a direction, and then by id. */
export function* ordered<A>(
  index: RegistryIndex<A>,
  direction: "ascending" | "descending"
): Generator<A> {
  for (const [, items] of direction === "ascending" ? index : RedBlackTree.reversed(index)) {
    yield* RedBlackTree.values(items)
  }
}

/** How many items an index holds, counted one by one. */
export const count = <A>(index: RegistryIndex<A>): number =>
  RedBlackTree.reduce(index, 0, (sum, items) => sum + RedBlackTree.size(items))
