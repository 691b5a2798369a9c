/**
 * Storage on a SQLite file: every durable port of Holdfast as one layer.
 */
import * as Reactivity from "@effect/experimental/Reactivity"
import { SqlClient } from "@effect/sql/SqlClient"
import * as AgentOperation from "@holdfast/agents/AgentOperation"
import { AgentStore } from "@holdfast/agents/AgentStore"
import { CommitLog } from "@holdfast/agents/CommitLog"
import type { CommitError } from "@holdfast/agents/CommitLog"
import type * as Operation from "@holdfast/agents/Operation"
import * as TaskOperation from "@holdfast/agents/TaskOperation"
import { TaskStore } from "@holdfast/agents/TaskStore"
import { RecordStore } from "@holdfast/core/RecordStore"
import type { StorageError } from "@holdfast/core/StorageError"
import * as Supervisor from "@holdfast/core/Supervisor"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as AgentHandlers from "./AgentHandlers.ts"
import * as Batch from "./Batch.ts"
import * as Checkpoints from "./Checkpoints.ts"
import * as Command from "./Command.ts"
import * as CommandRunner from "./CommandRunner.ts"
import * as CommitBuffer from "./CommitBuffer.ts"
import * as NodeOperation from "./NodeOperation.ts"
import type { NodeIdentity } from "./NodeRows.ts"
import * as RecordHandlers from "./RecordHandlers.ts"
import type * as RecordOperation from "./RecordOperation.ts"
import * as SqlAgentStore from "./SqlAgentStore.ts"
import * as SqlCommitLog from "./SqlCommitLog.ts"
import * as SqliteClient from "./SqliteClient.ts"
import * as SqliteConnection from "./SqliteConnection.ts"
import * as SqliteReader from "./SqliteReader.ts"
import * as SqlRecordStore from "./SqlRecordStore.ts"
import * as SqlTaskStore from "./SqlTaskStore.ts"
import * as Takeover from "./Takeover.ts"
import * as TaskHandlers from "./TaskHandlers.ts"

/** How long a node may be silent before others take over from it, if it cannot be proved dead sooner: 8 seconds. */
export const leaseDefault = Duration.seconds(8)

/** How long a commit is tried again while storage fails in a way that may pass: 10 seconds. */
export const deadlineDefault = Duration.seconds(10)

/** How often a node looks for commands: 250 milliseconds. */
export const commandInterval = Duration.millis(250)

/** How often a node looks for records that another has changed, while somebody subscribes to any: 500 milliseconds. */
export const recordInterval = Duration.millis(500)

/** Where and how to store. */
export interface Options {
  /** The database file, made with mode 0600 where there is none; `:memory:` for a private file that goes with the layer. */
  readonly filename: string
  /** How long a node may be silent before others take over; 8 s by default, at least 100 ms. */
  readonly lease?: Duration.DurationInput
  /** How long a commit is tried again while storage is busy, full or failing; 10 s by default. */
  readonly deadline?: Duration.DurationInput
}

/** What a store provides: the durable ports, and the `SqlClient` of `SqliteClient`. */
export type Ports = AgentStore | CommitLog | RecordStore | SqlClient | TaskStore

/**
 * The durable ports on a SQLite file, and SQL of the user's own; the process is a node of the store for as long as the layer
 * lives.
 */
export const layer = (
  options: Options
): Layer.Layer<Ports, StorageError> => layerWith(options, SqliteConnection.open)

/** The same with another way to open the connection that writes; it may wrap the usual one. */
export const layerWith = (
  options: Options,
  open: (filename: string) => SqliteConnection.SqliteConnection
): Layer.Layer<Ports, StorageError> =>
  Layer.scopedContext(Effect.gen(function*() {
    const filename = options.filename === ":memory:" ? yield* temporaryFile : options.filename
    const leaseMillis = Math.max(100, Duration.toMillis(options.lease ?? leaseDefault))
    const log = yield* SqlCommitLog.make({
      filename,
      leaseMillis,
      deadlineMillis: Duration.toMillis(options.deadline ?? deadlineDefault),
      limits: CommitBuffer.defaultLimits,
      handlers,
      weigh,
      open
    }, leaving)
    const reader = yield* SqliteReader.open(filename)
    const records = SqlRecordStore.make(log.port, reader)
    const openTransaction = Effect.map(log.transaction, (open) => open?.connection ?? null)
    const client = yield* SqliteClient.make(filename, openTransaction)
    yield* keepUp(log, reader, records, filename, leaseMillis)
    return Context.make(CommitLog, log.port).pipe(
      Context.add(AgentStore, SqlAgentStore.make(reader, log.node, log.agentSignals)),
      Context.add(TaskStore, SqlTaskStore.make(reader, log.signals)),
      Context.add(RecordStore, records.port),
      Context.add(SqlClient, client)
    )
  })).pipe(Layer.provide(Reactivity.layer))

const handlers = Batch.handlersByTag({
  ...TaskHandlers.handlers,
  ...AgentHandlers.handlers,
  ...NodeOperation.handlers,
  ...Command.handlers,
  ...RecordHandlers.handlers
})

const weigh = (op: Operation.Any): CommitBuffer.Weight =>
  isWriteRecords(op)
    ? RecordHandlers.weigh(op)
    : AgentOperation.isAgentOperation(op)
    ? AgentHandlers.weigh(op)
    : TaskHandlers.weigh(op)

const isWriteRecords = (op: Operation.Any): op is RecordOperation.WriteRecords => op._tag === "WriteRecords"

/** A node that leaves gives back what it holds, and then its row. */
const leaving = ({ epoch, id }: NodeIdentity): Effect.Effect<Batch.Unit> =>
  Effect.map(Clock.currentTimeMillis, (nowMillis) => [
    TaskOperation.releaseClaims({ node: id, limit: leavingLimit, nowMillis }),
    AgentOperation.releaseAgents({ node: id, limit: leavingLimit, nowMillis }),
    NodeOperation.markDead(id, epoch),
    NodeOperation.removeDead(id)
  ])

/** More than a process can hold at once; what would be left is taken over by the next node. */
const leavingLimit = 100_000

/** Takes over and carries out commands once before the ports are used, and then for as long as they are. */
const keepUp = (
  log: SqlCommitLog.SqlCommitLog,
  reader: SqliteReader.SqliteReader,
  records: SqlRecordStore.SqlRecordStore,
  filename: string,
  leaseMillis: number
): Effect.Effect<void, StorageError, Scope.Scope> =>
  Effect.gen(function*() {
    const checkpoints = yield* Checkpoints.make(filename)
    const interval = leaseMillis / 4
    const takeover = Takeover.make(log, reader, filename, interval)
    const repeated = <Id extends string>(
      id: Id,
      look: Effect.Effect<void, CommitError>,
      every: Duration.DurationInput
    ) =>
      Supervisor.child({
        id,
        start: Supervisor.withReady((ready) =>
          Effect.zipRight(
            Effect.zipRight(outlast(look), ready),
            Effect.forever(Effect.delay(outlast(look), every))
          )
        )
      })
    yield* Supervisor.make({
      name: `storage ${filename}`,
      strategy: "one_for_one",
      children: [
        repeated("takeover", takeover.look, Math.min(interval, 1_000)),
        repeated("commands", CommandRunner.look(log, reader), commandInterval),
        repeated("records", records.look, recordInterval),
        repeated("checkpoints", checkpoints.look, "1 second")
      ]
    })
  }).pipe(Effect.catchTag("RestartIntensityExceeded", Effect.die))

/** An outage or a fence is not this loop's end: the log deals with it, and the next round sees how it stands then. */
const outlast = (look: Effect.Effect<void, CommitError>): Effect.Effect<void> =>
  Effect.catchAll(look, (error) => Effect.logDebug(error.message))

const temporaryFile = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "holdfast-"))),
    (directory) => Effect.sync(() => fs.rmSync(directory, { recursive: true, force: true }))
  ),
  (directory) => path.join(directory, "memory.db")
)
