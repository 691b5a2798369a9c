/**
 * A mailbox holds the messages of one live agent, in the order in which they came, up to its capacity; behind it wait
 * those whose senders have to.
 */
import type * as Exit from "effect/Exit"
import type { InboxMessage } from "../AgentRecord.ts"
import type { Failure } from "./HandlerFailure.ts"

/** Is one message in a process. */
export interface Envelope {
  /** The tag of the message. */
  readonly rpc: string
  readonly payload: unknown
  /** By what it is known to be the same as an earlier one. */
  readonly key: string | null
  /** The durable message it was made of; `null` when it lives in memory only. */
  readonly inbox: InboxMessage | null
  /** Answers the sender; the first answer counts. */
  answer(exit: Exit.Exit<unknown, Failure>): void
  /** Called when it is within the capacity; an asker waits for the answer anyway. */
  readonly accepted: (() => void) | null
}

/** Makes a mailbox. Each of its operations takes the same time however many messages it holds. */
export class Mailbox {
  readonly #capacity: number
  readonly #messages = new Set<Envelope>()
  /** Bounded by the senders, each of which waits here with one message. */
  readonly #senders = new Set<Envelope>()

  constructor(capacity: number) {
    this.#capacity = capacity
  }

  get size(): number {
    return this.#messages.size + this.#senders.size
  }

  /** How many messages it takes before somebody has to wait. */
  get room(): number {
    return this.#capacity - this.#messages.size
  }

  /** Takes a message in, or makes its sender wait. */
  offer(envelope: Envelope): void {
    if (this.#messages.size >= this.#capacity) {
      this.#senders.add(envelope)
      return
    }
    this.#messages.add(envelope)
    envelope.accepted?.()
  }

  /** Takes the oldest message out. */
  take(): Envelope | null {
    for (const envelope of this.#messages) {
      this.remove(envelope)
      return envelope
    }
    return null
  }

  /** Takes a message out; says whether it was there. */
  remove(envelope: Envelope): boolean {
    if (this.#senders.delete(envelope)) return true
    if (!this.#messages.delete(envelope)) return false
    if (this.#senders.size > 0) this.#admit()
    return true
  }

  /** Takes out the messages that pass; they are still in the inbox, or to be answered by the caller. */
  removeAll(passes: (envelope: Envelope) => boolean): ReadonlyArray<Envelope> {
    const removed = [...this.#messages, ...this.#senders].filter(passes)
    removed.forEach((envelope) => this.remove(envelope))
    return removed
  }

  #admit(): void {
    for (const envelope of this.#senders) {
      this.#senders.delete(envelope)
      this.#messages.add(envelope)
      envelope.accepted?.()
      return
    }
  }
}
