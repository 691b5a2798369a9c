/**
 * Storage in memory: one shared state behind every port, for tests and for programs without SQL.
 */
import * as MemoryRecords from "@holdfast/core/MemoryRecords"
import { RecordStore } from "@holdfast/core/RecordStore"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as HashMap from "effect/HashMap"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as RedBlackTree from "effect/RedBlackTree"
import * as AgentOperation from "./AgentOperation.ts"
import type { AgentCounts, AgentEntry, InboxMessage } from "./AgentRecord.ts"
import { compareAddresses, laneOf } from "./AgentRecord.ts"
import * as AgentSignals from "./AgentSignals.ts"
import type { EntryQuery, PendingQuery } from "./AgentStore.ts"
import { AgentStore } from "./AgentStore.ts"
import { CommitLog, commitOutside, outsideTransaction } from "./CommitLog.ts"
import * as MemoryAgents from "./MemoryAgents.ts"
import * as MemoryTasks from "./MemoryTasks.ts"
import type * as Operation from "./Operation.ts"
import * as Queue from "./Queue.ts"
import * as QueueSignals from "./QueueSignals.ts"
import * as Task from "./Task.ts"
import * as TaskOperation from "./TaskOperation.ts"
import { TaskStore } from "./TaskStore.ts"
import * as UserTransaction from "./UserTransaction.ts"

/** What outlives a log: logs on the same storage see one another's commits, as processes on one file do. */
export interface MemoryStorage {
  tasks: MemoryTasks.MemoryTasks
  agents: MemoryAgents.MemoryAgents
  readonly records: MemoryRecords.MemoryRecords
  /** How many logs were opened on it; the last one is the only one alive. */
  logs: number
}

/** Makes an empty storage. */
export const storage = (): MemoryStorage => ({
  tasks: MemoryTasks.empty,
  agents: MemoryAgents.empty,
  records: MemoryRecords.memory(),
  logs: 0
})

/** The ports over a given storage; what an earlier log on it had claimed and not settled is released first. */
export const layerFrom = (
  storage: MemoryStorage
): Layer.Layer<AgentStore | CommitLog | RecordStore | TaskStore> =>
  Layer.effectContext(Effect.clockWith((clock) =>
    Effect.map(clock.currentTimeMillis, (nowMillis) => {
      releaseOthers(storage, nowMillis)
      return ports(storage)
    })
  ))

/** The ports over a storage of their own. */
export const layer: Layer.Layer<AgentStore | CommitLog | RecordStore | TaskStore> = Layer.suspend(() =>
  layerFrom(storage())
)

const nodeName = (log: number) => `memory-${log}`

const releaseOthers = (storage: MemoryStorage, nowMillis: number): void => {
  const limit = Number.MAX_SAFE_INTEGER
  const nodes = new Set([
    ...Array.from(HashMap.values(storage.tasks.tasks), (task) => task.node),
    ...Array.from(HashMap.values(storage.agents.agents), (agent) => agent.node)
  ])
  for (const node of nodes) {
    if (node === null) continue
    const tasks = TaskOperation.releaseClaims({ node, limit, nowMillis })
    const agents = AgentOperation.releaseAgents({ node, limit, nowMillis })
    Object.assign(storage, commit(storage, "", [tasks, agents]).state)
  }
  storage.logs += 1
}

const ports = (storage: MemoryStorage): Context.Context<AgentStore | CommitLog | RecordStore | TaskStore> => {
  const node = nodeName(storage.logs)
  const signals = QueueSignals.make()
  const agentSignals = AgentSignals.make()
  return Context.make(CommitLog, commitLog(storage, node, signals, agentSignals)).pipe(
    Context.add(AgentStore, agentStore(storage, node, agentSignals)),
    Context.add(TaskStore, taskStore(storage, signals)),
    Context.add(RecordStore, MemoryRecords.make(storage.records))
  )
}

const commitLog = (
  storage: MemoryStorage,
  node: string,
  signals: QueueSignals.QueueSignals,
  agentSignals: AgentSignals.AgentSignals
): CommitLog["Type"] => {
  const write = <const Ops extends ReadonlyArray<Operation.Any>>(operations: Ops) =>
    Effect.suspend(() => {
      const before: Durable = { tasks: storage.tasks, agents: storage.agents }
      const { refusal, results, state } = commit(before, node, operations)
      if (refusal !== undefined) return Effect.fail(refusal as Operation.Refusal<Ops[number]>)
      Object.assign(storage, state)
      notifyChanges(before.tasks, state.tasks, signals)
      agentSignals.notify(operations.filter(AgentOperation.isAgentOperation).flatMap(AgentOperation.awakens))
      return Effect.as(Effect.yieldNow(), results as Operation.Results<Ops>)
    })
  return {
    commit: (operations) => commitOutside(operations, write(operations)),
    within: (user, then, options) =>
      outsideTransaction(
        "within",
        Effect.flatMap(
          Effect.flatten(UserTransaction.run(user, options?.deadline)),
          (value) => Effect.map(write(then(value)), (results) => ({ value, results }))
        )
      ),
    fenced: Effect.never
  }
}

/** What a unit changes. */
type Durable = Pick<MemoryStorage, "agents" | "tasks">

const commit = ({ agents, tasks }: Durable, node: string, ops: ReadonlyArray<Operation.Any>) => {
  let state: Durable = { agents, tasks }
  const results: Array<unknown> = []
  for (const op of ops) {
    const applied = apply(state, node, op)
    if (applied._tag === "Left") return { state: { agents, tasks }, results, refusal: applied.left }
    state = applied.right.state
    results.push(applied.right.result)
  }
  return { state, results, refusal: undefined }
}

const apply = (
  state: Durable,
  node: string,
  op: Operation.Any
): Either.Either<{ readonly state: Durable; readonly result: unknown }, { readonly _tag: string }> =>
  AgentOperation.isAgentOperation(op)
    ? Either.map(MemoryAgents.apply(state.agents, node, op), ({ result, state: agents }) => ({
      state: { ...state, agents },
      result
    }))
    : Either.map(
      MemoryTasks.apply(state.tasks, node, op as TaskOperation.TaskOperation),
      ({ result, state: tasks }) => ({ state: { ...state, tasks }, result })
    )

const notifyChanges = (
  before: MemoryTasks.MemoryTasks,
  after: MemoryTasks.MemoryTasks,
  signals: QueueSignals.QueueSignals
): void => {
  HashMap.forEach(after.queues, (queue, name) => {
    const old = MemoryTasks.queueOf(before, name)
    if (old !== queue && Queue.wakes(old, queue)) signals.notify(name)
  })
}

const taskStore = (storage: MemoryStorage, signals: QueueSignals.QueueSignals): TaskStore["Type"] => ({
  queue: (name) => Effect.sync(() => HashMap.get(storage.tasks.queues, name)),
  queues: Effect.sync(() =>
    Array.from(HashMap.values(storage.tasks.queues)).sort((a, b) => (a.name < b.name ? -1 : 1))
  ),
  task: (queue, id) => Effect.sync(() => MemoryTasks.taskById(storage.tasks, queue, id)),
  tasks: (query) =>
    Effect.sync(() =>
      MemoryTasks.select(storage.tasks, (task) =>
        (query.queue === undefined || task.queue === query.queue) &&
        (query.status === undefined || task.status === query.status) &&
        task.enqueuedAtMillis >= (query.sinceMillis ?? -Infinity) &&
        task.sequence > (query.after ?? 0)).slice(0, query.limit)
    ),
  finished: (queue, after, limit) =>
    Effect.sync(() =>
      MemoryTasks.select(storage.tasks, (task) => task.queue === queue && Task.isFinished(task.status))
        .flatMap((task) =>
          Option.toArray(Option.map(Option.fromNullable(task.finishSequence), (at) => ({ task, at })))
        )
        .filter(({ at }) => at > after)
        .sort((a, b) => a.at - b.at)
        .slice(0, limit)
        .map(({ task }) => task)
    ),
  changed: signals.await
})

const agentStore = (
  storage: MemoryStorage,
  node: string,
  signals: AgentSignals.AgentSignals
): AgentStore["Type"] => ({
  get: (address) => Effect.sync(() => Option.fromNullable(MemoryAgents.find(storage.agents, address))),
  list: ({ after, limit, status, type }) =>
    Effect.sync(() =>
      MemoryAgents.select(storage.agents, (agent) =>
        (type === undefined || agent.type === type) &&
        (status === undefined || agent.status === status) &&
        (after === undefined || compareAddresses(after, agent) < 0))
        .slice(0, limit).map(({ state: _, ...row }) => row)
    ),
  inbox: (address, after, limit) =>
    Effect.sync(() =>
      MemoryAgents.inboxOf(storage.agents, address).filter(({ sequence }) => sequence > after).slice(0, limit)
    ),
  reply: (address, key) => Effect.sync(() => MemoryAgents.replyTo(storage.agents, address, key)),
  entry: (address, collection, key) =>
    Effect.sync(() =>
      RedBlackTree.findFirst(MemoryAgents.entriesOf(storage.agents, address, collection), key)
    ),
  entries: (address, collection, query) =>
    Effect.sync(() => entries(MemoryAgents.entriesOf(storage.agents, address, collection), query)),
  entryCount: (address, collection, except = []) =>
    Effect.sync(() => {
      const all = MemoryAgents.entriesOf(storage.agents, address, collection)
      return RedBlackTree.size(all) - except.filter((key) => RedBlackTree.has(all, key)).length
    }),
  pending: (query) => Effect.sync(() => pending(storage.agents, node, query)),
  counts: Effect.sync(() => counts(storage.agents)),
  subscribe: signals.subscribe
})

const entries = (
  all: RedBlackTree.RedBlackTree<string, string>,
  { after, limit }: EntryQuery
): ReadonlyArray<AgentEntry> => {
  const found: Array<AgentEntry> = []
  for (const [key, value] of after === undefined ? all : RedBlackTree.greaterThan(all, after)) {
    if (found.length >= limit) break
    found.push({ key, value })
  }
  return found
}

const pending = (
  agents: MemoryAgents.MemoryAgents,
  node: string,
  { after, limit, nowMillis, types }: PendingQuery
) => {
  const due = Array.from(HashMap.values(agents.messages)).filter((message) =>
    message.notBeforeMillis <= nowMillis && types.includes(message.type) &&
    (after === undefined || compareAddresses(after, message) < 0) &&
    isOpen(agents, node, message)
  )
  const addresses = new Map(due.map(({ id, type }) => [laneOf({ type, id }), { type, id }]))
  return Array.from(addresses.values()).sort(compareAddresses).slice(0, limit)
}

/** Whether this node may claim a message which it has not claimed. */
const isOpen = (agents: MemoryAgents.MemoryAgents, node: string, message: InboxMessage): boolean => {
  const agent = MemoryAgents.find(agents, message)
  return agent === null || agent.status === "passive" ||
    (agent.node === node && message.activation === 0)
}

const counts = (agents: MemoryAgents.MemoryAgents): ReadonlyArray<AgentCounts> => {
  const rows = Array.from(HashMap.values(agents.agents))
  const messages = Array.from(HashMap.values(agents.messages))
  const types = Array.from(new Set([...rows, ...messages].map(({ type }) => type))).sort((a, b) =>
    compareAddresses({ type: a, id: "" }, { type: b, id: "" })
  )
  return types.map((type) => {
    const count = (status: string) => rows.filter((row) => row.type === type && row.status === status).length
    return {
      type,
      passive: count("passive"),
      live: count("live"),
      parked: count("parked"),
      messages: messages.filter((message) => message.type === type).length
    }
  })
}
