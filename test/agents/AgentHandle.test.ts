import * as Rpc from "@effect/rpc/Rpc"
import { describe, expect, it } from "@effect/vitest"
import * as Agent from "@holdfast/agents/Agent"
import * as AgentAddress from "@holdfast/agents/AgentAddress"
import type { AgentError } from "@holdfast/agents/AgentError"
import type { Handle } from "@holdfast/agents/AgentHandle"
import * as AgentLetters from "@holdfast/agents/AgentLetters"
import * as AgentOperation from "@holdfast/agents/AgentOperation"
import { AgentRuntime } from "@holdfast/agents/AgentRuntime"
import * as AgentState from "@holdfast/agents/AgentState"
import { AgentStore } from "@holdfast/agents/AgentStore"
import { CommitLog } from "@holdfast/agents/CommitLog"
import * as DurableMap from "@holdfast/agents/DurableMap"
import * as TaskQueue from "@holdfast/agents/TaskQueue"
import * as Supervisor from "@holdfast/core/Supervisor"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import { onMemory } from "./runtime.ts"

class Refused extends Schema.TaggedError<Refused>()("Refused", {}) {}

const Jobs = TaskQueue.make("jobs", { payload: Schema.Number })
const Names = DurableMap.make("names", { key: Schema.String, value: Schema.Number })

const State = Schema.Struct({ text: Schema.String })
type State = typeof State.Type

/** Its one message does whatever the test says. */
const make = (policy: Agent.Policy = {}) =>
  Agent.make("Any", {
    ...policy,
    protocol: [
      Rpc.make("Do", { payload: { name: Schema.String }, success: Schema.String, error: Refused }),
      Rpc.make("Read", { success: Schema.String })
    ],
    state: State,
    initial: { text: "" }
  })

const Any = make()

type Doing = (
  agent: Handle<State>,
  name: string
) => Effect.Effect<unknown, Refused | AgentError>

const layerOf = (doing: Doing, definition = Any) =>
  definition.toLayer({
    Do: ({ name }, agent) =>
      Effect.flatMap(Effect.as(doing(agent, name), agent.get), Effect.map(({ text }) => text)),
    Read: (_, agent) => Effect.map(agent.get, ({ text }) => text)
  })

const address = AgentAddress.make("Any", "1")

const ask = (definition = Any) => Effect.map(definition.client, (client) => client("1"))

const stored = Effect.flatMap(AgentStore, ({ get }) => Effect.map(get(address), Option.getOrThrow))

describe("a handler", () => {
  it.effect("enqueues tasks that are there when its message is committed, and not when it fails", () =>
    onMemory(layerOf((agent, name) =>
      Effect.zipRight(
        agent.enqueue(Jobs, { payload: 1 }),
        name === "fail" ? Effect.fail(new Refused()) : agent.set({ text: name })
      )
    ))(Effect.gen(function*() {
      const any = yield* ask()
      yield* Effect.flip(any.Do({ name: "fail" }))
      expect((yield* TaskQueue.stats("jobs")).counts.ready).toBe(0)
      yield* any.Do({ name: "a" })
      expect((yield* TaskQueue.stats("jobs")).counts.ready).toBe(1)
    })))

  it.effect("fails with QueueFull, its state untouched, where the queue is", () =>
    onMemory(
      layerOf((agent, name) =>
        Effect.zipRight(agent.enqueue(Jobs, { payload: 1 }), agent.set({ text: name }))
      )
    )(
      Effect.gen(function*() {
        yield* TaskQueue.update("jobs", (settings) => ({ ...settings, sizeMax: 1 }))
        const any = yield* ask()
        yield* any.Do({ name: "a" })
        expect((yield* Effect.flip(any.Do({ name: "b" })))._tag).toBe("QueueFull")
        expect(yield* any.Read()).toBe("a")
        expect((yield* stored).version).toBe(1)
      })
    ))

  it.effect("commits the user's own effect with its message, or neither", () =>
    Effect.gen(function*() {
      const rows = yield* Ref.make<ReadonlyArray<string>>([])
      yield* onMemory(layerOf((agent, name) =>
        Effect.zipRight(
          agent.set({ text: name }),
          agent.onCommit(
            name === "fail" ? Effect.fail(new Refused()) : Ref.update(rows, (all) => [...all, name])
          )
        )
      ))(Effect.gen(function*() {
        const any = yield* ask()
        yield* any.Do({ name: "a" })
        expect(yield* Effect.flip(any.Do({ name: "fail" }))).toBeInstanceOf(Refused)
        expect(yield* any.Read()).toBe("a")
        yield* any.Do({ name: "b" })
        expect(yield* Ref.get(rows)).toEqual(["a", "b"])
        expect((yield* stored).version).toBe(2)
      }))
    }))

  it.effect("cannot ask inside of that effect", () =>
    onMemory(
      layerOf((agent) => agent.onCommit(agent.ask(Any, "2").Read()))
    )(
      Effect.gen(function*() {
        const any = yield* ask()
        expect((yield* Effect.flip(any.Do({ name: "a" })))._tag).toBe("RefusedInTransaction")
      })
    ))

  it.effect("changes durable collections with its state, and sees what it changed", () =>
    onMemory(layerOf((agent, name) =>
      Effect.gen(function*() {
        const names = DurableMap.of(agent, Names)
        const before = yield* names.get(name)
        yield* names.set(name, Option.getOrElse(before, () => 0) + 1)
        yield* agent.set({
          text: `${name} ${Option.getOrThrow(yield* names.get(name))} of ${yield* names.size}`
        })
        if (name === "fail") return yield* new Refused()
      }).pipe(Effect.catchTag("EntryUndecodable" as never, Effect.die))
    ))(Effect.gen(function*() {
      const any = yield* ask()
      expect(yield* any.Do({ name: "a" })).toBe("a 1 of 1")
      expect(yield* Effect.all([any.Do({ name: "a" }), any.Do({ name: "b" })], { concurrency: 2 }))
        .toEqual(["a 2 of 1", "b 1 of 2"])
      yield* Effect.flip(any.Do({ name: "fail" }))
      expect(yield* any.Do({ name: "b" })).toBe("b 2 of 2")
    })))

  it.effect("spawns children that are stopped when its agent is", () =>
    Effect.gen(function*() {
      const started = yield* Deferred.make<void>()
      const stopped = yield* Deferred.make<void>()
      const child = Supervisor.child({
        id: "child",
        start: Effect.zipRight(Deferred.succeed(started, undefined), Effect.never).pipe(
          Effect.onInterrupt(() => Deferred.succeed(stopped, undefined))
        )
      })
      yield* onMemory(layerOf((agent) => Effect.orDie(agent.spawn(child))))(Effect.gen(function*() {
        const any = yield* ask()
        yield* any.Do({ name: "a" })
        yield* Deferred.await(started)
        yield* Effect.flatMap(AgentRuntime, ({ stop }) => stop(address))
        yield* Deferred.await(stopped)
      }))
    }))

  it.effect("cannot use its handle when its message is handled", () =>
    Effect.gen(function*() {
      const kept = yield* Deferred.make<Handle<State>>()
      yield* onMemory(layerOf((agent) => Deferred.succeed(kept, agent)))(Effect.gen(function*() {
        const any = yield* ask()
        yield* any.Do({ name: "a" })
        const agent = yield* Deferred.await(kept)
        const cause = yield* Effect.flip(Effect.sandbox(agent.set({ text: "late" })))
        expect(String(cause)).toContain("used after its handler had ended")
        expect(yield* any.Read()).toBe("")
      }))
    }))

  it.effect("fails with PayloadTooLarge where its state is, and keeps the one before", () =>
    onMemory(layerOf((agent, name) => agent.set({ text: name === "large" ? "x".repeat(1_100_000) : name })))(
      Effect.gen(function*() {
        const any = yield* ask()
        yield* any.Do({ name: "a" })
        expect((yield* Effect.flip(any.Do({ name: "large" })))._tag).toBe("PayloadTooLarge")
        expect(yield* any.Read()).toBe("a")
      })
    ))

  it.effect("crashes where it sets a state that is none", () =>
    onMemory(layerOf((agent) => agent.set({ text: 7 as never })))(Effect.gen(function*() {
      const any = yield* ask()
      const failure = yield* Effect.flip(any.Do({ name: "a" }))
      expect(failure._tag).toBe("AgentCrashed")
      expect(failure.message).toContain("does not match its schema")
    })))
})

describe("a commit", () => {
  it.effect("is not made for a message that changes nothing", () =>
    onMemory(layerOf(() => Effect.void))(Effect.gen(function*() {
      const any = yield* ask()
      yield* any.Do({ name: "a" })
      const { activation, stateVersion, version } = yield* stored
      expect([activation, stateVersion, version]).toEqual([1, null, 0])
    })))

  it.effect("is not made for an agent of durability none, whose state lasts as long as it lives", () => {
    const Volatile = make({ durability: "none" })
    return onMemory(layerOf((agent, name) => agent.set({ text: name }), Volatile))(Effect.gen(function*() {
      const any = yield* ask(Volatile)
      yield* any.Do({ name: "a" })
      expect(yield* any.Read()).toBe("a")
      expect((yield* stored).version).toBe(0)
      yield* Effect.flatMap(AgentRuntime, ({ stop }) => stop(address))
      expect(yield* any.Read()).toBe("")
    }))
  })

  it.effect("comes after the answer of an agent of durability relaxed", () => {
    const Relaxed = make({ durability: "relaxed" })
    return onMemory(layerOf((agent, name) => agent.set({ text: name }), Relaxed))(Effect.gen(function*() {
      const any = yield* ask(Relaxed)
      expect(yield* any.Do({ name: "a" })).toBe("a")
      yield* Effect.flatMap(AgentRuntime, ({ stop }) => stop(address))
      expect((yield* stored).state).toBe(`{"text":"a"}`)
    }))
  })
})

describe("a durable message", () => {
  const letters = Effect.flatMap(AgentLetters.make, ({ list }) => list())

  const told = (message: string, payload: string) =>
    Effect.gen(function*() {
      const log = yield* CommitLog
      yield* log.commit([AgentOperation.tellAgent({ to: address, message, payload, nowMillis: 0 })])
      const any = yield* ask()
      yield* any.Do({ name: "after" })
      yield* Effect.flatMap(AgentRuntime, ({ stop }) => stop(address))
      const store = yield* AgentStore
      return { inbox: yield* store.inbox(address, 0, 10), letters: yield* letters }
    })

  for (
    const [what, message, payload, detail] of [
      ["does not match its schema", "Do", `{"name":7}`, "is invalid"],
      ["is no JSON", "Do", "{", "is invalid"],
      ["nobody knows", "Undo", "{}", "has no message \"Undo\""],
      ["fails", "Do", `{"name":"fail"}`, "Refused"]
    ] as const
  ) {
    it.effect(`that ${what} becomes a dead letter, and the agent goes on`, () =>
      onMemory(
        layerOf((agent, name) => name === "fail" ? Effect.fail(new Refused()) : agent.set({ text: name }))
      )(Effect.gen(function*() {
        const { inbox, letters } = yield* told(message, payload)
        expect(inbox).toEqual([])
        expect(letters.map(({ recipient, topic }) => [recipient, topic])).toEqual([["Any/1", message]])
        expect(letters[0]?.detail).toContain(detail)
      })))
  }
})

describe("a stored state", () => {
  const versions = (version: 1 | 2 | 3) => {
    const protocol = [Rpc.make("Read", { success: Schema.String }), Rpc.make("Touch")] as const
    const one = Schema.Struct({ a: Schema.Number })
    const two = Schema.Struct({ b: Schema.String })
    const three = Schema.Struct({ c: Schema.Array(Schema.String) })
    const from1 = AgentState.migration({ from: 1, schema: one, migrate: ({ a }) => ({ b: `${a}` }) })
    const from2 = AgentState.migration({ from: 2, schema: two, migrate: ({ b }) => ({ c: [b] }) })
    const layer = <S>(definition: Agent.Agent<"V", (typeof protocol)[number], S>, touch: (s: S) => S) =>
      definition.toLayer({
        Read: (_, agent) => Effect.map(agent.get, (state) => JSON.stringify(state)),
        Touch: (_, agent) => agent.update(touch)
      })
    switch (version) {
      case 1:
        return layer(Agent.make("V", { protocol, state: one, initial: { a: 7 } }), ({ a }) => ({ a }))
      case 2:
        return layer(
          Agent.make("V", { protocol, state: two, initial: { b: "" }, version: 2, migrations: [from1] }),
          ({ b }) => ({ b })
        )
      case 3:
        return layer(
          Agent.make("V", {
            protocol,
            state: three,
            initial: { c: [] },
            version: 3,
            migrations: [from1, from2]
          }),
          ({ c }) => ({ c })
        )
    }
  }
  const within = (run: ReturnType<typeof onMemory>, version: 1 | 2 | 3, message: "Read" | "Touch") =>
    run(Effect.scoped(Effect.gen(function*() {
      yield* Layer.build(versions(version))
      const runtime = yield* AgentRuntime
      return yield* Effect.either(runtime.send(AgentAddress.make("V", "1"), message, undefined as never))
    })))

  it.effect("of version 1 is read by version 3 through both migrations, and refused to version 1 again", () =>
    Effect.gen(function*() {
      const run = onMemory(Layer.empty)
      yield* within(run, 1, "Touch")
      expect(yield* within(run, 3, "Read")).toMatchObject({ right: `{"c":["7"]}` })
      yield* within(run, 3, "Touch")
      expect(yield* within(run, 1, "Read")).toMatchObject({ left: { _tag: "StateTooNew" } })
    }))

  it.effect("that cannot be read parks the agent, and is kept as it is", () =>
    Effect.gen(function*() {
      const run = onMemory(Layer.empty)
      const V = AgentAddress.make("V", "1")
      yield* run(Effect.gen(function*() {
        const log = yield* CommitLog
        const [{ activation }] = yield* log.commit([
          AgentOperation.activateAgent({ ...V, stateVersionMax: 1, nowMillis: 0 })
        ])
        yield* log.commit([
          AgentOperation.commitMessage({
            ...V,
            activation,
            base: 0,
            state: { version: 1, value: `{"a":"no number"}` },
            tells: [],
            nowMillis: 0
          })
        ])
      }))
      expect(yield* within(run, 1, "Read")).toMatchObject({ left: { _tag: "AgentParked" } })
      expect(yield* within(run, 1, "Read")).toMatchObject({ left: { _tag: "AgentParked" } })
      const record = yield* run(Effect.flatMap(AgentStore, ({ get }) => get(V)))
      expect(Option.getOrThrow(record)).toMatchObject({ status: "parked", state: `{"a":"no number"}` })
    }))
})
