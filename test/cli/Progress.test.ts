import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Progress from "../../packages/cli/src/batch/Progress.ts"

const count = FastCheck.nat(1_000_000)

/** A batch at one moment, as a store can count it. */
const snapshot: FastCheck.Arbitrary<Progress.Snapshot> = FastCheck.record({
  counts: FastCheck.record({ ready: count, running: count, completed: count, dead: count, skipped: count }),
  share: FastCheck.double({ min: 0, max: 1, noNaN: true }),
  elapsedMillis: FastCheck.nat(10_000_000),
  breaker: FastCheck.constantFrom(null, "closed", "open", "halfopen")
}).map(({ counts, share, ...rest }) => {
  const finished = counts.completed + counts.dead + counts.skipped
  return {
    ...rest,
    counts,
    total: finished + counts.ready + counts.running,
    before: Math.floor(finished * share)
  }
})

const at = (of: Partial<Progress.Snapshot>): Progress.Snapshot => ({
  total: 300,
  counts: { ready: 170, running: 10, completed: 118, dead: 2, skipped: 0 },
  before: 0,
  elapsedMillis: 12_000,
  breaker: null,
  ...of
})

describe("Progress.line", () => {
  it("tells what is done, what failed, the rate, and how long the rest takes", () => {
    expect(Progress.line(at({}))).toBe("120/300 done, 2 failed, 10.0/s, 18s left")
  })

  it("counts the rate of this run alone", () => {
    expect(Progress.line(at({ before: 60 }))).toBe("120/300 done, 2 failed, 5.0/s, 36s left")
  })

  it("waits while nothing has finished in this run, and has nothing left at the end", () => {
    expect(Progress.line(at({ before: 120 }))).toBe("120/300 done, 2 failed, 0.0/s, waiting")
    const counts = { ready: 0, running: 0, completed: 290, dead: 4, skipped: 6 }
    expect(Progress.line(at({ counts }))).toBe("300/300 done, 4 failed, 25.0/s")
  })

  it("tells of a breaker that is not closed", () => {
    expect(Progress.line(at({ breaker: "closed" }))).not.toContain("breaker")
    expect(Progress.line(at({ breaker: "open" }))).toMatch(/, breaker open$/)
  })

  it.prop("law: it is one line of plain numbers at any moment", [snapshot], ([now]) => {
    expect(Progress.line(now)).toMatch(
      /^\d+\/\d+ done, \d+ failed, \d+\.\d\/s(, (waiting|\d+h\d\dm left|\d+m\d\ds left|\d+s left))?(, breaker \w+)?$/
    )
  })
})

describe("Progress.bar", () => {
  it.prop(
    "law: it fits on one line of any terminal",
    [snapshot, FastCheck.integer({ min: 2, max: 300 })],
    ([now, columns]) => {
      expect(Progress.bar(now, columns).length).toBeLessThan(columns)
    }
  )

  it.prop("law: it is filled as far as the batch is done", [snapshot], ([now]) => {
    const [, drawn = ""] = /^\[(#*-*)\] /.exec(Progress.bar(now, 500)) ?? []
    expect(drawn).toHaveLength(30)
    const filled = drawn.replaceAll("-", "").length
    expect(Math.abs(filled - 30 * Progress.finished(now) / Math.max(1, now.total))).toBeLessThan(1)
  })

  it("is left out where there is no place for it", () => {
    expect(Progress.bar(at({}), 45)).toBe("120/300 done, 2 failed, 10.0/s, 18s left")
  })
})

describe("Progress.duration", () => {
  it.prop("law: it reads back as the same seconds, less what its unit does not tell", [
    FastCheck.nat(1_000_000)
  ], ([seconds]) => {
    const [, hours, minutes, rest] = /^(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$/.exec(Progress.duration(seconds)) ??
      []
    const read = Number(hours ?? 0) * 3_600 + Number(minutes ?? 0) * 60 + Number(rest ?? 0)
    expect(seconds - read).toBeGreaterThanOrEqual(0)
    expect(seconds - read).toBeLessThan(hours === undefined ? 1 : 60)
  })

  it("has two digits behind a larger unit", () => {
    expect([0, 59.6, 65, 3_600, 3_725].map(Progress.duration)).toEqual([
      "0s",
      "1m00s",
      "1m05s",
      "1h00m",
      "1h02m"
    ])
  })
})
