/**
 * A presence is the entry of one live agent in a directory.
 */
import type { InstanceTaken } from "@holdfast/core/Discovery"
import type { HealthOutOfRange } from "@holdfast/core/Health"
import type { AlreadyRegistered } from "@holdfast/core/Registry"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { AgentDirectory } from "../AgentDirectory.ts"
import type { Activation } from "./Activation.ts"
import type { AgentHost } from "./AgentHost.ts"

/** Makes one that is not in the directory yet. */
export class Presence {
  readonly #fork: AgentHost["fork"]
  readonly #directory: AgentDirectory["Type"]
  readonly #activation: Activation
  #scope: Scope.CloseableScope | null = null

  constructor(fork: AgentHost["fork"], directory: AgentDirectory["Type"], activation: Activation) {
    this.#fork = fork
    this.#directory = directory
    this.#activation = activation
  }

  /** Enters the agent, unless it is in. */
  enter(): void {
    if (this.#scope !== null) return
    this.#fork(Effect.flatMap(Scope.make(), (scope) => {
      this.#scope = scope
      return Scope.extend(this.#register, scope)
    }))
  }

  /** Takes the agent out. */
  leave(): void {
    const scope = this.#scope
    this.#scope = null
    if (scope !== null) this.#fork(Scope.close(scope, Exit.void))
  }

  /** Where another runtime of the process has not let go of the agent yet, it is that one's entry that stands. */
  get #register(): Effect.Effect<void, never, Scope.Scope> {
    const { address, agent, name } = this.#activation
    const { agents, discovery } = this.#directory
    const offer = {
      service: address.type,
      instance: address.id,
      capabilities: agent.capabilities,
      metadata: address,
      load: Effect.sync(() => this.#activation.load),
      status: Effect.sync(() => this.#activation.health)
    }
    const entered: Effect.Effect<void, AlreadyRegistered | InstanceTaken | HealthOutOfRange, Scope.Scope> =
      Effect.zipRight(
        agents.register(name, Effect.sync(() => this.#activation.info), address),
        discovery.register(offer)
      )
    return Effect.catchAll(entered, (error) => Effect.logDebug(error.message))
  }
}
