/**
 * A schedule store keeps what of a schedule outlives the process, as records of a `RecordStore`. Two processes with one
 * schedule on one store claim each of its times by the record's revision: one of them runs it.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as RecordCollection from "./RecordCollection.ts"
import type { RecordConflict } from "./RecordStore.ts"
import { RecordStore } from "./RecordStore.ts"
import type { StorageError } from "./StorageError.ts"

/**
 * What is kept of a schedule.
 *
 * `timing`: the timing as text; another one starts the timetable anew. `anchorMillis`: when the timetable was fixed on
 * the clock. `handledMillis`: every time due up to then has been started, skipped or missed. `claim`: who wrote
 * `handledMillis` last.
 */
export const StoredSchedule = Schema.Struct({
  timing: Schema.String,
  anchorMillis: Schema.Number,
  handledMillis: Schema.Number,
  paused: Schema.Boolean,
  claim: Schema.String
})

/** What is kept of a schedule. */
export type StoredSchedule = typeof StoredSchedule.Type

/** A stored schedule and the revision it is at. */
export type Entry = RecordCollection.Entry<StoredSchedule>

/** There is no stored schedule with this id. Look at `list` for those there are. */
export class StoredScheduleNotFound
  extends Schema.TaggedError<StoredScheduleNotFound>("@holdfast/core/StoredScheduleNotFound")(
    "StoredScheduleNotFound",
    { id: Schema.String }
  )
{
  override get message(): string {
    return `there is no stored schedule "${this.id}"`
  }
}

/** Reads one schedule. */
export const get = (id: string): Effect.Effect<Option.Option<Entry>, StorageError, RecordStore> =>
  collection.get(id)

/** Reads schedules in the order of their ids, at most `limit`, from after an id on. */
export const list = (options: {
  readonly limit: number
  readonly after?: string
}): Effect.Effect<ReadonlyArray<Entry>, StorageError, RecordStore> => collection.list(options)

/** Writes a schedule if it is still at the revision; 0: if there is none. */
export const put = (
  id: string,
  value: StoredSchedule,
  revision: number
): Effect.Effect<void, RecordConflict | StorageError, RecordStore> =>
  Effect.flatMap(
    RecordStore,
    (store) => Effect.asVoid(store.commit([collection.put(id, value, revision)]))
  )

/** Pauses a schedule in every process: from its next time on nothing runs. */
export const pause = (
  id: string
): Effect.Effect<void, StoredScheduleNotFound | StorageError, RecordStore> =>
  update(id, (value) => ({ ...value, paused: true }))

/** Lets a schedule go on in every process. What fell due while it was paused does not run. */
export const resume = (
  id: string
): Effect.Effect<void, StoredScheduleNotFound | StorageError, RecordStore> =>
  Effect.flatMap(
    Clock.currentTimeMillis,
    (now) =>
      update(id, (value) =>
        value.paused
          ? { ...value, paused: false, handledMillis: Math.max(value.handledMillis, now) }
          : value)
  )

/**
 * Forgets a schedule: every process that has it ends it at its next time, and one that schedules it again begins anew.
 * One that is not there is no failure.
 */
export const remove = (id: string): Effect.Effect<void, StorageError, RecordStore> =>
  Effect.flatMap(RecordStore, (store) =>
    store.commit([collection.remove(id)]).pipe(
      Effect.asVoid,
      // A removal that expects no revision has no conflict.
      Effect.catchTag("RecordConflict", (conflict) => Effect.die(conflict))
    ))

// internal

const collection = RecordCollection.make("schedules", StoredSchedule)

// Each conflict means that another write went through, so that among those who try one always gets on.
const update = (
  id: string,
  change: (value: StoredSchedule) => StoredSchedule
): Effect.Effect<void, StoredScheduleNotFound | StorageError, RecordStore> =>
  Effect.flatMap(
    get(id),
    Option.match({
      onNone: () => Effect.fail(new StoredScheduleNotFound({ id })),
      onSome: ({ revision, value }) =>
        Effect.catchTag(put(id, change(value), revision), "RecordConflict", () => update(id, change))
    })
  )
