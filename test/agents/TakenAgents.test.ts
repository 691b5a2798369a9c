import * as Rpc from "@effect/rpc/Rpc"
import { describe, expect, it } from "@effect/vitest"
import * as Agent from "@holdfast/agents/Agent"
import * as AgentAddress from "@holdfast/agents/AgentAddress"
import * as AgentOperation from "@holdfast/agents/AgentOperation"
import { CommitLog } from "@holdfast/agents/CommitLog"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/TestClock"
import { onMemory } from "./runtime.ts"

const Counter = Agent.make("Counter", {
  protocol: [
    Rpc.make("Add", { payload: { by: Schema.Int } }),
    Rpc.make("Read", { success: Schema.Int }),
    Rpc.make("Hold")
  ],
  state: Schema.Struct({ count: Schema.Int }),
  initial: { count: 0 }
})

const address = AgentAddress.make("Counter", "c-1")

/** Counters whose `Hold` never ends, and what tells when one does hold, is let go of, or has been told something. */
const counters = Effect.gen(function*() {
  const entered = yield* Deferred.make<void>()
  const interrupted = yield* Deferred.make<void>()
  const added = yield* Deferred.make<void>()
  const layer = Counter.toLayer({
    Add: ({ by }, agent) =>
      Effect.zipRight(
        agent.update(({ count }) => ({ count: count + by })),
        Deferred.succeed(added, undefined)
      ),
    Read: (_, agent) => Effect.map(agent.get, ({ count }) => count),
    Hold: () =>
      Effect.onInterrupt(
        Effect.zipRight(Deferred.succeed(entered, undefined), Effect.never),
        () => Deferred.succeed(interrupted, undefined)
      )
  })
  return { entered, interrupted, added, run: onMemory(layer) }
})

describe("an agent that was taken from its owner", () => {
  it.effect("by an operator who parks it while a message takes long ends the message, and is parked", () =>
    Effect.gen(function*() {
      const { entered, interrupted, run } = yield* counters
      yield* run(Effect.gen(function*() {
        const counter = yield* Counter.client
        const held = yield* Effect.fork(Effect.flip(counter("c-1").Hold()))
        yield* Deferred.await(entered)
        const log = yield* CommitLog
        yield* log.commit([
          AgentOperation.parkAgent({ ...address, activation: null, cause: "enough", nowMillis: 0 })
        ])
        yield* TestClock.adjust("2 seconds")
        yield* Deferred.await(interrupted)
        expect((yield* Fiber.join(held))._tag).toBe("CommitRefused")
        expect((yield* Effect.flip(counter("c-1").Read())).message).toContain("enough")
      }))
    }))

  it.effect("while it was idle handles what it is told next, from its last commit", () =>
    Effect.gen(function*() {
      const { added, run } = yield* counters
      yield* run(Effect.gen(function*() {
        const counter = yield* Counter.client
        expect(yield* counter("c-1").Read()).toBe(0)
        const log = yield* CommitLog
        yield* log.commit([
          AgentOperation.activateAgent({ ...address, stateVersionMax: 1, nowMillis: 0 })
        ])
        yield* log.commit([
          AgentOperation.tellAgent({ to: address, message: "Add", payload: `{"by":2}`, nowMillis: 0 })
        ])
        yield* Deferred.await(added)
        expect(yield* counter("c-1").Read()).toBe(2)
      }))
    }))
})
