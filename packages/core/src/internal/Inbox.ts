/**
 * An inbox holds the messages to one fiber, which takes them in the order in which they came. It is a queue
 * that costs next to nothing.
 */
import * as Effect from "effect/Effect"

export interface Inbox<Message> {
  readonly messages: Array<Message>
  /** Wakes the fiber that waits for a message, if it does. */
  wake: (() => void) | null
}

export const unsafeMake = <Message>(): Inbox<Message> => ({ messages: [], wake: null })

export const unsafeOffer = <Message>(inbox: Inbox<Message>, message: Message): void => {
  inbox.messages.push(message)
  inbox.wake?.()
}

/** Takes the next message. For an uninterruptible region: it can be interrupted before it takes one, not after. */
export const take = <Message>(inbox: Inbox<Message>): Effect.Effect<Message> =>
  Effect.flatMap(
    Effect.interruptible(Effect.suspend(() => inbox.messages.length > 0 ? Effect.void : arrival(inbox))),
    () => {
      const message = inbox.messages.shift()
      return message === undefined ? take(inbox) : Effect.succeed(message)
    }
  )

// internal

const arrival = <Message>(inbox: Inbox<Message>): Effect.Effect<void> =>
  Effect.async((resume) => {
    inbox.wake = () => {
      inbox.wake = null
      resume(Effect.void)
    }
    return Effect.sync(() => inbox.wake = null)
  })
