/**
 * In-process hints that an agent may have something to do, or has been taken from its owner.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { AgentAddress } from "./AgentAddress.ts"
import { laneOf } from "./AgentRecord.ts"

/** Tells subscribers of agents. It keeps nothing about any agent. */
export interface AgentSignals {
  /** Calls every subscriber once for each of these agents, however often an agent is named. */
  readonly notify: (addresses: ReadonlyArray<AgentAddress>) => void
  /** Calls `awake` at every `notify` until the scope closes. */
  readonly subscribe: (awake: (address: AgentAddress) => void) => Effect.Effect<void, never, Scope.Scope>
}

/** Makes signals with nobody subscribed. */
export const make = (): AgentSignals => {
  const subscribers = new Set<{ readonly awake: (address: AgentAddress) => void }>()
  return {
    notify: (addresses) => {
      if (subscribers.size === 0 || addresses.length === 0) return
      const distinct = addresses.length === 1 ? addresses : distinctOf(addresses)
      for (const { awake } of Array.from(subscribers)) distinct.forEach((address) => awake(address))
    },
    subscribe: (awake) =>
      Effect.suspend(() => {
        const subscriber = { awake }
        return Effect.acquireRelease(
          Effect.sync(() => void subscribers.add(subscriber)),
          () => Effect.sync(() => void subscribers.delete(subscriber))
        )
      })
  }
}

const distinctOf = (addresses: ReadonlyArray<AgentAddress>): ReadonlyArray<AgentAddress> =>
  Array.from(new Map(addresses.map((address) => [laneOf(address), address])).values())
