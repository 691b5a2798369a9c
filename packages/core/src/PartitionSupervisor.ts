/**
 * A partition supervisor is a fixed number of dynamic supervisors: a key always leads to the same one.
 */
import * as Arr from "effect/Array"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Hash from "effect/Hash"
import * as Layer from "effect/Layer"
import * as EffectNumber from "effect/Number"
import type * as Scope from "effect/Scope"
import type { StartRefused } from "./ChildError.ts"
import type { ChildSpec } from "./ChildSpec.ts"
import * as DynamicSupervisor from "./DynamicSupervisor.ts"
import type { ChildCounts, ChildInfo } from "./Supervisor.ts"

/** Says how many partitions there are, and what each is like. See {@link make}. */
export interface Options extends DynamicSupervisor.Options {
  readonly partitions: number
}

/** Running partitions. */
export interface PartitionSupervisor {
  readonly name: string
  readonly partitions: Arr.NonEmptyReadonlyArray<DynamicSupervisor.DynamicSupervisor>
  /** The partition of a key: always the same one for the same number of partitions, in every process. */
  readonly which: (key: string) => DynamicSupervisor.DynamicSupervisor
  /** Starts a child in the partition of the key. Its id is unique there, not over all partitions. */
  readonly startChild: <R>(
    key: string,
    spec: ChildSpec<string, never, R>
  ) => Effect.Effect<ChildInfo, StartRefused, R>
  /** The children of all partitions, one partition after the other. */
  readonly whichChildren: Effect.Effect<ReadonlyArray<ChildInfo>>
  readonly countChildren: Effect.Effect<ChildCounts>
}

/**
 * Starts the partitions, each a {@link DynamicSupervisor.make} with the same options. They stop at once when
 * the scope closes. Dies on a number of `partitions` that is no positive integer.
 *
 * - `name`: `supervisor` by default; its partitions are named `name/0`, `name/1`, and so on.
 * - `maxChildren`, `intensity`: of each partition and of its children.
 *
 * A key finds its partition by its hash: keys spread evenly, and more partitions do not keep a key where it was.
 *
 * **Source** Elixir `PartitionSupervisor`.
 *
 * @example
 * ```ts
 * import * as PartitionSupervisor from "@holdfast/core/PartitionSupervisor"
 * import * as Supervisor from "@holdfast/core/Supervisor"
 * import * as Effect from "effect/Effect"
 *
 * declare const serve: (user: string) => Effect.Effect<void>
 *
 * export const program = Effect.scoped(Effect.gen(function*() {
 *   const sessions = yield* PartitionSupervisor.make({ name: "sessions", partitions: 8 })
 *   yield* sessions.startChild("ann", Supervisor.child({ id: "ann", start: serve("ann") }))
 *   yield* sessions.which("ann").terminateChild("ann")
 * }))
 * ```
 */
export const make = (options: Options): Effect.Effect<PartitionSupervisor, never, Scope.Scope> =>
  Effect.map(makePartitions(options), (partitions) => {
    const which = (key: string) => partitions[indexOf(key, partitions.length)] ?? partitions[0]
    const each = <A>(ask: (partition: DynamicSupervisor.DynamicSupervisor) => Effect.Effect<A>) =>
      Effect.forEach(partitions, ask)
    return {
      name: options.name ?? "supervisor",
      partitions,
      which,
      startChild: (key, spec) => which(key).startChild(spec),
      whichChildren: Effect.map(each((partition) => partition.whichChildren), (children) => children.flat()),
      countChildren: Effect.map(each((partition) => partition.countChildren), sum)
    }
  })

/** Starts the partitions with the layer and stops them with it. Options and defects are those of {@link make}. */
export const layer = <I>(tag: Context.Tag<I, PartitionSupervisor>, options: Options): Layer.Layer<I> =>
  Layer.scoped(tag, make(options))

// internal

const makePartitions = ({ name = "supervisor", partitions, ...each }: Options) =>
  Effect.suspend(() => {
    if (!Number.isSafeInteger(partitions) || partitions < 1) {
      throw new RangeError(`partitions must be a positive integer, not ${partitions}`)
    }
    return Effect.parallelFinalizers(Effect.forEach(
      Arr.range(0, partitions - 1),
      (index) => DynamicSupervisor.make({ ...each, name: `${name}/${index}` })
    ))
  })

const indexOf = (key: string, partitions: number): number => (Hash.string(key) >>> 0) % partitions

const sum = (counts: ReadonlyArray<ChildCounts>): ChildCounts => {
  const all = (of: keyof ChildCounts) => EffectNumber.sumAll(counts.map((count) => count[of]))
  return {
    specs: all("specs"),
    active: all("active"),
    supervisors: all("supervisors"),
    workers: all("workers")
  }
}
