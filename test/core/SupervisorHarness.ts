import { assert } from "@effect/vitest"
import * as Backoff from "@holdfast/core/Backoff"
import type { ChildSpec } from "@holdfast/core/ChildSpec"
import type { Decision } from "@holdfast/core/RestartDecision"
import * as Supervisor from "@holdfast/core/Supervisor"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import type * as Scheduler from "effect/Scheduler"
import * as Scope from "effect/Scope"
import * as Model from "./SupervisorModel.ts"
import type { ChildScript, Decided, End, Script, Step, SupervisorScript } from "./SupervisorScript.ts"
import { backoffMillis, delayMillis, periodMillis } from "./SupervisorScript.ts"

class Busy extends Data.TaggedError("Busy")<{}> {}
class BadConfig extends Data.TaggedError("BadConfig")<{}> {}

type Failure = Busy | BadConfig | Supervisor.RestartIntensityExceeded

/** Runs fibers when it is told to, until none can go on. */
class ManualScheduler implements Scheduler.Scheduler {
  private tasks: Array<() => void> = []
  scheduleTask(task: () => void): void {
    this.tasks.push(task)
  }
  shouldYield(): false {
    return false
  }
  flush(): void {
    while (this.tasks.length > 0) {
      const tasks = this.tasks
      this.tasks = []
      for (const task of tasks) task()
    }
  }
}

/** Stands still until it is told to go on. */
class ManualClock implements Clock.Clock {
  readonly [Clock.ClockTypeId]: Clock.ClockTypeId = Clock.ClockTypeId
  nowMillis = 0
  private readonly sleepers = new Set<{ readonly atMillis: number; readonly wake: () => void }>()
  readonly currentTimeMillis = Effect.sync(() => this.nowMillis)
  readonly currentTimeNanos = Effect.sync(() => this.unsafeCurrentTimeNanos())
  unsafeCurrentTimeMillis(): number {
    return this.nowMillis
  }
  unsafeCurrentTimeNanos(): bigint {
    return BigInt(Math.round(this.nowMillis * 1_000_000))
  }
  sleep(duration: Duration.Duration): Effect.Effect<void> {
    return Effect.async((resume) => {
      const sleeper = {
        atMillis: this.nowMillis + Duration.toMillis(duration),
        wake: () => resume(Effect.void)
      }
      this.sleepers.add(sleeper)
      return Effect.sync(() => this.sleepers.delete(sleeper))
    })
  }
  passTo(nowMillis: number): void {
    this.nowMillis = nowMillis
    for (const sleeper of this.sleepers) {
      if (sleeper.atMillis > nowMillis) continue
      this.sleepers.delete(sleeper)
      sleeper.wake()
    }
  }
}

interface Puppet {
  readonly end: (how: End) => void
}

interface World {
  readonly scheduler: ManualScheduler
  readonly clock: ManualClock
  readonly log: Array<string>
  readonly puppets: Map<string, Puppet>
}

const ends: Record<Exclude<End, "interrupted" | "RestartIntensityExceeded">, Effect.Effect<void, Failure>> = {
  success: Effect.void,
  defect: Effect.die("bug"),
  Busy: new Busy(),
  BadConfig: new BadConfig()
}

const puppet = (world: World, path: string): Effect.Effect<void, Failure, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => world.log.push(`${path} up`)),
    () => Effect.sync(() => world.log.push(`${path} down`))
  ).pipe(Effect.zipRight(Effect.withFiberRuntime<void, Failure>((fiber) =>
    Effect.async((resume) => {
      const end = (how: End): void => {
        if (how === "RestartIntensityExceeded") throw new Error("a worker does not give up")
        if (how === "interrupted") fiber.unsafeInterruptAsFork(FiberId.none)
        else resume(ends[how])
      }
      world.puppets.set(path, { end })
    })
  )))

const decision = (decided: Decided): Decision =>
  decided === "later" ? Supervisor.restartAfter(Duration.millis(delayMillis)) : decided

const specOf = (
  world: World,
  path: string,
  id: string,
  script: ChildScript
): ChildSpec<string, Failure, never> => {
  const { intensity, onFailure: { RestartIntensityExceeded: gaveUp, ...onFailure }, restart, significant } =
    script
  const options = {
    id,
    restart,
    significant,
    ...(intensity === null ? {} : {
      intensity: {
        maxRestarts: intensity.maxRestarts,
        period: periodMillis,
        exceeded: intensity.exceeded,
        ...(intensity.backs ? { backoff: Backoff.fixed(backoffMillis) } : {})
      }
    })
  }
  const decisions = { Busy: decision(onFailure.Busy), BadConfig: decision(onFailure.BadConfig) }
  if (script.children === undefined) {
    const start = puppet(world, `${path}/${id}`)
    return Supervisor.child({
      ...options,
      start,
      onFailure: { ...decisions, RestartIntensityExceeded: "stop" }
    })
  }
  return Supervisor.supervisor({
    ...options,
    ...supervisorOf(world, `${path}/${id}`, script),
    onFailure: gaveUp === undefined
      ? decisions
      : { ...decisions, RestartIntensityExceeded: decision(gaveUp) }
  })
}

const supervisorOf = (world: World, path: string, script: SupervisorScript) => ({
  strategy: script.strategy,
  autoShutdown: script.autoShutdown,
  maxRestarts: script.maxRestarts,
  period: periodMillis,
  children: script.children.map((child, index) => specOf(world, path, `${index}`, child))
})

/** What came of an effect: `waits` as long as it has not ended. */
const run = <A, E>(world: World, effect: Effect.Effect<A, E>): Option.Option<Exit.Exit<A, E>> => {
  const fiber = Effect.runFork(Effect.withClock(effect, world.clock), { scheduler: world.scheduler })
  world.scheduler.flush()
  return Option.fromNullable(fiber.unsafePoll())
}

const must = <A, E>(world: World, effect: Effect.Effect<A, E>): A => {
  const exit = Option.getOrThrow(run(world, effect))
  if (Exit.isFailure(exit)) throw new Error(Cause.pretty(exit.cause))
  return exit.value
}

const outcome = (exit: Option.Option<Exit.Exit<void, Failure>>): string => {
  if (Option.isNone(exit)) return "running"
  if (Exit.isSuccess(exit.value)) return "ended"
  return Option.match(Cause.failureOption(exit.value.cause), {
    onNone: () => "defect",
    onSome: (error) =>
      error._tag === "RestartIntensityExceeded"
        ? `${error._tag} ${error.supervisor} ${error.child}`
        : error._tag
  })
}

const answer = <E extends { readonly _tag: string }>(
  world: World,
  operation: Effect.Effect<Supervisor.ChildInfo | void, E>
): string =>
  Option.match(run(world, Effect.either(operation)), {
    onNone: () => "waits",
    onSome: Exit.match({
      onFailure: (cause) => Cause.pretty(cause),
      onSuccess: (reply) => reply._tag === "Left" ? reply.left._tag : reply.right?.status ?? "done"
    })
  })

const failuresStop = (script: ChildScript): ChildScript => {
  const onFailure = { Busy: "stop", BadConfig: "stop" } as const
  return { ...script, onFailure }
}

const follow = (
  world: World,
  supervisor: Supervisor.Supervisor<Failure>,
  model: Model.Prediction,
  step: Step
): void => {
  switch (step._tag) {
    case "End":
      return endOne(world, model, step)
    case "Start": {
      const child = failuresStop(step.child)
      const spec = specOf(world, "", step.id, child) as ChildSpec<string, never, never>
      return assert.strictEqual(
        answer(world, supervisor.startChild(spec)),
        Model.startChild(model, step.id, child)
      )
    }
    case "Terminate":
      return assert.strictEqual(
        answer(world, supervisor.terminateChild(step.id)),
        Model.terminateChild(model, step.id)
      )
    case "Restart":
      return assert.strictEqual(
        answer(world, supervisor.restartChild(step.id)),
        Model.restartChild(model, step.id)
      )
    case "Delete":
      return assert.strictEqual(
        answer(world, supervisor.deleteChild(step.id)),
        Model.deleteChild(model, step.id)
      )
  }
}

const endOne = (world: World, model: Model.Prediction, step: Extract<Step, { _tag: "End" }>): void => {
  passTo(world, model, model.nowMillis + step.afterMillis)
  const workers = Model.running(model)
  const path = workers[step.worker % workers.length]
  if (path === undefined) return
  world.puppets.get(path)?.end(step.how)
  world.scheduler.flush()
  Model.end(model, path, step.how)
}

const passTo = (world: World, model: Model.Prediction, untilMillis: number): void => {
  const nowMillis = Model.nextDue(model, untilMillis) ?? untilMillis
  world.clock.passTo(nowMillis)
  world.scheduler.flush()
  Model.passTo(model, nowMillis)
  if (nowMillis < untilMillis) passTo(world, model, untilMillis)
}

/** Runs a script against the model, and compares what can be seen after each step. */
export const followScript = (script: Script): void => {
  const world: World = {
    scheduler: new ManualScheduler(),
    clock: new ManualClock(),
    log: [],
    puppets: new Map()
  }
  const scope = must(world, Scope.make())
  const options = { ...supervisorOf(world, "", script.root), name: "root" }
  const supervisor = must(world, Scope.extend(Supervisor.make(options), scope))
  const model = Model.started(script)
  for (const step of script.steps) {
    if (model.outcome !== "running") break
    follow(world, supervisor, model, step)
    assert.deepStrictEqual(must(world, supervisor.tree), Model.tree(model))
    assert.deepStrictEqual(world.log, model.log)
  }
  assert.strictEqual(outcome(run(world, supervisor.await)), model.outcome)
  if (model.outcome === "running") Model.close(model, "ended")
  must(world, Scope.close(scope, Exit.void))
  assert.deepStrictEqual(world.log, model.log)
  assert.strictEqual(outcome(run(world, supervisor.await)), model.outcome)
}
