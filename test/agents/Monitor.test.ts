import { describe, expect, it } from "@effect/vitest"
import * as AgentAddress from "@holdfast/agents/AgentAddress"
import { InvalidPayload } from "@holdfast/agents/AgentError"
import * as AgentRuntime from "@holdfast/agents/AgentRuntime"
import { CommitLog } from "@holdfast/agents/CommitLog"
import * as Memory from "@holdfast/agents/Memory"
import * as Monitor from "@holdfast/agents/Monitor"
import type { HistoryEntry } from "@holdfast/agents/MonitorMessages"
import { NotWatched, WatchedFull } from "@holdfast/agents/MonitorMessages"
import { ThresholdOutOfRange } from "@holdfast/agents/MonitorScore"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/TestClock"
import { backends } from "./backends.ts"
import { onMemory } from "./runtime.ts"

const Tower = Monitor.make("Tower", { historyMax: 5, watchedMax: 3 })

const tower = Effect.map(Tower.client, (client) => client("main"))

const address = AgentAddress.make("Tower", "main")

/** All that a monitor tells. */
const told = Effect.flatMap(
  tower,
  (tower) =>
    Effect.all({
      status: tower.Status(),
      alerts: tower.Alerts(),
      history: tower.History({ after: 0, limit: 100 })
    })
)

const reportQueues = (subject: string, ...lengths: ReadonlyArray<number>) =>
  Effect.flatMap(
    tower,
    (tower) => Effect.forEach(lengths, (queueLength) => tower.Report({ subject, sample: { queueLength } }))
  )

const sequences = (history: ReadonlyArray<HistoryEntry>) => history.map(({ sequence }) => sequence)

describe("Monitor", () => {
  for (const { name, storage } of backends) {
    it.scopedLive(`${name}: knows whom it watches, its history and its alerts after it was killed, and in the next program`, () =>
      Effect.gen(function*() {
        const layer = Tower.layer.pipe(
          Layer.provideMerge(AgentRuntime.layer),
          Layer.provideMerge(yield* storage)
        )
        const before = yield* Effect.gen(function*() {
          const { Acknowledge, Watch } = yield* tower
          yield* Watch({ subject: "a" })
          yield* Watch({ subject: "b", thresholds: { queueLength: { warning: 1, critical: 2 } } })
          yield* reportQueues("a", 1, 2, 3, 4_000)
          yield* reportQueues("b", 1, 5)
          yield* Acknowledge({ subject: "b", metric: "queueLength", by: "ann" })
          const before = yield* told
          const { kill } = yield* AgentRuntime.AgentRuntime
          expect(yield* kill(address)).toBe(true)
          expect(yield* told).toEqual(before)
          return before
        }).pipe(Effect.provide(layer))
        expect(sequences(before.history)).toEqual([2, 3, 4, 5, 6])
        expect(before.status).toMatchObject({ score: 0, subjects: [{ subject: "a" }, { subject: "b" }] })
        expect(before.alerts).toMatchObject([
          { subject: "a", metric: "queueLength", level: "critical", value: 4_000, acknowledgedBy: null },
          { subject: "b", metric: "queueLength", level: "critical", value: 5, acknowledgedBy: "ann" }
        ])
        expect(yield* Effect.provide(told, layer)).toEqual(before)
      }))
  }

  it.effect("refuses thresholds out of range, more subjects than it may watch, and reports of others, each with its error", () =>
    onMemory(Tower.layer)(Effect.gen(function*() {
      const { Report, Status, Watch } = yield* tower
      const wrong = yield* Effect.flip(
        Watch({ subject: "a", thresholds: { errorRate: { warning: 0.5, critical: 2 } } })
      )
      expect(wrong).toEqual(
        new ThresholdOutOfRange({ metric: "errorRate", warning: 0.5, critical: 2, maximum: 1 })
      )
      expect(yield* Effect.flip(Report({ subject: "a", sample: {} }))).toEqual(
        new NotWatched({ subject: "a" })
      )
      yield* Effect.forEach(["a", "b", "c", "a"], (subject) => Watch({ subject }))
      expect(yield* Effect.flip(Watch({ subject: "d" }))).toEqual(
        new WatchedFull({ subject: "d", watchedMax: 3 })
      )
      for (const sample of [{ errorRate: 1.1 }, { queueLength: -1 }, { memoryBytes: Infinity }]) {
        expect(yield* Effect.flip(Report({ subject: "a", sample }))).toBeInstanceOf(InvalidPayload)
      }
      expect((yield* Status()).subjects.map(({ latest }) => latest)).toEqual([null, null, null])
      expect((yield* Status()).score).toBeNull()
    })))

  it("refuses thresholds and limits that are out of range where it is defined", () => {
    expect(() => Monitor.make("M", { thresholds: { queueLength: { warning: 2, critical: 1 } } })).toThrow(
      /queueLength/
    )
    for (const options of [{ historyMax: 0 }, { watchedMax: 1.5 }]) {
      expect(() => Monitor.make("M", options)).toThrow(/positive integer/)
    }
  })

  it.effect("answers a report with the score, and with what to do about each metric that is not well", () =>
    onMemory(Tower.layer)(Effect.gen(function*() {
      const { Report, Watch } = yield* tower
      yield* Watch({ subject: "a" })
      expect(yield* Report({ subject: "a", sample: { queueLength: 50, errorRate: 0 } }))
        .toEqual({ score: 85, level: "healthy", recommendations: [] })
      const assessed = yield* Report({ subject: "a", sample: { queueLength: 100, errorRate: 0.5 } })
      expect(assessed).toMatchObject({
        score: 0,
        level: "critical",
        recommendations: [
          { metric: "errorRate", level: "critical", value: 0.5, threshold: 0.25 },
          { metric: "queueLength", level: "warning", value: 100, threshold: 100 }
        ]
      })
      expect(yield* Report({ subject: "a", sample: { errorRate: 0 } })).toMatchObject({
        score: 70,
        level: "warning"
      })
    })))

  it.effect("remembers the latest reports up to its limit, oldest first, in pages, of all or of one", () =>
    onMemory(Tower.layer)(Effect.gen(function*() {
      const { History, Watch } = yield* tower
      yield* Watch({ subject: "a" })
      yield* Watch({ subject: "b" })
      yield* reportQueues("a", 1, 2, 3, 4, 5)
      yield* reportQueues("b", 6)
      yield* reportQueues("a", 7)
      const all = yield* History({ after: 0, limit: 100 })
      expect(all.map(({ sample, subject }) => [subject, sample.queueLength]))
        .toEqual([["a", 3], ["a", 4], ["a", 5], ["b", 6], ["a", 7]])
      expect(sequences(yield* History({ after: 0, limit: 2 }))).toEqual([3, 4])
      expect(sequences(yield* History({ after: 4, limit: 2 }))).toEqual([5, 6])
      expect(sequences(yield* History({ after: 0, limit: 1, subject: "b" }))).toEqual([6])
      expect(sequences(yield* History({ after: 4, limit: 9, subject: "a" }))).toEqual([5, 7])
      expect(yield* Effect.flip(History({ after: 0, limit: 0 }))).toBeInstanceOf(InvalidPayload)
    })))

  it.effect("forgets what is past its limit where a later program has lowered it", () =>
    Effect.gen(function*() {
      const storage = Memory.storage()
      const run = (historyMax: number) =>
        Effect.provide(
          Effect.zipRight(
            Effect.zipRight(
              Effect.flatMap(tower, ({ Watch }) => Watch({ subject: "a" })),
              reportQueues("a", 1, 2, 3)
            ),
            Effect.flatMap(tower, ({ History }) => History({ after: 0, limit: 100 }))
          ),
          Monitor.make("Tower", { historyMax }).layer.pipe(
            Layer.provideMerge(AgentRuntime.layer),
            Layer.provideMerge(Memory.layerFrom(storage))
          )
        )
      expect(sequences(yield* run(10))).toEqual([1, 2, 3])
      expect(sequences(yield* run(10))).toEqual([1, 2, 3, 4, 5, 6])
      expect(sequences(yield* run(2))).toEqual([8, 9])
    }))

  it.effect("keeps an alert until its metric is well again, and wants it acknowledged anew when it gets worse", () =>
    onMemory(Tower.layer)(Effect.gen(function*() {
      const { Acknowledge, Alerts, Unwatch, Watch } = yield* tower
      const acknowledge = Acknowledge({ subject: "a", metric: "queueLength", by: "ann" })
      const alerts = Effect.map(
        Alerts(),
        (alerts) =>
          alerts.map(({ acknowledgedBy, level, sinceMillis }) => [level, sinceMillis, acknowledgedBy])
      )
      yield* Watch({ subject: "a" })
      expect(yield* acknowledge).toBe(false)
      yield* reportQueues("a", 100)
      yield* TestClock.adjust(10)
      expect(yield* acknowledge).toBe(true)
      yield* reportQueues("a", 95)
      expect(yield* alerts).toEqual([["warning", 0, "ann"]])
      yield* reportQueues("a", 2_000)
      expect(yield* alerts).toEqual([["critical", 10, null]])
      yield* acknowledge
      yield* TestClock.adjust(10)
      yield* reportQueues("a", 200)
      expect(yield* alerts).toEqual([["warning", 20, "ann"]])
      yield* reportQueues("a", 89)
      expect(yield* alerts).toEqual([])
      yield* reportQueues("a", 100)
      expect(yield* Unwatch({ subject: "a" })).toBe(true)
      expect(yield* alerts).toEqual([])
      expect(yield* Unwatch({ subject: "a" })).toBe(false)
    })))

  it.effect("writes as much for a report as ever, however long its history is", () =>
    Effect.gen(function*() {
      const written: Array<number> = []
      const counting = Layer.effect(
        CommitLog,
        Effect.map(CommitLog, (log) => ({
          ...log,
          commit: (operations) => {
            written.push(JSON.stringify(operations).length)
            return log.commit(operations)
          }
        }))
      )
      const Long = Monitor.make("Tower")
      yield* Effect.gen(function*() {
        yield* Effect.flatMap(tower, ({ Watch }) => Watch({ subject: "a" }))
        yield* reportQueues("a", ...Array.from({ length: 1_100 }, (_, n) => n % 90))
      }).pipe(
        Effect.provide(Long.layer.pipe(
          Layer.provideMerge(AgentRuntime.layer),
          Layer.provide(Layer.provideMerge(counting, Memory.layer))
        ))
      )
      const largest = (from: number, to: number) => Math.max(...written.slice(from, to))
      expect(largest(1_000, 1_100) - largest(10, 110)).toBeLessThan(100)
    }))
})
