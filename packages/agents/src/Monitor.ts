/**
 * A monitor is an agent that remembers how well others are: whom it watches, what they reported, and what alerts that
 * raised.
 */
import type { StorageError } from "@holdfast/core/StorageError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Agent from "./Agent.ts"
import type { Handle } from "./AgentHandle.ts"
import type { Client } from "./AgentProtocol.ts"
import type { AgentRuntime } from "./AgentRuntimeTag.ts"
import * as DurableMap from "./DurableMap.ts"
import type { Alert, HistoryEntry, Messages } from "./MonitorMessages.ts"
import * as MonitorMessages from "./MonitorMessages.ts"
import * as MonitorScore from "./MonitorScore.ts"

/** How many reports a monitor remembers, unless its definition says otherwise. */
export const historyMaxDefault = 1_000

/** How many subjects a monitor watches, unless its definition says otherwise. */
export const watchedMaxDefault = 1_000

const State = Schema.Struct({
  /** The sequence of the last report, and of the oldest that is remembered. */
  last: Schema.NonNegativeInt,
  oldest: Schema.Positive
})
type State = typeof State.Type

/** A definition. Made by {@link make}. */
export interface Monitor<out N extends string> {
  readonly name: N
  readonly agent: Agent.Agent<N, Messages, State>
  readonly thresholds: MonitorScore.Thresholds
  readonly historyMax: number
  readonly watchedMax: number
  /** Makes what asks monitors, by their ids. */
  readonly client: Effect.Effect<(id: string) => Client<Messages>, never, AgentRuntime>
  readonly layer: Layer.Layer<never, never, AgentRuntime>
}

/**
 * Defines a monitor.
 *
 * - `thresholds`: those of subjects that are watched without; `MonitorScore.defaults` where left out.
 * - `historyMax`: how many reports it remembers, of all subjects, before it forgets the oldest; 1,000 by default.
 * - `watchedMax`: how many subjects it watches before it refuses more; 1,000 by default.
 *
 * Its messages: `Watch` and `Unwatch` a subject; `Report` a sample, which yields a score and recommendations; `Status` of
 * all; a page of the `History`, oldest first; `Alerts` that are open; `Acknowledge` one, which says whether there was one.
 * What a report leaves out stands as it was reported last. Watching again keeps what is known and changes the thresholds. An alert ends by itself, when its metric is well again or
 * its subject no longer watched.
 *
 * What it knows is stored by subject and by report: a report costs the same however long the history is.
 *
 * Throws as `Agent.make` does, and on thresholds and limits out of range.
 *
 * @example
 * import * as Monitor from "@holdfast/agents/Monitor"
 * import * as Effect from "effect/Effect"
 *
 * const Watchtower = Monitor.make("Watchtower", { thresholds: { queueLength: { warning: 50, critical: 500 } } })
 *
 * export const program = Effect.gen(function*() {
 *   const tower = (yield* Watchtower.client)("main")
 *   yield* tower.Watch({ subject: "Mailer/main" })
 *   const { recommendations, score } = yield* tower.Report({ subject: "Mailer/main", sample: { queueLength: 80 } })
 *   yield* Effect.log(`${score}: ${recommendations.map(({ advice }) => advice).join("; ")}`)
 * }).pipe(Effect.provide(Watchtower.layer))
 */
export const make = <const N extends string>(
  name: N,
  options: Pick<Agent.Policy, "capabilities" | "mailbox" | "supervision" | "passivateAfter"> & {
    readonly thresholds?: MonitorScore.ThresholdOptions
    readonly historyMax?: number
    readonly watchedMax?: number
  } = {}
): Monitor<N> => {
  const agent: Agent.Agent<N, Messages, State> = Agent.make(name, {
    ...options,
    protocol: MonitorMessages.protocol,
    state: State,
    initial: { last: 0, oldest: 1 }
  })
  const limits = {
    thresholds: Either.getOrThrowWith(MonitorScore.fromOptions(options.thresholds ?? {}), (error) => error),
    historyMax: natural(name, "historyMax", options.historyMax ?? historyMaxDefault),
    watchedMax: natural(name, "watchedMax", options.watchedMax ?? watchedMaxDefault)
  }
  return { name, agent, ...limits, client: agent.client, layer: agent.toLayer(handlers(limits)) }
}

// internal

type Limits = Pick<Monitor<string>, "thresholds" | "historyMax" | "watchedMax">

const subjects = DurableMap.make("subjects", { key: Schema.String, value: MonitorMessages.Watched })

/** A key that sorts as its sequence does. */
const Sequence: Schema.Schema<number, string> = Schema.transform(Schema.String, Schema.Number, {
  strict: true,
  decode: Number,
  encode: (sequence) => String(sequence).padStart(16, "0")
})

const history = DurableMap.make("history", { key: Sequence, value: MonitorMessages.HistoryEntry })

const natural = (name: string, option: string, value: number): number => {
  if (Number.isSafeInteger(value) && value >= 1) return value
  throw new RangeError(`${option} of monitor "${name}" must be a positive integer, not ${value}`)
}

const handlers = (limits: Limits): Agent.Handlers<Messages, State, never> => ({
  Watch: (message, agent) => watch(limits, message, agent),
  Unwatch: ({ subject }, agent) => {
    const known = DurableMap.of(agent, subjects)
    return Effect.zipLeft(known.has(subject), known.remove(subject))
  },
  Report: (message, agent) => report(limits, message, agent),
  Status: (_, agent) => Effect.map(watched(agent), statusOf),
  History: (query, agent) => pageOf(limits, query, agent),
  Alerts: (_, agent) =>
    Effect.map(
      watched(agent),
      (all) => all.flatMap(([subject, { alerts }]) => alerts.map((alert) => ({ subject, ...alert })))
    ),
  Acknowledge: (message, agent) => acknowledge(message, agent)
})

const watched = (agent: Handle<State>) =>
  Effect.map(Stream.runCollect(DurableMap.of(agent, subjects).entries), (all) => Array.from(all))

const watch = (
  { thresholds: base, watchedMax }: Limits,
  { subject, thresholds = {} }: MonitorMessages.Payload<"Watch">,
  agent: Handle<State>
) =>
  Effect.gen(function*() {
    const checked = yield* MonitorScore.fromOptions(thresholds, base)
    const known = DurableMap.of(agent, subjects)
    const before = Option.getOrNull(yield* known.get(subject))
    if (before === null && (yield* known.size) >= watchedMax) {
      return yield* new MonitorMessages.WatchedFull({ subject, watchedMax })
    }
    const sinceMillis = yield* Clock.currentTimeMillis
    yield* known.set(subject, { sinceMillis, latest: null, alerts: [], ...before, thresholds: checked })
  })

const report = (
  limits: Limits,
  { sample: reported, subject }: MonitorMessages.Payload<"Report">,
  agent: Handle<State>
) =>
  Effect.gen(function*() {
    const known = DurableMap.of(agent, subjects)
    const before = Option.getOrNull(yield* known.get(subject))
    if (before === null) return yield* new MonitorMessages.NotWatched({ subject })
    const atMillis = yield* Clock.currentTimeMillis
    const sample = { ...before.latest?.sample, ...reported }
    const score = MonitorScore.score(sample, before.thresholds)
    const alerts = alertsAfter(before, sample, atMillis)
    const level = alerts.reduce(
      (level, alert) => MonitorScore.worse(level, alert.level),
      "healthy" as MonitorScore.Level
    )
    const latest = { atMillis, sample, score, level }
    yield* known.set(subject, { ...before, latest, alerts })
    yield* remember(limits, { subject, ...latest }, agent)
    return { score, level, recommendations: MonitorScore.recommend(sample, before.thresholds) }
  })

const alertsAfter = (
  { alerts, thresholds }: MonitorMessages.Watched,
  sample: MonitorScore.Sample,
  atMillis: number
): ReadonlyArray<Alert> =>
  MonitorScore.metrics.flatMap((metric) => {
    const before = alerts.find((alert) => alert.metric === metric)
    const value = sample[metric] ?? 0
    const level = MonitorScore.levelOf(value, thresholds[metric], before?.level)
    if (level === "healthy") return []
    if (before?.level === level) return [{ ...before, value }]
    const acknowledgedBy = before?.level === "critical" ? before.acknowledgedBy : null
    return [{ metric, level, value, sinceMillis: atMillis, acknowledgedBy }]
  })

/** Adds a report to the history, and forgets those past its limit: more than one only where the limit was lowered. */
const remember = (
  { historyMax }: Limits,
  entry: Omit<HistoryEntry, "sequence">,
  agent: Handle<State>
): Effect.Effect<void> =>
  Effect.gen(function*() {
    const ring = DurableMap.of(agent, history)
    const { last, oldest } = yield* agent.get
    const sequence = last + 1
    const kept = Math.max(oldest, sequence - historyMax + 1)
    yield* ring.set(sequence, { sequence, ...entry })
    for (let forgotten = oldest; forgotten < kept; forgotten++) yield* ring.remove(forgotten)
    yield* agent.set({ last: sequence, oldest: kept })
  })

const statusOf = (all: ReadonlyArray<readonly [string, MonitorMessages.Watched]>): MonitorMessages.Status => {
  const scores = all.flatMap(([_, { latest }]) => latest === null ? [] : [latest.score])
  return {
    score: scores.length === 0 ? null : Math.min(...scores),
    subjects: all.map(([subject, watched]) => ({ subject, ...watched }))
  }
}

/** The reports of one subject are looked for in all of the history, which is bounded. */
const pageOf = (
  { historyMax }: Limits,
  { after, limit, subject }: MonitorMessages.Payload<"History">,
  agent: Handle<State>
): Effect.Effect<ReadonlyArray<HistoryEntry>, StorageError> =>
  Effect.map(
    DurableMap.of(agent, history).page({ after, limit: subject === undefined ? limit : historyMax }),
    (page) =>
      page.map(([_, entry]) => entry)
        .filter((entry) => subject === undefined || entry.subject === subject)
        .slice(0, limit)
  )

const acknowledge = (
  { by, metric, subject }: MonitorMessages.Payload<"Acknowledge">,
  agent: Handle<State>
): Effect.Effect<boolean, StorageError> =>
  Effect.gen(function*() {
    const known = DurableMap.of(agent, subjects)
    const before = Option.getOrNull(yield* known.get(subject))
    if (before === null || !before.alerts.some((alert) => alert.metric === metric)) return false
    const alerts = before.alerts.map((alert) =>
      alert.metric === metric ? { ...alert, acknowledgedBy: by } : alert
    )
    yield* known.set(subject, { ...before, alerts })
    return true
  })
