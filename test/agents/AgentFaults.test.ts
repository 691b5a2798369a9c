import * as Rpc from "@effect/rpc/Rpc"
import { describe, expect, it } from "@effect/vitest"
import * as Agent from "@holdfast/agents/Agent"
import * as AgentAddress from "@holdfast/agents/AgentAddress"
import type { AgentError } from "@holdfast/agents/AgentError"
import { isAgentError } from "@holdfast/agents/AgentError"
import type { Handle } from "@holdfast/agents/AgentHandle"
import * as AgentRuntime from "@holdfast/agents/AgentRuntime"
import { AgentStore } from "@holdfast/agents/AgentStore"
import { CommitLog } from "@holdfast/agents/CommitLog"
import * as FaultyCommitLog from "@holdfast/agents/FaultyCommitLog"
import * as Memory from "@holdfast/agents/Memory"
import type * as Operation from "@holdfast/agents/Operation"
import { child } from "@holdfast/core/ChildSpec"
import { StorageError } from "@holdfast/core/StorageError"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

class Odd extends Schema.TaggedError<Odd>()("Odd", {}) {}

const Counter = Agent.make("Counter", {
  protocol: [
    Rpc.make("Add", { payload: { by: Schema.Int }, success: Schema.Int }),
    Rpc.make("Read", { success: Schema.Int }),
    Rpc.make("Refuse", { error: Odd }),
    Rpc.make("Tell"),
    Rpc.make("Ask"),
    Rpc.make("Spawn"),
    Rpc.make("Poison")
  ],
  state: Schema.Struct({ count: Schema.Int }),
  initial: { count: 0 }
})

const add = (agent: Handle<{ readonly count: number }>, by: number) =>
  Effect.zipRight(
    agent.update(({ count }) => ({ count: count + by })),
    Effect.map(agent.get, ({ count }) => count)
  )

/** Handlers that say what they begin, and what they spawned. */
const layerOf = (begun: (rpc: string) => Effect.Effect<void>) =>
  Counter.toLayer({
    Add: ({ by }, agent) => Effect.zipRight(begun(`Add ${by}`), add(agent, by)),
    Read: (_, agent) => Effect.zipRight(begun("Read"), Effect.map(agent.get, ({ count }) => count)),
    Refuse: () => Effect.zipRight(begun("Refuse"), new Odd()),
    Tell: (_, agent) => Effect.zipRight(begun("Tell"), agent.tell(Counter, "other").Add({ by: 100 })),
    Ask: (_, agent) =>
      Effect.zipRight(begun("Ask"), Effect.asVoid(agent.ask(Counter, "other").Add({ by: 100 }))),
    Spawn: (_, agent) =>
      Effect.zipRight(
        begun("Spawn"),
        Effect.catchAll(
          Effect.asVoid(
            agent.spawn(child({ id: "child", start: Effect.zipRight(begun("child"), Effect.never) }))
          ),
          (error) => isAgentError(error) ? Effect.fail(error) : Effect.die(error)
        )
      ),
    Poison: (_, agent) => Effect.zipRight(begun("Poison"), Effect.asVoid(add(agent, 1)))
  })

const address = (id: string) => AgentAddress.make("Counter", id)

const stateOf = (id: string) =>
  Effect.flatMap(
    AgentRuntime.AgentRuntime,
    ({ inspect }) =>
      Effect.map(inspect(Counter, id), (found) => Option.getOrNull(found)?.state?.count ?? null)
  )

/** A log that, while it is broken, takes commits of messages and fails them when it is told to. */
const breakable = Effect.gen(function*() {
  const letFail = yield* Deferred.make<void>()
  const gate = { isBroken: false, letFail }
  const failed = Effect.zipRight(
    Deferred.await(letFail),
    new StorageError({ operation: "commit", reason: "Full", outcome: "none", detail: "the disk is full" })
  )
  const layer = Layer.effect(
    CommitLog,
    Effect.map(CommitLog, (log): CommitLog["Type"] => ({
      ...log,
      commit: <const Ops extends ReadonlyArray<Operation.Any>>(operations: Ops) =>
        gate.isBroken && operations.some(({ _tag }) => _tag === "CommitMessage")
          ? failed
          : log.commit(operations)
    }))
  )
  return { gate, layer }
})

/** A program with counters, which hears what their handlers begin. */
const onBreakable = <A, E>(
  program: (
    gate: { isBroken: boolean; readonly letFail: Deferred.Deferred<void> },
    begun: ReadonlyArray<string>
  ) => Effect.Effect<A, E, AgentRuntime.AgentRuntime | AgentStore>
) =>
  Effect.gen(function*() {
    const begun: Array<string> = []
    const { gate, layer } = yield* breakable
    return yield* Effect.provide(
      program(gate, begun),
      layerOf((rpc) => Effect.sync(() => begun.push(rpc))).pipe(
        Layer.provideMerge(AgentRuntime.layer),
        Layer.provideMerge(layer),
        Layer.provideMerge(Memory.layer)
      )
    )
  })

/** Waits many turns at most. */
const waitFor = (condition: () => boolean) =>
  Effect.map(
    Effect.repeat(Effect.yieldNow(), { until: condition, times: 5_000 }),
    () => expect(condition()).toBe(true)
  )

const followers = {
  "an Add": (counter) => counter.Add({ by: 20 }),
  "a Read": (counter) => counter.Read(),
  "a typed failure": (counter) => counter.Refuse(),
  "a tell": (counter) => counter.Tell(),
  "an ask of another": (counter) => counter.Ask(),
  "a spawn": (counter) => counter.Spawn()
} satisfies Record<
  string,
  (
    counter: ReturnType<Effect.Effect.Success<typeof Counter.client>>
  ) => Effect.Effect<unknown, Odd | AgentError>
>

describe("a commit that fails", () => {
  it.effect.each(Object.entries(followers))(
    "fails %s that was drafted from it, and nothing of that was done",
    ([, follow]) =>
      onBreakable((gate, begun) =>
        Effect.gen(function*() {
          const counter = (yield* Counter.client)("c-1")
          yield* counter.Add({ by: 2 })
          gate.isBroken = true
          const first = yield* Effect.fork(Effect.flip(counter.Add({ by: 10 })))
          const second = yield* Effect.fork(Effect.flip(follow(counter)))
          yield* waitFor(() => begun.length === 3)
          yield* Effect.repeatN(Effect.yieldNow(), 20)
          expect(begun.slice(0, 2)).toEqual(["Add 2", "Add 10"])
          gate.isBroken = false
          yield* Deferred.succeed(gate.letFail, undefined)
          expect(yield* Fiber.join(first)).toBeInstanceOf(StorageError)
          expect((yield* Fiber.join(second))._tag).toBe("StorageError")
          expect(yield* counter.Add({ by: 1 })).toBe(3)
          expect(begun.length).toBe(4)
          expect([yield* stateOf("c-1"), yield* stateOf("other")]).toEqual([3, null])
          const { inbox } = yield* AgentStore
          expect(yield* inbox(address("other"), 0, 9)).toEqual([])
        })
      )
  )

  it.effect("fails all that are pipelined behind it, and the next message works when storage is back", () =>
    onBreakable((gate, begun) =>
      Effect.gen(function*() {
        const counter = (yield* Counter.client)("c-1")
        gate.isBroken = true
        const asking = yield* Effect.fork(
          Effect.forEach([1, 2, 3, 4, 5], (by) => Effect.flip(counter.Add({ by })), {
            concurrency: "unbounded"
          })
        )
        yield* waitFor(() => begun.length === 5)
        yield* Deferred.succeed(gate.letFail, undefined)
        expect((yield* Fiber.join(asking)).map(({ _tag }) => _tag)).toEqual(
          Array.from({ length: 5 }, () => "StorageError")
        )
        expect((yield* Effect.flip(counter.Add({ by: 6 })))._tag).toBe("StorageError")
        gate.isBroken = false
        expect(yield* counter.Add({ by: 7 })).toBe(7)
        expect(yield* stateOf("c-1")).toBe(7)
      })
    ))

  it.effect("leaves a told message in the inbox, to be handled when storage is back", () =>
    onBreakable((gate, begun) =>
      Effect.gen(function*() {
        const { tell } = yield* AgentRuntime.AgentRuntime
        const { inbox } = yield* AgentStore
        gate.isBroken = true
        yield* tell(address("c-1"), "Add", { by: 4 } as never)
        yield* waitFor(() => begun.length === 1)
        expect(yield* inbox(address("c-1"), 0, 9)).toHaveLength(1)
        gate.isBroken = false
        yield* Deferred.succeed(gate.letFail, undefined)
        yield* waitFor(() => begun.length === 2)
        expect(yield* Effect.flatMap(Counter.client, (counter) => counter("c-1").Read())).toBe(4)
        expect(yield* inbox(address("c-1"), 0, 9)).toEqual([])
      })
    ))
})

describe("a message that ends the process", () => {
  it.effect("is handed out as often as its runtime says, then parks its agent, alone, until that is resumed", () =>
    Effect.gen(function*() {
      const storage = Memory.storage()
      const begun: Array<string> = []
      const agents = layerOf((rpc) => Effect.sync(() => begun.push(rpc))).pipe(
        Layer.provideMerge(AgentRuntime.layerWith({ attemptsMax: 3 }))
      )
      const life = <A, E>(
        plan: FaultyCommitLog.Plan,
        program: Effect.Effect<A, E, AgentRuntime.AgentRuntime | AgentStore>
      ) =>
        Effect.flatMap(
          FaultyCommitLog.FaultyCommitLog,
          ({ crashed }) =>
            Effect.raceFirst(
              Effect.disconnect(Effect.provide(program, agents)),
              Effect.as(crashed, "crashed" as const)
            )
        )
          .pipe(Effect.provide(Layer.provideMerge(FaultyCommitLog.layer(plan), Memory.layerFrom(storage))))
      const poisoned: FaultyCommitLog.Plan = (_, [operation]) =>
        operation?._tag === "CommitMessage" && "done" in operation ? { _tag: "CrashBefore" } : null
      const told = Effect.flatMap(
        AgentRuntime.AgentRuntime,
        ({ tell }) => Effect.zipRight(tell(address("c-1"), "Poison", undefined as never), Effect.never)
      )
      expect(yield* life(poisoned, told)).toBe("crashed")
      expect(yield* life(poisoned, Effect.never)).toBe("crashed")
      expect(yield* life(poisoned, Effect.never)).toBe("crashed")
      const status = Effect.flatMap(
        AgentRuntime.AgentRuntime,
        ({ inspect }) => Effect.map(inspect(Counter, "c-1"), (found) => Option.getOrThrow(found).row)
      )
      const parked = yield* life(
        poisoned,
        Effect.repeat(Effect.zipRight(Effect.yieldNow(), status), { until: (row) => row.status === "parked" })
      )
      expect(parked).toMatchObject({ cause: "message 1 (Poison) was handed out 3 times and never done" })
      expect(begun).toEqual(["Poison", "Poison", "Poison"])
      const others = yield* life(
        poisoned,
        Effect.flatMap(Counter.client, (counter) => counter("c-2").Add({ by: 1 }))
      )
      expect(others).toBe(1)
      const mended = Effect.gen(function*() {
        const { resume } = yield* AgentRuntime.AgentRuntime
        expect(yield* resume(address("c-1"))).toBe(true)
        yield* waitFor(() => begun.length === 5)
        return yield* Effect.flatMap(Counter.client, (counter) => counter("c-1").Read())
      })
      expect(yield* life(() => null, mended)).toBe(1)
    }))
})
