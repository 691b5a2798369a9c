/**
 * A registry operation is one thing to do to a registry. It makes another state, or nothing: so several apply together or
 * not at all.
 */
import * as Either from "effect/Either"
import * as HashMap from "effect/HashMap"
import * as Schema from "effect/Schema"
import * as RegistryPlan from "./RegistryPlan.ts"
import type { Query, QueryOutOfRange } from "./RegistryQuery.ts"
import type { Change, Entry, Transition } from "./RegistryState.ts"
import * as RegistryState from "./RegistryState.ts"

/** Registers a value under a key. */
export interface Register<out Value, out Metadata> {
  readonly _tag: "Register"
  readonly key: string
  readonly value: Value
  readonly metadata: Metadata
}

/** Changes the metadata of what the same scope registered under a key. */
export interface Update<in out Metadata> {
  readonly _tag: "Update"
  readonly key: string
  readonly change: (metadata: Metadata) => Metadata
}

/** Ends what the same scope registered under a key, if anything. */
export interface Unregister {
  readonly _tag: "Unregister"
  readonly key: string
}

/** Asks for entries, among them those that the operations before it made. */
export interface Find<Metadata> {
  readonly _tag: "Find"
  readonly query: Query<Metadata>
}

/** Is one thing to do to a registry. */
export type Operation<Value, Metadata> =
  | Register<Value, Metadata>
  | Update<Metadata>
  | Unregister
  | Find<Metadata>

/** Says what was registered. */
export interface Registered<out Value, out Metadata> {
  readonly _tag: "Registered"
  readonly entry: Entry<Value, Metadata>
}

/** Says which entries were updated, as they are now. */
export interface Updated<out Value, out Metadata> {
  readonly _tag: "Updated"
  readonly entries: ReadonlyArray<Entry<Value, Metadata>>
}

/** Says which entries were ended. */
export interface Unregistered<out Value, out Metadata> {
  readonly _tag: "Unregistered"
  readonly entries: ReadonlyArray<Entry<Value, Metadata>>
}

/** Says which entries were found, and how. */
export interface Found<out Value, out Metadata> extends RegistryPlan.Found<Value, Metadata> {
  readonly _tag: "Found"
}

/** Says what an operation did. */
export type Result<Value, Metadata> =
  | Registered<Value, Metadata>
  | Updated<Value, Metadata>
  | Unregistered<Value, Metadata>
  | Found<Value, Metadata>

/** Is the state that one or more operations made, with what they say they did. */
export interface Applied<Value, Metadata, out Did> extends Transition<Value, Metadata> {
  readonly did: Did
}

/** Somebody holds this unique key. Remedy: look up who does, or watch the key until it is free. */
export class AlreadyRegistered
  extends Schema.TaggedError<AlreadyRegistered>("@holdfast/core/AlreadyRegistered")("AlreadyRegistered", {
    registry: Schema.String,
    key: Schema.String
  })
{
  override get message(): string {
    return `registry "${this.registry}": the key "${this.key}" is already registered`
  }
}

/** This scope has nothing registered under the key. Only the scope that registered an entry may update it. */
export class NotRegistered
  extends Schema.TaggedError<NotRegistered>("@holdfast/core/NotRegistered")("NotRegistered", {
    registry: Schema.String,
    key: Schema.String
  })
{
  override get message(): string {
    return `registry "${this.registry}": this scope has nothing registered under the key "${this.key}"`
  }
}

/** Says why an operation did not apply. */
export type OperationError = AlreadyRegistered | NotRegistered | QueryOutOfRange

/** Is the error of the first operation that did not apply, and its place among them, from 0. */
export interface StoppedAt {
  readonly index: number
  readonly error: OperationError
}

/** Makes an operation that registers. */
export const register = <Value, Metadata>(
  key: string,
  value: Value,
  metadata: Metadata
): Register<Value, Metadata> => ({ _tag: "Register", key, value, metadata })

/** Makes an operation that updates. */
export const update = <Metadata>(
  key: string,
  change: (metadata: Metadata) => Metadata
): Update<Metadata> => ({ _tag: "Update", key, change })

/** Makes an operation that unregisters. */
export const unregister = (key: string): Unregister => ({ _tag: "Unregister", key })

/** Makes an operation that asks. */
export const find = <Metadata>(query: Query<Metadata>): Find<Metadata> => ({ _tag: "Find", query })

/** Registers for an owner. */
export const applyRegister = <Value, Metadata>(
  state: RegistryState.RegistryState<Value, Metadata>,
  { key, metadata, value }: Register<Value, Metadata>,
  owner: object
): Either.Either<Applied<Value, Metadata, Registered<Value, Metadata>>, AlreadyRegistered> => {
  if (state.keys === "unique" && HashMap.has(state.byKey, key)) {
    return Either.left(new AlreadyRegistered({ registry: state.registry, key }))
  }
  const entry = { id: state.nextId, key, value, metadata }
  return Either.right({
    ...RegistryState.begin(state, { entry, owner }),
    did: { _tag: "Registered", entry }
  })
}

/** Updates what the owner has under the key. */
export const applyUpdate = <Value, Metadata>(
  state: RegistryState.RegistryState<Value, Metadata>,
  { change, key }: Update<Metadata>,
  owner: object
): Either.Either<Applied<Value, Metadata, Updated<Value, Metadata>>, NotRegistered> => {
  const owned = RegistryState.ownedUnder(state, key, owner)
  if (owned.length === 0) return Either.left(new NotRegistered({ registry: state.registry, key }))
  const transition = RegistryState.update(state, owned, change)
  const entries = transition.changes.flatMap(({ after }) => after?.entry ?? [])
  return Either.right({ ...transition, did: { _tag: "Updated", entries } })
}

/** Ends what the owner has under the key. */
export const applyUnregister = <Value, Metadata>(
  state: RegistryState.RegistryState<Value, Metadata>,
  { key }: Unregister,
  owner: object
): Either.Either<Applied<Value, Metadata, Unregistered<Value, Metadata>>> => {
  const owned = RegistryState.ownedUnder(state, key, owner)
  const entries = owned.map(({ entry }) => entry)
  return Either.right({ ...RegistryState.end(state, owned), did: { _tag: "Unregistered", entries } })
}

/** Applies one operation for an owner. */
export const apply = <Value, Metadata>(
  state: RegistryState.RegistryState<Value, Metadata>,
  operation: Operation<Value, Metadata>,
  owner: object
): Either.Either<Applied<Value, Metadata, Result<Value, Metadata>>, OperationError> => {
  switch (operation._tag) {
    case "Register":
      return applyRegister(state, operation, owner)
    case "Update":
      return applyUpdate(state, operation, owner)
    case "Unregister":
      return applyUnregister(state, operation, owner)
    case "Find":
      return Either.map(RegistryPlan.find(state, operation.query), (found) => ({
        state,
        changes: [],
        did: { _tag: "Found", ...found }
      }))
  }
}

/** Applies operations one upon the other, all of them or none, for an owner. */
export const applyAll = <Value, Metadata>(
  state: RegistryState.RegistryState<Value, Metadata>,
  operations: ReadonlyArray<Operation<Value, Metadata>>,
  owner: object
): Either.Either<Applied<Value, Metadata, ReadonlyArray<Result<Value, Metadata>>>, StoppedAt> => {
  const changes: Array<ReadonlyArray<Change<Value, Metadata>>> = []
  const did: Array<Result<Value, Metadata>> = []
  for (const [index, operation] of operations.entries()) {
    const applied = apply(state, operation, owner)
    if (Either.isLeft(applied)) return Either.left({ index, error: applied.left })
    state = applied.right.state
    changes.push(applied.right.changes)
    did.push(applied.right.did)
  }
  return Either.right({ state, changes: changes.flat(), did })
}
