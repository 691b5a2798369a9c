import { describe, expect, it } from "@effect/vitest"
import * as FeatureFlags from "@holdfast/core/FeatureFlags"
import * as FlagSetting from "@holdfast/core/FlagSetting"
import * as MemoryRecords from "@holdfast/core/MemoryRecords"
import { RecordStore } from "@holdfast/core/RecordStore"
import { StorageError } from "@holdfast/core/StorageError"
import * as Sqlite from "@holdfast/persistence/Sqlite"
import * as Chunk from "effect/Chunk"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { temporaryStore } from "../support/store-processes.ts"
import { yieldingRecords } from "./YieldingRecords.ts"

const because = { who: "ann", why: "because" }

const open = (records: Layer.Layer<RecordStore, StorageError>) =>
  FeatureFlags.layer.pipe(
    Layer.provide(records),
    Layer.fresh,
    Layer.build,
    Effect.map(Context.get(FeatureFlags.FeatureFlags))
  )

const openTwo = Effect.suspend(() => {
  const records = yieldingRecords(MemoryRecords.memory())
  return Effect.all([open(records), open(records)])
})

/** Lets what another program changed come through. */
const settle = Effect.repeatN(Effect.yieldNow(), 30)

const setting = FastCheck.oneof(
  FastCheck.boolean(),
  FastCheck.record({
    percentage: FastCheck.constantFrom(0, 12.5, 50, 100, -1, 100.1, Number.NaN),
    salt: FastCheck.constantFrom("s", "t")
  }, { requiredKeys: ["percentage"] })
) as FastCheck.Arbitrary<FlagSetting.NewSetting>

const names = ["a", "a/", "a/0000000000000001", "é😀"]

const step = FastCheck.record({
  by: FastCheck.constantFrom(0 as const, 1 as const),
  name: FastCheck.constantFrom(...names),
  setting,
  defines: FastCheck.boolean()
})

interface ModelFlag {
  setting: FlagSetting.FlagSetting
  readonly audit: Array<{ readonly before: unknown; readonly after: unknown; readonly why: string }>
}

/** What a step does to the model, and the tag of the error it ends with. */
const applyStep = (
  model: Map<string, ModelFlag>,
  { defines, name, setting: next }: { defines: boolean; name: string; setting: FlagSetting.NewSetting },
  why: string
): string => {
  if (typeof next === "object" && !(next.percentage >= 0 && next.percentage <= 100)) {
    return "InvalidPercentage"
  }
  const known = model.get(name)
  if (known === undefined && !defines) return "UnknownFlag"
  if (known !== undefined && defines) return ""
  const before = known?.setting ?? false
  const salt = typeof before === "object" ? before.salt : name
  const after = typeof next === "boolean" ? next : { percentage: next.percentage, salt: next.salt ?? salt }
  if (known === undefined) model.set(name, { setting: after, audit: [] })
  else {
    known.audit.unshift({ before, after, why })
    known.setting = after
  }
  return ""
}

describe("FeatureFlags", () => {
  it.effect.prop(
    "law: two programs on one store show the settings and the audit that a model has",
    { steps: FastCheck.array(step, { maxLength: 20 }) },
    ({ steps }) =>
      Effect.scoped(Effect.gen(function*() {
        const programs = yield* openTwo
        const model = new Map<string, ModelFlag>()
        for (const [index, { by, ...step }] of steps.entries()) {
          const reason = { who: `${by}`, why: `${index}` }
          const flags = programs[by]
          const done = step.defines
            ? flags.define(step.name, step.setting)
            : flags.set(step.name, step.setting, reason)
          const tag = yield* Effect.match(done, { onFailure: ({ _tag }) => _tag, onSuccess: () => "" })
          expect(tag).toBe(applyStep(model, step, reason.why))
          const known = model.get(step.name)
          if (known === undefined) continue
          expect(yield* flags.isEnabled(step.name, "id")).toBe(FlagSetting.isEnabled(known.setting, "id"))
        }
        yield* settle
        for (const flags of programs) {
          expect(new Map((yield* flags.flags).map(({ name, setting }) => [name, setting]))).toEqual(
            new Map(Array.from(model, ([name, { setting }]) => [name, setting] as const))
          )
          for (const name of names) {
            const audit: Array<FeatureFlags.FlagChange> = []
            let page = yield* flags.audit(name, { limit: 2 })
            while (page.length > 0) {
              audit.push(...page)
              page = yield* flags.audit(name, { limit: 2, before: page.at(-1)?.change ?? 0 })
            }
            expect(audit.map(({ after, before, why }) => ({ before, after, why }))).toEqual(
              model.get(name)?.audit ?? []
            )
          }
        }
      })),
    { fastCheck: { numRuns: 100 } }
  )

  it.scoped("fails typed for an unknown flag, naming it and the nearest known one", () =>
    Effect.gen(function*() {
      const [flags] = yield* openTwo
      const none = yield* Effect.flip(flags.isEnabled("dark"))
      expect(none.message).toBe("there is no flag \"dark\": none is defined")
      yield* flags.define("dark-mode", true)
      yield* flags.define("beta", true)
      for (const use of [flags.isEnabled("darkmode", "id"), flags.set("darkmode", false, because)]) {
        const error = yield* Effect.flip(Effect.asVoid(use))
        expect(error).toMatchObject({ _tag: "UnknownFlag", flag: "darkmode", nearest: "dark-mode" })
        expect(error.message).toContain("did you mean \"dark-mode\"?")
      }
    }))

  it.scoped("loses no change of several programs at once: each audit begins where the one before it ended", () =>
    Effect.gen(function*() {
      const programs = yield* openTwo
      yield* programs[0].define("a", { percentage: 0 })
      yield* Effect.forEach(
        Array.from({ length: 40 }),
        (_, index) =>
          Effect.forEach(programs, (flags) => flags.set("a", { percentage: index }, because), {
            concurrency: "unbounded"
          }),
        { concurrency: "unbounded" }
      )
      const audit = (yield* programs[1].audit("a", { limit: 1_000 })).toReversed()
      expect(audit.map(({ change }) => change)).toEqual(Array.from({ length: 80 }, (_, index) => index + 1))
      let last: FlagSetting.FlagSetting = { percentage: 0, salt: "a" }
      for (const { after, before } of audit) {
        expect(before).toEqual(last)
        last = after
      }
      yield* settle
      for (const flags of programs) {
        expect(yield* flags.flags).toEqual([{ name: "a", setting: last, changes: 80 }])
      }
    }))

  it.scoped("keeps the last changes of a flag, and what was said of each up to a bound", () =>
    Effect.gen(function*() {
      const memory = MemoryRecords.memory()
      const flags = yield* open(MemoryRecords.layerFrom(memory))
      yield* flags.define("a", false)
      yield* Effect.forEach(
        Array.from({ length: FeatureFlags.auditMax + 5 }),
        (_, index) => flags.set("a", index % 2 === 0, { who: "w".repeat(2_000), why: "😀".repeat(2_000) })
      )
      expect(memory.collections.get("flags/audit")?.size).toBe(FeatureFlags.auditMax)
      const [last] = yield* flags.audit("a", { limit: 1 })
      expect([last?.change, last?.who.length, last?.why.length]).toEqual([1_005, 1_000, 1_000])
    }))

  it.scoped("emits each flag that is defined or changed, here and elsewhere, and nothing else", () =>
    Effect.gen(function*() {
      const [here, there] = yield* openTwo
      const taken = yield* Effect.fork(Stream.runCollect(Stream.take(here.changes, 4)))
      yield* settle
      yield* here.define("a", false)
      yield* here.define("a", true)
      yield* settle
      yield* there.set("a", true, because)
      yield* settle
      yield* Effect.flip(there.set("b", true, because))
      yield* here.set("a", { percentage: 5 }, because)
      yield* there.define("b", true)
      const changes = Array.from(Chunk.toReadonlyArray(yield* Fiber.join(taken)))
      expect(changes.map(({ changes, name, setting }) => [name, setting, changes])).toEqual([
        ["a", false, 0],
        ["a", true, 1],
        ["a", { percentage: 5, salt: "a" }, 2],
        ["b", true, 0]
      ])
    }))

  it.scoped("reads without the store, keeps its flags while the store fails, and follows when it is well", () =>
    Effect.gen(function*() {
      const store = MemoryRecords.make(MemoryRecords.memory())
      let failing = false
      let reads = 0
      const failure = new StorageError({ operation: "list", reason: "Io", outcome: "none", detail: "" })
      const faulty = RecordStore.of({
        ...store,
        list: (...args) =>
          Effect.suspend(() => {
            reads += 1
            return failing ? Effect.fail(failure) : store.list(...args)
          })
      })
      const flags = yield* open(Layer.succeed(RecordStore, faulty))
      const other = yield* open(Layer.succeed(RecordStore, store))
      yield* flags.define("a", false)
      yield* settle
      reads = 0
      yield* Effect.repeatN(flags.isEnabled("a", "id"), 99)
      expect(reads).toBe(0)
      failing = true
      yield* other.set("a", true, because)
      yield* settle
      expect([yield* flags.isEnabled("a"), reads]).toEqual([false, 1])
      yield* TestClock.adjust(FeatureFlags.retryInterval)
      expect([yield* flags.isEnabled("a"), reads]).toEqual([false, 2])
      failing = false
      yield* TestClock.adjust(FeatureFlags.retryInterval)
      expect(yield* flags.isEnabled("a")).toBe(true)
    }))

  it.scopedLive("survives a restart on SQLite, and is seen by another node", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryStore
      const records: Layer.Layer<RecordStore, StorageError> = Sqlite.layer({ filename })
      yield* Effect.scoped(Effect.gen(function*() {
        const flags = yield* open(records)
        yield* flags.define("a", false)
        yield* flags.set("a", { percentage: 100 }, because)
      }))
      const [here, there] = yield* Effect.all([open(records), open(records)])
      expect(yield* here.isEnabled("a")).toBe(true)
      const seen = yield* Effect.fork(Stream.runHead(there.changes))
      yield* Effect.yieldNow()
      yield* here.set("a", false, because)
      yield* Fiber.join(seen)
      expect(yield* there.isEnabled("a")).toBe(false)
      expect((yield* there.audit("a")).map(({ change }) => change)).toEqual([2, 1])
    }))
})
