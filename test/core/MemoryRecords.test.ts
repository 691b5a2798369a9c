import { expect, it } from "@effect/vitest"
import * as MemoryRecords from "@holdfast/core/MemoryRecords"
import * as RecordStore from "@holdfast/core/RecordStore"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import { recordStoreSuite } from "./RecordStoreSuite.ts"

recordStoreSuite("Memory", Effect.sync(() => MemoryRecords.layerFrom(MemoryRecords.memory())), 300)

const text = FastCheck.string({ unit: "binary" })

it.prop("law: keys are ordered as their UTF-8 bytes are", { a: text, b: text }, ({ a, b }) => {
  const bytes = Buffer.compare(Buffer.from(a), Buffer.from(b))
  expect(Math.sign(RecordStore.compareKeys(a, b))).toBe(bytes)
}, { fastCheck: { numRuns: 2_000 } })

it.scoped("keeps nothing of a subscription that ended", () =>
  Effect.gen(function*() {
    const memory = MemoryRecords.memory()
    const store = MemoryRecords.make(memory)
    yield* Effect.scoped(Effect.forEach(Array.from({ length: 100 }), () => store.subscribe("watched")))
    expect(memory.subscribers.size).toBe(0)
  }))
