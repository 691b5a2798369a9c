import { describe, expect, it } from "@effect/vitest"
import type { Level, Metric, Sample, Thresholds } from "@holdfast/agents/MonitorScore"
import * as MonitorScore from "@holdfast/agents/MonitorScore"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"

const { defaults, metrics } = MonitorScore

/** Values around the thresholds of a metric, and far from them. */
const valueOf = (metric: Metric) => {
  const { critical, warning } = defaults[metric]
  return FastCheck.oneof(
    FastCheck.constantFrom(0, warning * 0.89, warning * 0.9, warning, critical * 0.9, critical),
    FastCheck.double({ min: 0, max: Math.min(critical * 3, MonitorScore.thresholdMax[metric]), noNaN: true })
  )
}

const samples: FastCheck.Arbitrary<Sample> = FastCheck.record({
  memoryBytes: valueOf("memoryBytes"),
  queueLength: valueOf("queueLength"),
  errorRate: valueOf("errorRate"),
  latencyMillis: valueOf("latencyMillis")
}, { requiredKeys: [] })

const levels = FastCheck.constantFrom<Level>("healthy", "warning", "critical")

const rank = (level: Level) => MonitorScore.Level.literals.indexOf(level)

const numbers = FastCheck.oneof(
  FastCheck.constantFrom(0, -1, 0.5, 1, 2, 10, NaN, Infinity),
  FastCheck.double({ min: -1, max: 2, noNaN: true })
)

describe("MonitorScore", () => {
  it.prop(
    "law: a score is a whole number from 0 to 100, and 100 of what measures nothing",
    { sample: samples },
    ({ sample }) => {
      const score = MonitorScore.score(sample, defaults)
      expect(Number.isInteger(score) && score >= 0 && score <= 100).toBe(true)
      expect(MonitorScore.score({}, defaults)).toBe(100)
    }
  )

  it.prop(
    "law: more of anything never makes the score better",
    {
      sample: samples,
      metric: FastCheck.constantFrom(...metrics),
      share: FastCheck.double({ min: 0, max: 1, noNaN: true })
    },
    ({ metric, sample, share }) => {
      const less = { ...sample, [metric]: (sample[metric] ?? 0) * share }
      expect(MonitorScore.score(less, defaults)).toBeGreaterThanOrEqual(MonitorScore.score(sample, defaults))
    }
  )

  it.prop(
    "law: a score above 70 has nothing to recommend, one below 40 something critical, and who is to do something is told first what is worst",
    { sample: samples },
    ({ sample }) => {
      const score = MonitorScore.score(sample, defaults)
      const recommended = MonitorScore.recommend(sample, defaults)
      if (score > 70) expect(recommended).toEqual([])
      if (score < 40) expect(recommended[0]?.level).toBe("critical")
      const reached = metrics.filter((metric) => (sample[metric] ?? 0) >= defaults[metric].warning)
      expect(recommended.map(({ metric }) => metric).sort()).toEqual([...reached].sort())
      const [worst] = recommended
      if (worst !== undefined) {
        expect(MonitorScore.score({ [worst.metric]: worst.value }, defaults)).toBe(score)
      }
    }
  )

  it("scores 70 at a warning threshold, 40 at a critical one, 0 from twice that on", () => {
    const scores = [0, 50, 100, 550, 1_000, 1_500, 2_000, 9_999].map((queueLength) =>
      MonitorScore.score({ queueLength }, defaults)
    )
    expect(scores).toEqual([100, 85, 70, 55, 40, 20, 0, 0])
  })

  it.prop(
    "law: a metric is never taken to be better than it is, nor worse than it was, and the same value changes nothing more",
    { value: valueOf("queueLength"), before: levels },
    ({ before, value }) => {
      const now = MonitorScore.levelOf(value, defaults.queueLength)
      const held = MonitorScore.levelOf(value, defaults.queueLength, before)
      expect(rank(held)).toBeGreaterThanOrEqual(rank(now))
      expect(rank(held)).toBeLessThanOrEqual(Math.max(rank(now), rank(before)))
      expect(MonitorScore.levelOf(value, defaults.queueLength, held)).toBe(held)
    }
  )

  it("takes a metric to be well again only below 90 % of the threshold it had reached", () => {
    const after = (before: Level, value: number) => MonitorScore.levelOf(value, defaults.queueLength, before)
    expect([after("healthy", 99), after("warning", 99), after("warning", 90), after("warning", 89.9)])
      .toEqual(["healthy", "warning", "warning", "healthy"])
    expect([after("warning", 999), after("critical", 999), after("critical", 899), after("critical", 89)])
      .toEqual(["warning", "critical", "warning", "healthy"])
  })

  it.prop(
    "law: thresholds are taken where 0 < warning < critical, and critical is at most what the metric may be; else the metric is named",
    { metric: FastCheck.constantFrom(...metrics), warning: numbers, critical: numbers },
    ({ critical, metric, warning }) => {
      const fits = warning > 0 && warning < critical && critical <= MonitorScore.thresholdMax[metric]
      const maximum = MonitorScore.thresholdMax[metric]
      const expected: Either.Either<Thresholds, MonitorScore.ThresholdOutOfRange> = fits
        ? Either.right({ ...defaults, [metric]: { warning, critical } })
        : Either.left(new MonitorScore.ThresholdOutOfRange({ metric, warning, critical, maximum }))
      expect(MonitorScore.fromOptions({ [metric]: { warning, critical } })).toEqual(expected)
    }
  )
})
