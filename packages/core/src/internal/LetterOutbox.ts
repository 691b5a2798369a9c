/**
 * A letter outbox is where a router leaves what its recipients could not handle, on the way to the dead letters.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { Draft } from "../DeadLetter.ts"
import type { DeadLetters } from "../DeadLetters.ts"

/** Is an outbox, changed in place; without dead letters it keeps nothing. */
export interface LetterOutbox<M> {
  readonly deadLetters: DeadLetters<M> | undefined
  /** Waiting to be written; at the most `pendingMax`. */
  readonly pending: Array<Draft<M>>
  readonly work: Effect.Latch
  isClosed: boolean
  /** How many messages should have become letters and did not. */
  unkept: number
}

/** How many letters may wait to be written. What comes when so many wait is counted as unkept. */
export const pendingMax = 1_000

/** Makes an empty outbox. */
export const make = <M>(deadLetters: DeadLetters<M> | undefined): LetterOutbox<M> => ({
  deadLetters,
  pending: [],
  work: Effect.unsafeMakeLatch(),
  isClosed: false,
  unkept: 0
})

/** Leaves a message to be written soon, for those who must not wait for storage. */
export const leave = <M>(outbox: LetterOutbox<M>, draft: Draft<M>): void => {
  if (outbox.deadLetters === undefined) return
  if (outbox.isClosed || outbox.pending.length >= pendingMax) {
    outbox.unkept += 1
    return
  }
  outbox.pending.push(draft)
  outbox.work.unsafeOpen()
}

/** Writes messages now. When storage fails it is not asked again for the rest: they are logged and counted as unkept. */
export const keep = <M>(outbox: LetterOutbox<M>, drafts: ReadonlyArray<Draft<M>>): Effect.Effect<void> =>
  Effect.gen(function*() {
    if (outbox.deadLetters === undefined) return
    for (const [index, draft] of drafts.entries()) {
      const kept = yield* Effect.either(outbox.deadLetters.add(draft))
      if (Either.isRight(kept)) continue
      const isStorage = kept.left._tag === "StorageError"
      const lost = isStorage ? drafts.length - index : 1
      outbox.unkept += lost
      yield* Effect.logWarning(
        `${lost} message(s) to "${draft.recipient}" did not become dead letters`,
        kept.left
      )
      if (isStorage) return
    }
  })

/** Writes what is left in the outbox, one after the other, for ever. */
export const drain = <M>(outbox: LetterOutbox<M>): Effect.Effect<never> =>
  Effect.forever(Effect.uninterruptibleMask((restore) =>
    Effect.zipRight(
      restore(awaitPending(outbox)),
      Effect.suspend(() => keep(outbox, outbox.pending.splice(0, 1)))
    )
  ))

/** Takes nothing more and writes what is there. */
export const close = <M>(outbox: LetterOutbox<M>): Effect.Effect<void> =>
  Effect.uninterruptible(Effect.suspend(() => {
    outbox.isClosed = true
    return keep(outbox, outbox.pending.splice(0))
  }))

// internal

const awaitPending = <M>({ pending, work }: LetterOutbox<M>): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (pending.length > 0) return Effect.void
    work.unsafeClose()
    return work.await
  })
