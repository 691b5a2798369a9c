/**
 * A batch is what one transaction writes: units from many callers, executed together or, after a failure, one by one.
 */
import type { AgentAddress } from "@holdfast/agents/AgentAddress"
import { LaneFailed, OperationRejected } from "@holdfast/agents/CommitLog"
import type * as Operation from "@holdfast/agents/Operation"
import * as Either from "effect/Either"
import * as AgentRows from "./AgentRows.ts"
import type { Answer, BatchContext, OperationHandler } from "./OperationHandler.ts"
import * as QueueRows from "./QueueRows.ts"
import type { SqlPlan } from "./SqlPlan.ts"
import { query, StatementFailure } from "./SqlPlan.ts"

/** The operations of one `commit`: they are written all or not at all. */
export type Unit = ReadonlyArray<Operation.Any>

/** A unit's results, or why nothing of it was written. */
export type UnitAnswer = Either.Either<ReadonlyArray<unknown>, unknown>

/** What a batch came to: an answer per unit, and who should look again. */
export interface BatchAnswer {
  readonly answers: ReadonlyArray<UnitAnswer>
  readonly awakened: Awakened
}

/** The queues and agents that may have something new for those who wait on them. */
export interface Awakened {
  readonly queues: ReadonlyArray<string>
  readonly agents: ReadonlyArray<AgentAddress>
}

/** The handlers of every operation a log knows, in the order in which a batch executes them. */
export type Handlers = ReadonlyMap<string, OperationHandler<Operation.Any>>

/** The handlers of a record, in its order. Each is only ever given operations of its own tag. */
export const handlersByTag = (record: Readonly<Record<string, unknown>>): Handlers =>
  new Map(Object.entries(record)) as ReadonlyMap<string, unknown> as Handlers

/** Where an operation stands in that order; within a batch a lane's operations must not go back in it. */
export const rankOf = (handlers: Handlers, op: Operation.Any): number => {
  let rank = 0
  for (const tag of handlers.keys()) {
    if (tag === op._tag) break
    rank += 1
  }
  return rank
}

/**
 * Executes all units with as few statements as they have kinds of operation. `null` where a unit of several operations
 * was refused: then the transaction must be rolled back and the units executed one by one.
 */
export function* together(
  handlers: Handlers,
  node: string,
  units: ReadonlyArray<Unit>
): SqlPlan<BatchAnswer | null> {
  const context: BatchContext = newContext(node)
  const answers = yield* execute(handlers, context, units.flat())
  let at = 0
  const unitAnswers = units.map((unit) => Either.all(answers.slice(at, at += unit.length)))
  if (units.some((unit, index) => unit.length > 1 && unitAnswers[index]?._tag === "Left")) return null
  yield* flush(context)
  return { answers: unitAnswers, awakened: awakened(context) }
}

/**
 * Executes each unit in a savepoint of its own. One that the database cannot execute is rejected alone, and with it
 * every later unit that has an operation in one of its lanes.
 */
export function* oneByOne(
  handlers: Handlers,
  node: string,
  units: ReadonlyArray<Unit>
): SqlPlan<BatchAnswer> {
  const failedLanes = new Map<string, string>()
  const answers: Array<UnitAnswer> = []
  const names = new Set<string>()
  const agents: Array<AgentAddress> = []
  for (const unit of units) {
    const failed = unit.find((op) => failedLanes.has(op.lane))
    if (failed !== undefined) {
      answers.push(Either.left(laneFailed(failed.lane, failedLanes.get(failed.lane) ?? "")))
      unit.forEach((op) => failedLanes.set(op.lane, failedLanes.get(failed.lane) ?? ""))
      continue
    }
    const context: BatchContext = newContext(node)
    const answer = yield* inSavepoint(handlers, context, unit)
    if (Either.isLeft(answer) && answer.left instanceof OperationRejected) {
      for (const op of unit) failedLanes.set(op.lane, answer.left.detail)
    }
    if (Either.isRight(answer)) {
      QueueRows.awakened(context.queues).forEach((name) => names.add(name))
      agents.push(...context.agents.awakened)
    }
    answers.push(answer)
  }
  return { answers, awakened: { queues: Array.from(names), agents } }
}

const newContext = (node: string): BatchContext => ({
  node,
  queues: QueueRows.make(),
  agents: AgentRows.make()
})

function* flush({ agents, queues }: BatchContext): SqlPlan<void> {
  yield* QueueRows.flush(queues)
  yield* AgentRows.flush(agents)
}

const awakened = ({ agents, queues }: BatchContext): Awakened => ({
  queues: QueueRows.awakened(queues),
  agents: agents.awakened
})

/** The failure of a unit whose lane has failed before it. */
export const laneFailed = (lane: string, detail: string): LaneFailed => new LaneFailed({ lane, detail })

function* inSavepoint(handlers: Handlers, context: BatchContext, unit: Unit): SqlPlan<UnitAnswer> {
  yield* query("SAVEPOINT unit")
  const answer = yield* attempt(handlers, context, unit)
  if (Either.isLeft(answer)) yield* query("ROLLBACK TO unit")
  yield* query("RELEASE unit")
  return answer
}

function* attempt(handlers: Handlers, context: BatchContext, unit: Unit): SqlPlan<UnitAnswer> {
  try {
    const answers = yield* execute(handlers, context, unit)
    yield* flush(context)
    return Either.all(answers)
  } catch (error) {
    if (!(error instanceof StatementFailure)) throw error
    const op = unit[0]
    return Either.left(
      new OperationRejected({ operation: op?._tag ?? "", lane: op?.lane ?? "", detail: error.detail })
    )
  }
}

/** Executes operations kind by kind; where a unit goes back in that order within a lane, in several rounds. */
function* execute(
  handlers: Handlers,
  context: BatchContext,
  ops: Unit
): SqlPlan<ReadonlyArray<Answer<Operation.Any>>> {
  let answers: ReadonlyArray<Answer<Operation.Any>> = []
  for (const round of inRounds(handlers, ops)) {
    answers = answers.concat(yield* executeKinds(handlers, context, round))
  }
  return answers
}

/** Splits operations so that in each part no lane goes back in the order in which kinds are executed. */
export const inRounds = (handlers: Handlers, ops: Unit): ReadonlyArray<Unit> => {
  const rounds: Array<Array<Operation.Any>> = [[]]
  const ranks = new Map<string, number>()
  for (const op of ops) {
    const rank = rankOf(handlers, op)
    if (rank < (ranks.get(op.lane) ?? 0)) {
      rounds.push([])
      ranks.clear()
    }
    ranks.set(op.lane, rank)
    rounds[rounds.length - 1]?.push(op)
  }
  return rounds
}

/** Answers are kept by place: one operation may be there twice. */
function* executeKinds(
  handlers: Handlers,
  context: BatchContext,
  ops: Unit
): SqlPlan<ReadonlyArray<Answer<Operation.Any>>> {
  const answers: Array<Answer<Operation.Any> | undefined> = ops.map(() => undefined)
  for (const [tag, handler] of handlers) {
    const kind = Array.from(ops.entries()).filter(([, op]) => op._tag === tag)
    if (kind.length === 0) continue
    const given = yield* handler(kind.map(([, op]) => op), context)
    for (const [index, [place]] of kind.entries()) answers[place] = given[index]
  }
  return answers.map((answer, place) => answer ?? unanswered(ops[place]))
}

const unanswered = (op: Operation.Any | undefined): Answer<Operation.Any> => {
  throw new Error(`No handler answered the operation ${op?._tag}`)
}
