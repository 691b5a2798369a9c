/**
 * Executes the operations of agents and their messages.
 */
import type { AgentAddress } from "@holdfast/agents/AgentAddress"
import { render } from "@holdfast/agents/AgentAddress"
import * as AgentDecision from "@holdfast/agents/AgentDecision"
import type * as AgentOperation from "@holdfast/agents/AgentOperation"
import { awakens, DuplicateKey, InboxNotEmpty, MessageGone } from "@holdfast/agents/AgentOperation"
import type { AgentReply, NewMessage } from "@holdfast/agents/AgentRecord"
import { laneOf } from "@holdfast/agents/AgentRecord"
import * as Either from "effect/Either"
import * as AgentRows from "./AgentRows.ts"
import type { Weight } from "./CommitBuffer.ts"
import * as EntryRows from "./EntryRows.ts"
import * as InboxRows from "./InboxRows.ts"
import type { Answer, BatchContext, OperationHandlers } from "./OperationHandler.ts"
import type { SqlPlan } from "./SqlPlan.ts"
import { query, queryIn, queryRows } from "./SqlPlan.ts"

/** The handlers, in the order in which a batch executes them. */
export const handlers: OperationHandlers<AgentOperation.AgentOperation> = {
  CommitMessage: commit,
  TellAgent: tell,
  ParkAgent: park,
  ResumeAgent: resume,
  DiscardMessage: discard,
  PassivateAgent: passivate,
  ReleaseAgents: release,
  ActivateAgent: activate,
  ClaimMessages: claim
}

/** How much an operation weighs in a batch. */
export const weigh = (op: AgentOperation.AgentOperation): Weight => {
  switch (op._tag) {
    case "CommitMessage": {
      const written = (op.state?.value.length ?? 0) + (op.reply?.outcome.length ?? 0)
      return [...op.tells.map(weighTell), ...(op.changes ?? []).map(weighChange)]
        .reduce(add, { rows: 1, bytes: rowBytes + written })
    }
    case "TellAgent":
      return weighTell(op)
    case "ClaimMessages":
      return { rows: op.limit, bytes: op.limit * rowBytes }
    default:
      return { rows: 1, bytes: rowBytes }
  }
}

const rowBytes = 100

const weighTell = ({ payload }: NewMessage): Weight => ({ rows: 1, bytes: rowBytes + payload.length })

const weighChange = ({ key, value }: AgentOperation.EntryChange): Weight => ({
  rows: 1,
  bytes: rowBytes + key.length + (value?.length ?? 0)
})

const add = (a: Weight, b: Weight): Weight => ({ rows: a.rows + b.rows, bytes: a.bytes + b.bytes })

function* commit(
  ops: ReadonlyArray<AgentOperation.CommitMessage>,
  { agents }: BatchContext
): SqlPlan<ReadonlyArray<Answer<AgentOperation.CommitMessage>>> {
  yield* AgentRows.load(agents, ops)
  const keys = ops.flatMap((op) => [
    ...(op.reply === undefined ? [] : [{ type: op.type, id: op.id, key: op.reply.key }]),
    ...keysOf(op.tells)
  ])
  const done = ops.flatMap((op) => (op.done === undefined ? [] : [op.done]))
  const inbox = yield* InboxRows.load(keys, done)
  const entries = yield* EntryRows.load(ops)
  const answers = ops.map((op) => commitOne(agents, inbox, entries, op))
  yield* InboxRows.flush(inbox)
  yield* EntryRows.flush(entries)
  return answers
}

const keysOf = (tells: ReadonlyArray<NewMessage>): ReadonlyArray<InboxRows.KeyedAddress> =>
  tells.flatMap(({ key, to }) => (key === undefined ? [] : [{ type: to.type, id: to.id, key }]))

const commitOne = (
  agents: AgentRows.AgentRows,
  inbox: InboxRows.InboxRows,
  entries: EntryRows.EntryRows,
  op: AgentOperation.CommitMessage
): Answer<AgentOperation.CommitMessage> => {
  const row = AgentDecision.commit(AgentRows.get(agents, op), op)
  if (Either.isLeft(row)) return Either.left(row.left)
  const { id, type } = op
  const answered = op.reply === undefined ? undefined : InboxRows.replyTo(inbox, op, op.reply.key)
  if (answered !== undefined) return Either.left(duplicate(answered))
  if (op.done !== undefined && !InboxRows.isWaiting(inbox, op, op.done)) {
    return Either.left(new MessageGone({ type, id, sequence: op.done }))
  }
  AgentRows.set(agents, row.right)
  if (op.state !== undefined) AgentRows.setState(agents, { type, id, state: op.state.value })
  if (op.done !== undefined) InboxRows.remove(inbox, op.done)
  if (op.reply !== undefined) InboxRows.answer(inbox, { type, id, ...op.reply, atMillis: op.nowMillis })
  for (const message of op.tells) InboxRows.tell(inbox, message, render(op), op.nowMillis)
  EntryRows.change(entries, op)
  wake(agents, op)
  return Either.right({ version: row.right.version })
}

const duplicate = ({ id, key, message, outcome, type }: AgentReply): DuplicateKey =>
  new DuplicateKey({ type, id, key, answered: message, outcome })

const wake = (agents: AgentRows.AgentRows, op: AgentOperation.AgentOperation): void => {
  agents.awakened.push(...awakens(op))
}

function* tell(
  ops: ReadonlyArray<AgentOperation.TellAgent>,
  { agents }: BatchContext
): SqlPlan<ReadonlyArray<Answer<AgentOperation.TellAgent>>> {
  const inbox = yield* InboxRows.load(keysOf(ops), [])
  const answers = ops.map((op) => {
    wake(agents, op)
    return Either.right({ enqueued: InboxRows.tell(inbox, op, op.sender ?? null, op.nowMillis) })
  })
  yield* InboxRows.flush(inbox)
  return answers
}

function* park(
  ops: ReadonlyArray<AgentOperation.ParkAgent>,
  { agents }: BatchContext
): SqlPlan<ReadonlyArray<Answer<AgentOperation.ParkAgent>>> {
  yield* AgentRows.load(agents, ops)
  const parked: Array<AgentAddress> = []
  const answers = ops.map((op) =>
    Either.map(AgentDecision.park(AgentRows.get(agents, op), op), (row) => {
      AgentRows.set(agents, row)
      wake(agents, op)
      parked.push(op)
    })
  )
  yield* InboxRows.unclaim(parked)
  return answers
}

function* resume(
  ops: ReadonlyArray<AgentOperation.ResumeAgent>,
  { agents }: BatchContext
): SqlPlan<ReadonlyArray<Answer<AgentOperation.ResumeAgent>>> {
  yield* AgentRows.load(agents, ops)
  const resumed: Array<AgentAddress> = []
  const answers = ops.map((op) => {
    const row = AgentRows.get(agents, op)
    if (row?.status !== "parked") return Either.right(false)
    AgentRows.set(agents, AgentDecision.released(row, op.nowMillis))
    wake(agents, op)
    resumed.push(op)
    return Either.right(true)
  })
  yield* queryRows(
    resumed.map(({ id, type }) => [type, id]),
    (values) => `UPDATE agent_messages SET attempt = 0 WHERE (type, id) IN (VALUES ${values})`
  )
  return answers
}

function* discard(
  ops: ReadonlyArray<AgentOperation.DiscardMessage>
): SqlPlan<ReadonlyArray<Answer<AgentOperation.DiscardMessage>>> {
  const rows = yield* queryIn<{ readonly sequence: number }>(
    ops.map((op) => op.sequence),
    (list) => `DELETE FROM agent_messages WHERE sequence IN ${list} RETURNING sequence`
  )
  const gone = new Set(rows.map((row) => row.sequence))
  return ops.map((op) => Either.right(gone.delete(op.sequence)))
}

function* passivate(
  ops: ReadonlyArray<AgentOperation.PassivateAgent>,
  { agents }: BatchContext
): SqlPlan<ReadonlyArray<Answer<AgentOperation.PassivateAgent>>> {
  yield* AgentRows.load(agents, ops)
  const inboxes = yield* InboxRows.summaries(ops)
  const unclaimed: Array<AgentAddress> = []
  const answers = ops.map((op) => {
    const row = AgentDecision.passivate(AgentRows.get(agents, op), op)
    if (Either.isLeft(row)) return Either.left(row.left)
    const inbox = inboxes.get(laneOf(op))
    if (inbox !== undefined && inbox.due <= op.nowMillis) {
      return Either.left(new InboxNotEmpty({ type: op.type, id: op.id }))
    }
    AgentRows.set(agents, row.right)
    if (inbox !== undefined && inbox.claimed > 0) unclaimed.push(op)
    return Either.right(undefined)
  })
  yield* InboxRows.unclaim(unclaimed)
  return answers
}

/** Operations that are rare are executed one by one. */
function* release(
  ops: ReadonlyArray<AgentOperation.ReleaseAgents>,
  { agents }: BatchContext
): SqlPlan<ReadonlyArray<Answer<AgentOperation.ReleaseAgents>>> {
  const answers: Array<Answer<AgentOperation.ReleaseAgents>> = []
  for (const op of ops) {
    const owned = yield* AgentRows.loadOwned(agents, op.node, op.limit)
    for (const row of owned) AgentRows.set(agents, AgentDecision.released(row, op.nowMillis))
    yield* InboxRows.unclaim(owned)
    answers.push(Either.right(owned.length))
  }
  // A node of the same unit is removed only where no row names it.
  yield* AgentRows.flush(agents)
  return answers
}

function* activate(
  ops: ReadonlyArray<AgentOperation.ActivateAgent>,
  { agents, node }: BatchContext
): SqlPlan<ReadonlyArray<Answer<AgentOperation.ActivateAgent>>> {
  yield* AgentRows.load(agents, ops)
  const states = yield* AgentRows.states(agents, ops)
  const inboxes = yield* InboxRows.summaries(ops)
  const unclaimed: Array<AgentAddress> = []
  const answers = ops.map((op) => {
    const found = AgentRows.get(agents, op) ?? AgentDecision.fresh(op, op.nowMillis)
    return Either.map(AgentDecision.activate(found, node, op), (row) => {
      AgentRows.set(agents, row)
      const { activation, stateVersion, version } = row
      const state = states.get(laneOf(op)) ?? null
      const inbox = inboxes.get(laneOf(op))
      if (inbox !== undefined && inbox.claimed > 0) unclaimed.push(op)
      return { activation, version, stateVersion, state, inboxCount: inbox?.count ?? 0 }
    })
  })
  yield* InboxRows.unclaim(unclaimed)
  return answers
}

/** One statement for each, as each has a limit of its own. */
function* claim(
  ops: ReadonlyArray<AgentOperation.ClaimMessages>,
  { agents }: BatchContext
): SqlPlan<ReadonlyArray<Answer<AgentOperation.ClaimMessages>>> {
  yield* AgentRows.load(agents, ops)
  const answers: Array<Answer<AgentOperation.ClaimMessages>> = []
  for (const op of ops) {
    answers.push(
      AgentDecision.owns(AgentRows.get(agents, op), op.activation)
        ? Either.right(yield* claimFrom(op))
        : Either.left(AgentDecision.superseded(op, op.activation))
    )
  }
  return answers
}

function* claimFrom(op: AgentOperation.ClaimMessages): SqlPlan<AgentOperation.ClaimedMessages> {
  const { activation, id, limit, nowMillis, type } = op
  const rows = yield* query<InboxRows.MessageRow>(
    `UPDATE agent_messages SET attempt = attempt + 1, activation = ? WHERE sequence IN (SELECT sequence FROM ` +
      `agent_messages WHERE type = ? AND id = ? AND activation = 0 AND not_before <= ? ORDER BY sequence LIMIT ?) ` +
      `RETURNING *`,
    [activation, type, id, nowMillis, limit]
  )
  const messages = rows.map(InboxRows.toMessage).sort((a, b) => a.sequence - b.sequence)
  if (messages.length > 0) return { messages, nextDueMillis: null }
  const next = yield* query<{ readonly due: number | null }>(
    "SELECT MIN(not_before) AS due FROM agent_messages WHERE type = ? AND id = ? AND activation = 0",
    [type, id]
  )
  return { messages, nextDueMillis: next[0]?.due ?? null }
}
