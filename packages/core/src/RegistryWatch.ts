/**
 * A registry watch is what one watcher has yet to be told of the entries it watches. Whoever changes a registry tells its
 * watchers and goes on; a watcher that falls behind loses the oldest events, and is told how many.
 */
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import { isSelected } from "./RegistryPlan.ts"
import type { Selection } from "./RegistryQuery.ts"
import type { Change, Entry } from "./RegistryState.ts"

/** An entry is among those watched now: it is new, or was updated into them. */
export interface Registered<out Value, out Metadata> {
  readonly _tag: "Registered"
  readonly entry: Entry<Value, Metadata>
}

/** The metadata of a watched entry changed, and it is still among those watched. */
export interface Updated<out Value, out Metadata> {
  readonly _tag: "Updated"
  readonly entry: Entry<Value, Metadata>
  readonly before: Metadata
}

/** An entry is no longer among those watched: it is gone, or was updated out of them. `entry` is as it last was there. */
export interface Unregistered<out Value, out Metadata> {
  readonly _tag: "Unregistered"
  readonly entry: Entry<Value, Metadata>
}

/** So many events, older than the next one, were lost to this watcher. Remedy: watch anew, which begins with what is there. */
export interface Lagged {
  readonly _tag: "Lagged"
  readonly missed: number
}

/** What a watcher is told. */
export type WatchEvent<Value, Metadata> =
  | Registered<Value, Metadata>
  | Updated<Value, Metadata>
  | Unregistered<Value, Metadata>
  | Lagged

/** How many events are kept for a watcher that falls behind. */
export const pendingMax = 256

/** What one watcher watches, and has yet to be told. */
export interface Watcher<Value, Metadata> {
  readonly selection: Selection<Metadata>
  /** Oldest first, at most `pendingMax`. */
  pending: Array<WatchEvent<Value, Metadata>>
  missed: number
  readonly isTold: Effect.Latch
}

/** Makes a watcher that has been told nothing. */
export const make = <Value, Metadata>(selection: Selection<Metadata>): Watcher<Value, Metadata> => ({
  selection,
  pending: [],
  missed: 0,
  isTold: Effect.unsafeMakeLatch()
})

/** Says that an entry is there. */
export const registered = <Value, Metadata>(
  entry: Entry<Value, Metadata>
): WatchEvent<Value, Metadata> => ({ _tag: "Registered", entry })

/** What a change is to those who watch a selection, if anything. */
export const eventOf = <Value, Metadata>(
  selection: Selection<Metadata>,
  { after, before }: Change<Value, Metadata>
): WatchEvent<Value, Metadata> | undefined => {
  const was = before !== undefined && isSelected(selection, before.entry) ? before.entry : undefined
  const is = after !== undefined && isSelected(selection, after.entry) ? after.entry : undefined
  if (is === undefined) return was && { _tag: "Unregistered", entry: was }
  return was === undefined
    ? { _tag: "Registered", entry: is }
    : { _tag: "Updated", entry: is, before: was.metadata }
}

/** Tells a watcher of a change, without waiting for it. */
export const tell = <Value, Metadata>(
  watcher: Watcher<Value, Metadata>,
  change: Change<Value, Metadata>
): void => {
  const event = eventOf(watcher.selection, change)
  if (event === undefined) return
  watcher.pending.push(event)
  if (watcher.pending.length > pendingMax) {
    watcher.pending.shift()
    watcher.missed += 1
  }
  watcher.isTold.unsafeOpen()
}

/** Takes what a watcher has yet to be told, waiting until there is something. */
export const take = <Value, Metadata>(
  watcher: Watcher<Value, Metadata>
): Effect.Effect<Chunk.Chunk<WatchEvent<Value, Metadata>>> =>
  Effect.flatMap(watcher.isTold.await, () =>
    Effect.sync(() => {
      const { missed, pending } = watcher
      watcher.pending = []
      watcher.missed = 0
      watcher.isTold.unsafeClose()
      return Chunk.unsafeFromArray(missed === 0 ? pending : [{ _tag: "Lagged", missed }, ...pending])
    }))
