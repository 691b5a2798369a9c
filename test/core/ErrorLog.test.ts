import { describe, expect, it } from "@effect/vitest"
import * as ErrorLog from "@holdfast/core/ErrorLog"
import type * as ErrorLogConfig from "@holdfast/core/ErrorLogConfig"
import * as MemoryRecords from "@holdfast/core/MemoryRecords"
import { RecordStore } from "@holdfast/core/RecordStore"
import * as Sqlite from "@holdfast/persistence/Sqlite"
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { temporaryStore } from "../support/store-processes.ts"
import { yieldingRecords } from "./YieldingRecords.ts"

/** Names of which one begins another, and which a key could confuse. */
const names = ["a", "a/", "a/0000000000000001", "%61", "é😀", ""]

const error = (subject: string, kind: string, message = "") => ({ subject, kind, message })

const open = (memory: MemoryRecords.MemoryRecords, options: ErrorLogConfig.Options = {}) =>
  ErrorLog.layerWith(options).pipe(
    Layer.provide(yieldingRecords(memory)),
    Layer.build,
    Effect.map(Context.get(ErrorLog.ErrorLog))
  )

/** Alerts as they come. */
const alertsOf = (log: ErrorLog.ErrorLog["Type"]) =>
  Effect.gen(function*() {
    const queue = yield* Queue.unbounded<ErrorLog.ErrorAlert>()
    yield* Effect.forkScoped(Stream.runForEach(log.alerts, (alert) => Queue.offer(queue, alert)))
    yield* Effect.yieldNow()
    return Effect.zipRight(
      Effect.repeatN(Effect.yieldNow(), 9),
      Effect.map(Queue.takeAll(queue), Chunk.toReadonlyArray)
    )
  })

interface Recorded {
  readonly subject: string
  readonly kind: string
  readonly message: string
  readonly atMillis: number
}

const maxAgeMillis = Duration.toMillis("2 hours")

const countsOf = (recorded: ReadonlyArray<Recorded>, nowMillis: number) => {
  const counts: Record<string, number> = {}
  for (const kind of new Set(recorded.map((one) => one.kind))) {
    let count = 0
    let last = -Infinity
    for (const { atMillis } of recorded.filter((one) => one.kind === kind)) {
      count = atMillis - last < maxAgeMillis ? count + 1 : 1
      last = atMillis
    }
    if (nowMillis - last < maxAgeMillis) counts[kind] = count
  }
  return counts
}

describe("ErrorLog", () => {
  it.effect.prop(
    "law: shows what happened and how often, newest first, bounded by number and age, in any pages, reopened or not",
    {
      historyMax: FastCheck.integer({ min: 1, max: 5 }),
      limit: FastCheck.integer({ min: 1, max: 4 }),
      steps: FastCheck.array(
        FastCheck.record({
          subject: FastCheck.constantFrom(...names),
          kind: FastCheck.constantFrom("Lost", "Late", "Odd"),
          minutes: FastCheck.oneof(FastCheck.constant(0), FastCheck.constant(30), FastCheck.constant(119)),
          reopen: FastCheck.boolean()
        }),
        { minLength: 1, maxLength: 30 }
      )
    },
    ({ historyMax, limit, steps }) =>
      Effect.scoped(Effect.gen(function*() {
        const memory = MemoryRecords.memory()
        const options = { historyMax, maxAge: maxAgeMillis }
        const recorded: Array<Recorded> = []
        let log = yield* open(memory, options)
        let nowMillis = 0
        for (const [index, { kind, minutes, reopen, subject }] of steps.entries()) {
          if (reopen) log = yield* open(memory, options)
          nowMillis += minutes * 60_000
          yield* TestClock.adjust(Duration.minutes(minutes))
          yield* log.record(error(subject, kind, `${index}`))
          recorded.push({ subject, kind, message: `${index}`, atMillis: nowMillis })
          const mine = recorded.filter((one) => one.subject === subject)
          const kept = mine.slice(-historyMax).filter((one) => nowMillis - one.atMillis < maxAgeMillis)
          const pages: Array<ErrorLog.ErrorEntry> = []
          let page = yield* log.history(subject, { limit })
          while (page.length > 0) {
            pages.push(...page)
            page = yield* log.history(subject, { limit, before: page[page.length - 1]?.sequence ?? 0 })
          }
          expect(pages.map(({ atMillis, kind, message }) => ({ subject, kind, message, atMillis }))).toEqual(
            kept.toReversed()
          )
          expect(Object.fromEntries(yield* log.counts(subject))).toEqual(countsOf(mine, nowMillis))
        }
        const listed: Array<ErrorLog.ErrorSubject> = []
        let page = yield* log.subjects({ limit })
        while (page.length > 0) {
          listed.push(...page)
          page = yield* log.subjects({ limit, after: page[page.length - 1]?.subject ?? "" })
        }
        expect(new Map(listed.map(({ counts, subject }) => [subject, Object.fromEntries(counts)]))).toEqual(
          new Map(
            names.map((subject) =>
              [subject, countsOf(recorded.filter((one) => one.subject === subject), nowMillis)] as const
            ).filter(([, counts]) => Object.keys(counts).length > 0)
          )
        )
        yield* TestClock.adjust(maxAgeMillis)
        for (const subject of names) {
          expect([yield* log.history(subject), (yield* log.counts(subject)).size]).toEqual([[], 0])
        }
        yield* TestClock.adjust(ErrorLog.pruneInterval)
        expect(memory.collections.size).toBe(0)
      })),
    { fastCheck: { numRuns: 30 } }
  )

  it.scoped("stores no more errors of a subject than it may, nor those of a lower bound than before", () =>
    Effect.gen(function*() {
      const memory = MemoryRecords.memory()
      const log = yield* open(memory, { historyMax: 20 })
      yield* Effect.forEach(Array.from({ length: 30 }), () => log.record(error("a", "Lost")))
      expect(memory.collections.get("errors/events")?.size).toBe(20)
      yield* (yield* open(memory, { historyMax: 3 })).record(error("a", "Lost"))
      expect(memory.collections.get("errors/events")?.size).toBe(3)
      expect(Object.fromEntries(yield* log.counts("a"))).toEqual({ Lost: 31 })
    }))

  it.scoped("alerts at the tenth of a kind in five minutes, and again not before the window is over", () =>
    Effect.gen(function*() {
      const log = yield* open(MemoryRecords.memory())
      const alerts = yield* alertsOf(log)
      const storm = (kind: string, count: number) =>
        Effect.forEach(Array.from({ length: count }), (_, index) => log.record(error("a", kind, `${index}`)))
      yield* storm("Lost", 9)
      yield* storm("Late", 9)
      yield* log.record(error("b", "Lost"))
      expect(yield* alerts).toEqual([])
      yield* TestClock.adjust("299 seconds")
      yield* storm("Lost", 1)
      expect(yield* alerts).toEqual([
        {
          subject: "a",
          kind: "Lost",
          count: 10,
          window: Duration.minutes(5),
          message: "0",
          atMillis: 299_000
        }
      ])
      yield* storm("Lost", 50)
      yield* TestClock.adjust("299 seconds")
      yield* storm("Lost", 50)
      expect(yield* alerts).toEqual([])
      yield* TestClock.adjust("1 second")
      yield* storm("Lost", 20)
      expect((yield* alerts).map(({ atMillis, kind }) => [kind, atMillis])).toEqual([["Lost", 599_000]])
      yield* storm("Late", 9)
      expect(yield* alerts).toEqual([])
    }))

  it.scoped("counts and alerts across programs on one store, and loses nothing of what they record at once", () =>
    Effect.gen(function*() {
      const memory = MemoryRecords.memory()
      const logs = yield* Effect.all([open(memory), open(memory)])
      const alerts = yield* Effect.forEach(logs, alertsOf)
      yield* Effect.forEach(
        Array.from({ length: 100 }),
        (_, index) =>
          Effect.forEach(logs, (log) => log.record(error("a", "Lost", `${index}`)), {
            concurrency: "unbounded"
          }),
        {
          concurrency: "unbounded"
        }
      )
      expect(Object.fromEntries(yield* logs[0].counts("a"))).toEqual({ Lost: 200 })
      const history = yield* logs[1].history("a", { limit: 1_000 })
      expect(history.map(({ sequence }) => sequence)).toEqual(
        Array.from({ length: 200 }, (_, at) => 200 - at)
      )
      const raised = yield* Effect.forEach(alerts, (alerts) => alerts)
      expect(raised.flat()).toHaveLength(1)
    }))

  it.scoped("records a storm to its end when those who report it are interrupted, each error whole or not at all", () =>
    Effect.gen(function*() {
      const memory = MemoryRecords.memory()
      const log = yield* open(memory)
      for (let yields = 0; yields < 20; yields += 1) {
        const fiber = yield* Effect.fork(log.record(error("a", "Lost")))
        yield* Effect.repeatN(Effect.yieldNow(), yields)
        yield* Fiber.interrupt(fiber)
      }
      const counted = (yield* log.counts("a")).get("Lost") ?? 0
      expect(yield* log.history("a")).toHaveLength(counted)
      yield* log.record(error("a", "Lost"))
      expect((yield* log.counts("a")).get("Lost")).toBe(counted + 1)
    }))

  it.scoped("bounds what it keeps of one error, and how many kinds a subject has", () =>
    Effect.gen(function*() {
      const log = yield* open(MemoryRecords.memory(), { maxAge: "1 hour" })
      const long = "😀".repeat(50_000)
      yield* log.record({ subject: "a", kind: long, message: long, cause: Cause.die(new Error(long)) })
      const [entry] = yield* log.history("a")
      expect([entry?.kind.length, entry?.message.length]).toEqual([256, 4_096])
      expect(Option.map(entry?.cause ?? Option.none(), (cause) => cause.length)).toEqual(Option.some(16_384))
      yield* Effect.forEach(Array.from({ length: 100 }), (_, index) => log.record(error("b", `${index}`)))
      const counts = yield* log.counts("b")
      expect([counts.size, counts.get("(other)")]).toEqual([65, 36])
    }))

  it.scoped("fails typed for options out of range, naming the option", () =>
    Effect.gen(function*() {
      const failing = (options: ErrorLogConfig.Options) =>
        Effect.map(Effect.flip(open(MemoryRecords.memory(), options)), ({ option }) => option)
      for (const value of [0, -1, Number.NaN, 0.5, Infinity]) {
        expect(yield* failing({ historyMax: value })).toBe("historyMax")
        expect(yield* failing({ alertCount: value })).toBe("alertCount")
        expect(yield* failing({ maxAge: value })).toBe("maxAge")
        expect(yield* failing({ alertWindow: value })).toBe("alertWindow")
      }
    }))

  it.scopedLive("survives the restart of its store on SQLite", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryStore
      const layer = ErrorLog.layer.pipe(Layer.provideMerge(Sqlite.layer({ filename })))
      const use = <A, E>(use: (log: ErrorLog.ErrorLog["Type"]) => Effect.Effect<A, E>) =>
        Effect.provide(Effect.flatMap(ErrorLog.ErrorLog, use), Layer.fresh(layer))
      yield* use((log) =>
        Effect.forEach(Array.from({ length: 9 }), () => log.record(error("a", "Lost")), { concurrency: 9 })
      )
      yield* use((log) =>
        Effect.scoped(Effect.gen(function*() {
          const first = yield* Effect.forkScoped(Stream.runHead(log.alerts))
          yield* Effect.yieldNow()
          yield* log.record({ ...error("a", "Lost", "again"), cause: Cause.fail("why") })
          expect(Option.getOrThrow(yield* Fiber.join(first))).toMatchObject({ subject: "a", count: 10 })
          expect(Object.fromEntries(yield* log.counts("a"))).toEqual({ Lost: 10 })
          const [last] = yield* log.history("a", { limit: 1 })
          expect(last).toMatchObject({ sequence: 10, message: "again" })
          expect(Option.getOrThrow(last?.cause ?? Option.none())).toContain("why")
        }))
      )
      const store = yield* Effect.map(Layer.build(Layer.fresh(layer)), Context.get(RecordStore))
      expect(yield* store.count("errors/events", "a/")).toBe(10)
    }))
})
