/**
 * A registry's runtime is its state behind the one reference to it, with those who watch it. Whatever changes it does so in
 * one step that nothing comes between: the state is replaced and the watchers are told.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as RegistryPlan from "../RegistryPlan.ts"
import type { Selection } from "../RegistryQuery.ts"
import * as RegistryState from "../RegistryState.ts"
import * as RegistryWatch from "../RegistryWatch.ts"

/** Is a registry at work. */
export interface RegistryRuntime<Value, Metadata> {
  state: RegistryState.RegistryState<Value, Metadata>
  /** By the id of the entry; as many as there are entries. */
  readonly groups: Map<number, Group>
  /** By the key that they watch, if it is one; as many as streams run. */
  readonly watchers: Map<string | undefined, Set<RegistryWatch.Watcher<Value, Metadata>>>
}

/** Is what one call registered. It ends as one when its scope closes: a fork of the owner's, so that the owner forgets it. */
export interface Group {
  readonly ids: Set<number>
  scope: Scope.CloseableScope | undefined
}

/** Makes the runtime of an empty registry. */
export const make = <Value, Metadata>(
  state: RegistryState.RegistryState<Value, Metadata>
): RegistryRuntime<Value, Metadata> => ({ state, groups: new Map(), watchers: new Map() })

/** Takes a step, or none, for the scope that asks, to which what it registers is bound. */
export const transact = <Value, Metadata, Did, E>(
  runtime: RegistryRuntime<Value, Metadata>,
  step: (
    state: RegistryState.RegistryState<Value, Metadata>,
    owner: Scope.Scope
  ) => Either.Either<RegistryState.Transition<Value, Metadata> & { readonly did: Did }, E>
): Effect.Effect<Did, E, Scope.Scope> =>
  Effect.uninterruptible(Effect.flatMap(Effect.scope, (owner) => {
    const taken = step(runtime.state, owner)
    if (Either.isLeft(taken)) return Effect.fail(taken.left)
    const group: Group = { ids: new Set(), scope: undefined }
    const touched = commit(runtime, taken.right, group)
    return bind(runtime, group, owner).pipe(
      Effect.zipRight(Effect.forEach(touched, closeIfEmpty, { discard: true })),
      Effect.as(taken.right.did)
    )
  }))

/** Watches what is selected: what is there, then what happens. */
export const watch = <Value, Metadata>(
  runtime: RegistryRuntime<Value, Metadata>,
  selection: Selection<Metadata>
): Stream.Stream<RegistryWatch.WatchEvent<Value, Metadata>> =>
  Stream.unwrapScoped(Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => subscribe(runtime, selection)),
      ({ watcher }) => Effect.sync(() => unsubscribe(runtime, watcher))
    ),
    ({ present, watcher }) =>
      Stream.concat(
        Stream.map(Stream.fromIterable(present), (entry) => RegistryWatch.registered(entry)),
        Stream.repeatEffectChunk(RegistryWatch.take(watcher))
      )
  ))

// internal

/** Returns the groups that lost an entry. */
const commit = <Value, Metadata>(
  runtime: RegistryRuntime<Value, Metadata>,
  { changes, state }: RegistryState.Transition<Value, Metadata>,
  group: Group
): ReadonlySet<Group> => {
  const touched = new Set<Group>()
  runtime.state = state
  for (const change of changes) {
    const { after, before } = change
    if (before === undefined && after !== undefined) hold(runtime, group, after.entry.id)
    if (before !== undefined && after === undefined) letGo(runtime, touched, before.entry.id)
    tell(runtime, change)
  }
  return touched
}

const hold = <Value, Metadata>(runtime: RegistryRuntime<Value, Metadata>, group: Group, id: number): void => {
  group.ids.add(id)
  runtime.groups.set(id, group)
}

const letGo = <Value, Metadata>(
  runtime: RegistryRuntime<Value, Metadata>,
  touched: Set<Group>,
  id: number
): void => {
  const group = runtime.groups.get(id)
  if (group === undefined) return
  group.ids.delete(id)
  runtime.groups.delete(id)
  touched.add(group)
}

const tell = <Value, Metadata>(
  { watchers }: RegistryRuntime<Value, Metadata>,
  change: RegistryState.Change<Value, Metadata>
): void => {
  const key = (change.after ?? change.before)?.entry.key
  watchers.get(key)?.forEach((watcher) => RegistryWatch.tell(watcher, change))
  watchers.get(undefined)?.forEach((watcher) => RegistryWatch.tell(watcher, change))
}

/** Where the owner has closed meanwhile, the group ends at once. */
const bind = <Value, Metadata>(
  runtime: RegistryRuntime<Value, Metadata>,
  group: Group,
  owner: Scope.Scope
): Effect.Effect<void> =>
  Effect.suspend(() =>
    group.ids.size === 0
      ? Effect.void
      : Effect.flatMap(Scope.fork(owner, ExecutionStrategy.sequential), (scope) => {
        group.scope = scope
        return Effect.zipRight(
          Scope.addFinalizer(scope, Effect.sync(() => release(runtime, group))),
          closeIfEmpty(group)
        )
      })
  )

const release = <Value, Metadata>(runtime: RegistryRuntime<Value, Metadata>, group: Group): void => {
  commit(runtime, RegistryState.release(runtime.state, group.ids), group)
}

const closeIfEmpty = ({ ids, scope }: Group): Effect.Effect<void> =>
  scope !== undefined && ids.size === 0 ? Scope.close(scope, Exit.void) : Effect.void

const subscribe = <Value, Metadata>(
  { state, watchers }: RegistryRuntime<Value, Metadata>,
  selection: Selection<Metadata>
) => {
  const watcher = RegistryWatch.make<Value, Metadata>(selection)
  const others = watchers.get(selection.key) ?? new Set()
  watchers.set(selection.key, others.add(watcher))
  return { present: RegistryPlan.select(state, selection), watcher }
}

const unsubscribe = <Value, Metadata>(
  { watchers }: RegistryRuntime<Value, Metadata>,
  watcher: RegistryWatch.Watcher<Value, Metadata>
): void => {
  const { key } = watcher.selection
  const others = watchers.get(key)
  others?.delete(watcher)
  if (others?.size === 0) watchers.delete(key)
}
