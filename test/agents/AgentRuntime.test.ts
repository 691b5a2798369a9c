import * as Rpc from "@effect/rpc/Rpc"
import { describe, expect, it } from "@effect/vitest"
import * as Agent from "@holdfast/agents/Agent"
import * as AgentAddress from "@holdfast/agents/AgentAddress"
import { AgentCrashed, AgentParked, AskCycle, AskTimeout, MailboxFull } from "@holdfast/agents/AgentError"
import type { AgentError } from "@holdfast/agents/AgentError"
import type { Handle } from "@holdfast/agents/AgentHandle"
import { AgentRuntime } from "@holdfast/agents/AgentRuntime"
import { AgentStore } from "@holdfast/agents/AgentStore"
import * as Backoff from "@holdfast/core/Backoff"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as PrimaryKey from "effect/PrimaryKey"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/TestClock"
import { event, onMemory } from "./runtime.ts"

class LimitReached extends Schema.TaggedError<LimitReached>()("LimitReached", { limit: Schema.Int }) {}

class Deposit extends Schema.TaggedRequest<Deposit>()("Deposit", {
  payload: { id: Schema.String, amount: Schema.Int },
  success: Schema.Int,
  failure: Schema.Never
}) {
  [PrimaryKey.symbol]() {
    return this.id
  }
}

const protocol = [
  Rpc.make("Add", { payload: { by: Schema.Int }, success: Schema.Int, error: LimitReached }),
  Rpc.make("Read", { success: Schema.Int }),
  Rpc.make("Boom"),
  Rpc.make("Interrupt"),
  Rpc.make("Hold", { payload: { name: Schema.String } }),
  Rpc.make("AddAndHold", { payload: { by: Schema.Int } }),
  Rpc.make("TellAdd", { payload: { to: Schema.String, by: Schema.Int } }),
  Rpc.make("Later", { payload: { to: Schema.String, by: Schema.Int } }),
  Rpc.make("AskOther", { payload: { to: Schema.String }, success: Schema.Int }),
  Rpc.make("AskBack", { payload: { to: Schema.String }, success: Schema.Int }),
  Rpc.fromTaggedRequest(Deposit)
] as const

const State = Schema.Struct({ count: Schema.Int })
type State = typeof State.Type

const policies = { protocol, state: State, initial: { count: 0 } }

const Counter = Agent.make("Counter", policies)

/** What a test sees of handlers: which hold, and what lets them go. */
interface Hooks {
  readonly held: (name: string) => Effect.Effect<void>
  readonly handled: (what: string) => Effect.Effect<void>
}

const add = (agent: Handle<State>, by: number) =>
  Effect.zipRight(
    agent.update(({ count }) => ({ count: count + by })),
    Effect.map(agent.get, ({ count }) => count)
  )

const layerOf = (
  definition: typeof Counter,
  hooks: Hooks = { held: () => Effect.void, handled: () => Effect.void }
) =>
  definition.toLayer({
    Add: ({ by }, agent) =>
      Effect.zipRight(
        add(agent, by),
        Effect.flatMap(agent.get, ({ count }) =>
          count > 100
            ? Effect.fail(new LimitReached({ limit: 100 }))
            : Effect.as(hooks.handled(`${agent.self.id} ${by}`), count))
      ),
    Read: (_, agent) => Effect.map(agent.get, ({ count }) => count),
    Boom: (_, agent) => Effect.zipRight(agent.set({ count: -1 }), Effect.die("boom")),
    Interrupt: (_, agent) => Effect.zipRight(agent.set({ count: -1 }), Effect.interrupt),
    Hold: ({ name }) => hooks.held(name),
    AddAndHold: ({ by }, agent) => Effect.zipRight(add(agent, by), hooks.held("AddAndHold")),
    TellAdd: ({ by, to }, agent) => agent.tell(Counter, to).Add({ by }),
    Later: ({ by, to }, agent) => agent.schedule("10 seconds", Counter, to).Add({ by }),
    AskOther: ({ to }, agent) => agent.ask(Counter, to).AskBack({ to: agent.self.id }),
    AskBack: ({ to }, agent) => agent.ask(Counter, to).Read(),
    Deposit: ({ amount }, agent) => add(agent, amount)
  })

const address = (id: string) => AgentAddress.make("Counter", id)

/** Hooks whose holding handlers wait for the test, which waits for them. */
const latches = Effect.gen(function*() {
  const entered = yield* Deferred.make<void>()
  const letGo = yield* Deferred.make<void>()
  const interrupted = yield* Deferred.make<void>()
  const handled = yield* Deferred.make<string>()
  const hooks: Hooks = {
    held: () =>
      Effect.onInterrupt(
        Effect.zipRight(Deferred.succeed(entered, undefined), Deferred.await(letGo)),
        () => Deferred.succeed(interrupted, undefined)
      ),
    handled: (what) => Deferred.succeed(handled, what)
  }
  return { entered, letGo, interrupted, handled, hooks }
})

describe("an agent", () => {
  it.effect("keeps its state from message to message and from process to process", () =>
    Effect.gen(function*() {
      const run = onMemory(layerOf(Counter))
      yield* run(Effect.gen(function*() {
        const counter = yield* Counter.client
        expect(yield* counter("c-1").Add({ by: 2 })).toBe(2)
        expect(yield* counter("c-1").Add({ by: 3 })).toBe(5)
        expect(yield* counter("c-2").Read()).toBe(0)
      }))
      expect(yield* run(Effect.flatMap(Counter.client, (counter) => counter("c-1").Read()))).toBe(5)
    }))

  it.effect("leaves no trace of a message that fails, whose error reaches its sender with its type", () =>
    onMemory(layerOf(Counter))(Effect.gen(function*() {
      const counter = yield* Counter.client
      yield* counter("c-1").Add({ by: 99 })
      const failure: LimitReached | AgentError = yield* Effect.flip(counter("c-1").Add({ by: 2 }))
      expect(failure).toEqual(new LimitReached({ limit: 100 }))
      expect(yield* counter("c-1").Read()).toBe(99)
    })))

  it.effect("answers AgentCrashed to a bug and goes on from its last commit", () =>
    onMemory(layerOf(Counter))(Effect.gen(function*() {
      const counter = yield* Counter.client
      yield* counter("c-1").Add({ by: 7 })
      const failure = yield* Effect.flip(counter("c-1").Boom())
      expect(failure).toBeInstanceOf(AgentCrashed)
      expect(failure.message).toContain("boom")
      expect(yield* counter("c-1").Read()).toBe(7)
    })))

  it.effect("is parked with its cause past its intensity, alone, until it is resumed", () =>
    onMemory(layerOf(Counter))(Effect.gen(function*() {
      const counter = yield* Counter.client
      const runtime = yield* AgentRuntime
      yield* counter("c-1").Add({ by: 7 })
      yield* Effect.forEach([1, 2, 3, 4], () => Effect.flip(counter("c-1").Boom()))
      const parked = yield* Effect.flip(counter("c-1").Read())
      expect(parked).toBeInstanceOf(AgentParked)
      expect(parked.message).toContain("boom")
      expect(yield* counter("c-2").Read()).toBe(0)
      expect(yield* runtime.resume(address("c-1"))).toBe(true)
      expect(yield* counter("c-1").Read()).toBe(7)
    })))

  it.effect("crashes within its intensity for ever", () =>
    onMemory(layerOf(Counter))(Effect.gen(function*() {
      const counter = yield* Counter.client
      for (let round = 0; round < 5; round++) {
        yield* Effect.forEach([1, 2, 3], () => Effect.flip(counter("c-1").Boom()))
        expect(yield* counter("c-1").Read()).toBe(0)
        yield* TestClock.adjust("6 seconds")
      }
    })))

  it.effect("waits before it starts again, as its backoff says", () => {
    const Slow = Agent.make("Counter", {
      ...policies,
      supervision: { maxRestarts: 3, period: "1 minute", backoff: Backoff.fixed("10 seconds") }
    })
    return onMemory(layerOf(Slow))(Effect.gen(function*() {
      const counter = yield* Slow.client
      yield* Effect.flip(counter("c-1").Boom())
      const reading = yield* Effect.fork(counter("c-1").Read())
      yield* TestClock.adjust("9 seconds")
      expect(Option.isNone(yield* Fiber.poll(reading))).toBe(true)
      yield* TestClock.adjust("1 second")
      expect(yield* Fiber.join(reading)).toBe(0)
    }))
  })

  it.effect("passes on an interruption as one", () =>
    onMemory(layerOf(Counter))(Effect.gen(function*() {
      const counter = yield* Counter.client
      yield* counter("c-1").Add({ by: 7 })
      expect(Exit.isInterrupted(yield* Effect.exit(counter("c-1").Interrupt()))).toBe(true)
      expect(yield* counter("c-1").Read()).toBe(7)
      const [{ restarts } = { restarts: -1 }] = yield* Effect.flatMap(AgentRuntime, ({ list }) => list)
      expect(restarts).toBe(0)
    })))

  it.effect("handles one message at a time, in their order", () =>
    Effect.gen(function*() {
      const { entered, hooks, letGo } = yield* latches
      yield* onMemory(layerOf(Counter, hooks))(Effect.gen(function*() {
        const counter = yield* Counter.client
        const holding = yield* Effect.fork(counter("c-1").AddAndHold({ by: 5 }))
        yield* Deferred.await(entered)
        const reading = yield* Effect.fork(counter("c-1").Read())
        yield* Effect.yieldNow()
        expect(Option.isNone(yield* Fiber.poll(reading))).toBe(true)
        yield* Deferred.succeed(letGo, undefined)
        expect(yield* Fiber.join(reading)).toBe(5)
        yield* Fiber.join(holding)
      }))
    }))

  it.effect("applies a message of one key once, and answers each of them the same", () =>
    Effect.gen(function*() {
      const run = onMemory(layerOf(Counter))
      const deposit = Effect.flatMap(
        Counter.client,
        (counter) => counter("c-1").Deposit({ id: "d-1", amount: 5 })
      )
      const both = yield* run(Effect.all([deposit, deposit], { concurrency: 2 }))
      expect(both).toEqual([5, 5])
      expect(yield* run(deposit)).toBe(5)
      expect(yield* run(Effect.flatMap(Counter.client, (counter) => counter("c-1").Read()))).toBe(5)
    }))

  it.effect("tells others what is delivered once its own message is committed", () =>
    Effect.gen(function*() {
      const { handled, hooks } = yield* latches
      yield* onMemory(layerOf(Counter, hooks))(Effect.gen(function*() {
        const counter = yield* Counter.client
        yield* counter("c-1").TellAdd({ to: "c-2", by: 4 })
        expect(yield* Deferred.await(handled)).toBe("c-2 4")
        expect(yield* counter("c-2").Read()).toBe(4)
        const { inbox } = yield* AgentStore
        expect(yield* inbox(address("c-2"), 0, 10)).toEqual([])
      }))
    }))

  it.effect("is told what another process had committed and not delivered", () =>
    Effect.gen(function*() {
      const Other = Agent.make("Other", policies)
      const run = onMemory(Layer.empty)
      const { handled, hooks } = yield* latches
      const program = Effect.gen(function*() {
        const runtime = yield* AgentRuntime
        yield* Effect.scoped(Effect.gen(function*() {
          yield* Layer.build(layerOf(Counter))
          yield* runtime.park(address("c-2"), "not yet")
          const counter = yield* Counter.client
          yield* counter("c-1").TellAdd({ to: "c-2", by: 4 })
          yield* runtime.resume(address("c-2"))
        }))
        expect(Other.name).toBe("Other")
      })
      yield* run(program)
      yield* run(Effect.scoped(Effect.gen(function*() {
        yield* Layer.build(layerOf(Counter, hooks))
        const waiting = yield* Effect.fork(Deferred.await(handled))
        yield* TestClock.adjust("1 second")
        expect(yield* Fiber.join(waiting)).toBe("c-2 4")
      })))
    }))

  it.effect("delivers a scheduled message when it is due", () =>
    Effect.gen(function*() {
      const { handled, hooks } = yield* latches
      yield* onMemory(layerOf(Counter, hooks))(Effect.gen(function*() {
        const counter = yield* Counter.client
        yield* counter("c-1").Later({ to: "c-2", by: 4 })
        yield* TestClock.adjust("9 seconds")
        expect(yield* counter("c-2").Read()).toBe(0)
        yield* TestClock.adjust("2 seconds")
        expect(yield* Deferred.await(handled)).toBe("c-2 4")
      }))
    }))
})

describe("an ask", () => {
  it.effect("times out, and its handler is interrupted", () =>
    Effect.gen(function*() {
      const { entered, hooks, interrupted } = yield* latches
      yield* onMemory(layerOf(Counter, hooks))(Effect.gen(function*() {
        const counter = yield* Counter.client
        const asking = yield* Effect.fork(
          Effect.flip(counter("c-1").AddAndHold({ by: 5 }, { timeoutMillis: 1_000 }))
        )
        yield* Deferred.await(entered)
        yield* TestClock.adjust("1 second")
        expect(yield* Fiber.join(asking)).toEqual(
          new AskTimeout({ address: address("c-1"), rpc: "AddAndHold", timeoutMillis: 1_000 })
        )
        yield* Deferred.await(interrupted)
        expect(yield* counter("c-1").Read()).toBe(0)
      }))
    }))

  it.effect("that is abandoned while it waits is not handled, and while it is handled is interrupted", () =>
    Effect.gen(function*() {
      const { entered, hooks, interrupted } = yield* latches
      yield* onMemory(layerOf(Counter, hooks))(Effect.gen(function*() {
        const counter = yield* Counter.client
        const holding = yield* Effect.fork(counter("c-1").AddAndHold({ by: 5 }))
        yield* Deferred.await(entered)
        const waiting = yield* Effect.fork(counter("c-1").Add({ by: 9 }))
        yield* Effect.yieldNow()
        yield* Fiber.interrupt(waiting)
        yield* Fiber.interrupt(holding)
        yield* Deferred.await(interrupted)
        expect(yield* counter("c-1").Read()).toBe(0)
      }))
    }))

  it.effect("that would wait for its own sender fails with the path, and so do asks that cross", () =>
    onMemory(layerOf(Counter))(Effect.gen(function*() {
      const counter = yield* Counter.client
      const cycle = yield* Effect.flip(counter("a").AskOther({ to: "b" }))
      expect(cycle).toEqual(
        new AskCycle({ address: address("a"), path: ["Counter/b", "Counter/a", "Counter/b"] })
      )
      expect(yield* Effect.flip(counter("a").AskBack({ to: "a" }))).toBeInstanceOf(AskCycle)
      const crossing = yield* Effect.all(
        [
          Effect.either(counter("a").AskOther({ to: "b" })),
          Effect.either(counter("b").AskOther({ to: "a" }))
        ],
        { concurrency: 2 }
      )
      expect(crossing.every(({ _tag }) => _tag === "Left")).toBe(true)
      expect(yield* counter("a").AskBack({ to: "b" })).toBe(0)
    })))

  it.effect("is refused by a mailbox that is full", () =>
    Effect.gen(function*() {
      const Small = Agent.make("Counter", { ...policies, mailbox: { capacity: 1, overflow: "reject" } })
      const { entered, hooks, letGo } = yield* latches
      yield* onMemory(layerOf(Small, hooks))(Effect.gen(function*() {
        const counter = yield* Small.client
        const holding = yield* Effect.fork(counter("c-1").Hold({ name: "x" }))
        yield* Deferred.await(entered)
        const waiting = yield* Effect.fork(counter("c-1").Read())
        yield* Effect.yieldNow()
        expect(yield* Effect.flip(counter("c-1").Read())).toEqual(
          new MailboxFull({ address: address("c-1"), capacity: 1 })
        )
        yield* Deferred.succeed(letGo, undefined)
        yield* Fiber.join(holding)
        expect(yield* Fiber.join(waiting)).toBe(0)
      }))
    }))

  it.effect("names what is not there, and what does not match", () =>
    onMemory(layerOf(Counter))(Effect.gen(function*() {
      const runtime = yield* AgentRuntime
      const counter = yield* Counter.client
      expect(
        (yield* Effect.flip(runtime.send(AgentAddress.make("Nobody", "1"), "Read", undefined as never)))._tag
      )
        .toBe("AgentNotFound")
      expect((yield* Effect.flip(runtime.send(address("1"), "Nothing" as never, undefined as never)))._tag)
        .toBe("UnknownMessage")
      expect((yield* Effect.flip(counter("1").Add({ by: 1.5 })))._tag).toBe("InvalidPayload")
    })))
})

describe("a live agent", () => {
  it.effect("leaves memory when nobody needs it, and comes back with its state", () =>
    onMemory(layerOf(Counter))(Effect.gen(function*() {
      const counter = yield* Counter.client
      const runtime = yield* AgentRuntime
      yield* counter("c-1").Add({ by: 7 })
      const passivated = yield* Effect.fork(event("Passivated"))
      yield* TestClock.adjust("62 seconds")
      yield* Fiber.join(passivated)
      expect(yield* runtime.list).toEqual([])
      const inspected = Option.getOrThrow(yield* runtime.inspect(Counter, "c-1"))
      expect([inspected.row.status, inspected.state]).toEqual(["passive", { count: 7 }])
      expect(yield* runtime.list).toEqual([])
      expect(yield* counter("c-1").Read()).toBe(7)
    })))

  it.effect("handles what it has before it stops", () =>
    Effect.gen(function*() {
      const { entered, hooks, letGo } = yield* latches
      yield* onMemory(layerOf(Counter, hooks))(Effect.gen(function*() {
        const counter = yield* Counter.client
        const runtime = yield* AgentRuntime
        const holding = yield* Effect.fork(counter("c-1").AddAndHold({ by: 5 }))
        yield* Deferred.await(entered)
        const reading = yield* Effect.fork(counter("c-1").Add({ by: 1 }))
        const stopping = yield* Effect.fork(runtime.stop(address("c-1")))
        yield* Effect.yieldNow()
        yield* Deferred.succeed(letGo, undefined)
        yield* Fiber.join(stopping)
        yield* Fiber.join(holding)
        expect(yield* Fiber.join(reading)).toBe(6)
        expect(yield* runtime.list).toEqual([])
      }))
    }))

  it.effect("that is killed answers the message in hand with AgentCrashed, and handles the others", () =>
    Effect.gen(function*() {
      const { entered, hooks, interrupted } = yield* latches
      yield* onMemory(layerOf(Counter, hooks))(Effect.gen(function*() {
        const counter = yield* Counter.client
        const runtime = yield* AgentRuntime
        const holding = yield* Effect.fork(Effect.flip(counter("c-1").AddAndHold({ by: 5 })))
        yield* Deferred.await(entered)
        const reading = yield* Effect.fork(counter("c-1").Read())
        yield* Effect.yieldNow()
        expect(yield* runtime.kill(address("c-1"))).toBe(true)
        yield* Deferred.await(interrupted)
        expect(yield* Fiber.join(holding)).toBeInstanceOf(AgentCrashed)
        expect(yield* Fiber.join(reading)).toBe(0)
        expect(yield* runtime.kill(address("nobody"))).toBe(false)
      }))
    }))

  it.effect("is not activated while it is parked", () =>
    onMemory(layerOf(Counter))(Effect.gen(function*() {
      const counter = yield* Counter.client
      const runtime = yield* AgentRuntime
      yield* counter("c-1").Add({ by: 7 })
      yield* runtime.park(address("c-1"), "for the night")
      expect(yield* Effect.flip(counter("c-1").Read())).toEqual(
        new AgentParked({ address: address("c-1"), detail: "for the night" })
      )
      const tell = yield* Counter.teller
      yield* tell("c-1").Add({ by: 1 })
      expect(yield* runtime.resume(address("c-1"))).toBe(true)
      expect(yield* runtime.resume(address("c-1"))).toBe(false)
      yield* TestClock.adjust("1 second")
      expect(yield* counter("c-1").Read()).toBe(8)
    })))

  it.effect("handles what it was asked before its layer closed", () =>
    Effect.gen(function*() {
      const { entered, hooks, letGo } = yield* latches
      const answers = yield* Ref.make<ReadonlyArray<number>>([])
      yield* onMemory(Layer.empty)(Effect.gen(function*() {
        const closing = yield* Effect.scoped(Effect.gen(function*() {
          yield* Layer.build(layerOf(Counter, hooks))
          const counter = yield* Counter.client
          yield* Effect.forkDaemon(counter("c-1").Hold({ name: "x" }))
          yield* Deferred.await(entered)
          for (const by of [1, 2, 3]) {
            yield* Effect.forkDaemon(
              Effect.flatMap(counter("c-1").Add({ by }), (sum) => Ref.update(answers, (all) => [...all, sum]))
            )
          }
          yield* Effect.yieldNow()
        })).pipe(Effect.fork)
        yield* Effect.yieldNow()
        yield* Deferred.succeed(letGo, undefined)
        yield* Fiber.join(closing)
        expect(yield* Ref.get(answers)).toEqual([1, 3, 6])
      }))
    }))
})
