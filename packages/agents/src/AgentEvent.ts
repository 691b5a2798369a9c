/**
 * An agent event says what became of a live agent.
 */
import type { AgentAddress } from "./AgentAddress.ts"

/**
 * What became of a live agent.
 *
 * `Activated`: it is in memory, its state read. `Crashed`: its handler met a bug, and it is restarted;
 * `restarts` count against its intensity.
 * `Parked`: nobody activates it until it is resumed. `Reset`: a commit was lost, and it goes on from the last one.
 * `Passivated`: it left memory.
 */
export type AgentEvent =
  | { readonly _tag: "Activated"; readonly address: AgentAddress; readonly millis: number }
  | {
    readonly _tag: "Crashed"
    readonly address: AgentAddress
    readonly cause: string
    readonly restarts: number
  }
  | { readonly _tag: "Parked"; readonly address: AgentAddress; readonly cause: string }
  | { readonly _tag: "Reset"; readonly address: AgentAddress; readonly detail: string }
  | { readonly _tag: "Passivated"; readonly address: AgentAddress }
