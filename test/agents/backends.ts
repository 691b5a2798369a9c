import type { AgentStore } from "@holdfast/agents/AgentStore"
import type { CommitLog } from "@holdfast/agents/CommitLog"
import * as Memory from "@holdfast/agents/Memory"
import type { TaskStore } from "@holdfast/agents/TaskStore"
import type { RecordStore } from "@holdfast/core/RecordStore"
import type { StorageError } from "@holdfast/core/StorageError"
import * as Sqlite from "@holdfast/persistence/Sqlite"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { temporaryStore } from "../support/store-processes.ts"

/** A storage that outlives the programs on it: every building of the layer opens it again. */
export interface Backend {
  readonly name: string
  readonly numRuns: number
  readonly storage: Effect.Effect<
    Layer.Layer<AgentStore | CommitLog | RecordStore | TaskStore, StorageError>,
    never,
    Scope.Scope
  >
}

export const backends: ReadonlyArray<Backend> = [
  { name: "Memory", numRuns: 60, storage: Effect.sync(() => Memory.layerFrom(Memory.storage())) },
  {
    name: "SQLite",
    numRuns: 15,
    storage: Effect.map(temporaryStore, (filename) => Sqlite.layer({ filename }))
  }
]
