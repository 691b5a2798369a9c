/**
 * Health is what is known of how well subjects are: each is checked by a fiber of its own for as long as its
 * scope is open, and whoever asks is answered at once with what the last check found.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Degraded, Failed, HealthConfig, Options, Status, SubjectHealth } from "./HealthState.ts"
import * as HealthState from "./HealthState.ts"
import { monotonicMillis } from "./internal/monotonicMillis.ts"

export type { Degraded, Healthy, Options, Status, SubjectHealth } from "./HealthState.ts"
export { HealthOutOfRange } from "./HealthState.ts"

/** What a check may find. */
export type Finding = HealthState.Healthy | Degraded

/** Says who is checked, and how. */
export interface Check<E, R> extends Options {
  /** Names the subject: one of that name at a time. */
  readonly subject: string
  /** Runs in a scope of its own. One that fails, dies or is interrupted is a failed check. */
  readonly check: Effect.Effect<Finding, E, R>
}

/** The subject is registered already. Close its scope first, or use another name. */
export class SubjectTaken
  extends Schema.TaggedError<SubjectTaken>("@holdfast/core/SubjectTaken")("SubjectTaken", {
    subject: Schema.String
  })
{
  override get message(): string {
    return `"${this.subject}" is checked already`
  }
}

/** Watches over subjects. */
export class Health extends Context.Tag("@holdfast/core/Health")<Health, {
  /**
   * Checks a subject from now until the scope closes: at once, then an interval after each start, but not before the
   * last check has ended. When the scope closes, the subject is dead, which `changes` tells once, and forgotten; a
   * check that cannot be interrupted holds that up until it has ended.
   */
  readonly register: <E, R>(
    check: Check<E, R>
  ) => Effect.Effect<void, SubjectTaken | HealthState.HealthOutOfRange, Exclude<R, Scope.Scope> | Scope.Scope>
  /** Reads the health of a subject; none when it is not registered. It waits for no check. */
  readonly status: (subject: string) => Effect.Effect<Option.Option<SubjectHealth>>
  /** Reads the health of all subjects, in the order of their registration. */
  readonly all: Effect.Effect<ReadonlyArray<SubjectHealth>>
  /** Reads the worst status of all. See `HealthState.worst`. */
  readonly overall: Effect.Effect<Status>
  /**
   * The health of every subject now, then that of each whose status changes. A subscriber that falls behind
   * more than 256 changes misses the oldest; it delays nobody. Ends with the layer.
   */
  readonly changes: Stream.Stream<SubjectHealth>
}>() {}

/** What a check finds when all is well. */
export const healthy: Finding = { _tag: "Healthy" }

/** What a check finds when the subject works, but not as it should. */
export const degraded = (reason: string): Finding => ({ _tag: "Degraded", reason })

/** How many changes a subscriber may be behind. */
export const changesMax = 256

/** How many characters of a reason are kept. */
export const reasonLengthMax = 500

/**
 * Keeps health in memory.
 *
 * @example
 * import * as Effect from "effect/Effect"
 * import * as Health from "@holdfast/core/Health"
 *
 * declare const ping: Effect.Effect<number>
 *
 * const program = Effect.scoped(Effect.gen(function*() {
 *   const health = yield* Health.Health
 *   yield* health.register({
 *     subject: "database",
 *     check: Effect.map(ping, (millis) => millis < 100 ? Health.healthy : Health.degraded(`${millis} ms`)),
 *     interval: "10 seconds"
 *   })
 *   return yield* health.overall // "unknown": the first check has just begun
 * })).pipe(Effect.provide(Health.layer))
 */
export const layer: Layer.Layer<Health> = Layer.scoped(
  Health,
  Effect.map(
    Effect.acquireRelease(PubSub.sliding<Change>(changesMax), PubSub.shutdown),
    (changed) => make({ subjects: new Map(), changed, changes: 0 })
  )
)

// internal

interface Change {
  /** Counts up: a subscriber skips what its snapshot has. */
  readonly number: number
  readonly health: SubjectHealth
}

interface Watch {
  /** In order of registration; bounded by the open scopes that registered them. */
  readonly subjects: Map<string, SubjectHealth>
  readonly changed: PubSub.PubSub<Change>
  changes: number
}

const make = (watch: Watch): Health["Type"] => ({
  register: (check) => register(watch, check),
  status: (subject) => Effect.sync(() => Option.fromNullable(watch.subjects.get(subject))),
  all: Effect.sync(() => Array.from(watch.subjects.values())),
  overall: Effect.sync(() => HealthState.worst(Array.from(watch.subjects.values(), ({ status }) => status))),
  changes: changes(watch)
})

const register = <E, R>(watch: Watch, check: Check<E, R>) =>
  Effect.gen(function*() {
    const config = yield* HealthState.fromOptions(check.subject, check)
    yield* Effect.uninterruptible(Effect.zipRight(
      Effect.acquireRelease(enter(watch, check.subject), () => leave(watch, config, check.subject)),
      Effect.forkScoped(Effect.interruptible(checking(watch, config, check)))
    ))
  })

const enter = (watch: Watch, subject: string): Effect.Effect<void, SubjectTaken> =>
  Effect.flatMap(Clock.currentTimeMillis, (atMillis) =>
    watch.subjects.has(subject)
      ? new SubjectTaken({ subject })
      : tell(watch, HealthState.initial(subject, atMillis)))

const leave = (watch: Watch, config: HealthConfig, subject: string): Effect.Effect<boolean> =>
  Effect.zipRight(
    record(watch, config, subject, { _tag: "Gone" }),
    Effect.sync(() => watch.subjects.delete(subject))
  )

/** Starts a check an interval after the last one began, or when that one has ended, whichever is later. */
const checking = <E, R>(
  watch: Watch,
  config: HealthConfig,
  { check, subject }: Check<E, R>
): Effect.Effect<never, never, Exclude<R, Scope.Scope>> =>
  Effect.gen(function*() {
    const clock = yield* Effect.clock
    const fromMillis = monotonicMillis(clock)
    yield* checkOnce(watch, config, subject, Effect.scoped(check))
    const restMillis = config.intervalMillis - (monotonicMillis(clock) - fromMillis)
    yield* Effect.sleep(Math.max(0, restMillis))
  }).pipe(Effect.forever)

/** A check that is late is told at once and then awaited: it may not want to stop. */
const checkOnce = <E, R>(
  watch: Watch,
  config: HealthConfig,
  subject: string,
  check: Effect.Effect<Finding, E, R>
): Effect.Effect<void, never, R> =>
  Effect.scoped(Effect.gen(function*() {
    const fiber = yield* Effect.forkScoped(check)
    const exit = yield* Effect.timeoutOption(Fiber.await(fiber), config.timeoutMillis)
    yield* record(
      watch,
      config,
      subject,
      Option.match(exit, { onNone: () => late(config), onSome: findingOf })
    )
  }))

const late = ({ timeoutMillis }: HealthConfig): Failed => ({
  _tag: "Failed",
  reason: `the check took longer than ${Duration.format(Duration.millis(timeoutMillis))}`
})

const findingOf = <E>(exit: Exit.Exit<Finding, E>): Finding | Failed =>
  Exit.match(exit, {
    onSuccess: (finding) =>
      finding._tag === "Healthy" ? finding : degraded(finding.reason.slice(0, reasonLengthMax)),
    onFailure: (cause) => ({ _tag: "Failed", reason: reasonOf(cause) })
  })

const reasonOf = <E>(cause: Cause.Cause<E>): string => {
  if (Cause.isInterruptedOnly(cause)) return "the check was interrupted"
  const [first] = Cause.prettyErrors(cause)
  const what = Cause.isDie(cause) ? "the check died" : "the check failed"
  return `${what}: ${first?.message ?? "for no reason"}`.slice(0, reasonLengthMax)
}

const record = (
  watch: Watch,
  config: HealthConfig,
  subject: string,
  event: HealthState.Event
): Effect.Effect<void> =>
  Effect.flatMap(Clock.currentTimeMillis, (atMillis) => {
    const before = watch.subjects.get(subject)
    if (before === undefined) return Effect.void
    const after = HealthState.transition(config, before, event, atMillis)
    watch.subjects.set(subject, after)
    return after.status === before.status ? Effect.void : tell(watch, after)
  })

/** Waits for nobody: the hub slides. When the layer has ended nobody listens. */
const tell = (watch: Watch, health: SubjectHealth): Effect.Effect<void> => {
  watch.subjects.set(health.subject, health)
  watch.changes += 1
  const change = { number: watch.changes, health }
  return Effect.asVoid(
    Effect.unlessEffect(PubSub.publish(watch.changed, change), PubSub.isShutdown(watch.changed))
  )
}

const changes = (watch: Watch): Stream.Stream<SubjectHealth> =>
  Stream.unwrapScoped(
    Effect.map(PubSub.subscribe(watch.changed), (queue) => {
      const seen = watch.changes
      return Stream.concat(
        Stream.fromIterable(Array.from(watch.subjects.values())),
        Stream.fromQueue(queue).pipe(
          Stream.filter(({ number }) => number > seen),
          Stream.map(({ health }) => health)
        )
      )
    })
  )
