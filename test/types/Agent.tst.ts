import * as Rpc from "@effect/rpc/Rpc"
import * as RpcMiddleware from "@effect/rpc/RpcMiddleware"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { describe, expect, test } from "tstyche"
import * as Agent from "../../packages/agents/src/Agent.ts"
import type { AgentError } from "../../packages/agents/src/AgentError.ts"
import type { Handle } from "../../packages/agents/src/AgentHandle.ts"
import type { AgentRuntime } from "../../packages/agents/src/AgentRuntimeTag.ts"
import * as AgentState from "../../packages/agents/src/AgentState.ts"

class LimitReached extends Schema.TaggedError<LimitReached>()("LimitReached", { limit: Schema.Number }) {}
class Refused extends Schema.TaggedError<Refused>()("Refused", {}) {}
class Database extends Context.Tag("holdfast/test/types/Agent.tst/Database")<Database, {}>() {}
class Config extends Context.Tag("holdfast/test/types/Agent.tst/Config")<Config, {}>() {}
class Auth extends RpcMiddleware.Tag<Auth>()("holdfast/test/types/Agent.tst/Auth") {}

const Increment = Rpc.make("Increment", {
  payload: { by: Schema.Int },
  success: Schema.Int,
  error: LimitReached
})
const Read = Rpc.make("Read", { success: Schema.Int })
const Stream = Rpc.make("Watch", { success: Schema.Int, stream: true })
const Guarded = Rpc.make("Guarded").middleware(Auth)

const State = Schema.Struct({ count: Schema.Int })
interface State extends Schema.Schema.Type<typeof State> {}

const Counter = Agent.make("Counter", { protocol: [Increment, Read], state: State, initial: { count: 0 } })

declare const increment: (
  payload: { readonly by: number },
  agent: Handle<{ readonly count: number }>
) => Effect.Effect<number, LimitReached>
declare const read: () => Effect.Effect<number, AgentError, Database>
declare const withString: (payload: { readonly by: string }) => Effect.Effect<number>
declare const refusing: () => Effect.Effect<number, Refused>
declare const answering: () => Effect.Effect<string>

type CounterR = typeof Increment | typeof Read
declare const make: Effect.Effect<
  { readonly Increment: typeof increment; readonly Read: typeof read },
  Refused,
  Config
>

describe("make", () => {
  test("keeps the name, the messages and the state", () => {
    expect(Counter).type.toBe<Agent.Agent<"Counter", CounterR, { readonly count: number }>>()
  })

  test("refuses a streaming Rpc and middleware, and names them", () => {
    expect(Agent.make).type.not.toBeCallableWith("A", {
      protocol: [Stream],
      state: State,
      initial: { count: 0 }
    })
    expect(Agent.make).type.not.toBeCallableWith("A", {
      protocol: [Guarded],
      state: State,
      initial: { count: 0 }
    })
    expect(Agent.make).type.toBeCallableWith("A", { protocol: [Read], state: State, initial: { count: 0 } })
  })

  test("refuses an initial state that is none", () => {
    expect(Agent.make).type.not.toBeCallableWith("A", {
      protocol: [Read],
      state: State,
      initial: { count: "0" }
    })
    expect(Agent.make).type.toBeCallableWith("A", {
      protocol: [Read],
      state: State,
      initial: (id: string) => ({ count: id.length })
    })
    expect(Agent.make).type.not.toBeCallableWith("A", {
      protocol: [Read],
      state: State,
      initial: (id: string) => ({ count: id })
    })
  })
})

describe("client", () => {
  test("fails as the Rpc does or with what the runtime does", () => {
    const client = Effect.runSync(
      Counter.client as Effect.Effect<Effect.Effect.Success<typeof Counter.client>>
    )
    expect(Counter.client).type.toBeAssignableTo<Effect.Effect<unknown, never, AgentRuntime>>()
    expect(client("c-1").Increment({ by: 1 })).type.toBe<Effect.Effect<number, LimitReached | AgentError>>()
    expect(client("c-1").Read()).type.toBe<Effect.Effect<number, AgentError>>()
    expect(client("c-1").Increment).type.not.toBeCallableWith({ by: "1" })
    expect(client("c-1")).type.not.toHaveProperty("Decrement")
  })
})

describe("teller", () => {
  test("fails with what the runtime does, and answers nothing", () => {
    const teller = Effect.runSync(
      Counter.teller as Effect.Effect<Effect.Effect.Success<typeof Counter.teller>>
    )
    expect(teller("c-1").Increment({ by: 1 })).type.toBe<Effect.Effect<void, AgentError>>()
    expect(teller("c-1").Increment).type.not.toBeCallableWith({ by: "1" })
  })
})

describe("toLayer", () => {
  test("needs what the handlers need, and the runtime", () => {
    expect(Counter.toLayer({ Increment: increment, Read: read })).type.toBe<
      Layer.Layer<never, never, AgentRuntime | Database>
    >()
    expect(Counter.toLayer({ Increment: increment, Read: () => Effect.succeed(1) })).type.toBe<
      Layer.Layer<never, never, AgentRuntime>
    >()
  })

  test("takes handlers made by an effect, with its error and what it needs", () => {
    expect(Counter.toLayer(make)).type.toBe<Layer.Layer<never, Refused, AgentRuntime | Database | Config>>()
  })

  test("refuses handlers that are missing, too many, or of another type", () => {
    expect(Counter.toLayer).type.not.toBeCallableWith({ Increment: increment })
    expect(Counter.toLayer).type.not.toBeCallableWith({ Increment: increment, Read: read, Reset: read })
    expect(Counter.toLayer).type.not.toBeCallableWith({ Increment: withString, Read: read })
    expect(Counter.toLayer).type.not.toBeCallableWith({ Increment: increment, Read: refusing })
    expect(Counter.toLayer).type.not.toBeCallableWith({ Increment: increment, Read: answering })
  })

  test("tells handlers written in place their types", () => {
    Counter.toLayer({
      Increment: ({ by }, agent) => {
        expect(by).type.toBe<number>()
        expect(agent).type.toBe<Handle<{ readonly count: number }>>()
        return Effect.succeed(by)
      },
      Read: (_, agent) => Effect.map(agent.get, ({ count }) => count)
    })
  })
})

describe("of", () => {
  test("tells handlers their types and keeps what they need", () => {
    const handlers = Agent.of(Counter, {
      Increment: ({ by }, agent) => {
        expect(by).type.toBe<number>()
        expect(agent.self.id).type.toBe<string>()
        return Effect.as(agent.update(({ count }) => ({ count: count + by })), by)
      },
      Read: read
    })
    expect(Counter.toLayer(Effect.succeed(handlers))).type.toBe<
      Layer.Layer<never, never, AgentRuntime | Database>
    >()
  })

  test("refuses a handler too many", () => {
    expect(Agent.of).type.not.toBeCallableWith(Counter, { Increment: increment, Read: read, Reset: read })
    expect(Agent.of).type.not.toBeCallableWith(Counter, { Increment: increment })
  })
})

describe("the handle", () => {
  const handle = null as unknown as Handle<{ readonly count: number }>

  test("asks with the errors of the other's protocol, and tells without any", () => {
    expect(handle.ask(Counter, "c-1").Increment({ by: 1 })).type.toBe<
      Effect.Effect<number, LimitReached | AgentError>
    >()
    expect(handle.tell(Counter, "c-1").Increment({ by: 1 })).type.toBe<Effect.Effect<void>>()
    expect(handle.schedule("1 hour", Counter, "c-1").Read()).type.toBe<Effect.Effect<void>>()
    expect(handle.tell(Counter, "c-1").Increment).type.not.toBeCallableWith({ by: "1" })
  })

  test("gives the message the errors of what runs in its commit", () => {
    expect(handle.onCommit(Effect.fail(new Refused()))).type.toBe<Effect.Effect<void, Refused>>()
  })
})

describe("migrations", () => {
  const V1 = Schema.Struct({ n: Schema.Number })
  const V2 = Schema.Struct({ n: Schema.Number, unit: Schema.String })
  const one = AgentState.migration({ from: 1, schema: V1, migrate: ({ n }) => ({ n, unit: "C" }) })
  const two = AgentState.migration({ from: 2, schema: V2, migrate: ({ n }) => ({ count: n }) })
  const wrong = AgentState.migration({ from: 2, schema: V2, migrate: ({ n }) => ({ count: `${n}` }) })

  test("each yields what the next version takes, and the last the state", () => {
    const options = { protocol: [Read], state: State, initial: { count: 0 }, version: 3 } as const
    expect(Agent.make).type.toBeCallableWith("A", { ...options, migrations: [one, two] })
    expect(Agent.make).type.not.toBeCallableWith("A", { ...options, migrations: [two, one] })
    expect(Agent.make).type.not.toBeCallableWith("A", { ...options, migrations: [one] })
    expect(Agent.make).type.not.toBeCallableWith("A", { ...options, migrations: [one, wrong] })
    expect(AgentState.codec).type.toBeCallableWith(State, { version: 3, migrations: [one, two] })
    expect(AgentState.codec).type.not.toBeCallableWith(State, { version: 3, migrations: [one, wrong] })
  })
})
