import * as Rpc from "@effect/rpc/Rpc"
import { describe, expect, it } from "@effect/vitest"
import * as Agent from "@holdfast/agents/Agent"
import * as Supervisor from "@holdfast/core/Supervisor"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { onMemory } from "./runtime.ts"
import { settleFibers } from "./workers.ts"

const Parent = Agent.make("Parent", { protocol: [Rpc.make("Spawn")], state: Schema.Null, initial: null })

describe("children of an agent", () => {
  it.effect("have stopped when the layer of its handlers has closed, however long that takes them", () =>
    Effect.gen(function*() {
      let stopped = false
      const stop = Effect.zipRight(settleFibers, Effect.sync(() => stopped = true))
      const child = Supervisor.child({ id: "child", start: Effect.ensuring(Effect.never, stop) })
      const layer = Parent.toLayer({ Spawn: (_, agent) => Effect.orDie(agent.spawn(child)) })
      yield* onMemory(layer)(Effect.flatMap(Parent.client, (client) => client("p").Spawn()))
      expect(stopped).toBe(true)
    }))
})
