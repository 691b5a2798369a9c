/**
 * An agent directory is where live agents are found by what they can do: the runtimes beside which it is provided keep it.
 */
import * as Discovery from "@holdfast/core/Discovery"
import * as Health from "@holdfast/core/Health"
import * as Registry from "@holdfast/core/Registry"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { AgentAddress } from "./AgentAddress.ts"
import type { LiveAgent } from "./AgentRuntimeTag.ts"

/**
 * Holds the live agents that have capabilities, from when each is activated until it is parked, has left memory, or lost
 * its runtime. One that is restarted stays.
 *
 * **Invariant** What is in it is live: nothing is left of an agent whose activation has ended.
 */
export class AgentDirectory extends Context.Tag("@holdfast/agents/AgentDirectory")<AgentDirectory, {
  /** By rendered address, with what each shows of itself; `type` is an index. */
  readonly agents: Registry.Unique<Effect.Effect<LiveAgent>, AgentAddress>
  /**
   * By capability; the metadata is the address. The load of an agent is how many messages it has. It is degraded while
   * restarts count against its intensity, and healthy otherwise.
   */
  readonly discovery: Discovery.Discovery<AgentAddress>
}>() {}

/**
 * Makes an empty directory.
 *
 * @example
 * import * as AgentDirectory from "@holdfast/agents/AgentDirectory"
 * import * as AgentRuntime from "@holdfast/agents/AgentRuntime"
 * import * as Memory from "@holdfast/agents/Memory"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 *
 * export const RuntimeLayer = AgentRuntime.layer.pipe(
 *   Layer.provideMerge(AgentDirectory.layer),
 *   Layer.provideMerge(Memory.layer)
 * )
 *
 * export const leastLoadedPrinter = Effect.gen(function*() {
 *   const { discovery } = yield* AgentDirectory.AgentDirectory
 *   const { metadata } = yield* discovery.leastLoaded("print")
 *   return metadata.id
 * })
 */
export const layer: Layer.Layer<AgentDirectory> = Layer.provide(
  Layer.effect(
    AgentDirectory,
    Effect.all({
      agents: Registry.make<Effect.Effect<LiveAgent>, AgentAddress>({
        name: "agents",
        keys: "unique",
        indexes: ["type"]
      }),
      discovery: Discovery.make<AgentAddress>()
    })
  ),
  Health.layer
)
