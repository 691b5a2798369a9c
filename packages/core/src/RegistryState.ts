/**
 * A registry state is everything a registry knows, as one immutable value: a reader always sees a whole one.
 */
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import * as RedBlackTree from "effect/RedBlackTree"
import * as RegistryIndex from "./RegistryIndex.ts"
import * as RegistryQuery from "./RegistryQuery.ts"

/** Says how many entries a key may have: one, or any number. */
export type Keys = "unique" | "duplicate"

/** Is one registration as others see it. `id` is greater than that of every registration before it. */
export interface Entry<out Value, out Metadata> {
  readonly id: number
  readonly key: string
  readonly value: Value
  readonly metadata: Metadata
}

/** Is an entry with its owner, who is compared by reference. */
export interface Held<out Value, out Metadata> {
  readonly entry: Entry<Value, Metadata>
  readonly owner: object
}

/** Is everything a registry knows. The indexes are by the name of their attribute. */
export interface RegistryState<Value, Metadata> {
  readonly registry: string
  readonly keys: Keys
  readonly nextId: number
  readonly entries: RegistryIndex.Items<Held<Value, Metadata>>
  readonly byKey: HashMap.HashMap<string, RegistryIndex.Items<Held<Value, Metadata>>>
  readonly indexes: ReadonlyMap<string, RegistryIndex.RegistryIndex<Held<Value, Metadata>>>
}

/** What became of one entry: `before` is absent where it began, `after` where it ended. */
export interface Change<out Value, out Metadata> {
  readonly before?: Held<Value, Metadata>
  readonly after?: Held<Value, Metadata>
}

/** Is another state, and what became of entries on the way to it, in order. */
export interface Transition<Value, Metadata> {
  readonly state: RegistryState<Value, Metadata>
  readonly changes: ReadonlyArray<Change<Value, Metadata>>
}

/** Makes a state without entries, with an index for each of the attributes. */
export const empty = <Value, Metadata>(
  registry: string,
  keys: Keys,
  indexes: ReadonlyArray<string>
): RegistryState<Value, Metadata> => ({
  registry,
  keys,
  nextId: 0,
  entries: RegistryIndex.noItems(),
  byKey: HashMap.empty(),
  indexes: new Map(indexes.map((attribute) => [attribute, RegistryIndex.empty()]))
})

/** Begins an entry, whose id has to be the next. */
export const begin = <Value, Metadata>(
  state: RegistryState<Value, Metadata>,
  after: Held<Value, Metadata>
): Transition<Value, Metadata> => changeAll({ ...state, nextId: after.entry.id + 1 }, [{ after }])

/** Replaces the metadata of entries. */
export const update = <Value, Metadata>(
  state: RegistryState<Value, Metadata>,
  held: ReadonlyArray<Held<Value, Metadata>>,
  change: (metadata: Metadata) => Metadata
): Transition<Value, Metadata> =>
  changeAll(
    state,
    held.map((before) => {
      const { entry, owner } = before
      return { before, after: { entry: { ...entry, metadata: change(entry.metadata) }, owner } }
    })
  )

/** Ends entries. */
export const end = <Value, Metadata>(
  state: RegistryState<Value, Metadata>,
  held: ReadonlyArray<Held<Value, Metadata>>
): Transition<Value, Metadata> => changeAll(state, held.map((before) => ({ before })))

/** Ends those of the entries that are still there. */
export const release = <Value, Metadata>(
  state: RegistryState<Value, Metadata>,
  ids: Iterable<number>
): Transition<Value, Metadata> =>
  end(state, Array.from(ids).flatMap((id) => Option.toArray(RedBlackTree.findFirst(state.entries, id))))

/** Tells whether an entry is still there. */
export const has = <Value, Metadata>(state: RegistryState<Value, Metadata>, id: number): boolean =>
  RedBlackTree.has(state.entries, id)

/** What is registered under a key, in registration order. */
export const entriesUnder = <Value, Metadata>(
  state: RegistryState<Value, Metadata>,
  key: string
): ReadonlyArray<Entry<Value, Metadata>> =>
  Array.from(RedBlackTree.values(itemsUnder(state, key)), ({ entry }) => entry)

/** What an owner registered under a key, in registration order. */
export const ownedUnder = <Value, Metadata>(
  state: RegistryState<Value, Metadata>,
  key: string,
  owner: object
): ReadonlyArray<Held<Value, Metadata>> =>
  Array.from(RedBlackTree.values(itemsUnder(state, key))).filter((held) => held.owner === owner)

/** What is registered under a key, by id. */
export const itemsUnder = <Value, Metadata>(
  state: RegistryState<Value, Metadata>,
  key: string
): RegistryIndex.Items<Held<Value, Metadata>> =>
  Option.getOrElse(HashMap.get(state.byKey, key), () => RegistryIndex.noItems<Held<Value, Metadata>>())

// internal

const changeAll = <Value, Metadata>(
  state: RegistryState<Value, Metadata>,
  changes: ReadonlyArray<Change<Value, Metadata>>
): Transition<Value, Metadata> => ({ state: changes.reduce(withChange, state), changes })

const withChange = <Value, Metadata>(
  state: RegistryState<Value, Metadata>,
  { after, before }: Change<Value, Metadata>
): RegistryState<Value, Metadata> => {
  const removed = before === undefined ? state : without(state, before)
  return after === undefined ? removed : having(removed, after)
}

const having = <Value, Metadata>(
  state: RegistryState<Value, Metadata>,
  held: Held<Value, Metadata>
): RegistryState<Value, Metadata> => {
  const { id, key, metadata } = held.entry
  return {
    ...state,
    entries: RegistryIndex.put(state.entries, id, held),
    byKey: HashMap.set(state.byKey, key, RegistryIndex.put(itemsUnder(state, key), id, held)),
    indexes: mapIndexes(
      state,
      (index, attribute) => RegistryIndex.add(index, RegistryQuery.attributeOf(metadata, attribute), id, held)
    )
  }
}

const without = <Value, Metadata>(
  state: RegistryState<Value, Metadata>,
  { entry: { id, key, metadata } }: Held<Value, Metadata>
): RegistryState<Value, Metadata> => {
  const left = RedBlackTree.removeFirst(itemsUnder(state, key), id)
  return {
    ...state,
    entries: RedBlackTree.removeFirst(state.entries, id),
    byKey: RedBlackTree.size(left) === 0
      ? HashMap.remove(state.byKey, key)
      : HashMap.set(state.byKey, key, left),
    indexes: mapIndexes(
      state,
      (index, attribute) => RegistryIndex.remove(index, RegistryQuery.attributeOf(metadata, attribute), id)
    )
  }
}

const mapIndexes = <Value, Metadata>(
  { indexes }: RegistryState<Value, Metadata>,
  change: (
    index: RegistryIndex.RegistryIndex<Held<Value, Metadata>>,
    attribute: string
  ) => RegistryIndex.RegistryIndex<Held<Value, Metadata>>
): RegistryState<Value, Metadata>["indexes"] =>
  new Map(Array.from(indexes, ([attribute, index]) => [attribute, change(index, attribute)]))
