/**
 * A recipient handles the messages of its buffer one after the other, in a fiber of its own.
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import type * as CircuitBreaker from "../CircuitBreaker.ts"
import type { Draft, Reason } from "../DeadLetter.ts"
import * as DeliveryError from "../DeliveryError.ts"
import { exitClass } from "../RestartDecision.ts"
import * as LetterOutbox from "./LetterOutbox.ts"
import * as RecipientBuffer from "./RecipientBuffer.ts"

/** Is a message on its way. */
export interface Envelope<M, E> {
  readonly message: M
  readonly topic: string | undefined
  /** Tells the sender what became of it, if the sender waits for that. */
  readonly settle: (exit: Exit.Exit<void, DeliveryError.SendError<E>>) => void
  /** Done when the message is accepted; there is one only where it has to wait for that. */
  admitted?: Deferred.Deferred<void, DeliveryError.RecipientGone>
}

/** Is a recipient, changed in place. */
export interface Recipient<M, E> {
  readonly name: string
  readonly buffer: RecipientBuffer.RecipientBuffer<Envelope<M, E>>
  readonly breaker: CircuitBreaker.CircuitBreaker
  /** Handles a message: behind the breaker, with the retries, and `attempt` run before each attempt. */
  readonly handle: (envelope: Envelope<M, E>, attempt: Effect.Effect<void>) => Effect.Effect<void, E>
  readonly outbox: LetterOutbox.LetterOutbox<M>
  /** Open when there may be something in the buffer. */
  readonly work: Effect.Latch
  readonly left: Deferred.Deferred<void>
  isGone: boolean
  isHandling: boolean
  delivered: number
  dropped: number
  refused: number
  failed: number
}

/** Makes a recipient that waits for messages; `drain` handles them. */
export const make = <M, E>(
  facts: Pick<Recipient<M, E>, "name" | "buffer" | "breaker" | "handle" | "outbox">
): Recipient<M, E> => ({
  ...facts,
  work: Effect.unsafeMakeLatch(),
  left: Deferred.unsafeMake(FiberId.none),
  isGone: false,
  isHandling: false,
  delivered: 0,
  dropped: 0,
  refused: 0,
  failed: 0
})

/** Offers a message, which nobody waits for. */
export const offer = <M, E>(
  recipient: Recipient<M, E>,
  envelope: Envelope<M, E>
): RecipientBuffer.Offered<Envelope<M, E>> => {
  const offered = RecipientBuffer.offer(recipient.buffer, envelope)
  recipient.work.unsafeOpen()
  if (offered._tag === "Displaced") drop(recipient, offered.oldest, "dropOldest")
  if (offered._tag === "Dropped") drop(recipient, envelope, "dropNewest")
  if (offered._tag === "Refused") recipient.refused += 1
  return offered
}

/**
 * Offers a message at once, and waits for its place where it has to. Interrupted while it waits, the message was never
 * there; once accepted it stays, whatever becomes of its sender.
 */
export const accept = <M, E>(
  recipient: Recipient<M, E>,
  envelope: Envelope<M, E>,
  restore: Restore
): Effect.Effect<void, DeliveryError.PostError> => {
  const { buffer: { capacity }, name } = recipient
  switch (offer(recipient, envelope)._tag) {
    case "Waiting":
      return waitForPlace(recipient, envelope, restore)
    case "Dropped":
      return new DeliveryError.MessageDropped({ recipient: name, policy: "dropNewest", capacity })
    case "Refused":
      return new DeliveryError.BufferFull({ recipient: name, capacity })
    default:
      return Effect.void
  }
}

/** Handles one message after the other, for ever. A defect of the handler ends it, and leaves the buffer as it is. */
export const drain = <M, E>(recipient: Recipient<M, E>): Effect.Effect<never> =>
  Effect.forever(Effect.uninterruptibleMask((restore) =>
    Effect.zipRight(
      restore(Effect.zipRight(awaitMessage(recipient), recipient.breaker.awaitReady)),
      Effect.suspend(() => handleNext(recipient, restore))
    )
  ))

/**
 * Empties the buffer for good: all senders that wait learn it, and what had been accepted becomes dead letters. Must not be
 * interrupted.
 */
export const leave = <M, E>(
  recipient: Recipient<M, E>,
  reason: DeliveryError.RecipientGone["reason"]
): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (recipient.isGone) return Effect.void
    recipient.isGone = true
    const gone = goneOf(recipient, reason)
    const { items, waiting } = RecipientBuffer.clear(recipient.buffer)
    for (const { admitted } of waiting) {
      if (admitted !== undefined) Deferred.unsafeDone(admitted, Effect.fail(gone))
    }
    for (const { settle } of items) settle(Exit.fail(gone))
    Deferred.unsafeDone(recipient.left, Effect.void)
    const drafts = items.map((envelope) => draftOf(recipient, envelope, "gone", gone.message, 0))
    return LetterOutbox.keep(recipient.outbox, drafts)
  })

// internal

type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

const goneOf = <M, E>(
  { name }: Recipient<M, E>,
  reason: DeliveryError.RecipientGone["reason"]
): DeliveryError.RecipientGone => new DeliveryError.RecipientGone({ recipient: name, reason })

const draftOf = <M, E>(
  { name }: Recipient<M, E>,
  { message, topic }: Envelope<M, E>,
  reason: Reason,
  detail: string,
  attempts: number
): Draft<M> => ({
  recipient: name,
  ...(topic === undefined ? {} : { topic }),
  message,
  reason,
  detail,
  attempts
})

const drop = <M, E>(
  recipient: Recipient<M, E>,
  envelope: Envelope<M, E>,
  policy: DeliveryError.MessageDropped["policy"]
): void => {
  const { buffer: { capacity }, name, outbox } = recipient
  const dropped = new DeliveryError.MessageDropped({ recipient: name, policy, capacity })
  recipient.dropped += 1
  envelope.settle(Exit.fail(dropped))
  LetterOutbox.leave(outbox, draftOf(recipient, envelope, "dropped", dropped.message, 0))
}

const waitForPlace = <M, E>(
  { buffer }: Recipient<M, E>,
  envelope: Envelope<M, E>,
  restore: Restore
): Effect.Effect<void, DeliveryError.RecipientGone> => {
  const admitted = Deferred.unsafeMake<void, DeliveryError.RecipientGone>(FiberId.none)
  envelope.admitted = admitted
  return Effect.onInterrupt(
    restore(Deferred.await(admitted)),
    () => Effect.sync(() => RecipientBuffer.withdraw(buffer, envelope))
  )
}

const awaitMessage = <M, E>({ buffer, work }: Recipient<M, E>): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (buffer.items.size > 0) return Effect.void
    work.unsafeClose()
    return work.await
  })

const handleNext = <M, E>(recipient: Recipient<M, E>, restore: Restore): Effect.Effect<void> => {
  const taken = RecipientBuffer.take(recipient.buffer)
  if (taken === undefined) return Effect.void
  const { admitted, item: envelope } = taken
  if (admitted?.admitted !== undefined) Deferred.unsafeDone(admitted.admitted, Effect.void)
  let attempts = 0
  const attempt = Effect.sync(() => {
    attempts += 1
  })
  recipient.isHandling = true
  return Effect.flatMap(Effect.exit(restore(recipient.handle(envelope, attempt))), (exit) => {
    recipient.isHandling = false
    return settle(recipient, envelope, exit, attempts)
  })
}

/** What is neither success nor typed failure is raised again: it ends the run. */
const settle = <M, E>(
  recipient: Recipient<M, E>,
  envelope: Envelope<M, E>,
  exit: Exit.Exit<void, E>,
  attempts: number
): Effect.Effect<void> => {
  if (Exit.isSuccess(exit)) {
    recipient.delivered += 1
    envelope.settle(Exit.void)
    return Effect.void
  }
  recipient.failed += 1
  const failure = exitClass(exit) === "failure" ? Cause.failureOption(exit.cause) : Option.none()
  return Option.match(failure, {
    onNone: () => interruptedOrCrashed(recipient, envelope, Cause.stripFailures(exit.cause), attempts),
    onSome: (error) => {
      const failed = new DeliveryError.DeliveryFailed({ recipient: recipient.name, attempts, error })
      return bury(recipient, envelope, "failed", failed, attempts)
    }
  })
}

const interruptedOrCrashed = <M, E>(
  recipient: Recipient<M, E>,
  envelope: Envelope<M, E>,
  cause: Cause.Cause<never>,
  attempts: number
): Effect.Effect<never> => {
  const { isGone, name } = recipient
  const buried = isGone
    ? bury(recipient, envelope, "gone", goneOf(recipient, "closed"), attempts)
    : Effect.zipRight(
      Effect.logError(`Recipient "${name}" crashed`, cause),
      bury(
        recipient,
        envelope,
        "crashed",
        new DeliveryError.RecipientCrashed({ recipient: name, cause: Cause.pretty(cause) }),
        attempts
      )
    )
  return Effect.zipRight(buried, Effect.failCause(cause))
}

/** The letter is written before the sender learns what became of the message. */
const bury = <M, E>(
  recipient: Recipient<M, E>,
  envelope: Envelope<M, E>,
  reason: Reason,
  error: DeliveryError.SendError<E>,
  attempts: number
): Effect.Effect<void> =>
  Effect.zipRight(
    LetterOutbox.keep(recipient.outbox, [draftOf(recipient, envelope, reason, error.message, attempts)]),
    Effect.sync(() => envelope.settle(Exit.fail(error)))
  )
