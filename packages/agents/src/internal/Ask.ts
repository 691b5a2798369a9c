/**
 * An ask is one message in memory whose sender waits for the answer, until its deadline.
 */
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import { AskTimeout } from "../AgentError.ts"
import type { Activation } from "./Activation.ts"
import type { Deadline } from "./Deadlines.ts"
import type { Failure } from "./HandlerFailure.ts"
import type { Envelope } from "./Mailbox.ts"

/** Makes one that is yet to be posted. */
export class Ask implements Envelope, Deadline {
  readonly rpc: string
  readonly payload: unknown
  readonly key: string | null
  readonly inbox = null
  readonly accepted = null
  readonly timeoutMillis: number
  readonly atMillis: number
  readonly #activation: Activation
  readonly #resume: (answer: Effect.Effect<unknown, Failure>) => void

  constructor(
    activation: Activation,
    message: Pick<Envelope, "rpc" | "payload" | "key">,
    timeoutMillis: number,
    resume: (answer: Effect.Effect<unknown, Failure>) => void
  ) {
    this.rpc = message.rpc
    this.payload = message.payload
    this.key = message.key
    this.timeoutMillis = timeoutMillis
    this.atMillis = activation.host.nowMillis() + timeoutMillis
    this.#activation = activation
    this.#resume = resume
    activation.host.deadlines.add(this)
  }

  answer(exit: Exit.Exit<unknown, Failure>): void {
    this.#activation.host.deadlines.remove(this)
    this.#resume(exit)
  }

  expire(): void {
    const { rpc, timeoutMillis } = this
    const { address } = this.#activation
    this.#activation.abandon(this)
    this.#resume(new AskTimeout({ address, rpc, timeoutMillis }))
  }

  /** Is what becomes of it when its sender has left. */
  readonly abandon: Effect.Effect<void> = Effect.sync(() => {
    this.#activation.host.deadlines.remove(this)
    this.#activation.abandon(this)
  })
}
