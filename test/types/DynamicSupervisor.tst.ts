import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { describe, expect, test } from "tstyche"
import type { ChildNotFound, ChildRunning, StartRefused } from "../../packages/core/src/ChildError.ts"
import * as DynamicSupervisor from "../../packages/core/src/DynamicSupervisor.ts"
import type * as PartitionSupervisor from "../../packages/core/src/PartitionSupervisor.ts"
import * as Supervisor from "../../packages/core/src/Supervisor.ts"

class Busy extends Data.TaggedError("Busy")<{}> {}
class Database extends Context.Tag("holdfast/test/types/DynamicSupervisor.tst/Database")<Database, {}>() {}

declare const program: Effect.Effect<number, Busy, Database | Scope.Scope>
declare const supervisor: DynamicSupervisor.DynamicSupervisor
declare const partitions: PartitionSupervisor.PartitionSupervisor

const id = "a"
const steady = Supervisor.child({ id, start: Effect.never })
const parking = Supervisor.child({ id, start: program, onFailure: { Busy: "park" } })
const escalating = Supervisor.child({ id, start: program, onFailure: { Busy: "escalate" } })
const mayEscalate = Supervisor.child({
  id,
  start: program,
  onFailure: { Busy: (busy) => busy.message === "" ? "escalate" : "restart" }
})

describe("startChild", () => {
  test("needs what the child needs, its own scope aside", () => {
    expect(supervisor.startChild(steady)).type.toBe<Effect.Effect<Supervisor.ChildInfo, StartRefused>>()
    expect(supervisor.startChild(parking)).type.toBe<
      Effect.Effect<Supervisor.ChildInfo, StartRefused, Database>
    >()
    expect(partitions.startChild("key", parking)).type.toBe<
      Effect.Effect<Supervisor.ChildInfo, StartRefused, Database>
    >()
  })

  test("takes a child that is specified in place", () => {
    expect(supervisor.startChild(
      Supervisor.child({ id, start: program, onFailure: { Busy: "park" } })
    )).type.toBe<Effect.Effect<Supervisor.ChildInfo, StartRefused, Database>>()
  })

  test("refuses a child that may escalate: it would end its siblings", () => {
    expect(supervisor.startChild).type.not.toBeCallableWith(escalating)
    expect(supervisor.startChild).type.not.toBeCallableWith(mayEscalate)
    expect(partitions.startChild).type.not.toBeCallableWith("key", escalating)
  })
})

test("what is asked of a child by its id fails typed", () => {
  expect(supervisor.terminateChild(id)).type.toBe<Effect.Effect<void, ChildNotFound>>()
  expect(supervisor.restartChild(id)).type.toBe<
    Effect.Effect<Supervisor.ChildInfo, ChildNotFound | ChildRunning>
  >()
})

test("a supervisor fails with nothing, and so does its layer", () => {
  class Rooms extends Context.Tag("holdfast/test/types/DynamicSupervisor.tst/Rooms")<
    Rooms,
    DynamicSupervisor.DynamicSupervisor
  >() {}
  expect(DynamicSupervisor.make()).type.toBe<
    Effect.Effect<DynamicSupervisor.DynamicSupervisor, never, Scope.Scope>
  >()
  expect(DynamicSupervisor.layer(Rooms)).type.toBe<Layer.Layer<Rooms>>()
  expect(supervisor.await).type.toBe<Effect.Effect<void>>()
})
