import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { describe, expect, test } from "tstyche"
import type { AgentError } from "../../packages/agents/src/AgentError.ts"
import type { AgentRuntime } from "../../packages/agents/src/AgentRuntimeTag.ts"
import type { CommitError, CommitLog } from "../../packages/agents/src/CommitLog.ts"
import * as TaskAgent from "../../packages/agents/src/TaskAgent.ts"
import type { Metrics } from "../../packages/agents/src/TaskMessages.ts"
import type { TaskStore } from "../../packages/agents/src/TaskStore.ts"

class Bounced extends Schema.TaggedError<Bounced>()("Bounced", {}) {}
class Refused extends Schema.TaggedError<Refused>()("Refused", {}) {}
class Post extends Context.Tag("holdfast/test/types/TaskAgent.tst/Post")<Post, {}>() {}

const Payload = Schema.Struct({ kind: Schema.Literal("receipt", "news"), at: Schema.Date })

const Mailer = TaskAgent.make("Mailer", { payload: Payload, success: Schema.Int, error: Bounced })
const Plain = TaskAgent.make("Plain", { payload: Schema.String })

type Client = Effect.Effect.Success<typeof Mailer.client>
declare const mailer: Client
declare const at: Date
declare const send: (
  payload: { readonly kind: "receipt" | "news"; readonly at: Date }
) => Effect.Effect<number, Bounced, Post>
declare const refusing: () => Effect.Effect<number, Refused>
declare const answering: () => Effect.Effect<string>

describe("client", () => {
  test("takes the decoded payload, and fails with AgentError alone", () => {
    expect(mailer.Enqueue({ payload: { kind: "news", at }, priority: 1 }))
      .type.toBe<Effect.Effect<string, AgentError>>()
    expect(mailer.Metrics()).type.toBe<Effect.Effect<Metrics, AgentError>>()
  })

  test("refuses another payload and options it does not have", () => {
    expect(mailer.Enqueue).type.not.toBeCallableWith({ payload: { kind: "letter", at } })
    expect(mailer.Enqueue).type.not.toBeCallableWith({ payload: { kind: "news", at: "today" } })
    expect(mailer.Enqueue).type.not.toBeCallableWith({ payload: { kind: "news", at }, delay: 1 })
  })
})

describe("toLayer", () => {
  test("needs what the handler needs", () => {
    expect(Mailer.toLayer(send))
      .type.toBe<Layer.Layer<never, CommitError, AgentRuntime | CommitLog | TaskStore | Post>>()
    expect(Plain.toLayer((text) => Effect.log(text.length)))
      .type.toBe<Layer.Layer<never, CommitError, AgentRuntime | CommitLog | TaskStore>>()
  })

  test("refuses an error or a result that the definition does not name", () => {
    expect(Mailer.toLayer).type.not.toBeCallableWith(refusing)
    expect(Mailer.toLayer).type.not.toBeCallableWith(answering)
  })
})

describe("make", () => {
  test("takes how typed failures count for a breaker, by their tags", () => {
    const options = { payload: Payload, error: Bounced }
    expect(TaskAgent.make).type.toBeCallableWith("M", {
      ...options,
      policy: { breaker: { errors: { Bounced: "ignore" } } }
    })
    expect(TaskAgent.make).type.not.toBeCallableWith("M", {
      ...options,
      policy: { breaker: { errors: { Bounce: "ignore" } } }
    })
  })
})
