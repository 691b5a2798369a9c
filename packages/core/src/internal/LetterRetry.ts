/**
 * Retrying a dead letter: of those who try at once one claims it, and it is removed when its sending succeeded.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type { Letter, RetryError } from "../DeadLetter.ts"
import * as DeadLetter from "../DeadLetter.ts"
import type * as RecordCollection from "../RecordCollection.ts"
import type * as RecordStore from "../RecordStore.ts"
import { exitClass } from "../RestartDecision.ts"
import type { StorageError } from "../StorageError.ts"
import type { Box, Stored } from "./LetterBox.ts"
import { inStore, toLetter } from "./LetterBox.ts"

/** Claims a letter, sends its message, and removes or frees it. */
export const retry = <M, E, R>(
  box: Box<M>,
  id: string,
  send: (message: M, letter: Letter) => Effect.Effect<void, E, R>
): Effect.Effect<void, E | RetryError, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const entry = yield* restore(find(box, id))
      const message = yield* decode(box, entry)
      const claimed = yield* claim(box, entry)
      const sending = Effect.timeoutFail(Effect.suspend(() => send(message, toLetter(entry))), {
        duration: box.lease,
        onTimeout: () => new DeadLetter.LetterRetryTimedOut({ letter: id, lease: box.lease })
      })
      const exit = yield* Effect.exit(restore(sending))
      if (Exit.isSuccess(exit)) {
        return yield* settle(box, box.letters.remove(id, claimed.revision))
      }
      yield* giveBack(box, claimed, exitClass(exit) === "interrupted" ? 0 : 1)
      return yield* exit
    })
  )

const find = <M>(
  box: Box<M>,
  id: string
): Effect.Effect<RecordCollection.Entry<Stored>, DeadLetter.LetterNotFound | StorageError> =>
  Effect.flatMap(
    inStore(box, box.letters.get(id)),
    Option.match({
      onNone: () => new DeadLetter.LetterNotFound({ letter: id }),
      onSome: Effect.succeed
    })
  )

const decode = <M>(
  box: Box<M>,
  { key, value }: RecordCollection.Entry<Stored>
): Effect.Effect<M, DeadLetter.LetterUndecodable> =>
  Effect.mapError(
    Effect.suspend(() => box.decode(value.message)),
    ({ message }) => new DeadLetter.LetterUndecodable({ letter: key, detail: message })
  )

/** Marks a letter as being retried, if it still is as it was read: of those who try at once, one succeeds. */
const claim = <M>(box: Box<M>, entry: RecordCollection.Entry<Stored>) =>
  Effect.gen(function*() {
    const { key, revision, value } = entry
    const now = yield* Clock.currentTimeMillis
    const untilMillis = now + Duration.toMillis(box.lease)
    if (value.claimedUntilMillis > now) {
      return yield* new DeadLetter.LetterClaimed({ letter: key, untilMillis: value.claimedUntilMillis })
    }
    const marked = { ...value, claimedUntilMillis: untilMillis }
    const lost = ({ actual }: RecordStore.RecordConflict) =>
      actual === 0
        ? new DeadLetter.LetterNotFound({ letter: key })
        : new DeadLetter.LetterClaimed({ letter: key, untilMillis })
    const [claimed = 0] = yield* Effect.mapError(
      box.store.commit([box.letters.put(key, marked, revision)]),
      (error) => error._tag === "RecordConflict" ? lost(error) : error
    )
    return { ...entry, value: marked, revision: claimed }
  })

/** A letter whose claim cannot be taken back can be retried when the lease is over. */
const giveBack = <M>(
  box: Box<M>,
  { key, revision, value }: RecordCollection.Entry<Stored>,
  spent: number
): Effect.Effect<void> => {
  const free = { ...value, claimedUntilMillis: 0, attempts: value.attempts + spent }
  return Effect.catchTag(
    settle(box, box.letters.put(key, free, revision)),
    "StorageError",
    (error) => Effect.logWarning(`Dead letter ${key} stays claimed until its lease is over`, error)
  )
}

/** Somebody else may have removed the letter meanwhile, or claimed it after the lease: then it is theirs. */
const settle = <M>(box: Box<M>, write: RecordStore.Write): Effect.Effect<void, StorageError> =>
  Effect.catchTag(Effect.asVoid(box.store.commit([write])), "RecordConflict", () => Effect.void)
