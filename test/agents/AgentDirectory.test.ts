import * as Rpc from "@effect/rpc/Rpc"
import { describe, expect, it } from "@effect/vitest"
import * as Agent from "@holdfast/agents/Agent"
import * as AgentAddress from "@holdfast/agents/AgentAddress"
import * as AgentDirectory from "@holdfast/agents/AgentDirectory"
import * as AgentRuntime from "@holdfast/agents/AgentRuntime"
import * as Memory from "@holdfast/agents/Memory"
import { NoInstance } from "@holdfast/core/Discovery"
import * as RegistryQuery from "@holdfast/core/RegistryQuery"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/TestClock"
import { settleFibers } from "./workers.ts"

const options = {
  protocol: [Rpc.make("Ping"), Rpc.make("Hold"), Rpc.make("Boom")],
  state: Schema.Null,
  initial: null,
  passivateAfter: "1 second",
  supervision: { maxRestarts: 2, period: "5 seconds" }
} as const

const Printer = Agent.make("Printer", { ...options, capabilities: ["print", "scan"] })
const Copier = Agent.make("Copier", { ...options, capabilities: ["scan"] })
const Plain = Agent.make("Plain", options)

const layerOf = <N extends string>(
  agent: Agent.Agent<N, (typeof options.protocol)[number], null>,
  held: Effect.Effect<void>
) => agent.toLayer({ Ping: () => Effect.void, Hold: () => held, Boom: () => Effect.die("boom") })

/** Runs with printers, copiers and plain agents; `Hold` waits until the program has ended. */
const withAgents = <A, E>(
  program: Effect.Effect<A, E, AgentDirectory.AgentDirectory | AgentRuntime.AgentRuntime>
) =>
  Effect.gen(function*() {
    const held = yield* Deferred.make<void>()
    const hold = Deferred.await(held)
    const agents = Layer.mergeAll(layerOf(Printer, hold), layerOf(Copier, hold), layerOf(Plain, hold))
    return yield* Effect.provide(
      Effect.ensuring(program, Deferred.succeed(held, undefined)),
      agents.pipe(
        Layer.provideMerge(AgentRuntime.layer),
        Layer.provideMerge(AgentDirectory.layer),
        Layer.provideMerge(Memory.layer)
      )
    )
  })

/** Who can be asked for it, best first. */
const found = (capability: string) =>
  Effect.gen(function*() {
    const { discovery } = yield* AgentDirectory.AgentDirectory
    return (yield* discovery.find(capability)).map(({ id, status }) => `${id} ${status}`)
  })

/** What a directory holds. */
const held = Effect.flatMap(AgentDirectory.AgentDirectory, ({ agents }) => agents.counts)

const p1 = AgentAddress.make("Printer", "p-1")

describe("AgentDirectory", () => {
  it.effect("finds live agents by what they can do, and none that has no capabilities or is not live", () =>
    withAgents(
      Effect.gen(function*() {
        expect(yield* found("print")).toEqual([])
        yield* (yield* Printer.client)("p-1").Ping()
        yield* (yield* Copier.client)("c-1").Ping()
        yield* (yield* Plain.client)("x").Ping()
        expect(yield* found("print")).toEqual(["Printer/p-1 healthy"])
        expect(yield* found("scan")).toEqual(["Printer/p-1 healthy", "Copier/c-1 healthy"])
        const { agents, discovery } = yield* AgentDirectory.AgentDirectory
        expect((yield* discovery.leastLoaded("print")).metadata).toEqual(p1)
        const ofType = yield* agents.query({ where: RegistryQuery.eq("type", "Copier") })
        expect([ofType.entries.map(({ key }) => key), ofType.plan]).toEqual([["Copier/c-1"], "index"])
        expect(yield* Effect.forEach(ofType.entries, ({ value }) => value)).toMatchObject([{
          id: "c-1",
          status: "idle"
        }])
      })
    ))

  it.effect("gives first who has the fewest messages, in hand or waiting", () =>
    withAgents(
      Effect.gen(function*() {
        const printer = yield* Printer.client
        yield* printer("p-1").Ping()
        yield* printer("p-2").Ping()
        yield* Effect.fork(printer("p-1").Hold())
        yield* settleFibers
        expect(yield* found("print")).toEqual(["Printer/p-2 healthy", "Printer/p-1 healthy"])
        yield* Effect.forEach([1, 2], () => Effect.fork(printer("p-2").Hold()))
        yield* settleFibers
        expect(yield* found("print")).toEqual(["Printer/p-1 healthy", "Printer/p-2 healthy"])
      })
    ))

  it.effect("shows an agent that crashed behind those that did not, for as long as its restart counts", () =>
    withAgents(
      Effect.gen(function*() {
        const printer = yield* Printer.client
        const { kill, list } = yield* AgentRuntime.AgentRuntime
        yield* printer("p-1").Ping()
        yield* printer("p-2").Ping()
        expect(yield* kill(p1)).toBe(true)
        expect(yield* found("print")).toEqual(["Printer/p-2 healthy", "Printer/p-1 degraded"])
        expect((yield* list).map(({ restarts }) => restarts)).toEqual([1, 0])
        // Asked all the time, so that neither leaves memory.
        for (let second = 0; second < 6; second++) {
          yield* printer("p-1").Ping()
          yield* printer("p-2").Ping()
          yield* TestClock.adjust("900 millis")
        }
        expect(yield* found("print")).toEqual(["Printer/p-1 healthy", "Printer/p-2 healthy"])
        expect((yield* list).map(({ restarts }) => restarts)).toEqual([0, 0])
      })
    ))

  const ends = {
    "was stopped": Effect.flatMap(AgentRuntime.AgentRuntime, ({ stop }) => stop(p1)),
    "was passivated": TestClock.adjust("3 seconds"),
    "was parked": Effect.flatMap(AgentRuntime.AgentRuntime, ({ park }) => park(p1, "for lunch")),
    "was killed once too often": Effect.flatMap(
      AgentRuntime.AgentRuntime,
      ({ kill }) => Effect.repeatN(Effect.zipRight(kill(p1), settleFibers), 2)
    )
  }

  for (const [how, end] of Object.entries(ends)) {
    it.effect(`forgets an agent that ${how}`, () =>
      withAgents(
        Effect.gen(function*() {
          yield* (yield* Printer.client)("p-1").Ping()
          yield* end
          expect(yield* found("print")).toEqual([])
          expect(yield* held).toMatchObject({ entries: 0, keys: 0, indexed: 0 })
          const { discovery } = yield* AgentDirectory.AgentDirectory
          expect(yield* Effect.flip(discovery.leastLoaded("scan")))
            .toEqual(new NoInstance({ capability: "scan", offered: 0 }))
        })
      ))
  }

  it.effect("finds an agent again that came back", () =>
    withAgents(
      Effect.gen(function*() {
        const { stop } = yield* AgentRuntime.AgentRuntime
        const { Ping } = (yield* Printer.client)("p-1")
        yield* Ping()
        yield* stop(p1)
        yield* Ping()
        expect(yield* found("print")).toEqual(["Printer/p-1 healthy"])
      })
    ))

  it.effect("forgets the agents of a runtime that has ended", () =>
    Effect.gen(function*() {
      yield* Effect.flatMap(Printer.client, (printer) => printer("p-1").Ping()).pipe(
        Effect.zipRight(Effect.map(found("print"), (names) => expect(names).toHaveLength(1))),
        Effect.provide(
          layerOf(Printer, Effect.void).pipe(
            Layer.provideMerge(AgentRuntime.layer),
            Layer.provide(Memory.layer)
          )
        )
      )
      expect(yield* held).toMatchObject({ entries: 0 })
    }).pipe(Effect.provide(AgentDirectory.layer)))

  it.effect("holds nothing after 1,000 agents came and went", () =>
    withAgents(
      Effect.gen(function*() {
        const { list, stop } = yield* AgentRuntime.AgentRuntime
        const printer = yield* Printer.client
        const { discovery } = yield* AgentDirectory.AgentDirectory
        for (let n = 0; n < 1_000; n++) {
          const id = `p-${n % 7}`
          yield* printer(id).Ping()
          if (n % 3 > 0) yield* stop(AgentAddress.make("Printer", id))
        }
        yield* Effect.forEach(yield* list, stop)
        expect(yield* held).toEqual({ entries: 0, keys: 0, indexed: 0, watchers: 0 })
        expect((yield* Effect.flip(discovery.leastLoaded("print"))).offered).toBe(0)
      })
    ))
})
