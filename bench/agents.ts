/**
 * What agents cost: asks of volatile and durable ones beside a bare `Queue` and `Deferred` and the entities of
 * `@effect/cluster`; how fast they come back; and what durability costs where a message is real work.
 */
import * as ClusterSchema from "@effect/cluster/ClusterSchema"
import * as Entity from "@effect/cluster/Entity"
import * as SingleRunner from "@effect/cluster/SingleRunner"
import * as Rpc from "@effect/rpc/Rpc"
import * as SqliteClient from "@effect/sql-sqlite-node/SqliteClient"
import * as Agent from "@holdfast/agents/Agent"
import type { Durability } from "@holdfast/agents/Agent"
import * as AgentRuntime from "@holdfast/agents/AgentRuntime"
import * as Sqlite from "@holdfast/persistence/Sqlite"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Queue from "effect/Queue"
import * as Schema from "effect/Schema"
import { performance } from "node:perf_hooks"
import type { Contestant } from "./Measure.ts"

const inFlight = 128

const Add = Rpc.make("Add", { payload: { id: Schema.String, by: Schema.Int }, success: Schema.Int })

/** The contestants. */
export const contestants = (directory: string): ReadonlyArray<Contestant> => [
  bare(),
  ask("volatile ask", directory, "none", 30_000, () => "a"),
  tell("volatile tell", directory, 30_000),
  clusterEntity("cluster entity, not persisted", directory, false, 10_000),
  ask("durable ask, 1 agent", directory, "commit", 20_000, () => "a"),
  ask("durable ask, 100 agents", directory, "commit", 20_000, (index) => `${index % 100}`),
  ask("durable ask, 10,000 agents", directory, "commit", 20_000, (index) => `${index % 10_000}`),
  clusterEntity("cluster entity, persisted, 100 entities", directory, true, 2_000),
  activation(directory),
  restart(directory),
  ask("1 ms of work a message, volatile", directory, "none", 500, (index) => `${index % 10}`, 1),
  ask("1 ms of work a message, durable", directory, "commit", 500, (index) => `${index % 10}`, 1),
  reads("read beside a small state", directory, 1),
  reads("read beside 1 MiB of state", directory, 1_000_000)
]

const forAll = <E, R>(count: number, work: (index: number) => Effect.Effect<unknown, E, R>) =>
  Effect.as(
    Effect.forEach(Array.from({ length: count }, (_, index) => index), work, {
      concurrency: inFlight,
      discard: true
    }),
    count
  )

/** Keeps one runtime for all rounds. */
const contestant = <R, E>(
  name: string,
  layer: Layer.Layer<R, E>,
  work: Effect.Effect<number, unknown, R>
): Contestant => {
  let runtime: ManagedRuntime.ManagedRuntime<R, E> | undefined
  return {
    name,
    run: () => (runtime ??= ManagedRuntime.make(layer)).runPromise(work),
    close: () => runtime?.dispose() ?? Promise.resolve()
  }
}

/** What an ask is at the least: a queue, a fiber that takes from it, and a deferred for each answer. */
const bare = (): Contestant =>
  contestant(
    "bare Queue and Deferred",
    Layer.empty,
    Effect.scoped(Effect.gen(function*() {
      const queue = yield* Queue.bounded<readonly [number, Deferred.Deferred<number>]>(1_000)
      let sum = 0
      yield* Effect.forkScoped(Effect.forever(Effect.flatMap(Queue.take(queue), ([by, answer]) => {
        sum += by
        return Deferred.succeed(answer, sum)
      })))
      return yield* forAll(30_000, () =>
        Effect.flatMap(
          Deferred.make<number>(),
          (answer) => Effect.zipRight(Queue.offer(queue, [1, answer]), Deferred.await(answer))
        ))
    }))
  )

let files = 0

const store = (directory: string) => Sqlite.layer({ filename: `${directory}/agents-${files++}.db` })

const counter = (durability: Durability) =>
  Agent.make("Counter", {
    protocol: [Add, Rpc.make("Crash")],
    state: Schema.Struct({ count: Schema.Int }),
    initial: { count: 0 },
    durability,
    supervision: { maxRestarts: 1_000_000, period: "1 second" }
  })

const counterLayer = (directory: string, durability: Durability, workMillis = 0) =>
  counter(durability).toLayer({
    Add: ({ by }, agent) =>
      Effect.flatMap(agent.get, ({ count }) => {
        if (workMillis > 0) busy(workMillis)
        return Effect.as(agent.set({ count: count + by }), count + by)
      }),
    Crash: () => Effect.die("bench")
  }).pipe(Layer.provideMerge(AgentRuntime.layer), Layer.provideMerge(store(directory)))

const busy = (millis: number): void => {
  const end = performance.now() + millis
  while (performance.now() < end);
}

const ask = (
  name: string,
  directory: string,
  durability: Durability,
  count: number,
  id: (index: number) => string,
  workMillis = 0
): Contestant =>
  contestant(
    name,
    counterLayer(directory, durability, workMillis),
    Effect.flatMap(counter(durability).client, (client) =>
      forAll(count, (index) => client(id(index)).Add({ id: "", by: 1 })))
  )

const tell = (name: string, directory: string, count: number): Contestant =>
  contestant(
    name,
    counterLayer(directory, "none"),
    Effect.flatMap(AgentRuntime.AgentRuntime, (runtime) =>
      forAll(count, () =>
        runtime.tell<typeof Add>({ type: "Counter", id: "a" }, "Add", { id: "", by: 1 })))
  )

/** Each message finds its agent passive: the agent is activated from its row, and passivated again. */
const activation = (directory: string): Contestant =>
  contestant(
    "activation from storage, and passivation",
    counterLayer(directory, "commit"),
    Effect.flatMap(Effect.all([counter("commit").client, AgentRuntime.AgentRuntime]), ([client, runtime]) =>
      forAll(5_000, (index) =>
        Effect.zipRight(
          client(`${index}`).Add({ id: "", by: 1 }),
          runtime.stop({ type: "Counter", id: `${index}` })
        )))
  )

/** One agent crashes and answers the next message, again and again, nothing else in flight. */
const restart = (directory: string): Contestant =>
  contestant(
    "restart after a defect, one after the other",
    counterLayer(directory, "commit"),
    Effect.flatMap(counter("commit").client, (client) =>
      Effect.as(
        Effect.repeatN(
          Effect.zipRight(Effect.flip(client("a").Crash()), client("a").Add({ id: "", by: 0 })),
          499
        ),
        500
      ))
  )

const Blob = Agent.make("Blob", {
  protocol: [
    Rpc.make("Fill", { payload: { length: Schema.Int } }),
    Rpc.make("Length", { success: Schema.Int })
  ],
  state: Schema.String,
  initial: ""
})

const reads = (name: string, directory: string, length: number): Contestant =>
  contestant(
    name,
    Blob.toLayer({
      Fill: ({ length }, agent) => agent.set("x".repeat(length)),
      Length: (_, agent) => Effect.map(agent.get, (text) => text.length)
    }).pipe(Layer.provideMerge(AgentRuntime.layer), Layer.provideMerge(store(directory))),
    Effect.flatMap(Blob.client, (client) =>
      Effect.zipRight(client("a").Fill({ length }), forAll(10_000, () => client("a").Length())))
  )

const clusterEntity = (name: string, directory: string, persisted: boolean, count: number): Contestant => {
  const ClusterAdd = Rpc.make("Add", {
    payload: { id: Schema.String, by: Schema.Int },
    success: Schema.Int,
    ...(persisted ? { primaryKey: ({ id }: { readonly id: string }) => id } : {})
  }).annotate(ClusterSchema.Persisted, persisted)
  const Counter = Entity.make("Counter", [ClusterAdd])
  const handlers = Counter.toLayer(Effect.sync(() => {
    let sum = 0
    return { Add: ({ payload }) => Effect.sync(() => (sum += payload.by)) }
  }))
  let message = 0
  return contestant(
    name,
    handlers.pipe(
      Layer.provideMerge(SingleRunner.layer({ runnerStorage: "memory" })),
      Layer.provide(SqliteClient.layer({ filename: `${directory}/cluster-${files++}.db` })),
      Layer.orDie
    ),
    Effect.flatMap(
      Counter.client,
      (client) => forAll(count, (index) => client(`${index % 100}`).Add({ id: `${message++}`, by: 1 }))
    )
  )
}
