/**
 * A delivery error says why a message was not handled, and whether its sender still has to care for it.
 */
import * as Data from "effect/Data"
import * as Schema from "effect/Schema"

/** Nobody has this name. Remedy: send when the recipient is there, or keep the message elsewhere. */
export class RecipientNotFound
  extends Schema.TaggedError<RecipientNotFound>("@holdfast/core/RecipientNotFound")("RecipientNotFound", {
    router: Schema.String,
    recipient: Schema.String
  })
{
  override get message(): string {
    return `router "${this.router}" has no recipient "${this.recipient}"`
  }
}

/**
 * The recipient went while the message waited or was being handled: its scope closed (`closed`), or it crashed more
 * often than its supervisor allows (`crashed`). Remedy: send again when it is back; handling it may have begun.
 */
export class RecipientGone
  extends Schema.TaggedError<RecipientGone>("@holdfast/core/RecipientGone")("RecipientGone", {
    recipient: Schema.String,
    reason: Schema.Literal("closed", "crashed")
  })
{
  override get message(): string {
    return `recipient "${this.recipient}" is gone (${this.reason})`
  }
}

/** The buffer is full and its policy is `reject`. Remedy: send later; the message is still the sender's alone. */
export class BufferFull extends Schema.TaggedError<BufferFull>("@holdfast/core/BufferFull")("BufferFull", {
  recipient: Schema.String,
  capacity: Schema.Number
}) {
  override get message(): string {
    return `the buffer of recipient "${this.recipient}" is full: it holds ${this.capacity}`
  }
}

/** The buffer was full and its policy chose this message to go. Remedy: send again, or look in the dead letters. */
export class MessageDropped
  extends Schema.TaggedError<MessageDropped>("@holdfast/core/MessageDropped")("MessageDropped", {
    recipient: Schema.String,
    policy: Schema.Literal("dropOldest", "dropNewest"),
    capacity: Schema.Number
  })
{
  override get message(): string {
    return `recipient "${this.recipient}" dropped the message: its buffer of ${this.capacity} was full (${this.policy})`
  }
}

/** The handler met a bug in itself while it had the message. Remedy: mend it; handling the message may have begun. */
export class RecipientCrashed
  extends Schema.TaggedError<RecipientCrashed>("@holdfast/core/RecipientCrashed")("RecipientCrashed", {
    recipient: Schema.String,
    cause: Schema.String
  })
{
  override get message(): string {
    const [summary = ""] = this.cause.split("\n", 1)
    return `recipient "${this.recipient}" crashed on the message: ${summary}`
  }
}

/** The handler failed, on the last attempt with `error`. Remedy: what that error says. */
export class DeliveryFailed<out E> extends Data.TaggedError("DeliveryFailed")<{
  readonly recipient: string
  readonly attempts: number
}> {
  readonly error: E
  constructor(
    { error, ...facts }: { readonly recipient: string; readonly attempts: number; readonly error: E }
  ) {
    super(facts)
    this.error = error
  }
  override get message(): string {
    return `recipient "${this.recipient}" failed on the message after ${this.attempts} attempt(s): ${this.error}`
  }
}

/** The name belongs to a recipient that is there. Remedy: another name, or close that one's scope first. */
export class RecipientNameTaken
  extends Schema.TaggedError<RecipientNameTaken>("@holdfast/core/RecipientNameTaken")("RecipientNameTaken", {
    router: Schema.String,
    recipient: Schema.String
  })
{
  override get message(): string {
    return `router "${this.router}" has a recipient "${this.recipient}" already`
  }
}

/** Is why a message was not accepted into a recipient's buffer. */
export type PostError = RecipientNotFound | RecipientGone | BufferFull | MessageDropped

/** Is why a message was not handled; `E` are the failures of handlers. */
export type SendError<E> = PostError | RecipientCrashed | DeliveryFailed<E>
