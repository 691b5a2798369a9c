/**
 * Feature flags say for whom a feature is on; they are kept in a record store, with who changed them and why.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { NewSetting } from "./FlagSetting.ts"
import * as FlagSetting from "./FlagSetting.ts"
import * as RecordCollection from "./RecordCollection.ts"
import type { RecordConflict, Write } from "./RecordStore.ts"
import { compareKeys, RecordStore } from "./RecordStore.ts"
import type { StorageError } from "./StorageError.ts"

/** Is who makes a change, and why; the first 1,000 characters of each are kept. */
export interface Reason {
  readonly who: string
  readonly why: string
}

/** Is a flag as it stands. */
export interface Flag {
  readonly name: string
  readonly setting: FlagSetting.FlagSetting
  /** How often it was set since it was defined. */
  readonly changes: number
}

/** Is one change of a flag: the audit of it. */
export interface FlagChange extends Reason {
  readonly name: string
  /** Counts the changes of the flag from 1. */
  readonly change: number
  readonly before: FlagSetting.FlagSetting
  readonly after: FlagSetting.FlagSetting
  readonly atMillis: number
}

/** Nobody has defined a flag of this name. Define it, or mend the name: `nearest` is the one most like it. */
export class UnknownFlag
  extends Schema.TaggedError<UnknownFlag>("@holdfast/core/UnknownFlag")("UnknownFlag", {
    flag: Schema.String,
    nearest: Schema.optional(Schema.String)
  })
{
  override get message(): string {
    const hint = this.nearest === undefined ? "none is defined" : `did you mean "${this.nearest}"?`
    return `there is no flag "${this.flag}": ${hint}`
  }
}

/** How many changes of a flag are kept for audit; the oldest go first. */
export const auditMax = 1_000

/** How many changed flags wait for a reader. */
export const changesMax = 64

/** How long after a failed read of changed flags they are read again: 1 second. */
export const retryInterval = "1 second"

/**
 * Keeps flags. Reads are one look-up in memory, which follows the store: what another process set is seen as soon as the
 * store tells of it.
 */
export class FeatureFlags extends Context.Tag("@holdfast/core/FeatureFlags")<FeatureFlags, {
  /** Makes a flag known, with the setting it starts with. One that is there already keeps its setting. */
  readonly define: (
    name: string,
    initial: NewSetting
  ) => Effect.Effect<void, FlagSetting.InvalidPercentage | StorageError>
  /** Whether a feature is on, for an id where it is on for some; without an id it has to be on for all. */
  readonly isEnabled: (name: string, id?: string) => Effect.Effect<boolean, UnknownFlag>
  /** Every flag, by name. */
  readonly flags: Effect.Effect<ReadonlyArray<Flag>>
  /** Changes a flag. Of changes at the same time the last one stands, and each is in the audit. */
  readonly set: (
    name: string,
    setting: NewSetting,
    reason: Reason
  ) => Effect.Effect<void, UnknownFlag | FlagSetting.InvalidPercentage | StorageError>
  /** Lists changes of a flag, newest first. `before`: the last change of the page before. `limit`: 100 by default. */
  readonly audit: (
    name: string,
    page?: { readonly before?: number; readonly limit?: number }
  ) => Effect.Effect<ReadonlyArray<FlagChange>, StorageError>
  /**
   * Emits a flag when it was defined or changed, here or in another process. Of changes in quick succession the last one
   * is certain. A reader that falls behind more than 64 misses the oldest.
   */
  readonly changes: Stream.Stream<Flag>
}>() {}

/**
 * The flags of a record store; they are read once before the layer is there.
 *
 * @example
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import * as FeatureFlags from "@holdfast/core/FeatureFlags"
 * import * as MemoryRecords from "@holdfast/core/MemoryRecords"
 *
 * const program = Effect.gen(function*() {
 *   const flags = yield* FeatureFlags.FeatureFlags
 *   yield* flags.define("new-checkout", { percentage: 0 })
 *   yield* flags.set("new-checkout", { percentage: 25 }, { who: "ann", why: "first quarter" })
 *   return yield* flags.isEnabled("new-checkout", "customer-7")
 * })
 *
 * const runnable = Effect.provide(program, FeatureFlags.layer.pipe(Layer.provide(MemoryRecords.layer)))
 */
export const layer: Layer.Layer<FeatureFlags, StorageError, RecordStore> = Layer.scoped(
  FeatureFlags,
  Effect.suspend(() => make)
)

// internal

const StoredFlag = Schema.Struct({ setting: FlagSetting.FlagSetting, changes: Schema.Number })

const StoredChange = Schema.Struct({
  before: FlagSetting.FlagSetting,
  after: FlagSetting.FlagSetting,
  who: Schema.String,
  why: Schema.String,
  atMillis: Schema.Number
})

/** By name. */
const stored = RecordCollection.make("flags/settings", StoredFlag)

/** By name and change. */
const audits = RecordCollection.make("flags/audit", StoredChange)

type FlagEntry = RecordCollection.Entry<typeof StoredFlag.Type>

/** A name is encoded in the keys of its changes, so that none is the beginning of another. */
const prefixOf = (name: string): string => `${encodeURIComponent(name)}/`

const keyOf = (name: string, change: number): string => prefixOf(name) + String(change).padStart(16, "0")

interface Flags {
  readonly store: RecordStore["Type"]
  /** Bounded by the flags that programs define. */
  readonly cache: Map<string, FlagEntry>
  readonly changed: PubSub.PubSub<Flag>
}

const make: Effect.Effect<FeatureFlags["Type"], StorageError, RecordStore | Scope.Scope> = Effect.gen(
  function*() {
    const store = yield* RecordStore
    const changed = yield* Effect.acquireRelease(PubSub.sliding<Flag>(changesMax), PubSub.shutdown)
    const flags: Flags = { store, cache: new Map(), changed }
    const inStore = Effect.provideService(RecordStore, store)
    const awaitChange = yield* store.subscribe(stored.name)
    yield* inStore(refresh(flags, undefined))
    yield* Effect.forkScoped(Effect.forever(Effect.zipRight(awaitChange, inStore(follow(flags)))))
    return {
      define: (name, initial) => inStore(define(flags, name, initial)),
      isEnabled: (name, id) =>
        Effect.map(find(flags, name), ({ value }) => FlagSetting.isEnabled(value.setting, id)),
      flags: Effect.sync(() =>
        Array.from(flags.cache.values(), toFlag).sort((a, b) => compareKeys(a.name, b.name))
      ),
      set: (name, setting, reason) => inStore(set(flags, name, setting, reason)),
      audit: (name, page) => inStore(audit(name, page)),
      changes: Stream.fromPubSub(changed)
    }
  }
)

const find = (flags: Flags, name: string): Effect.Effect<FlagEntry, UnknownFlag> =>
  Effect.suspend(() => {
    const found = flags.cache.get(name)
    return found === undefined ? Effect.fail(unknown(name, flags)) : Effect.succeed(found)
  })

const unknown = (name: string, { cache }: Flags): UnknownFlag => {
  const nearest = FlagSetting.nearest(name, Array.from(cache.keys()))
  return new UnknownFlag({ flag: name, ...(nearest === undefined ? {} : { nearest }) })
}

const define = (
  flags: Flags,
  name: string,
  initial: NewSetting
): Effect.Effect<void, FlagSetting.InvalidPercentage | StorageError, RecordStore> =>
  Effect.gen(function*() {
    if (FlagSetting.isInvalid(initial)) return yield* invalid(name, initial.percentage)
    const value = { setting: FlagSetting.resolve(name, initial, undefined), changes: 0 }
    yield* Effect.catchTag(
      write(flags, name, value, 0, []),
      "RecordConflict",
      () => Effect.flatMap(stored.get(name), (found) => learn(flags, Option.toArray(found)))
    )
  })

/** Tries again where somebody else was faster, so that each change in the audit begins where the last one ended. */
const set = (
  flags: Flags,
  name: string,
  next: NewSetting,
  reason: Reason
): Effect.Effect<void, UnknownFlag | FlagSetting.InvalidPercentage | StorageError, RecordStore> =>
  Effect.gen(function*() {
    if (FlagSetting.isInvalid(next)) return yield* invalid(name, next.percentage)
    const found = Option.getOrUndefined(yield* stored.get(name))
    if (found === undefined) return yield* unknown(name, flags)
    const { changes, setting: before } = found.value
    const after = FlagSetting.resolve(name, next, before)
    const change = changes + 1
    const atMillis = yield* Clock.currentTimeMillis
    yield* write(flags, name, { setting: after, changes: change }, found.revision, [
      audits.put(keyOf(name, change), { before, after, ...bounded(reason), atMillis }),
      ...(change > auditMax ? [audits.remove(keyOf(name, change - auditMax))] : [])
    ])
  }).pipe(Effect.catchTag("RecordConflict", () => set(flags, name, next, reason)))

/** What was written is known here before the writer goes on. */
const write = (
  flags: Flags,
  name: string,
  value: typeof StoredFlag.Type,
  expected: number,
  others: ReadonlyArray<Write>
): Effect.Effect<void, RecordConflict | StorageError> =>
  Effect.flatMap(
    Effect.zip(flags.store.commit([stored.put(name, value, expected), ...others]), Clock.currentTimeMillis),
    ([[revision = 0], updatedAtMillis]) => learn(flags, [{ key: name, value, revision, updatedAtMillis }])
  )

const invalid = (flag: string, percentage: number) => new FlagSetting.InvalidPercentage({ flag, percentage })

const bounded = ({ who, why }: Reason): Reason => ({ who: who.slice(0, 1_000), why: why.slice(0, 1_000) })

const pageMax = 100

const refresh = (
  flags: Flags,
  after: string | undefined
): Effect.Effect<void, StorageError, RecordStore> =>
  Effect.gen(function*() {
    const page = yield* stored.list({ ...(after === undefined ? {} : { after }), limit: pageMax })
    yield* learn(flags, page)
    const last = page[pageMax - 1]
    if (last !== undefined) yield* refresh(flags, last.key)
  })

/** While storage fails, the flags stay as they were. */
const follow = (flags: Flags): Effect.Effect<void, never, RecordStore> =>
  Effect.catchTag(refresh(flags, undefined), "StorageError", (error) =>
    Effect.zipRight(
      Effect.logWarning(error.message),
      Effect.suspend(() => Effect.delay(follow(flags), retryInterval))
    ))

/** Takes only what is newer: a read may end later than one that began after it. */
const learn = ({ cache, changed }: Flags, entries: ReadonlyArray<FlagEntry>): Effect.Effect<void> =>
  Effect.suspend(() => {
    const newer = entries.filter(({ key, revision }) => revision > (cache.get(key)?.revision ?? 0))
    for (const entry of newer) cache.set(entry.key, entry)
    return Effect.asVoid(PubSub.publishAll(changed, newer.map(toFlag)))
  })

const toFlag = ({ key, value }: FlagEntry): Flag => ({ name: key, ...value })

const audit = (
  name: string,
  { before, limit = 100 }: { readonly before?: number; readonly limit?: number } = {}
): Effect.Effect<ReadonlyArray<FlagChange>, StorageError, RecordStore> =>
  Effect.map(
    audits.list({
      prefix: prefixOf(name),
      order: "descending",
      ...(before === undefined ? {} : { after: keyOf(name, before) }),
      limit
    }),
    (entries) =>
      entries.map(({ key, value }) => ({
        name,
        change: Number(key.slice(prefixOf(name).length)),
        ...value
      }))
  )
