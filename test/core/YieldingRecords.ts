import * as MemoryRecords from "@holdfast/core/MemoryRecords"
import { RecordStore } from "@holdfast/core/RecordStore"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

/** A memory whose reads let other fibers run before they are used, as those of another process do. */
export const yieldingRecords = (memory: MemoryRecords.MemoryRecords): Layer.Layer<RecordStore> => {
  const store = MemoryRecords.make(memory)
  return Layer.succeed(RecordStore, {
    ...store,
    get: (collection, key) => Effect.tap(store.get(collection, key), () => Effect.yieldNow())
  })
}
