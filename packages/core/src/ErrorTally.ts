/**
 * An error tally counts the errors of one subject by kind, and decides when they repeat often enough for an alert.
 */
import * as Schema from "effect/Schema"

/** Says what is kept and when to alert. */
export interface Rules {
  /** How many errors of a subject are kept. */
  readonly historyMax: number
  /** How long an error is kept, and how long a kind may be silent before its count is forgotten. */
  readonly maxAgeMillis: number
  /** How many errors of one kind within the window raise an alert. */
  readonly alertCount: number
  readonly alertWindowMillis: number
}

/** What is known of one kind of error. */
export const KindTally = Schema.Struct({
  kind: Schema.String,
  count: Schema.Number,
  lastAtMillis: Schema.Number,
  /** The last ones that lay in the alert window; `alertCount` at the most. */
  recentMillis: Schema.Array(Schema.Number),
  alertedAtMillis: Schema.NullOr(Schema.Number)
})
export type KindTally = typeof KindTally.Type

/** What is known of a subject. Errors are numbered from 1; those below `first` are gone. */
export const ErrorTally = Schema.Struct({
  first: Schema.Number,
  next: Schema.Number,
  kinds: Schema.Array(KindTally)
})
export type ErrorTally = typeof ErrorTally.Type

/** How many kinds a subject may have; the errors of further ones are counted as `otherKinds`. */
export const kindsMax = 64

/** What further kinds are counted as. */
export const otherKinds = "(other)"

/** How many of the oldest errors go at once, where a lower `historyMax` has left too many. */
export const evictedMax = 128

/** A subject without errors. */
export const empty: ErrorTally = { first: 1, next: 1, kinds: [] }

/** What became of an error. */
export interface Added {
  readonly tally: ErrorTally
  readonly sequence: number
  /** The kind it was counted as. */
  readonly kind: string
  /** Whether it is the one that raises an alert. */
  readonly raisesAlert: boolean
  /** The errors that have to go for it. */
  readonly evicted: ReadonlyArray<number>
}

/** Counts an error. An alert is raised when the window holds enough of its kind, and not again before a window later. */
export const add = (tally: ErrorTally, kind: string, atMillis: number, rules: Rules): Added => {
  const known = liveKinds(tally, atMillis, rules)
  const counted = known.some((one) => one.kind === kind) || known.length < kindsMax ? kind : otherKinds
  const before = known.find((one) => one.kind === counted) ?? unseen(counted)
  const windowStart = atMillis - rules.alertWindowMillis
  const recentMillis = [...before.recentMillis.filter((at) => at > windowStart), atMillis].slice(
    -rules.alertCount
  )
  const isQuiet = before.alertedAtMillis === null || before.alertedAtMillis <= windowStart
  const raisesAlert = isQuiet && recentMillis.length >= rules.alertCount
  const after: KindTally = {
    kind: counted,
    count: before.count + 1,
    lastAtMillis: Math.max(before.lastAtMillis, atMillis),
    recentMillis,
    alertedAtMillis: raisesAlert ? atMillis : before.alertedAtMillis
  }
  const next = tally.next + 1
  const first = Math.max(tally.first, Math.min(next - rules.historyMax, tally.first + evictedMax))
  return {
    tally: { first, next, kinds: [...known.filter((one) => one !== before), after] },
    sequence: tally.next,
    kind: counted,
    raisesAlert,
    evicted: Array.from({ length: first - tally.first }, (_, index) => tally.first + index)
  }
}

/** The kinds that have not been silent for too long. */
export const liveKinds = (tally: ErrorTally, nowMillis: number, rules: Rules): ReadonlyArray<KindTally> =>
  tally.kinds.filter(({ lastAtMillis }) => isLive(lastAtMillis, nowMillis, rules))

/** Whether something of this time is still kept. */
export const isLive = (atMillis: number, nowMillis: number, rules: Rules): boolean =>
  atMillis > nowMillis - rules.maxAgeMillis

const unseen = (kind: string): KindTally => ({
  kind,
  count: 0,
  lastAtMillis: 0,
  recentMillis: [],
  alertedAtMillis: null
})
