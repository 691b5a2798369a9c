import { describe, expect, it } from "@effect/vitest"
import * as Timetable from "@holdfast/core/Timetable"
import * as Timing from "@holdfast/core/Timing"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"

const day = 86_400_000

const cron = (expression: string, timeZone?: string) => Either.getOrThrow(Timing.cron(expression, timeZone))

const timetables: FastCheck.Arbitrary<Timetable.Timetable> = FastCheck.oneof(
  FastCheck.record({
    _tag: FastCheck.constant("Grid" as const),
    firstMillis: FastCheck.integer({ min: -5_000, max: 5_000 }),
    intervalMillis: FastCheck.integer({ min: 1, max: 2_000 })
  }),
  FastCheck.record({
    _tag: FastCheck.constant("Once" as const),
    atMillis: FastCheck.integer({ min: 0, max: 9_000 })
  }),
  FastCheck.constantFrom("* * * * * *", "*/7 * * * * *", "3 * * * * *", "30 1 * * * *").map((text) =>
    cron(text)
  )
)

const range = {
  timetable: timetables,
  afterMillis: FastCheck.integer({ min: -10_000, max: 10_000 }),
  lengthMillis: FastCheck.integer({ min: 0, max: 20_000 })
}

/** By looking at every millisecond, or second for cron. */
const naive = (
  timetable: Timetable.Timetable,
  afterMillis: number,
  untilMillis: number
): ReadonlyArray<number> => {
  const times: Array<number> = []
  for (let millis = afterMillis + 1; millis <= untilMillis; millis++) {
    if (Timetable.nextAfter(timetable, millis - 1) === millis) times.push(millis)
  }
  return times
}

const local = (millis: number, zone: string) =>
  DateTime.formatIsoZoned(DateTime.unsafeMakeZoned(millis, { timeZone: zone }))

const inDay = (timing: Timing.CronTiming, from: string) => {
  const start = DateTime.toEpochMillis(DateTime.unsafeMake(from))
  return Timetable.upcoming(timing, start, 50).filter((millis) => millis <= start + day).map((millis) =>
    local(millis, timing.timeZone)
  )
}

describe("Timetable", () => {
  it.prop(
    "law: the times after an instant are the first ones, counted and found to the last",
    range,
    ({ afterMillis, lengthMillis, timetable }) => {
      const untilMillis = afterMillis + (timetable._tag === "Cron" ? lengthMillis / 40 : lengthMillis)
      const times = naive(timetable, afterMillis, untilMillis)
      expect(Timetable.countBetween(timetable, afterMillis, untilMillis)).toBe(times.length)
      expect(Timetable.lastBetween(timetable, afterMillis, untilMillis)).toBe(times.at(-1))
      expect(Timetable.upcoming(timetable, afterMillis, times.length)).toEqual(times)
    },
    { fastCheck: { numRuns: 100 } }
  )

  it.prop(
    "law: no decision leaves a time undecided or decides one twice",
    {
      ...range,
      lengthMillis: FastCheck.integer({ min: 0, max: 200_000 }),
      policy: FastCheck.constantFrom<Array<Timetable.MissedPolicy>>("skip", "runOnce", "runAll")
    },
    ({ afterMillis, lengthMillis, policy, timetable }) => {
      const now = afterMillis + lengthMillis
      const { handledMillis, missed, runs } = Timetable.decide(timetable, policy, afterMillis, now)
      const total = Timetable.countBetween(timetable, afterMillis, now)
      const last = Timetable.lastBetween(timetable, afterMillis, now)
      const isOnTime = last !== undefined && now - last <= Timetable.graceMillis
      expect(missed + (isOnTime ? 1 : 0)).toBe(total)
      expect(Timetable.countBetween(timetable, handledMillis, now)).toBe(0)
      expect(runs).toHaveLength(
        {
          skip: isOnTime ? 1 : 0,
          runOnce: Math.min(total, 1),
          runAll: Math.min(missed, Timetable.missedRunsMax) + (isOnTime ? 1 : 0)
        }[policy]
      )
      expect(new Set(runs).size).toBe(runs.length)
    },
    { fastCheck: { numRuns: 300 } }
  )

  it("finds the last time of a cron expression over years without walking there", () => {
    const until = 50 * 365 * day + 12_345
    expect(Timetable.lastBetween(cron("* * * * * *"), 0, until)).toBe(until - 345)
    expect(Timetable.countBetween(cron("* * * * * *"), 0, until)).toBe(Timetable.countMax)
  })

  it("runs a time that the clocks skip in spring once, when they have changed", () => {
    expect(inDay(cron("30 2 * * *", "Europe/Berlin"), "2026-03-28T22:00:00Z"))
      .toEqual(["2026-03-29T03:30:00.000+02:00[Europe/Berlin]"])
  })

  it("runs a time that comes twice in autumn once", () => {
    expect(inDay(cron("30 2 * * *", "Europe/Berlin"), "2026-10-24T21:00:00Z"))
      .toEqual(["2026-10-25T02:30:00.000+02:00[Europe/Berlin]"])
  })

  it("refuses durations that are no time, with their value", () => {
    for (const value of [0, -1, 0.5, Number.NaN, Infinity, Duration.toMillis("40000 days")]) {
      for (const make of [Timing.every, Timing.after]) {
        const error = Either.getOrThrow(Either.flip<Timing.Timing, Timing.TimingOutOfRange>(make(value)))
        expect(error).toMatchObject({ _tag: "TimingOutOfRange", value })
        expect(error.message).toContain(`not ${value}`)
      }
    }
  })

  it("refuses texts that are no cron expression or no time zone, and names them", () => {
    for (const text of ["", "x", "* * *", "61 * * * *", "* * * * 9", "*/0 * * * *", "0 0 30 2 *"]) {
      const error = Either.getOrThrow(Either.flip(Timing.cron(text)))
      expect(error).toMatchObject({ _tag: "InvalidCron", expression: text })
      expect(error.message).toContain(`"${text}"`)
    }
    const error = Either.getOrThrow(Either.flip(Timing.cron("* * * * *", "Mars/Olympus")))
    expect(error).toMatchObject({ _tag: "InvalidTimeZone", timeZone: "Mars/Olympus" })
  })
})
