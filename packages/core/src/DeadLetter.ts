/**
 * A dead letter is a message that could not be handled, with the reason.
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import type { StorageError } from "./StorageError.ts"

/**
 * Says why a message is a dead letter.
 *
 * `failed`: its handler failed on every attempt. `crashed`: its handler met a bug. `dropped`: the buffer was full. `gone`:
 * its recipient went before it was handled.
 */
export const Reason = Schema.Literal("failed", "crashed", "dropped", "gone")
export type Reason = typeof Reason.Type

/** Is a message on its way to become a letter. `detail` is for people; `attempts` is how often it was tried. */
export interface Draft<out M> {
  readonly recipient: string
  readonly topic?: string
  readonly message: M
  readonly reason: Reason
  readonly detail: string
  readonly attempts: number
}

/** Is a kept message. `encoded` is the message as JSON text, readable even when its schema has changed. */
export interface Letter extends Omit<Draft<never>, "message"> {
  readonly id: string
  readonly encoded: string
  readonly atMillis: number
}

/** How many letters are kept, unless said otherwise. */
export const defaultMax = 10_000

/** How long a retry may take, unless said otherwise. */
export const defaultLease: Duration.Duration = Duration.minutes(1)

/** How many UTF-16 code units of a `detail` are kept. */
export const detailMax = 1_000

/** Is why a retry did not succeed, beside what the sending failed with. */
export type RetryError =
  | LetterNotFound
  | LetterClaimed
  | LetterUndecodable
  | LetterRetryTimedOut
  | StorageError

/** No letter has this id: it was retried, removed, or had to go for a newer one. */
export class LetterNotFound extends Schema.TaggedError<LetterNotFound>("@holdfast/core/LetterNotFound")(
  "LetterNotFound",
  { letter: Schema.String }
) {
  override get message(): string {
    return `there is no dead letter ${this.letter}`
  }
}

/** Somebody else is retrying the letter. Remedy: look again after `untilMillis` (since the epoch). */
export class LetterClaimed
  extends Schema.TaggedError<LetterClaimed>("@holdfast/core/LetterClaimed")("LetterClaimed", {
    letter: Schema.String,
    untilMillis: Schema.Number
  })
{
  override get message(): string {
    return `dead letter ${this.letter} is being retried until ${
      DateTime.formatIso(DateTime.unsafeMake(this.untilMillis))
    } at most`
  }
}

/** The letter's message is none that the schema knows. Remedy: a schema that reads the older form, or remove it. */
export class LetterUndecodable
  extends Schema.TaggedError<LetterUndecodable>("@holdfast/core/LetterUndecodable")("LetterUndecodable", {
    letter: Schema.String,
    detail: Schema.String
  })
{
  override get message(): string {
    return `the message of dead letter ${this.letter} does not decode: ${this.detail}`
  }
}

/** The sending took longer than the lease and was interrupted; the letter stays. Remedy: a longer `lease`. */
export class LetterRetryTimedOut
  extends Schema.TaggedError<LetterRetryTimedOut>("@holdfast/core/LetterRetryTimedOut")(
    "LetterRetryTimedOut",
    {
      letter: Schema.String,
      lease: Schema.Duration
    }
  )
{
  override get message(): string {
    return `retrying dead letter ${this.letter} took longer than ${Duration.format(this.lease)}`
  }
}

/** The message cannot be stored: it does not encode, or is larger than a record may be. */
export class LetterUnkeepable
  extends Schema.TaggedError<LetterUnkeepable>("@holdfast/core/LetterUnkeepable")("LetterUnkeepable", {
    recipient: Schema.String,
    detail: Schema.String
  })
{
  override get message(): string {
    return `a message to "${this.recipient}" cannot be kept as a dead letter: ${this.detail}`
  }
}
