/**
 * A commit slot stands for one commit of an agent on its way: what was drafted from it, or answered by reading it, waits
 * here to learn whether it is durable.
 */
import * as Effect from "effect/Effect"
import type { AgentError } from "../AgentError.ts"

/** Starts out unsettled, and is settled once. */
export class CommitSlot {
  #outcome: AgentError | null | undefined = undefined
  /** Bounded by the messages handled while one commit is on its way. */
  #waiting: Array<(error: AgentError | null) => void> | null = null

  /** Says that it is durable (`null`), or lost. */
  settle(error: AgentError | null): void {
    if (this.#outcome !== undefined) return
    this.#outcome = error
    const waiting = this.#waiting
    this.#waiting = null
    waiting?.forEach((heard) => heard(error))
  }

  /** Calls back when it is settled; at once where it is already. */
  onSettled(heard: (error: AgentError | null) => void): void {
    if (this.#outcome !== undefined) heard(this.#outcome)
    else if (this.#waiting === null) this.#waiting = [heard]
    else this.#waiting.push(heard)
  }

  /** Waits until it is durable. */
  get durable(): Effect.Effect<void, AgentError> {
    return Effect.async((resume) =>
      this.onSettled((error) => resume(error === null ? Effect.void : Effect.fail(error)))
    )
  }
}
