/**
 * A process that hosts one agent type on a store and asks one agent, again and again. It writes a line for each answer:
 * `ok` and the sum, or the tag of the error.
 */
import * as Rpc from "@effect/rpc/Rpc"
import * as Agent from "@holdfast/agents/Agent"
import * as AgentRuntime from "@holdfast/agents/AgentRuntime"
import * as Sqlite from "@holdfast/persistence/Sqlite"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import Process from "node:process"

const Counter = Agent.make("Counter", {
  protocol: [Rpc.make("Add", { payload: { by: Schema.Int }, success: Schema.Int })],
  state: Schema.Struct({ count: Schema.Int }),
  initial: { count: 0 }
})

const layer = Counter.toLayer({
  Add: ({ by }, agent) =>
    Effect.flatMap(agent.get, ({ count }) => Effect.as(agent.set({ count: count + by }), count + by))
})

const [filename = "", leaseMillis = "1000"] = Process.argv.slice(2)

const program = Effect.flatMap(Counter.client, (client) =>
  client("a").Add({ by: 1 }).pipe(
    Effect.match({ onSuccess: (sum) => `ok ${sum}`, onFailure: ({ _tag }) => _tag }),
    Effect.flatMap((line) => Effect.sync(() => Process.stdout.write(`${line}\n`))),
    Effect.zipRight(Effect.sleep("20 millis")),
    Effect.forever
  ))

await Effect.runPromise(Effect.provide(
  program,
  layer.pipe(
    Layer.provideMerge(AgentRuntime.layer),
    Layer.provideMerge(Sqlite.layer({ filename, lease: `${Number(leaseMillis)} millis` }))
  )
))
