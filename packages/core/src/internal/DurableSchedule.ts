/**
 * A durable schedule is one whose times are claimed in a store before they run.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import type { RecordConflict } from "../RecordStore.ts"
import { RecordStore } from "../RecordStore.ts"
import type { DuplicateSchedule, ScheduleSpec } from "../ScheduleSpec.ts"
import * as ScheduleStore from "../ScheduleStore.ts"
import type { StorageError } from "../StorageError.ts"
import * as Timetable from "../Timetable.ts"
import type { Timing, TimingOutOfRange } from "../Timing.ts"
import { format } from "../Timing.ts"
import type { ScheduleEntry, Settings } from "./ScheduleEntry.ts"
import { settingsOf } from "./ScheduleEntry.ts"
import * as Owner from "./ScheduleOwner.ts"
import type { State } from "./Scheduling.ts"
import * as Scheduling from "./Scheduling.ts"

export const schedule = <A, E, R>(
  state: State,
  spec: ScheduleSpec<A, E, R>
): Effect.Effect<
  void,
  DuplicateSchedule | TimingOutOfRange | StorageError,
  RecordStore | Scope.Scope | Exclude<R, Scope.Scope>
> =>
  Effect.gen(function*() {
    const settings = yield* settingsOf(spec)
    const store = yield* RecordStore
    const { anchorMillis, handledMillis } = yield* stored(state, settings)
    const process = yield* Random.nextIntBetween(0, Number.MAX_SAFE_INTEGER)
    const claims: Claims = { name: `${process}`, made: 0, isBusy: false, unsure: undefined }
    yield* Scheduling.register(state, spec, settings, () => ({
      timetable: Timetable.fromTiming(settings.timing, anchorMillis),
      handledMillis,
      isElapsed: false,
      claim: (entry) => Effect.provide(claim(state, claims, entry), Context.make(RecordStore, store))
    }))
  })

// internal

/** The claims of one entry: the last is unsure while it is not known whether the store has written it. */
interface Claims {
  readonly name: string
  made: number
  isBusy: boolean
  unsure: { readonly claim: string; readonly decision: Timetable.Decision } | undefined
}

/** Reads what the store has of a schedule, or begins it there. */
const stored = (
  state: State,
  settings: Settings
): Effect.Effect<ScheduleStore.StoredSchedule, StorageError, RecordStore> =>
  Effect.flatMap(ScheduleStore.get(settings.id), (found) => {
    const timing = format(settings.timing)
    const entry = Option.getOrUndefined(found)
    if (entry?.value.timing === timing) return Effect.succeed(entry.value)
    const begun = beginning(
      settings.timing,
      timing,
      Scheduling.nowMillis(state),
      entry?.value.paused ?? false
    )
    return ScheduleStore.put(settings.id, begun, entry?.revision ?? 0).pipe(
      Effect.as(begun),
      Effect.catchTag("RecordConflict", () => stored(state, settings))
    )
  })

const beginning = (
  timing: Timing,
  text: string,
  anchorMillis: number,
  paused: boolean
): ScheduleStore.StoredSchedule => {
  const timetable = Timetable.fromTiming(timing, anchorMillis)
  const handledMillis = Timetable.handledAtStart(timetable, anchorMillis)
  return { timing: text, anchorMillis, handledMillis, paused, claim: "" }
}

/** Claims what is due and starts it, one claim at a time. While storage fails it stays due and is tried again. */
const claim = (
  state: State,
  claims: Claims,
  entry: ScheduleEntry
): Effect.Effect<void, never, RecordStore> =>
  Effect.suspend(() => {
    if (claims.isBusy) return Effect.void
    claims.isBusy = true
    return tryClaim(state, claims, entry).pipe(
      Effect.catchTag("StorageError", () => Effect.sync(() => tryLater(state, entry))),
      Effect.ensuring(Effect.sync(() => {
        claims.isBusy = false
      }))
    )
  })

const tryLater = (state: State, entry: ScheduleEntry): void =>
  Scheduling.setTimer(state, entry, Scheduling.nowMillis(state) + storageRetryMillis)

const storageRetryMillis = 1_000

const tryClaim = (
  state: State,
  claims: Claims,
  entry: ScheduleEntry
): Effect.Effect<void, StorageError, RecordStore> =>
  Effect.flatMap(
    ScheduleStore.get(entry.id),
    Option.match({
      onNone: () => Owner.end(state, entry),
      onSome: (found) =>
        settle(state, claims, entry, found).pipe(
          // Another process, or a pause, was faster: what it wrote decides.
          Effect.catchTag("RecordConflict", () => tryClaim(state, claims, entry))
        )
    })
  )

const settle = (
  state: State,
  claims: Claims,
  entry: ScheduleEntry,
  { revision, value }: ScheduleStore.Entry
): Effect.Effect<void, RecordConflict | StorageError, RecordStore> => {
  const { unsure } = claims
  claims.unsure = undefined
  if (unsure !== undefined && unsure.claim === value.claim) return started(state, entry, unsure.decision)
  const now = Scheduling.nowMillis(state)
  const { jitterMillis, missed, timetable } = entry
  const decision = Timetable.decide(timetable, missed, value.handledMillis, now, jitterMillis)
  if (value.paused) return started(state, entry, { runs: [], missed: 0, handledMillis: now })
  if (decision.handledMillis === value.handledMillis) return started(state, entry, decision)
  const claim = `${claims.name}-${++claims.made}`
  claims.unsure = { claim, decision }
  return Effect.zipRight(
    ScheduleStore.put(entry.id, { ...value, handledMillis: decision.handledMillis, claim }, revision),
    Effect.suspend(() => {
      claims.unsure = undefined
      return started(state, entry, decision)
    })
  )
}

const started = (state: State, entry: ScheduleEntry, decision: Timetable.Decision): Effect.Effect<void> =>
  Effect.suspend(() => {
    Scheduling.take(entry, decision)
    return Effect.zipRight(Scheduling.arm(state, entry), Scheduling.proceed(state, entry))
  })
