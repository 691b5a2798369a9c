/**
 * A command is what somebody asks of a running system through the database: a row that a node picks up, once.
 */
import type { StorageError } from "@holdfast/agents/CommitLog"
import type { Operation } from "@holdfast/agents/Operation"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import type { BatchContext, OperationHandlers } from "./OperationHandler.ts"
import * as Sqlite from "./SqliteConnection.ts"
import * as SqliteReader from "./SqliteReader.ts"
import type { SqlPlan } from "./SqlPlan.ts"
import { query } from "./SqlPlan.ts"
import * as TaskHandlers from "./TaskHandlers.ts"

/** Makes dead and skipped tasks of a queue ready again: the one of an id, or all with `null`. */
export const RetryTasks = Schema.TaggedStruct("RetryTasks", {
  queue: Schema.String,
  id: Schema.NullOr(Schema.String)
})

/** Every command. */
export const Command = Schema.parseJson(Schema.Union(RetryTasks))
export type Command = typeof Command.Type

/** What came of a command: how many things it changed. */
export const CommandOutcome = Schema.parseJson(Schema.Struct({ changed: Schema.Number }))
export type CommandOutcome = typeof CommandOutcome.Type

/** A row of `commands` that no node has carried out yet. */
export interface PendingCommand {
  readonly id: string
  readonly command: string
}

/** The most tasks one batch retries for a command. */
export const retryLimit = 1_000

/** Carries out the last part of a command and records its outcome, unless it was carried out already. */
export interface CarryOut extends Operation<"CarryOut", CommandOutcome | null, never> {
  readonly id: string
  readonly command: Command
  /** How many things earlier parts have changed. */
  readonly before: number
  readonly nowMillis: number
}

/** Makes a `CarryOut`. */
export const carryOut = (o: Omit<CarryOut, "_tag" | "lane" | symbol>): CarryOut => ({
  _tag: "CarryOut",
  lane: `queue:${o.command.queue}`,
  ...o
})

/** The handler. */
export const handlers: OperationHandlers<CarryOut> = {
  *CarryOut(ops, context) {
    const answers: Array<Either.Either<CommandOutcome | null>> = []
    for (const op of ops) answers.push(Either.right(yield* execute(op, context)))
    return answers
  }
}

/** Commands to be carried out, in the order they were given. */
export function* pending(limit: number): SqlPlan<ReadonlyArray<PendingCommand>> {
  return yield* query<PendingCommand>(
    "SELECT id, command FROM commands WHERE outcome IS NULL ORDER BY sequence LIMIT ?",
    [limit]
  )
}

/** The outcome of a command; `null` while no node has carried it out. */
export function* outcomeOf(id: string): SqlPlan<string | null> {
  const rows = yield* query<{ readonly outcome: string | null }>(
    "SELECT outcome FROM commands WHERE id = ?",
    [id]
  )
  return rows[0]?.outcome ?? null
}

/** Gives a command as a guest of the store, and returns its id. */
export const submit = (filename: string, command: Command): Effect.Effect<string, StorageError> =>
  Effect.flatMap(Clock.currentTimeMillis, (nowMillis) =>
    Effect.acquireUseRelease(
      SqliteReader.whileBusy("command", () => Sqlite.openExisting(filename)),
      (connection) =>
        SqliteReader.whileBusy("command", () => {
          const id = globalThis.crypto.randomUUID()
          Sqlite.committed(Sqlite.transact(connection, () =>
            query("INSERT INTO commands (id, command, created_at) VALUES (?, ?, ?)", [
              id,
              Schema.encodeSync(Command)(command),
              nowMillis
            ])))
          return id
        }),
      (connection) => Effect.sync(() => connection.close())
    ))

function* execute(op: CarryOut, context: BatchContext): SqlPlan<CommandOutcome | null> {
  const open = yield* query("SELECT id FROM commands WHERE id = ? AND outcome IS NULL", [op.id])
  if (open.length === 0) return null
  const { id, queue } = op.command
  const changed = op.before +
    (yield* TaskHandlers.retry({ queue, id, limit: retryLimit, nowMillis: op.nowMillis }, context))
  const outcome = Schema.encodeSync(CommandOutcome)({ changed })
  yield* query("UPDATE commands SET outcome = ?, settled_at = ?, node = ? WHERE id = ?", [
    outcome,
    op.nowMillis,
    context.node,
    op.id
  ])
  return { changed }
}
