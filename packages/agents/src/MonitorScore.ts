/**
 * A monitor score says how well a subject is, from 0 to 100, by what it measured and the thresholds for it: without time or
 * effects.
 */
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"

/** What is measured. */
export const Metric = Schema.Literal("memoryBytes", "queueLength", "errorRate", "latencyMillis")
export type Metric = typeof Metric.Type

/** Every metric, in the order in which they are reported. */
export const metrics: ReadonlyArray<Metric> = Metric.literals

const amount = Schema.optionalWith(Schema.Finite.pipe(Schema.nonNegative()), { exact: true })

/** What a subject measured. What it leaves out is taken to be well. */
export const Sample = Schema.Struct({
  /** How much memory it uses. */
  memoryBytes: amount,
  /** How much work waits for it. */
  queueLength: amount,
  /** The share of its work that fails, from 0 to 1. */
  errorRate: Schema.optionalWith(Schema.Number.pipe(Schema.between(0, 1)), { exact: true }),
  /** How long its work takes. */
  latencyMillis: amount
})
export type Sample = typeof Sample.Type

/** From which value on a metric is not well, and from which it is ill. */
export const Threshold = Schema.Struct({ warning: Schema.Number, critical: Schema.Number })
export type Threshold = typeof Threshold.Type

/** Thresholds by metric; those left out are as elsewhere. */
export const ThresholdOptions = Schema.Struct({
  memoryBytes: Schema.optionalWith(Threshold, { exact: true }),
  queueLength: Schema.optionalWith(Threshold, { exact: true }),
  errorRate: Schema.optionalWith(Threshold, { exact: true }),
  latencyMillis: Schema.optionalWith(Threshold, { exact: true })
})
export type ThresholdOptions = typeof ThresholdOptions.Type

/** A threshold for each metric. */
export const Thresholds = Schema.Struct({
  memoryBytes: Threshold,
  queueLength: Threshold,
  errorRate: Threshold,
  latencyMillis: Threshold
})
export type Thresholds = typeof Thresholds.Type

/** The thresholds of those that name no others. **Source** Foundation, `AgentPerformanceSensor`: 100 MB of memory. */
export const defaults: Thresholds = {
  memoryBytes: { warning: 100_000_000, critical: 500_000_000 },
  queueLength: { warning: 100, critical: 1_000 },
  errorRate: { warning: 0.05, critical: 0.25 },
  latencyMillis: { warning: 1_000, critical: 10_000 }
}

/** The largest value a threshold may have. */
export const thresholdMax: Readonly<Record<Metric, number>> = {
  memoryBytes: Number.MAX_SAFE_INTEGER,
  queueLength: Number.MAX_SAFE_INTEGER,
  errorRate: 1,
  latencyMillis: Number.MAX_SAFE_INTEGER
}

/** A threshold is not between its bounds, or its warning not below its critical value. */
export class ThresholdOutOfRange extends Schema.TaggedError<ThresholdOutOfRange>()("ThresholdOutOfRange", {
  metric: Metric,
  warning: Schema.Number,
  critical: Schema.Number,
  maximum: Schema.Number
}) {
  override get message(): string {
    return `the thresholds of ${this.metric} must be 0 < warning < critical <= ${this.maximum}, ` +
      `not ${this.warning} and ${this.critical}`
  }
}

/** How well a metric, or the worst of a subject's, is. */
export const Level = Schema.Literal("healthy", "warning", "critical")
export type Level = typeof Level.Type

/** What to do about a metric that is not well. */
export const Recommendation = Schema.Struct({
  metric: Metric,
  level: Schema.Literal("warning", "critical"),
  value: Schema.Number,
  /** The threshold that it reached. */
  threshold: Schema.Number,
  advice: Schema.String
})
export type Recommendation = typeof Recommendation.Type

/** The score of a metric that has just reached its warning threshold, and of one that has reached its critical one. */
export const scoreAt = { warning: 70, critical: 40 }

/** Below which share of a threshold a metric that reached it is taken to be well again. */
export const clearsAt = 0.9

/** Checks thresholds, those left out being as in `base`, or names the first metric whose are out of range. */
export const fromOptions = (
  options: ThresholdOptions,
  base: Thresholds = defaults
): Either.Either<Thresholds, ThresholdOutOfRange> => {
  const thresholds = { ...base, ...options }
  const wrong = metrics.find((metric) => !isInRange(metric, thresholds[metric]))
  return wrong === undefined
    ? Either.right(thresholds)
    : Either.left(
      new ThresholdOutOfRange({ metric: wrong, ...thresholds[wrong], maximum: thresholdMax[wrong] })
    )
}

/**
 * Scores a sample: as its worst metric does, rounded to a whole number. A metric scores 100 at 0, 70 at its warning
 * threshold, 40 at its critical one, and 0 from twice that on, in straight lines.
 */
export const score = (sample: Sample, thresholds: Thresholds): number =>
  Math.round(Math.min(100, ...metrics.map((metric) => metricScore(sample[metric] ?? 0, thresholds[metric]))))

/**
 * Says how well a metric is. It is no better than it was until it falls below 90 % of the threshold it had reached, so that
 * one that wavers is not told again and again.
 */
export const levelOf = (
  value: number,
  { critical, warning }: Threshold,
  before: Level = "healthy"
): Level => {
  if (value >= critical * (before === "critical" ? clearsAt : 1)) return "critical"
  return value >= warning * (before === "healthy" ? 1 : clearsAt) ? "warning" : "healthy"
}

/** The worse of two. */
export const worse = (
  a: Level,
  b: Level
): Level => (Level.literals.indexOf(a) > Level.literals.indexOf(b) ? a : b)

/** Says what to do about each metric that is not well, the worst first. */
export const recommend = (sample: Sample, thresholds: Thresholds): ReadonlyArray<Recommendation> =>
  metrics.flatMap((metric) => {
    const value = sample[metric] ?? 0
    const level = levelOf(value, thresholds[metric])
    return level === "healthy"
      ? []
      : [{ metric, level, value, threshold: thresholds[metric][level], advice: advice[metric] }]
  }).sort((a, b) => metricScore(a.value, thresholds[a.metric]) - metricScore(b.value, thresholds[b.metric]))

// internal

const advice: Readonly<Record<Metric, string>> = {
  memoryBytes: "look for what it holds on to, or let it leave memory sooner",
  queueLength: "give it more workers, or slow down those who send to it",
  errorRate: "read its errors, and hold back the kind of work that fails",
  latencyMillis: "look for what it waits for, or let others share its work"
}

const isInRange = (metric: Metric, { critical, warning }: Threshold): boolean =>
  warning > 0 && warning < critical && critical <= thresholdMax[metric]

const metricScore = (value: number, { critical, warning }: Threshold): number => {
  if (value < warning) return between(100, scoreAt.warning, value / warning)
  if (value < critical) {
    return between(scoreAt.warning, scoreAt.critical, (value - warning) / (critical - warning))
  }
  return between(scoreAt.critical, 0, Math.min(1, (value - critical) / critical))
}

const between = (from: number, to: number, share: number): number => from + (to - from) * share
