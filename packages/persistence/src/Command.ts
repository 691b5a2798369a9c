/**
 * A command is what somebody asks of a running system through the database: a row that a node picks up, once.
 */
import { laneOf } from "@holdfast/agents/AgentRecord"
import type { Operation } from "@holdfast/agents/Operation"
import type { StorageError } from "@holdfast/core/StorageError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import * as AgentCommand from "./AgentCommand.ts"
import * as GuestWriter from "./GuestWriter.ts"
import type { BatchContext, OperationHandlers } from "./OperationHandler.ts"
import type { SqlPlan } from "./SqlPlan.ts"
import { query } from "./SqlPlan.ts"
import * as TaskHandlers from "./TaskHandlers.ts"

/** Makes dead and skipped tasks of a queue ready again: the one of an id, or all with `null`. */
export const RetryTasks = Schema.TaggedStruct("RetryTasks", {
  queue: Schema.String,
  id: Schema.NullOr(Schema.String)
})

/** Every command. */
export const Command = Schema.parseJson(Schema.Union(RetryTasks, AgentCommand.AgentCommand))
export type Command = typeof Command.Type

/** What came of a command: how many things it changed. */
export const CommandOutcome = Schema.parseJson(Schema.Struct({ changed: Schema.Number }))
export type CommandOutcome = typeof CommandOutcome.Type

/** A row of `commands` that no node has carried out yet. */
export interface PendingCommand {
  readonly sequence: number
  readonly id: string
  readonly command: string
}

/** The most tasks one batch retries for a command. */
export const retryLimit = 1_000

/**
 * Carries out a command, or the next part of one that takes more than a batch, and with the last part records its
 * outcome; `null` when it was carried out already, or waits for another node.
 */
export interface CarryOut extends Operation<"CarryOut", CarriedOut | null, never> {
  readonly id: string
  readonly command: Command
  readonly nowMillis: number
}

/** How many things a command has changed so far, and whether that was all. */
export interface CarriedOut extends CommandOutcome {
  readonly done: boolean
}

/** Makes a `CarryOut`. */
export const carryOut = (o: Omit<CarryOut, "_tag" | "lane" | symbol>): CarryOut => ({
  _tag: "CarryOut",
  lane: o.command._tag === "RetryTasks" ? `queue:${o.command.queue}` : laneOf(o.command),
  ...o
})

/** The handler. */
export const handlers: OperationHandlers<CarryOut> = {
  *CarryOut(ops, context) {
    const answers: Array<Either.Either<CarriedOut | null>> = []
    for (const op of ops) answers.push(Either.right(yield* execute(op, context)))
    return answers
  }
}

/** Commands behind a sequence that are to be carried out, in the order they were given. */
export function* pending(after: number, limit: number): SqlPlan<ReadonlyArray<PendingCommand>> {
  return yield* query<PendingCommand>(
    "SELECT sequence, id, command FROM commands WHERE outcome IS NULL AND sequence > ? ORDER BY sequence LIMIT ?",
    [after, limit]
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
  Effect.flatMap(Clock.currentTimeMillis, (nowMillis) => {
    const id = globalThis.crypto.randomUUID()
    const row = [id, Schema.encodeSync(Command)(command), nowMillis]
    return Effect.as(
      GuestWriter.write(
        filename,
        "command",
        () => query("INSERT INTO commands (id, command, created_at) VALUES (?, ?, ?)", row)
      ),
      id
    )
  })

/** What earlier parts have changed is counted in the row, so that any node can go on where another stopped. */
function* execute(op: CarryOut, context: BatchContext): SqlPlan<CarriedOut | null> {
  const rows = yield* query<{ readonly changed: number }>(
    "SELECT changed FROM commands WHERE id = ? AND outcome IS NULL",
    [op.id]
  )
  const before = rows[0]?.changed
  if (before === undefined) return null
  const part = yield* carryOutPart(op, context)
  if (part === null) return null
  const changed = before + part.changed
  const outcome = part.done ? Schema.encodeSync(CommandOutcome)({ changed }) : null
  yield* query("UPDATE commands SET changed = ?, outcome = ?, settled_at = ?, node = ? WHERE id = ?", [
    changed,
    outcome,
    part.done ? op.nowMillis : null,
    context.node,
    op.id
  ])
  return { changed, done: part.done }
}

function* carryOutPart({ command, nowMillis }: CarryOut, context: BatchContext): SqlPlan<CarriedOut | null> {
  if (command._tag !== "RetryTasks") {
    const changed = yield* AgentCommand.execute(command, nowMillis, context)
    return changed === null ? null : { changed, done: true }
  }
  const { id, queue } = command
  const changed = yield* TaskHandlers.retry({ queue, id, limit: retryLimit, nowMillis }, context)
  return { changed, done: id !== null || changed < retryLimit }
}
