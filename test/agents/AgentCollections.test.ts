import * as Rpc from "@effect/rpc/Rpc"
import { describe, expect, it } from "@effect/vitest"
import * as Agent from "@holdfast/agents/Agent"
import * as AgentRuntime from "@holdfast/agents/AgentRuntime"
import * as DurableMap from "@holdfast/agents/DurableMap"
import * as DurableQueue from "@holdfast/agents/DurableQueue"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { backends } from "./backends.ts"

const Jobs = DurableQueue.make("jobs", { item: Schema.String })

/** How often each job was worked on. */
const Worked = DurableMap.make("worked", { key: Schema.String, value: Schema.Int })

const Desk = Agent.make("Desk", {
  protocol: [
    Rpc.make("Offer", { payload: { job: Schema.String }, success: Schema.Int }),
    Rpc.make("Work", { success: Schema.String }),
    Rpc.make("Spoil"),
    Rpc.make("Report", { success: Schema.Array(Schema.Tuple(Schema.String, Schema.Int)) })
  ],
  state: Schema.Struct({ worked: Schema.Int }),
  initial: { worked: 0 }
})

const DeskLive = Desk.toLayer({
  Offer: ({ job }, agent) =>
    Effect.gen(function*() {
      const jobs = DurableQueue.of(agent, Jobs)
      yield* jobs.offer(job)
      return yield* jobs.size
    }).pipe(Effect.orDie),
  Work: (_, agent) =>
    Effect.gen(function*() {
      const worked = DurableMap.of(agent, Worked)
      const job = yield* Effect.flatten(DurableQueue.of(agent, Jobs).take)
      const before = yield* worked.get(job)
      yield* worked.set(job, before._tag === "Some" ? before.value + 1 : 1)
      yield* agent.update((state) => ({ worked: state.worked + 1 }))
      return job
    }).pipe(Effect.orDie),
  Spoil: (_, agent) =>
    Effect.gen(function*() {
      yield* DurableQueue.of(agent, Jobs).takeAll
      yield* DurableMap.of(agent, Worked).set("spoilt", 1)
      return yield* Effect.dieMessage("spoilt")
    }).pipe(Effect.orDie),
  Report: (_, agent) => Effect.orDie(DurableMap.of(agent, Worked).page({ limit: 99 }))
})

for (const { name, storage } of backends) {
  describe(`an agent's collections on ${name}`, () => {
    it.scopedLive("are what its messages made them, in their order, while commits are on their way", () =>
      Effect.gen(function*() {
        const layer = DeskLive.pipe(
          Layer.provideMerge(AgentRuntime.layer),
          Layer.provideMerge(yield* storage)
        )
        const names = Array.from({ length: 40 }, (_, index) => `job ${index % 7}`)
        yield* Effect.gen(function*() {
          const desk = (yield* Desk.client)("1")
          const asks = names.flatMap((job) => [desk.Offer({ job }), desk.Offer({ job }), desk.Work()])
          const answers = yield* Effect.all(asks, { concurrency: "unbounded" })
          const queue: Array<string> = []
          const expected = names.flatMap((job) => [queue.push(job), queue.push(job), queue.shift()])
          expect(answers).toEqual(expected)
          expect((yield* Effect.flip(desk.Spoil()))._tag).toBe("AgentCrashed")
        }).pipe(Effect.provide(layer))
        yield* Effect.gen(function*() {
          const desk = (yield* Desk.client)("1")
          expect(yield* desk.Offer({ job: "last" })).toBe(41)
          expect(yield* desk.Work()).toBe("job 6")
          const report = yield* desk.Report()
          expect(report.map(([job]) => job)).toEqual(Array.from(new Set(names)))
          expect(report.reduce((sum, [, count]) => sum + count, 0)).toBe(41)
          expect(yield* (yield* Desk.client)("2").Report()).toEqual([])
        }).pipe(Effect.provide(layer))
      }))
  })
}
