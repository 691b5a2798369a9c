/**
 * Monitor messages are what a monitor understands, and what it answers with.
 */
import * as Rpc from "@effect/rpc/Rpc"
import * as Schema from "effect/Schema"
import * as MonitorScore from "./MonitorScore.ts"

/** How many reports a page of the history has at most. */
export const pageMax = 1_000

/** Names who is watched: the rendered address of an agent, or what else there is. */
const subject = Schema.NonEmptyString

/** Says that nobody of that name is watched. Remedy: `Watch` it first. */
export class NotWatched extends Schema.TaggedError<NotWatched>()("NotWatched", { subject }) {
  override get message(): string {
    return `"${this.subject}" is not watched`
  }
}

/** Says that the monitor watches as many as it may. Remedy: `Unwatch` somebody, or raise `watchedMax`. */
export class WatchedFull extends Schema.TaggedError<WatchedFull>()("WatchedFull", {
  subject,
  watchedMax: Schema.Number
}) {
  override get message(): string {
    return `"${this.subject}" is not watched: the monitor watches ${this.watchedMax} already`
  }
}

/** Is a metric that is not well, from when it reached a threshold until it is well again. */
export const Alert = Schema.Struct({
  metric: MonitorScore.Metric,
  level: Schema.Literal("warning", "critical"),
  /** What was reported last. */
  value: Schema.Number,
  /** When it reached this level. */
  sinceMillis: Schema.Number,
  /** Who has seen to it; `null` while nobody has, and again when it gets worse. */
  acknowledgedBy: Schema.NullOr(Schema.String)
})
export type Alert = typeof Alert.Type

/** What a report comes to. */
export const Assessment = Schema.Struct({
  /** From 0 to 100; see `MonitorScore.score`. */
  score: Schema.Number,
  level: MonitorScore.Level,
  recommendations: Schema.Array(MonitorScore.Recommendation)
})
export type Assessment = typeof Assessment.Type

/** What a monitor knows of a subject. */
export const Watched = Schema.Struct({
  thresholds: MonitorScore.Thresholds,
  /** Since when it is watched. */
  sinceMillis: Schema.Number,
  /** The last report; `null` before the first. */
  latest: Schema.NullOr(Schema.Struct({
    atMillis: Schema.Number,
    sample: MonitorScore.Sample,
    score: Schema.Number,
    level: MonitorScore.Level
  })),
  alerts: Schema.Array(Alert)
})
export type Watched = typeof Watched.Type

/** One report of the history. */
export const HistoryEntry = Schema.Struct({
  /** Its place in the order of all reports, from 1. */
  sequence: Schema.Number,
  subject,
  atMillis: Schema.Number,
  sample: MonitorScore.Sample,
  score: Schema.Number,
  level: MonitorScore.Level
})
export type HistoryEntry = typeof HistoryEntry.Type

const bySubject = { subject }

/** What a monitor knows of all. */
export const Status = Schema.Struct({
  /** The lowest of all; `null` while nobody has reported. */
  score: Schema.NullOr(Schema.Number),
  subjects: Schema.Array(Schema.Struct({ ...bySubject, ...Watched.fields }))
})
export type Status = typeof Status.Type

/** Every message. */
export const protocol = [
  Rpc.make("Watch", {
    payload: Schema.Struct({
      ...bySubject,
      thresholds: Schema.optionalWith(MonitorScore.ThresholdOptions, { exact: true })
    }),
    error: Schema.Union(MonitorScore.ThresholdOutOfRange, WatchedFull)
  }),
  Rpc.make("Unwatch", { payload: bySubject, success: Schema.Boolean }),
  Rpc.make("Report", {
    payload: { ...bySubject, sample: MonitorScore.Sample },
    success: Assessment,
    error: NotWatched
  }),
  Rpc.make("Status", { success: Status }),
  Rpc.make("History", {
    payload: Schema.Struct({
      /** Only reports behind this one: the last sequence of the page before; 0 for all. */
      after: Schema.NonNegativeInt,
      limit: Schema.Int.pipe(Schema.between(1, pageMax)),
      subject: Schema.optionalWith(subject, { exact: true })
    }),
    success: Schema.Array(HistoryEntry)
  }),
  Rpc.make("Alerts", { success: Schema.Array(Schema.Struct({ ...bySubject, ...Alert.fields })) }),
  Rpc.make("Acknowledge", {
    payload: { ...bySubject, metric: MonitorScore.Metric, by: Schema.NonEmptyString },
    success: Schema.Boolean
  })
] as const

/** Are the messages of a monitor. */
export type Messages = (typeof protocol)[number]

/** Is the payload of the message of that tag. */
export type Payload<Tag extends Messages["_tag"]> = Rpc.Payload<Extract<Messages, { readonly _tag: Tag }>>
