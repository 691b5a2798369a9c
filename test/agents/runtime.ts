/**
 * Runs agents in tests: a runtime over a storage that outlives it, as a process over its file does.
 */
import * as AgentRuntime from "@holdfast/agents/AgentRuntime"
import type { AgentStore } from "@holdfast/agents/AgentStore"
import type { CommitLog } from "@holdfast/agents/CommitLog"
import * as Memory from "@holdfast/agents/Memory"
import type { TaskStore } from "@holdfast/agents/TaskStore"
import type { RecordStore } from "@holdfast/core/RecordStore"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"

type Ports = AgentStore | CommitLog | RecordStore | TaskStore

/** Makes what runs programs with the agents, each with a runtime of its own, all over one storage in memory. */
export const onMemory = <E>(
  agents: Layer.Layer<never, E, AgentRuntime.AgentRuntime | Ports>,
  options: AgentRuntime.Options = {}
) => {
  const storage = Memory.storage()
  return <A, E2>(
    program: Effect.Effect<A, E2, AgentRuntime.AgentRuntime | Ports>
  ): Effect.Effect<A, E | E2> =>
    Effect.provide(
      program,
      agents.pipe(
        Layer.provideMerge(AgentRuntime.layerWith(options)),
        Layer.provideMerge(Memory.layerFrom(storage))
      )
    )
}

/** Waits for the next event of that kind, from when it runs. */
export const event = (tag: string) =>
  Effect.flatMap(AgentRuntime.AgentRuntime, ({ events }) =>
    Effect.map(
      Stream.runCollect(Stream.take(Stream.filter(events, ({ _tag }) => _tag === tag), 1)),
      Chunk.unsafeHead
    ))
