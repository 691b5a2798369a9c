/**
 * A guest looks at a store, and leaves commands in it, without being one of its nodes.
 */
import * as QueueSignals from "@holdfast/agents/QueueSignals"
import type { TaskStore } from "@holdfast/agents/TaskStore"
import type { StorageError } from "@holdfast/core/StorageError"
import * as Command from "@holdfast/persistence/Command"
import * as FileLock from "@holdfast/persistence/FileLock"
import { lockFile } from "@holdfast/persistence/Membership"
import * as NodeRows from "@holdfast/persistence/NodeRows"
import * as SqliteReader from "@holdfast/persistence/SqliteReader"
import * as SqlTaskStore from "@holdfast/persistence/SqlTaskStore"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as GuestAgents from "./GuestAgents.ts"

/** What a guest can do. */
export interface Guest {
  readonly tasks: TaskStore["Type"]
  readonly agents: GuestAgents.GuestAgents
  /** Every node with a row, and whether its process lives. */
  readonly nodes: Effect.Effect<ReadonlyArray<GuestNode>, StorageError>
  /** Leaves a command; waits at most 2 s for its outcome where a node runs. `null`: it is queued. */
  readonly command: (command: Command.Command) => Effect.Effect<Command.CommandOutcome | null, StorageError>
}

/** A node as a guest sees it. */
export interface GuestNode extends NodeRows.NodeRow {
  readonly running: boolean
}

/** How often and how many times the outcome of a command is looked for. */
const outcomeLooks = { every: "50 millis", times: 40 } as const

/** Opens an existing store for a guest. */
export const open = (filename: string): Effect.Effect<Guest, StorageError, Scope.Scope> =>
  Effect.map(SqliteReader.open(filename), (reader) => {
    const nodes = Effect.flatMap(
      reader.read("nodes", () => NodeRows.all()),
      (rows) =>
        Effect.forEach(
          rows,
          (row) => Effect.map(isRunning(filename, row), (running) => ({ ...row, running }))
        )
    )
    return {
      tasks: SqlTaskStore.make(reader, QueueSignals.make()),
      agents: GuestAgents.make(filename, reader),
      nodes,
      command: (command) => giveCommand(filename, reader, nodes, command)
    }
  })

/** A node lives exactly as long as its lock is held. */
const isRunning = (filename: string, row: NodeRows.NodeRow): Effect.Effect<boolean, StorageError> =>
  row.status === "dead" ? Effect.succeed(false) : Effect.acquireUseRelease(
    SqliteReader.whileBusy("nodes", () => FileLock.proveFree(lockFile(filename, row.id))),
    (proof) => Effect.succeed(proof === null),
    // Given back, not removed: the lock file of a dead node goes with its takeover.
    (proof) => Effect.sync(() => proof?.giveBack())
  )

const giveCommand = (
  filename: string,
  reader: SqliteReader.SqliteReader,
  nodes: Effect.Effect<ReadonlyArray<GuestNode>, StorageError>,
  command: Command.Command
): Effect.Effect<Command.CommandOutcome | null, StorageError> =>
  Effect.gen(function*() {
    const id = yield* Command.submit(filename, command)
    if (!(yield* nodes).some((node) => node.running)) return null
    for (let look = 0; look < outcomeLooks.times; look++) {
      const outcome = yield* reader.read("command", () => Command.outcomeOf(id))
      if (outcome !== null) return yield* Effect.orDie(Schema.decode(Command.CommandOutcome)(outcome))
      yield* Effect.sleep(outcomeLooks.every)
    }
    return null
  })
