import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { describe, expect, test } from "tstyche"
import type { ChildSpec } from "../../packages/core/src/ChildSpec.ts"
import type { Decision } from "../../packages/core/src/RestartDecision.ts"
import * as Supervisor from "../../packages/core/src/Supervisor.ts"

class Busy extends Data.TaggedError("Busy")<{ readonly fatal: boolean }> {}
class BadConfig extends Data.TaggedError("BadConfig")<{ readonly key: string }> {}
class Database extends Context.Tag("holdfast/test/types/Supervisor.tst/Database")<Database, {}>() {}

declare const program: Effect.Effect<number, Busy | BadConfig, Database | Scope.Scope>
declare const steady: Effect.Effect<never, never, Scope.Scope>
declare const decision: Decision
declare const failing: <E>() => Effect.Effect<void, E>

const id = "a"

describe("child", () => {
  test("needs no decisions where nothing fails, and its scope is its own", () => {
    expect(Supervisor.child({ id, start: steady })).type.toBe<ChildSpec<"a", never, never>>()
    expect(Supervisor.child({ id, start: Effect.never, restart: "transient", shutdown: "infinity" }))
      .type.toBe<ChildSpec<"a", never, never>>()
  })

  test("escalates what is decided to escalate, and nothing else", () => {
    expect(Supervisor.child({ id, start: program, onFailure: { Busy: "restart", BadConfig: "escalate" } }))
      .type.toBe<ChildSpec<"a", BadConfig, Database>>()
    expect(Supervisor.child({
      id,
      start: program,
      onFailure: { Busy: Supervisor.restartAfter("1 second"), BadConfig: "stop" }
    })).type.toBe<ChildSpec<"a", never, Database>>()
    expect(Supervisor.child({ id, start: program, onFailure: { Busy: decision, BadConfig: () => decision } }))
      .type.toBe<ChildSpec<"a", Busy | BadConfig, Database>>()
  })

  test("gives a decision function the failure of its tag, and reads what it may decide", () => {
    expect(Supervisor.child({
      id,
      start: program,
      onFailure: {
        Busy: (busy) => busy.fatal ? "escalate" : Supervisor.restartAfter("1 second"),
        BadConfig: (bad) => bad.key === "port" ? "stop" : "restart"
      }
    })).type.toBe<ChildSpec<"a", Busy, Database>>()
  })

  test("infers from a program built in place", () => {
    expect(Supervisor.child({ id, start: Effect.zipRight(steady, Effect.never) }))
      .type.toBe<ChildSpec<"a", never, never>>()
    expect(
      Supervisor.child({
        id,
        start: Effect.delay(program, "1 second"),
        onFailure: { Busy: "escalate", BadConfig: "stop" }
      })
    )
      .type.toBe<ChildSpec<"a", Busy, Database>>()
    expect(Supervisor.child({
      id,
      start: Supervisor.withReady((ready) => Effect.zipRight(ready, program)),
      onFailure: { Busy: (busy) => busy.fatal ? "escalate" : "restart", BadConfig: "stop" }
    })).type.toBe<ChildSpec<"a", Busy, Database>>()
  })

  test("refuses a missing decision", () => {
    expect(Supervisor.child).type.not.toBeCallableWith({ id, start: program })
    expect(Supervisor.child).type.not.toBeCallableWith({ id, start: program, onFailure: {} })
    expect(Supervisor.child).type.not.toBeCallableWith({ id, start: program, onFailure: { Busy: "stop" } })
    expect(Supervisor.child).type.not.toBeCallableWith({ id, start: Supervisor.withReady(() => program) })
  })

  test("refuses a decision on a tag that the program does not fail with", () => {
    expect(Supervisor.child).type.not.toBeCallableWith({ id, start: steady, onFailure: { Busy: "stop" } })
    expect(Supervisor.child).type.not.toBeCallableWith({
      id,
      start: program,
      onFailure: { Busy: "stop", BadConfig: "stop", NotFound: "stop" }
    })
  })

  test("refuses what is no decision", () => {
    expect(Supervisor.child).type.not.toBeCallableWith({
      id,
      start: program,
      onFailure: { Busy: "ignore", BadConfig: "stop" }
    })
    expect(Supervisor.child).type.not.toBeCallableWith({
      id,
      start: program,
      onFailure: { Busy: () => "ignore", BadConfig: "stop" }
    })
    expect(Supervisor.child).type.not.toBeCallableWith({
      id,
      start: program,
      onFailure: { Busy: (bad: BadConfig) => bad.key === "" ? "stop" : "restart", BadConfig: "stop" }
    })
    expect(Supervisor.child).type.not.toBeCallableWith({ id, start: steady, restart: "always" })
    expect(Supervisor.child).type.not.toBeCallableWith({ id, start: steady, shutdown: "never" })
  })

  test("refuses failures that cannot be told apart by a tag", () => {
    expect(Supervisor.child).type.not.toBeCallableWith({ id, start: failing<Error>() })
    expect(Supervisor.child).type.not.toBeCallableWith({ id, start: failing<unknown>() })
    expect(Supervisor.child).type.not.toBeCallableWith({
      id,
      start: failing<Busy | string>(),
      onFailure: { Busy: "stop" }
    })
    expect(Supervisor.child).type.not.toBeCallableWith({
      id,
      start: failing<{ readonly _tag: string }>(),
      onFailure: {}
    })
    // oxlint-disable-next-line typescript/no-explicit-any
    expect(Supervisor.child).type.not.toBeCallableWith({ id, start: failing<any>() })
  })
})

describe("make", () => {
  const escalating = Supervisor.child({
    id: "b",
    start: program,
    onFailure: { Busy: "restart", BadConfig: "escalate" }
  })
  const other = Supervisor.child({ id: "c", start: failing<Busy>(), onFailure: { Busy: "escalate" } })

  test("fails with the intensity where no child escalates", () => {
    expect(Supervisor.make({ strategy: "one_for_one", children: [Supervisor.child({ id, start: steady })] }))
      .type.toBe<Effect.Effect<Supervisor.Supervisor, Supervisor.RestartIntensityExceeded, Scope.Scope>>()
  })

  test("unites what the children escalate and need", () => {
    const made = Supervisor.make({
      strategy: "one_for_one",
      children: [Supervisor.child({ id, start: steady }), escalating, other]
    })
    expect(made).type.toBe<
      Effect.Effect<
        Supervisor.Supervisor<Busy | BadConfig>,
        Supervisor.RestartIntensityExceeded | Busy | BadConfig,
        Database | Scope.Scope
      >
    >()
    expect<Effect.Effect.Success<typeof made>["await"]>()
      .type.toBe<Effect.Effect<void, Supervisor.RestartIntensityExceeded | Busy | BadConfig>>()
  })

  test("refuses a strategy that is none", () => {
    expect(Supervisor.make).type.not.toBeCallableWith({ strategy: "all_for_one", children: [escalating] })
  })

  class Tree
    extends Context.Tag("holdfast/test/types/Supervisor.tst/Tree")<Tree, Supervisor.Supervisor<BadConfig>>()
  {}

  test("a layer builds with what its children escalate and need, its own scope aside", () => {
    expect(Supervisor.layer(Tree, { strategy: "one_for_one", children: [escalating] }))
      .type.toBe<Layer.Layer<Tree, Supervisor.RestartIntensityExceeded | BadConfig, Database>>()
    expect(
      Supervisor.layer(Tree, { strategy: "one_for_one", children: [Supervisor.child({ id, start: steady })] })
    )
      .type.toBe<Layer.Layer<Tree, Supervisor.RestartIntensityExceeded>>()
  })

  test("a layer refuses children that escalate what its tag does not say", () => {
    expect(Supervisor.layer).type.not.toBeCallableWith(Tree, { strategy: "one_for_one", children: [other] })
  })
})

describe("supervisor", () => {
  const strategy = "one_for_one"
  const quiet = Supervisor.child({ id: "a", start: steady })
  const escalating = Supervisor.child({
    id: "b",
    start: program,
    onFailure: { Busy: "escalate", BadConfig: "stop" }
  })

  test("escalates nothing where its children do not and nobody says so", () => {
    expect(Supervisor.supervisor({ id: "n", strategy, children: [quiet] }))
      .type.toBe<ChildSpec<"n", never, never>>()
    expect(Supervisor.supervisor({
      id: "n",
      strategy,
      children: [quiet],
      onFailure: { RestartIntensityExceeded: "escalate" }
    })).type.toBe<ChildSpec<"n", Supervisor.RestartIntensityExceeded, never>>()
  })

  test("needs a decision on what its children escalate, and needs what they need", () => {
    expect(Supervisor.supervisor).type.not.toBeCallableWith({ id: "n", strategy, children: [escalating] })
    expect(Supervisor.supervisor).type.not.toBeCallableWith({
      id: "n",
      strategy,
      children: [escalating],
      onFailure: { Busy: "stop", BadConfig: "stop" }
    })
    expect(Supervisor.supervisor).type.not.toBeCallableWith({
      id: "n",
      strategy,
      children: [quiet],
      onFailure: { Busy: "stop" }
    })
    expect(
      Supervisor.supervisor({ id: "n", strategy, children: [quiet, escalating], onFailure: { Busy: "stop" } })
    )
      .type.toBe<ChildSpec<"n", never, Database>>()
    expect(Supervisor.supervisor({
      id: "n",
      strategy,
      children: [escalating],
      onFailure: { Busy: (busy) => busy.fatal ? "escalate" : "restart", RestartIntensityExceeded: "park" }
    })).type.toBe<ChildSpec<"n", Busy, Database>>()
  })

  test("a child started later needs its own context, and cannot escalate", () => {
    const supervisor = {} as Supervisor.Supervisor<Busy>
    const needing = Supervisor.child({
      id: "c",
      start: program,
      onFailure: { Busy: "restart", BadConfig: "park" }
    })
    expect<Effect.Effect.Context<ReturnType<typeof supervisor.startChild<Database>>>>().type.toBe<Database>()
    expect(supervisor.startChild).type.toBeCallableWith(needing)
    expect(supervisor.startChild).type.not.toBeCallableWith(escalating)
  })
})
