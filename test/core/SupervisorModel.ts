import type { Decision, ExitClass, RestartKind } from "@holdfast/core/RestartDecision"
import type { SupervisorEvent } from "@holdfast/core/SupervisorEvent"
import * as FastCheck from "effect/FastCheck"

/** How a child may be told to end; a failure by its tag. */
export type End = "success" | "defect" | "interrupted" | "Busy" | "BadConfig"

export interface Step {
  readonly child: number
  readonly end: End
  /** The time since the step before. */
  readonly afterMillis: number
}

export interface ChildScript {
  readonly restart: RestartKind
  readonly Busy: Exclude<Decision, object>
  readonly BadConfig: Exclude<Decision, object>
}

/**
 * Children under one_for_one, with the restarts they may make in 5 seconds, and how they end one after the
 * other.
 */
export interface Script {
  readonly maxRestarts: number
  readonly children: ReadonlyArray<ChildScript>
  readonly steps: ReadonlyArray<Step>
}

/** What a supervisor that follows the script has told and is, before its scope closes. */
export interface Prediction {
  readonly log: ReadonlyArray<string>
  readonly outcome: string
  readonly running: ReadonlyArray<boolean>
  readonly restarts: ReadonlyArray<number>
  readonly restartedAt: ReadonlyArray<number>
  readonly atMillis: number
}

const decision = FastCheck.oneof(
  { weight: 4, arbitrary: FastCheck.constant("restart" as const) },
  { weight: 1, arbitrary: FastCheck.constantFrom("stop" as const, "escalate" as const) }
)

export const script: FastCheck.Arbitrary<Script> = FastCheck.record({
  maxRestarts: FastCheck.integer({ min: 0, max: 4 }),
  children: FastCheck.array(
    FastCheck.record({
      restart: FastCheck.constantFrom("permanent", "transient", "temporary"),
      Busy: decision,
      BadConfig: decision
    }),
    { minLength: 1, maxLength: 4 }
  ),
  steps: FastCheck.array(
    FastCheck.record({
      child: FastCheck.nat({ max: 3 }),
      end: FastCheck.constantFrom(
        "success",
        "defect",
        "interrupted",
        "Busy",
        "BadConfig"
      ),
      afterMillis: FastCheck.constantFrom(0, 1, 1_000, 2_500, 5_000, 5_001)
    }),
    { maxLength: 20 }
  )
})

export const started = (script: Script): Prediction => ({
  log: script.children.map((_, child) => `ChildStarted ${child}`),
  outcome: "running",
  running: script.children.map(() => true),
  restarts: script.children.map(() => 0),
  restartedAt: [],
  atMillis: 0
})

/** Says whether the step is one: its child runs, and so does the supervisor. */
export const applies = (now: Prediction, step: Step): boolean =>
  now.outcome === "running" && now.running[step.child] === true

export const predict = (script: Script, before: Prediction, step: Step): Prediction => {
  const child = script.children[step.child]
  if (child === undefined) return before
  const decided = decide(child, step.end)
  const now = {
    ...before,
    atMillis: before.atMillis + step.afterMillis,
    running: before.running.with(step.child, false),
    log: [...before.log, `ChildExited ${step.child} ${classOf(step.end)} ${decided}`]
  }
  if (decided === "stop") return now
  return decided === "escalate" ? stopped(now, step.end) : restarted(script, now, step)
}

const restarted = (script: Script, now: Prediction, { child }: Step): Prediction => {
  const within = now.restartedAt.filter((time) => now.atMillis - time <= 5_000)
  if (within.length + 1 > script.maxRestarts) {
    const log = [...now.log, `IntensityExceeded ${child}`]
    return stopped({ ...now, log }, `RestartIntensityExceeded ${child}`)
  }
  const times = (now.restarts[child] ?? 0) + 1
  return {
    ...now,
    running: now.running.with(child, true),
    restarts: now.restarts.with(child, times),
    restartedAt: [...now.restartedAt, now.atMillis],
    log: [...now.log, `ChildRestarted ${child} ${times}`]
  }
}

/** What is told when the supervisor ends, be it that its scope closes. */
export const stopped = (now: Prediction, outcome: string): Prediction => ({
  ...now,
  outcome,
  running: now.running.map(() => false),
  log: [
    ...now.log,
    ...now.running.flatMap((running, child) => running ? [`ChildStopped ${child} interrupted`] : [])
      .toReversed(),
    "SupervisorStopped"
  ]
})

export const told = (event: SupervisorEvent): string => {
  switch (event._tag) {
    case "ChildExited":
      return `ChildExited ${event.child} ${event.exitClass} ${event.decision}`
    case "ChildRestarted":
      return `ChildRestarted ${event.child} ${event.restarts}`
    case "ChildStopped":
      return `ChildStopped ${event.child} ${event.exitClass}`
    default:
      return "child" in event ? `${event._tag} ${event.child}` : event._tag
  }
}

const decide = (child: ChildScript, end: End): "restart" | "stop" | "escalate" => {
  if (end === "Busy" || end === "BadConfig") return child[end]
  if (child.restart === "permanent") return "restart"
  return child.restart === "transient" && end !== "success" ? "restart" : "stop"
}

const classOf = (end: End): ExitClass => end === "Busy" || end === "BadConfig" ? "failure" : end
