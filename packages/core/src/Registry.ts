/**
 * A registry gives names to running things: values under keys, each with metadata, gone with the scope that registered it.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as HashMap from "effect/HashMap"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as RedBlackTree from "effect/RedBlackTree"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as RegistryRuntime from "./internal/RegistryRuntime.ts"
import * as RegistryBatch from "./RegistryBatch.ts"
import * as RegistryIndex from "./RegistryIndex.ts"
import * as RegistryOperation from "./RegistryOperation.ts"
import * as RegistryPlan from "./RegistryPlan.ts"
import * as RegistryQuery from "./RegistryQuery.ts"
import * as RegistryState from "./RegistryState.ts"
import type * as RegistryWatch from "./RegistryWatch.ts"

/** Is one registration. */
export type Entry<Value, Metadata> = RegistryState.Entry<Value, Metadata>

/** Is one thing to do to a registry, as data. Made by `RegistryOperation.register`, `update`, `unregister`, `find`. */
export type Operation<Value, Metadata> = RegistryOperation.Operation<Value, Metadata>

export { AlreadyRegistered, NotRegistered } from "./RegistryOperation.ts"
export { QueryOutOfRange } from "./RegistryQuery.ts"

/**
 * Says what a registry is like.
 *
 * - `name`: names it in errors. `registry` by default.
 * - `keys`: whether a key has at most one entry, or any number.
 * - `indexes`: the attributes of the metadata that queries find entries by. None by default: then queries look at every
 *   entry, and say so.
 */
export interface Options<Keys extends RegistryState.Keys, Metadata> {
  readonly name?: string
  readonly keys: Keys
  readonly indexes?: ReadonlyArray<RegistryQuery.Attribute<Metadata>>
}

/** Says how much a registry holds. `indexed` counts each entry once for each index. */
export interface Counts {
  readonly entries: number
  readonly keys: number
  readonly indexed: number
  readonly watchers: number
}

/** Is what a key has: an entry or none where keys are unique, all in registration order where they are not. */
export interface Lookup<Value, Metadata> {
  readonly unique: Option.Option<Entry<Value, Metadata>>
  readonly duplicate: ReadonlyArray<Entry<Value, Metadata>>
}

/**
 * A running registry.
 *
 * An entry belongs to the scope that registered it: that scope alone updates and unregisters it, and its closing ends it.
 * What one call registered ends as one. A scope unwinds as always: what it acquired before it registered outlives the entry.
 */
export interface Registry<Keys extends RegistryState.Keys, Value, Metadata> {
  readonly name: string
  readonly keys: Keys
  /** Looks up who has a key. */
  readonly lookup: (key: string) => Effect.Effect<Lookup<Value, Metadata>[Keys]>
  /** Registers a value under a key until the scope closes, or unregisters the key. */
  readonly register: (
    key: string,
    value: Value,
    metadata: Metadata
  ) => Effect.Effect<Entry<Value, Metadata>, RegistryOperation.AlreadyRegistered, Scope.Scope>
  /** Changes the metadata of what this scope registered under a key. A change that throws changes nothing. */
  readonly update: (
    key: string,
    change: (metadata: Metadata) => Metadata
  ) => Effect.Effect<ReadonlyArray<Entry<Value, Metadata>>, RegistryOperation.NotRegistered, Scope.Scope>
  /** Ends what this scope registered under a key, if anything, and returns it. */
  readonly unregister: (
    key: string
  ) => Effect.Effect<ReadonlyArray<Entry<Value, Metadata>>, never, Scope.Scope>
  /** Answers a query, and says whether an index was used or every entry looked at. */
  readonly query: (
    query: RegistryQuery.Query<Metadata>
  ) => Effect.Effect<RegistryPlan.Found<Value, Metadata>, RegistryQuery.QueryOutOfRange>
  /**
   * Answers a query in pages, in chunks of `pageSize` (100). The entries are those, as they were, when the stream began;
   * one that is gone when its page is read is left out, and no other.
   */
  readonly stream: (
    query: RegistryQuery.Query<Metadata>,
    pageSize?: number
  ) => Stream.Stream<Entry<Value, Metadata>, RegistryQuery.QueryOutOfRange>
  /**
   * Watches entries: first each that is there, as `Registered`, in registration order, then what happens, with no gap between.
   * A watcher more than `RegistryWatch.pendingMax` (256) events behind loses the oldest, is told so by `Lagged`, and delays
   * nobody.
   */
  readonly watch: (
    selection: RegistryQuery.Selection<Metadata>
  ) => Stream.Stream<RegistryWatch.WatchEvent<Value, Metadata>>
  /** Applies operations one after the other until one fails. Those before it stay; others may see them one by one. */
  readonly serially: (
    operations: ReadonlyArray<Operation<Value, Metadata>>
  ) => Effect.Effect<RegistryBatch.Report<Value, Metadata>, never, Scope.Scope>
  /**
   * Applies all operations, or none and fails with the error of the first that does not apply. Nobody sees some of them
   * without the others. It runs in one go: nothing else runs meanwhile.
   */
  readonly atomically: (
    operations: ReadonlyArray<Operation<Value, Metadata>>
  ) => Effect.Effect<
    ReadonlyArray<RegistryOperation.Result<Value, Metadata>>,
    RegistryOperation.OperationError,
    Scope.Scope
  >
  /** Applies operations in order and reports on each. `stop` is {@link serially}, `rollback` is {@link atomically}. */
  readonly batch: (
    operations: ReadonlyArray<Operation<Value, Metadata>>,
    onError: RegistryBatch.OnError
  ) => Effect.Effect<RegistryBatch.Report<Value, Metadata>, never, Scope.Scope>
  /** How much the registry holds now. */
  readonly counts: Effect.Effect<Counts>
}

/** A registry in which a key has at most one entry. */
export type Unique<Value, Metadata = {}> = Registry<"unique", Value, Metadata>

/** A registry in which a key may have any number of entries. */
export type Duplicate<Value, Metadata = {}> = Registry<"duplicate", Value, Metadata>

/**
 * Makes an empty registry. It owns no fiber. Every operation is one atomic step, in time logarithmic in the number of
 * entries beside what it returns.
 *
 * **Source** Elixir `Registry`. Different from there: an entry belongs to a scope, not to a process; it is gone before what
 * the scope acquired earlier is released, not some time after; metadata, queries and `watch` are ours.
 *
 * @example
 * import * as Registry from "@holdfast/core/Registry"
 * import * as RegistryQuery from "@holdfast/core/RegistryQuery"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.gen(function*() {
 *   const workers = yield* Registry.make<Effect.Effect<void>, { readonly load: number }>({
 *     keys: "unique",
 *     indexes: ["load"]
 *   })
 *   yield* workers.register("w-1", Effect.log("poked"), { load: 3 })
 *   const idle = yield* workers.query({ where: RegistryQuery.lt("load", 5), orderBy: { attribute: "load" }, limit: 1 })
 *   yield* Effect.forEach(idle.entries, (entry) => entry.value)
 * })
 *
 * export const main = Effect.scoped(program)
 */
export function make<Value, Metadata = {}>(
  options: Options<"unique", Metadata>
): Effect.Effect<Unique<Value, Metadata>>
export function make<Value, Metadata = {}>(
  options: Options<"duplicate", Metadata>
): Effect.Effect<Duplicate<Value, Metadata>>
export function make<Keys extends RegistryState.Keys, Value, Metadata>(
  options: Options<Keys, Metadata>
): Effect.Effect<Registry<Keys, Value, Metadata>> {
  return makeOf(options)
}

/**
 * Makes a registry with the layer. The tag names the registry and the types of its values and metadata.
 *
 * @example
 * import * as Registry from "@holdfast/core/Registry"
 * import * as Context from "effect/Context"
 *
 * class Rooms extends Context.Tag("app/Rooms")<Rooms, Registry.Duplicate<string, { readonly seats: number }>>() {}
 *
 * export const RoomsLayer = Registry.layer(Rooms, { keys: "duplicate", indexes: ["seats"] })
 */
export const layer = <I, Keys extends RegistryState.Keys, Value, Metadata>(
  tag: Context.Tag<I, Registry<Keys, Value, Metadata>>,
  options: Options<NoInfer<Keys>, NoInfer<Metadata>>
): Layer.Layer<I> => Layer.effect(tag, makeOf<Keys, Value, Metadata>(options))

// internal

const makeOf = <Keys extends RegistryState.Keys, Value, Metadata>(
  { indexes = [], keys, name = "registry" }: Options<Keys, Metadata>
): Effect.Effect<Registry<Keys, Value, Metadata>> =>
  Effect.sync(() => handle(keys, RegistryRuntime.make(RegistryState.empty(name, keys, indexes))))

const handle = <Keys extends RegistryState.Keys, Value, Metadata>(
  keys: Keys,
  runtime: RegistryRuntime.RegistryRuntime<Value, Metadata>
): Registry<Keys, Value, Metadata> => ({
  name: runtime.state.registry,
  keys,
  lookup: (key) => Effect.sync(() => lookup(runtime.state, key)[keys]),
  register: (key, value, metadata) =>
    Effect.map(
      RegistryBatch.applyOne(
        runtime,
        RegistryOperation.applyRegister,
        RegistryOperation.register(key, value, metadata)
      ),
      ({ entry }) => entry
    ),
  update: (key, change) =>
    Effect.map(
      RegistryBatch.applyOne(runtime, RegistryOperation.applyUpdate, RegistryOperation.update(key, change)),
      ({ entries }) => entries
    ),
  unregister: (key) =>
    Effect.map(
      RegistryBatch.applyOne(runtime, RegistryOperation.applyUnregister, RegistryOperation.unregister(key)),
      ({ entries }) => entries
    ),
  query: (query) => Effect.suspend(() => RegistryPlan.find(runtime.state, query)),
  stream: (query, pageSize = pageSizeDefault) => stream(runtime, query, pageSize),
  watch: (selection) => RegistryRuntime.watch(runtime, selection),
  serially: (operations) => RegistryBatch.run(runtime, operations, "stop"),
  atomically: (operations) =>
    Effect.mapError(RegistryBatch.applyAll(runtime, operations), ({ error }) => error),
  batch: (operations, onError) => RegistryBatch.run(runtime, operations, onError),
  counts: Effect.sync(() => countsOf(runtime))
})

const pageSizeDefault = 100

const lookup = <Value, Metadata>(
  state: RegistryState.RegistryState<Value, Metadata>,
  key: string
): Lookup<Value, Metadata> => {
  const duplicate = RegistryState.entriesUnder(state, key)
  return { unique: Option.fromNullable(duplicate[0]), duplicate }
}

const stream = <Value, Metadata>(
  runtime: RegistryRuntime.RegistryRuntime<Value, Metadata>,
  query: RegistryQuery.Query<Metadata>,
  pageSize: number
): Stream.Stream<Entry<Value, Metadata>, RegistryQuery.QueryOutOfRange> =>
  Stream.unwrap(Effect.suspend(() =>
    Either.map(
      Either.all([
        RegistryPlan.answer(runtime.state, query),
        RegistryQuery.checkCount("pageSize", pageSize, 1)
      ]),
      ([{ entries }]) =>
        Stream.filter(
          Stream.fromIteratorSucceed(entries, pageSize),
          ({ id }) => RegistryState.has(runtime.state, id)
        )
    )
  ))

const countsOf = <Value, Metadata>(
  { state, watchers }: RegistryRuntime.RegistryRuntime<Value, Metadata>
): Counts => ({
  entries: RedBlackTree.size(state.entries),
  keys: HashMap.size(state.byKey),
  indexed: Array.from(state.indexes.values(), RegistryIndex.count).reduce((sum, count) => sum + count, 0),
  watchers: Array.from(watchers.values(), ({ size }) => size).reduce((sum, size) => sum + size, 0)
})
