import { describe, expect, it } from "@effect/vitest"
import * as Backoff from "@holdfast/core/Backoff"
import * as Duration from "effect/Duration"
import * as FastCheck from "effect/FastCheck"
import * as Schema from "effect/Schema"

const random01 = FastCheck.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
const attempt = FastCheck.integer({ min: 1, max: 5_000 })

const capOf = (policy: Backoff.Backoff): number =>
  policy._tag === "Fixed" ? policy.delayMillis : policy.capMillis

describe("Backoff", () => {
  it.prop(
    "law: a delay is a whole number from 0 to the cap",
    [Backoff.Backoff, attempt, random01],
    ([policy, attempt, random01]) => {
      const millis = Backoff.delayMillis(policy, attempt, random01)
      expect(Number.isInteger(millis) && millis >= 0 && millis <= capOf(policy)).toBe(true)
    }
  )

  it.prop(
    "law: equal jitter takes away at most half of the delay, full jitter at most all of it",
    { attempt, random01 },
    ({ attempt, random01 }) => {
      const delay = (jitter: Backoff.Jitter) =>
        Backoff.delayMillis(Backoff.exponential({ jitter }), attempt, random01)
      const millis = delay("none")
      expect(delay("equal")).toBe(Math.round(millis / 2 + random01 * millis / 2))
      expect(delay("full")).toBe(Math.round(random01 * millis))
    }
  )

  it.prop(
    "law: a policy that was stored as JSON decides the same delays",
    [Backoff.Backoff, attempt, random01],
    ([policy, attempt, random01]) => {
      const json = Schema.parseJson(Backoff.Backoff)
      const stored = Schema.decodeSync(json)(Schema.encodeSync(json)(policy))
      expect(Backoff.delayMillis(stored, attempt, random01)).toBe(
        Backoff.delayMillis(policy, attempt, random01)
      )
    }
  )

  it("waits for nothing before the first attempt", () => {
    for (const policy of [Backoff.exponential(), Backoff.linear(), Backoff.fixed("1 minute")]) {
      expect(Backoff.delayMillis(policy, 1, 0.9)).toBe(0)
    }
  })

  it("doubles an exponential delay, adds to a linear one, and leaves a fixed one, up to the cap", () => {
    const delays = (policy: Backoff.Backoff) =>
      [2, 3, 4, 5].map((attempt) => Backoff.delayMillis(policy, attempt, 0.5))
    expect(delays(Backoff.exponential({ base: 100, cap: 700, jitter: "none" }))).toEqual([100, 200, 400, 700])
    expect(delays(Backoff.linear({ step: 100, cap: 350, jitter: "none" }))).toEqual([100, 200, 300, 350])
    expect(delays(Backoff.fixed(100))).toEqual([100, 100, 100, 100])
    expect(delays(Backoff.immediate)).toEqual([0, 0, 0, 0])
  })

  it("starts at 1 second, ends at 5 minutes and jitters by half unless told otherwise", () => {
    const policy = Backoff.exponential()
    expect([0, 0.999_999].map((random01) => Backoff.delayMillis(policy, 2, random01))).toEqual([500, 1_000])
    expect([0, 0.999_999].map((random01) => Backoff.delayMillis(policy, 99, random01))).toEqual([
      150_000,
      300_000
    ])
  })

  it("bounds an endless duration by the longest timer, and takes a negative one as zero", () => {
    expect(Backoff.fixed(Duration.infinity)).toEqual({ _tag: "Fixed", delayMillis: Backoff.delayMillisMax })
    expect(Backoff.fixed(-5)).toEqual({ _tag: "Fixed", delayMillis: 0 })
    const endless = Backoff.exponential({ base: 0, cap: Duration.infinity, jitter: "none" })
    expect(Backoff.delayMillis(endless, 1e9, 0)).toBe(0)
  })
})
