import { describe, expect, it } from "@effect/vitest"
import type { AgentAddress } from "@holdfast/agents/AgentAddress"
import * as AgentOperation from "@holdfast/agents/AgentOperation"
import type { AgentEntry, AgentRow } from "@holdfast/agents/AgentRecord"
import { compareAddresses } from "@holdfast/agents/AgentRecord"
import { AgentStore } from "@holdfast/agents/AgentStore"
import { CommitLog } from "@holdfast/agents/CommitLog"
import * as TaskOperation from "@holdfast/agents/TaskOperation"
import { TaskStore } from "@holdfast/agents/TaskStore"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as AgentModel from "./AgentModel.ts"
import type { Backend } from "./backends.ts"

/** What every storage of agents must do. */
export const agentStoreSuite = ({ name, numRuns, storage }: Backend) =>
  describe(`AgentStore on ${name}`, () => {
    it.scopedLive.prop(
      "law: after any operations of two nodes, answers and all that is stored are those of the model",
      { ticks: FastCheck.array(tick, { maxLength: 50, size: "max" }) },
      ({ ticks }) =>
        Effect.gen(function*() {
          const layer = yield* storage
          const nodes = yield* Effect.all([Layer.build(layer), Layer.build(layer)])
          const names = yield* Effect.forEach(nodes, nodeName)
          let model = AgentModel.make()
          for (const [nowMillis, step] of ticks.entries()) {
            const unit = step.does.map((does) => operationOf(model, names, does, nowMillis))
            const expected = AgentModel.commit(model, names[step.node] ?? "", unit)
            expect(yield* submit(unit).pipe(Effect.provide(nodes[step.node] ?? nodes[0]))).toEqual(
              expected.answer
            )
            model = expected.model
          }
          for (const [index, node] of nodes.entries()) {
            expect(yield* Effect.provide(contents(ticks.length), node)).toEqual(
              modelContents(model, names[index] ?? "", ticks.length)
            )
          }
        }),
      { fastCheck: { numRuns } }
    )

    it.scopedLive.prop(
      "law: commits of one agent submitted at once are answered as one after another, a refused one refusing the later",
      { commits: FastCheck.array(pipelined, { minLength: 2, maxLength: 12 }) },
      ({ commits }) =>
        Effect.gen(function*() {
          const node = yield* Effect.flatMap(storage, Layer.build)
          const name = yield* nodeName(node)
          const agent = { type: "a", id: "1" }
          const before = [
            AgentOperation.activateAgent({ ...agent, stateVersionMax: 3, nowMillis: 0 }),
            ...["k0", "k1"].map((key) => AgentOperation.tellAgent({ ...message(agent), key, nowMillis: 0 }))
          ]
          yield* Effect.provide(Effect.forEach(before, (op) => submit([op])), node)
          let model = before.reduce((m, op) => AgentModel.commit(m, name, [op]).model, AgentModel.make())
          let base = -1
          const units = commits.map((fields) => [commitOf(agent, 1, base += fields.skips ? 2 : 1, fields, 1)])
          const answers = yield* Effect.forEach(units, submit, { concurrency: "unbounded" }).pipe(
            Effect.provide(node)
          )
          const expected = units.map((unit) => {
            const { answer, model: next } = AgentModel.commit(model, name, unit)
            model = next
            return answer
          })
          expect(answers).toEqual(expected)
          const ranked = ({ messages, ...rest }: ReturnType<typeof modelContents>) => ({
            ...rest,
            messages: messages.map(({ sequence: _, ...other }) => other)
          })
          expect(ranked(yield* Effect.provide(contents(9), node))).toEqual(
            ranked(modelContents(model, name, 9))
          )
        }),
      { fastCheck: { numRuns } }
    )

    it.scopedLive("keeps what was acknowledged, and a claim's attempt but not the claim, when the storage is opened again", () =>
      Effect.gen(function*() {
        const layer = yield* storage
        const agent = { type: "a", id: "1" }
        yield* Effect.gen(function*() {
          const log = yield* CommitLog
          yield* log.commit([AgentOperation.tellAgent({ ...message(agent), nowMillis: 0 })])
          yield* log.commit([AgentOperation.activateAgent({ ...agent, stateVersionMax: 1, nowMillis: 0 })])
          yield* log.commit([
            AgentOperation.claimMessages({ ...agent, activation: 1, limit: 1, nowMillis: 0 }),
            commitOf(agent, 1, 0, { ...plain, state: 1 }, 0)
          ])
        }).pipe(Effect.provide(layer))
        yield* Effect.gen(function*() {
          const store = yield* AgentStore
          const stored = { status: "passive", node: null, version: 1, stateVersion: 1, state: "\"s1\"" }
          expect(yield* store.get(agent)).toMatchObject({ value: { ...stored, activation: 1 } })
          expect(yield* store.inbox(agent, 0, 9)).toMatchObject([{ attempt: 1, activation: 0 }])
          expect(yield* store.pending({ types: ["a"], nowMillis: 0, limit: 9 })).toEqual([agent])
        }).pipe(Effect.provide(layer))
      }))

    it.scopedLive("shows its owner what an activation that is over had claimed, and hands it out again", () =>
      Effect.gen(function*() {
        const { inbox, pending } = yield* AgentStore
        const log = yield* CommitLog
        const agent = { type: "a", id: "1" }
        const found = Effect.all([
          pending({ types: ["a"], nowMillis: 0, limit: 9 }),
          Effect.map(inbox(agent, 0, 9), (messages) => messages.map(({ activation }) => activation))
        ])
        const activate = AgentOperation.activateAgent({ ...agent, stateVersionMax: 1, nowMillis: 0 })
        const claim = (activation: number) =>
          Effect.map(
            log.commit([AgentOperation.claimMessages({ ...agent, activation, limit: 9, nowMillis: 0 })]),
            ([{ messages }]) => messages.map(({ attempt }) => attempt)
          )
        yield* log.commit([AgentOperation.tellAgent({ ...message(agent), nowMillis: 0 })])
        for (const activation of [1, 2]) {
          yield* log.commit([activate])
          expect(yield* found).toEqual([[agent], [0]])
          expect(yield* claim(activation)).toEqual([activation])
          expect(yield* found).toEqual([[], [activation]])
          expect(yield* claim(activation)).toEqual([])
        }
        yield* log.commit([AgentOperation.parkAgent({ ...agent, activation: 2, cause: "why", nowMillis: 0 })])
        expect(yield* found).toEqual([[], [0]])
        yield* log.commit([AgentOperation.resumeAgent({ ...agent, nowMillis: 0 })])
        expect(yield* found).toEqual([[agent], [0]])
        yield* log.commit([activate])
        expect(yield* claim(3)).toEqual([1])
      }).pipe((test) => Effect.flatMap(storage, (layer) => Effect.provide(test, layer))))

    it.scopedLive("writes a message's commit and its tasks whole or not at all", () =>
      Effect.gen(function*() {
        const log = yield* CommitLog
        const agent = { type: "a", id: "1" }
        const task = { id: "1", priority: 0, notBeforeMillis: 0, attemptsMax: 1, payload: "1" }
        const enqueue = TaskOperation.enqueueTasks({ queue: "q", tasks: [task], nowMillis: 0 })
        yield* log.commit([AgentOperation.activateAgent({ ...agent, stateVersionMax: 1, nowMillis: 0 })])
        const unit = (base: number) => [enqueue, commitOf(agent, 1, base, { ...plain, state: 1 }, 0)] as const
        const refused = yield* Effect.flip(log.commit(unit(1)))
        expect(refused).toMatchObject({ _tag: "AgentSuperseded", activation: 1 })
        const tasks = Effect.flatMap(TaskStore, (store) => store.tasks({ limit: 9 }))
        expect(yield* tasks).toEqual([])
        expect(yield* log.commit(unit(0))).toEqual([{ enqueued: 1, duplicates: 0 }, { version: 1 }])
        expect(yield* tasks).toHaveLength(1)
        const size = { paused: false, sealed: true, sizeMax: 1, errorThreshold: null, label: null }
        yield* log.commit([TaskOperation.putQueue({ queue: "q", base: 0, settings: size })])
        const more = TaskOperation.enqueueTasks({ queue: "q", tasks: [{ ...task, id: "2" }], nowMillis: 0 })
        const full = yield* Effect.flip(log.commit([commitOf(agent, 1, 1, { ...plain, state: 2 }, 0), more]))
        expect(full._tag).toBe("QueueFull")
        const store = yield* AgentStore
        expect(yield* store.get(agent)).toMatchObject({ value: { version: 1, state: "\"s1\"" } })
      }).pipe((test) => Effect.flatMap(storage, (layer) => Effect.provide(test, layer))))

    it.scopedLive("hints at agents that were told, parked by an operator, or resumed, and at no others", () =>
      Effect.gen(function*() {
        const { subscribe } = yield* AgentStore
        const seen: Array<string> = []
        const [agent, sender] = [{ type: "a", id: "1" }, { type: "b", id: "1" }]
        const hints = (...ops: ReadonlyArray<AgentOperation.AgentOperation>) =>
          Effect.map(Effect.forEach(ops, (op) => submit([op])), () => seen.splice(0))
        const tell = AgentOperation.tellAgent({ ...message(agent), nowMillis: 0 })
        const others = yield* Scope.make()
        yield* Scope.extend(subscribe(({ id }) => seen.push(`other ${id}`)), others)
        yield* Effect.scoped(Effect.gen(function*() {
          yield* subscribe(({ id }) => seen.push(id))
          expect(yield* hints(tell)).toEqual(["other 1", "1"])
          yield* Scope.close(others, Exit.void)
          expect(yield* hints({ ...tell, notBeforeMillis: 9 })).toEqual(["1"])
          const keyed = ["k", "k"].map((key) => AgentOperation.tellAgent({ ...tell, key }))
          yield* submit(keyed)
          expect(seen.splice(0)).toEqual(["1"])
          const activate = AgentOperation.activateAgent({ ...sender, stateVersionMax: 1, nowMillis: 0 })
          const told = { ...plain, tells: [{ to: "2", key: null, delay: 0 }] }
          expect(yield* hints(activate, commitOf(sender, 1, 0, told, 0))).toEqual(["2"])
          const parkedBy = (activation: number | null) =>
            AgentOperation.parkAgent({ ...sender, activation, cause: "why", nowMillis: 0 })
          expect(yield* hints(commitOf(sender, 1, 0, told, 0), parkedBy(1))).toEqual([])
          const resume = AgentOperation.resumeAgent({ ...sender, nowMillis: 0 })
          expect(yield* hints(parkedBy(null), resume)).toEqual(["1", "1"])
        }))
        expect(yield* hints(tell)).toEqual([])
      }).pipe((test) => Effect.flatMap(storage, (layer) => Effect.provide(test, layer))))

    it.scopedLive.prop(
      "law: pages of agents, messages and pending agents join up to the whole",
      {
        ids: FastCheck.uniqueArray(FastCheck.string({ maxLength: 3, unit: "grapheme" }), { maxLength: 9 }),
        limit
      },
      ({ ids, limit }) =>
        Effect.gen(function*() {
          const store = yield* AgentStore
          const told = ids.flatMap((id, index) => [{ type: index % 2 === 0 ? "a" : "b", id }])
          for (const [index, to] of told.entries()) {
            for (const notBeforeMillis of [[0], [5], [5, 0, 4]][index % 3] ?? []) {
              yield* submit([AgentOperation.tellAgent({ ...message(to), notBeforeMillis, nowMillis: 0 })])
            }
          }
          const types = ["b", "a", "nobody's"]
          const page = (after: AgentAddress | undefined) =>
            store.pending({ types, nowMillis: 5, limit, ...(after === undefined ? {} : { after }) })
          const sorted = told.toSorted(compareAddresses)
          expect(yield* pages(page)).toEqual(sorted)
          for (const to of told) {
            yield* submit([AgentOperation.parkAgent({ ...to, activation: null, cause: "", nowMillis: 0 })])
          }
          expect(yield* pages(page)).toEqual([])
          const list = (after: AgentRow | undefined) =>
            store.list({ limit, ...(after === undefined ? {} : { after }) })
          const rows = yield* pages(list)
          expect(rows.map(({ id, type }) => ({ type, id }))).toEqual(sorted)
          const parked = yield* store.list({ type: "a", status: "parked", limit: 99 })
          expect(parked.map(({ id }) => id)).toEqual(
            sorted.filter(({ type }) => type === "a").map(({ id }) => id)
          )
        }).pipe((test) => Effect.flatMap(storage, (layer) => Effect.provide(test, layer))),
      { fastCheck: { numRuns } }
    )
  })

const limit = FastCheck.integer({ min: 1, max: 4 })

const pages = <A, E>(page: (after: A | undefined) => Effect.Effect<ReadonlyArray<A>, E>) =>
  Effect.gen(function*() {
    const all: Array<A> = []
    let last = yield* page(undefined)
    while (last.length > 0) {
      all.push(...last)
      last = yield* page(last[last.length - 1])
    }
    return all
  })

const id = FastCheck.constantFrom("1", "2")
const key = FastCheck.constantFrom(null, "k0", "k1", "k2")
const tells = FastCheck.array(FastCheck.record({ to: id, key, delay: FastCheck.nat(2) }), { maxLength: 2 })

/** In the order of code points; that of JavaScript's strings has the last two the other way round. */
const entryKeys = ["", "a", "ab", "b", "\uffee", "\u{1f600}"]
const collections = ["c", "d"]
const changes = FastCheck.array(
  FastCheck.record({
    collection: FastCheck.constantFrom(...collections),
    key: FastCheck.constantFrom(...entryKeys),
    value: FastCheck.option(FastCheck.constantFrom("1", "2"))
  }),
  { maxLength: 5 }
)

const commitFields = {
  tells,
  changes,
  key,
  state: FastCheck.option(FastCheck.integer({ min: 1, max: 3 }), { freq: 2 }),
  done: FastCheck.option(FastCheck.nat(5), { freq: 1 }),
  skips: FastCheck.nat(9).map((n) => n === 0)
}

/** What is done was there before: nobody knows the sequence of a message that is not written yet. */
const pipelined = FastCheck.record({
  ...commitFields,
  done: FastCheck.option(FastCheck.integer({ min: 1, max: 2 }), { freq: 1 })
})

/** A sequence that no message has. */
const nobodys = 1_000_000

interface CommitFields {
  readonly changes: ReadonlyArray<AgentOperation.EntryChange>
  readonly tells: ReadonlyArray<{ readonly to: string; readonly key: string | null; readonly delay: number }>
  readonly key: string | null
  readonly state: number | null
  readonly done: number | null
  readonly skips: boolean
}

const plain: CommitFields = { tells: [], changes: [], key: null, state: null, done: null, skips: false }

const does = FastCheck.record({
  ...commitFields,
  what: FastCheck.constantFrom(
    "activate",
    "activate",
    "activate",
    "commit",
    "commit",
    "commit",
    "commit",
    "tell",
    "tell",
    "claim",
    "claim",
    "passivate",
    "park",
    "parkByOperator",
    "resume",
    "resume",
    "discard",
    "release"
  ),
  id,
  stale: FastCheck.nat(9).map((n) => n === 0),
  limit: FastCheck.integer({ min: 1, max: 2 })
})
type Does = typeof does extends FastCheck.Arbitrary<infer A> ? A : never

/** Operations of one lane: those are executed in their order. */
const laneUnit = FastCheck.tuple(does, does)
  .filter((unit) => unit.every(({ what }) => !["tell", "claim", "discard", "release"].includes(what)))
  .map(([first, second]) => [first, { ...second, id: first.id }])

const tick = FastCheck.record({
  node: FastCheck.constantFrom(0, 0, 0, 1),
  does: FastCheck.oneof({ weight: 5, arbitrary: FastCheck.tuple(does) }, {
    weight: 1,
    arbitrary: laneUnit
  })
})

const message = (to: AgentAddress) => ({ to, message: "M", payload: "1" })

const commitOf = (
  agent: AgentAddress,
  activation: number,
  base: number,
  fields: CommitFields,
  nowMillis: number
) =>
  AgentOperation.commitMessage({
    ...agent,
    activation,
    base,
    nowMillis,
    ...(fields.state === null ? {} : { state: { version: fields.state, value: `"s${fields.state}"` } }),
    ...(fields.key === null ? {} : { reply: { key: fields.key, message: "R", outcome: `"${nowMillis}"` } }),
    ...(fields.done === null ? {} : { done: fields.done }),
    ...(fields.changes.length === 0 ? {} : { changes: fields.changes }),
    tells: fields.tells.map(({ delay, key, to }) => ({
      ...message({ type: "a", id: to }),
      ...(key === null ? {} : { key }),
      ...(delay === 0 ? {} : { notBeforeMillis: nowMillis + delay })
    }))
  })

const operationOf = (
  model: AgentModel.AgentModel,
  names: ReadonlyArray<string>,
  step: Does,
  nowMillis: number
): AgentOperation.AgentOperation => {
  const agent = { type: "a", id: step.id }
  const known = AgentModel.find(model, agent)
  const activation = (known?.activation ?? 1) - (step.stale ? 1 : 0)
  const base = (known?.version ?? 0) + (step.skips ? 1 : 0)
  const inbox = AgentModel.inbox(model, agent)
  const sequence = inbox[(step.done ?? 0) % Math.max(1, inbox.length)]?.sequence ?? nobodys
  switch (step.what) {
    case "activate":
      return AgentOperation.activateAgent({ ...agent, stateVersionMax: 2 + (step.state ?? 1) % 2, nowMillis })
    case "commit":
      return commitOf(
        agent,
        activation,
        base,
        { ...step, done: step.done === null ? null : sequence },
        nowMillis
      )
    case "tell":
      return AgentOperation.tellAgent({
        ...message(agent),
        ...(step.key === null ? {} : { key: step.key, sender: "test" }),
        ...(step.done === null ? {} : { notBeforeMillis: nowMillis + step.done }),
        nowMillis
      })
    case "claim":
      return AgentOperation.claimMessages({ ...agent, activation, limit: step.limit, nowMillis })
    case "passivate":
      return AgentOperation.passivateAgent({ ...agent, activation, base, nowMillis })
    case "park":
      return AgentOperation.parkAgent({ ...agent, activation, cause: `at ${nowMillis}`, nowMillis })
    case "parkByOperator":
      return AgentOperation.parkAgent({ ...agent, activation: null, cause: `at ${nowMillis}`, nowMillis })
    case "discard":
      return AgentOperation.discardMessage(sequence)
    case "release":
      return AgentOperation.releaseAgents({
        node: names[step.done === null ? 0 : 1] ?? "",
        limit: step.limit,
        nowMillis
      })
    default:
      return AgentOperation.resumeAgent({ ...agent, nowMillis })
  }
}

const submit = (unit: ReadonlyArray<AgentOperation.AgentOperation>) =>
  Effect.flatMap(CommitLog, (log) => Effect.either(log.commit(unit))).pipe(
    Effect.map((result): AgentModel.ModelAnswer =>
      result._tag === "Right" ? { ok: result.right } : { refused: { ...result.left } }
    )
  )

/** What the storage calls a node, learnt from an agent that is gone from the counts' type afterwards. */
const nodeName = (node: Context.Context<AgentStore | CommitLog>) =>
  Effect.gen(function*() {
    const probe = { type: "probe", id: globalThis.crypto.randomUUID() }
    yield* submit([AgentOperation.activateAgent({ ...probe, stateVersionMax: 1, nowMillis: 0 })])
    const found = yield* Effect.flatten((yield* AgentStore).get(probe))
    yield* submit([AgentOperation.passivateAgent({ ...probe, activation: 1, base: 0, nowMillis: 0 })])
    return found.node ?? ""
  }).pipe(Effect.provide(node))

const agents = ["1", "2"].map((id) => ({ type: "a", id }))
const replies = agents.flatMap((agent) => ["k0", "k1", "k2"].map((key) => ({ agent, key })))

const places = agents.flatMap((agent) => collections.map((collection) => ({ agent, collection })))

const collectionOf = (agent: AgentAddress, collection: string) =>
  Effect.gen(function*() {
    const store = yield* AgentStore
    const page = (after: AgentEntry | undefined) =>
      store.entries(agent, collection, { limit: 2, ...(after === undefined ? {} : { after: after.key }) })
    return {
      entries: yield* pages(page),
      count: yield* store.entryCount(agent, collection),
      others: yield* store.entryCount(agent, collection, ["a", "ab", "nobody's"]),
      values: yield* Effect.forEach(
        entryKeys,
        (key) => Effect.map(store.entry(agent, collection, key), Option.getOrNull)
      )
    }
  })

/** Everything the store shows, at a time. */
const contents = (nowMillis: number) =>
  Effect.gen(function*() {
    const store = yield* AgentStore
    const all = yield* Effect.forEach(agents, (agent) => store.get(agent))
    const inboxes = yield* Effect.forEach(agents, (agent) => store.inbox(agent, 0, 999))
    const answered = yield* Effect.forEach(replies, ({ agent, key }) => store.reply(agent, key))
    return {
      agents: all.flatMap((agent) => (agent._tag === "Some" ? [agent.value] : [])),
      messages: inboxes.flat(),
      replies: answered.flatMap((reply) => (reply._tag === "Some" ? [reply.value] : [])),
      entries: yield* Effect.forEach(places, ({ agent, collection }) => collectionOf(agent, collection)),
      pending: yield* store.pending({ types: ["a"], nowMillis, limit: 9 }),
      counts: (yield* store.counts).filter(({ type }) => type === "a")
    }
  })

const modelContents = (
  model: AgentModel.AgentModel,
  node: string,
  nowMillis: number
): Effect.Effect.Success<ReturnType<typeof contents>> => {
  const count = (status: string) => model.agents.filter((agent) => agent.status === status).length
  const [passive, live, parked] = [count("passive"), count("live"), count("parked")]
  const nothing = model.agents.length + model.messages.length === 0
  return {
    agents: model.agents.toSorted(compareAddresses),
    messages: agents.flatMap((agent) => AgentModel.inbox(model, agent)),
    replies: replies.flatMap(({ agent, key }) => AgentModel.replyTo(model, agent, key) ?? []),
    entries: places.map(({ agent, collection }) => {
      const entries = AgentModel.entries(model, agent, collection)
      const found = (key: string) => entries.find((entry) => entry.key === key)?.value ?? null
      const others = entries.filter(({ key }) => key !== "a" && key !== "ab").length
      return { entries, count: entries.length, others, values: entryKeys.map(found) }
    }),
    pending: agents.filter((agent) => AgentModel.isPending(model, node, agent, nowMillis)),
    counts: nothing ? [] : [{ type: "a", passive, live, parked, messages: model.messages.length }]
  }
}
