import type { RecordStore } from "@holdfast/core/RecordStore"
import { put } from "@holdfast/core/RecordStore"
import type { StorageError } from "@holdfast/core/StorageError"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"

/** Adds one to a number in a record, however often others are faster. */
export const increment = (
  store: RecordStore["Type"],
  collection: string,
  key: string
): Effect.Effect<void, StorageError> =>
  Effect.gen(function*() {
    const found = yield* store.get(collection, key)
    const { revision, value } = Option.getOrElse(found, () => ({ value: "0", revision: 0 }))
    yield* store.commit([put(collection, key, `${Number(value) + 1}`, revision)])
  }).pipe(Effect.catchTag("RecordConflict", () => increment(store, collection, key)))
