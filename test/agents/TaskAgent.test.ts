import { describe, expect, it } from "@effect/vitest"
import { InvalidPayload } from "@holdfast/agents/AgentError"
import * as AgentRuntime from "@holdfast/agents/AgentRuntime"
import { PayloadTooLarge } from "@holdfast/agents/Encoded"
import * as Memory from "@holdfast/agents/Memory"
import * as TaskAgent from "@holdfast/agents/TaskAgent"
import { QueueFull } from "@holdfast/agents/TaskOperation"
import { TaskTimeout } from "@holdfast/agents/TaskPolicy"
import * as TaskQueue from "@holdfast/agents/TaskQueue"
import { TaskStore } from "@holdfast/agents/TaskStore"
import * as Backoff from "@holdfast/core/Backoff"
import * as Sqlite from "@holdfast/persistence/Sqlite"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import { temporaryStore } from "../support/store-processes.ts"
import { backends } from "./backends.ts"
import { onMemory } from "./runtime.ts"
import { settleFibers } from "./workers.ts"

class Bounced extends Schema.TaggedError<Bounced>()("Bounced", { to: Schema.String }) {}

const Payload = Schema.Struct({ kind: Schema.Literal("receipt", "news"), to: Schema.String })
type Payload = typeof Payload.Type

const options = {
  payload: Payload,
  success: Schema.String,
  error: Bounced,
  attemptsMax: 2,
  backoff: Backoff.fixed("10 seconds")
}

const Mailer = TaskAgent.make("Mailer", options)

const to = (name: string, kind: Payload["kind"] = "receipt") => ({ payload: { kind, to: name }, id: name })

/** Runs that wait to be told how to end; `begun` gives the name of each as it begins. */
const makeScript = Effect.map(Queue.unbounded<string>(), (begun) => {
  const running = new Map<string, Deferred.Deferred<string, Bounced>>()
  const run = ({ to }: Payload) =>
    Effect.gen(function*() {
      const end = yield* Deferred.make<string, Bounced>()
      running.set(to, end)
      yield* Queue.offer(begun, to)
      return yield* Deferred.await(end)
    }).pipe(Effect.ensuring(Effect.sync(() => running.delete(to))))
  const end = (name: string, how: Effect.Effect<string, Bounced> = Effect.succeed(name)) =>
    Effect.suspend(() => {
      const deferred = running.get(name)
      return deferred === undefined
        ? Effect.dieMessage(`${name} is not running`)
        : Deferred.complete(deferred, how)
    })
  return { run, begun: Queue.take(begun), running, end }
})

/** Runs a program beside a mailer on a storage of its own. */
const withMailer = <A, E>(
  mailer: typeof Mailer,
  program: (script: Effect.Effect.Success<typeof makeScript>) => Effect.Effect<A, E, Provided>
) => Effect.flatMap(makeScript, (script) => onMemory(mailer.toLayer(script.run))(program(script)))

type Provided = Effect.Effect.Context<Parameters<ReturnType<typeof onMemory>>[0]>

const names = (count: number) => Array.from({ length: count }, (_, n) => `t-${n}`)

/** What came of a task. */
const outcomeOf = (queue: typeof Mailer.queue, id: string) =>
  Effect.gen(function*() {
    const task = yield* Effect.flatten(Effect.flatMap(TaskStore, (store) => store.task(queue.name, id)))
    const { attempt, status } = task
    return { attempt, status, outcome: Option.getOrNull(yield* TaskQueue.outcome(queue, task)) }
  })

const enqueueAll = (mailer: Effect.Effect.Success<typeof Mailer.client>, ...names: ReadonlyArray<string>) =>
  Effect.forEach(names, (name) => mailer.Enqueue(to(name)))

describe("TaskAgent", () => {
  for (const { name, storage } of backends) {
    it.scopedLive(
      `${name}: killed with ten tasks, it is back with ten tasks and the same counters, and the task in hand runs again`,
      () =>
        Effect.gen(function*() {
          const script = yield* makeScript
          const layer = Mailer.toLayer(script.run).pipe(
            Layer.provideMerge(AgentRuntime.layer),
            Layer.provideMerge(yield* storage)
          )
          yield* Effect.gen(function*() {
            const runtime = yield* AgentRuntime.AgentRuntime
            const mailer = yield* Mailer.client
            yield* enqueueAll(mailer, ...names(12))
            for (const done of ["t-0", "t-1"]) {
              expect(yield* script.begun).toBe(done)
              yield* script.end(done)
            }
            expect(yield* script.begun).toBe("t-2")
            const before = yield* mailer.Metrics()
            expect(before).toEqual({ processed: 2, failed: 0, skipped: 0, ready: 9, running: 1, finished: 2 })
            expect(yield* runtime.kill(Mailer.address)).toBe(true)
            expect((yield* mailer.Status()).status).toBe("active")
            expect(yield* script.begun).toBe("t-2")
            expect(yield* mailer.Metrics()).toEqual(before)
            expect((yield* outcomeOf(Mailer.queue, "t-2")).attempt).toBe(1)
          }).pipe(Effect.provide(layer))
        })
    )

    it.scopedLive(
      `${name}: a program that ends with ten tasks leaves them and its counters to the next, which goes on with the task in hand`,
      () =>
        Effect.gen(function*() {
          const ports = yield* storage
          const script = yield* makeScript
          const layer = Mailer.toLayer(script.run).pipe(
            Layer.provideMerge(AgentRuntime.layer),
            Layer.provideMerge(ports)
          )
          const before = yield* Effect.gen(function*() {
            const mailer = yield* Mailer.client
            yield* enqueueAll(mailer, ...names(11))
            yield* script.begun
            yield* script.end("t-0")
            yield* script.begun
            return yield* mailer.Metrics()
          }).pipe(Effect.provide(layer))
          expect(script.running.size).toBe(0)
          yield* Effect.gen(function*() {
            expect(yield* script.begun).toBe("t-1")
            expect(yield* Effect.flatMap(Mailer.client, (mailer) => mailer.Metrics())).toEqual(before)
          }).pipe(Effect.provide(layer))
        })
    )
  }

  it.scopedLive("SQLite: works on one node at a time, and on the next when that one is gone", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryStore
      const node = Effect.gen(function*() {
        const script = yield* makeScript
        const scope = yield* Scope.fork(yield* Effect.scope, ExecutionStrategy.sequential)
        const layer = Mailer.toLayer(script.run).pipe(
          Layer.provideMerge(AgentRuntime.layer),
          Layer.provideMerge(Sqlite.layer({ filename }))
        )
        return { script, scope, context: yield* Layer.buildWithScope(layer, scope) }
      })
      const first = yield* node
      yield* Effect.provide(TaskQueue.enqueueAll(Mailer.queue, [to("a"), to("b")]), first.context)
      expect(yield* first.script.begun).toBe("a")
      const second = yield* node
      const elsewhere = yield* Effect.provide(
        Effect.flip(Effect.flatMap(Mailer.client, (mailer) => mailer.Status())),
        second.context
      )
      expect(elsewhere._tag).toBe("AgentElsewhere")
      expect(second.script.running.size).toBe(0)
      yield* Scope.close(first.scope, Exit.void)
      expect(yield* second.script.begun).toBe("a")
    }))

  it("holds 1,000 tasks and pauses after 10 that died in a row, unless its definition says otherwise", () => {
    expect(Mailer.settings).toEqual({ sizeMax: 1_000, errorThreshold: 10 })
    expect(TaskAgent.make("Other", { ...options, queueLimit: null, errorThreshold: null }).settings)
      .toEqual({ sizeMax: null, errorThreshold: null })
  })

  it("refuses a limit, a threshold, a concurrency and a policy out of their bounds", () => {
    const wrong = [
      { queueLimit: 0 },
      { errorThreshold: 0.5 },
      { concurrency: -1 },
      { policy: { attemptsMax: 0 } },
      { policies: { news: { timeout: 0 } } },
      { policies: { news: { breaker: { probes: 0 } } } }
    ]
    for (const options of wrong) {
      expect(() => TaskAgent.make("Wrong", { payload: Schema.String, ...options })).toThrow(/must be/)
    }
  })

  it.scoped("runs what has the smallest priority first, what is delayed when it is due, and one of the same id once", () =>
    withMailer(Mailer, (script) =>
      Effect.gen(function*() {
        const mailer = yield* Mailer.client
        yield* mailer.Pause()
        yield* mailer.Enqueue({ ...to("late"), delayMillis: 5_000, priority: -9 })
        yield* mailer.Enqueue(to("b"))
        yield* mailer.Enqueue({ ...to("a"), priority: -1 })
        expect(yield* mailer.Enqueue({ payload: { kind: "news", to: "other" }, id: "b" })).toBe("b")
        expect(yield* mailer.Enqueue({ payload: { kind: "news", to: "c" } })).toHaveLength(36)
        yield* mailer.Resume()
        for (const name of ["a", "b", "c"]) {
          expect(yield* script.begun).toBe(name)
          yield* script.end(name)
        }
        yield* TestClock.adjust("5 seconds")
        expect(yield* script.begun).toBe("late")
      })))

  it.scoped("refuses a task past its limit with QueueFull, and takes one again when another has ended", () => {
    const Small = TaskAgent.make("Mailer", { ...options, queueLimit: 2 })
    return withMailer(Small, (script) =>
      Effect.gen(function*() {
        const mailer = yield* Small.client
        yield* enqueueAll(mailer, "a", "b")
        const full = yield* Effect.flip(mailer.Enqueue(to("c")))
        expect(full).toEqual(new QueueFull({ queue: "Mailer", unfinished: 2, sizeMax: 2 }))
        expect(yield* script.begun).toBe("a")
        yield* script.end("a")
        expect(yield* script.begun).toBe("b")
        yield* mailer.Enqueue(to("c"))
        expect(yield* mailer.Status()).toMatchObject({ limit: 2, ready: 1, running: 1 })
      }))
  })

  it.scoped("refuses a task that does not match its schema or is too large, with a typed error and no crash", () =>
    withMailer(Mailer, () =>
      Effect.gen(function*() {
        const mailer = yield* Mailer.client
        const runtime = yield* AgentRuntime.AgentRuntime
        const wrong = { payload: { kind: "letter", to: "ann" } } as unknown as Parameters<
          typeof mailer.Enqueue
        >[0]
        expect(yield* Effect.flip(mailer.Enqueue(wrong))).toBeInstanceOf(InvalidPayload)
        expect(yield* Effect.flip(mailer.Enqueue({ ...to("a"), delayMillis: -1 }))).toBeInstanceOf(
          InvalidPayload
        )
        const large = yield* Effect.flip(mailer.Enqueue(to("x".repeat(1024 * 1024))))
        expect(large).toBeInstanceOf(PayloadTooLarge)
        expect(yield* mailer.Metrics()).toMatchObject({ ready: 0, running: 0 })
        expect((yield* runtime.list)[0]?.restarts).toBe(0)
      })))

  it.scoped("paused, it finishes what runs and begins nothing, also in the next program, until it is resumed", () =>
    Effect.gen(function*() {
      const script = yield* makeScript
      const run = onMemory(Mailer.toLayer(script.run))
      yield* run(Effect.gen(function*() {
        const mailer = yield* Mailer.client
        yield* enqueueAll(mailer, "a", "b")
        yield* script.begun
        yield* mailer.Pause()
        yield* script.end("a")
        yield* settleFibers
        expect(yield* mailer.Status()).toMatchObject({ status: "paused", ready: 1, running: 0 })
      }))
      yield* run(Effect.gen(function*() {
        const mailer = yield* Mailer.client
        yield* settleFibers
        yield* TestClock.adjust("5 seconds")
        expect(yield* mailer.Status()).toMatchObject({ status: "paused", ready: 1, running: 0 })
        yield* mailer.Resume()
        expect(yield* script.begun).toBe("b")
      }))
    }))

  it.scoped("pauses itself when as many tasks in a row have died as its threshold says, and goes on when resumed", () => {
    const Strict = TaskAgent.make("Mailer", { ...options, attemptsMax: 1, errorThreshold: 2 })
    return withMailer(Strict, (script) =>
      Effect.gen(function*() {
        const mailer = yield* Strict.client
        yield* enqueueAll(mailer, "a", "b", "c")
        for (const name of ["a", "b"]) {
          yield* script.begun
          yield* script.end(name, new Bounced({ to: name }))
        }
        yield* settleFibers
        expect(yield* mailer.Status()).toMatchObject({ status: "paused", ready: 1, running: 0 })
        expect(yield* mailer.Metrics()).toMatchObject({ failed: 2, processed: 0, finished: 2 })
        yield* mailer.Resume()
        expect(yield* script.begun).toBe("c")
        expect(yield* mailer.Status()).toMatchObject({ status: "active", errorThreshold: 2, deadInRow: 0 })
      }))
  })

  it.scoped("makes a failed attempt again as often as the task's kind may, and keeps the typed failure of the last", () => {
    const Kinds = TaskAgent.make("Mailer", {
      ...options,
      kindOf: ({ kind }) => kind,
      policies: { news: { attemptsMax: 1 } }
    })
    return withMailer(Kinds, (script) =>
      Effect.gen(function*() {
        const mailer = yield* Kinds.client
        yield* mailer.Enqueue(to("a", "news"))
        yield* mailer.Enqueue(to("b"))
        for (const name of ["a", "b", "b"]) {
          yield* TestClock.adjust("10 seconds")
          expect(yield* script.begun).toBe(name)
          yield* script.end(name, new Bounced({ to: name }))
          yield* settleFibers
        }
        const outcome = (name: string) => ({ _tag: "Failure", error: new Bounced({ to: name }) })
        expect(yield* outcomeOf(Kinds.queue, "a")).toEqual({
          attempt: 1,
          status: "dead",
          outcome: outcome("a")
        })
        expect(yield* outcomeOf(Kinds.queue, "b")).toEqual({
          attempt: 2,
          status: "dead",
          outcome: outcome("b")
        })
      }))
  })

  it.scoped("interrupts an attempt that takes longer than its kind may, and keeps TaskTimeout as its outcome", () => {
    const Hasty = TaskAgent.make("Mailer", {
      ...options,
      attemptsMax: 1,
      concurrency: 2,
      kindOf: ({ kind }) => kind,
      policies: { news: { timeout: "3 seconds" } }
    })
    return withMailer(Hasty, (script) =>
      Effect.gen(function*() {
        const mailer = yield* Hasty.client
        yield* mailer.Enqueue(to("a", "news"))
        yield* mailer.Enqueue(to("b"))
        yield* script.begun
        yield* script.begun
        yield* TestClock.adjust("3 seconds")
        yield* settleFibers
        expect(Array.from(script.running.keys())).toEqual(["b"])
        const error = new TaskTimeout({ queue: "Mailer", kind: "news", timeoutMillis: 3_000 })
        expect((yield* outcomeOf(Hasty.queue, "a")).outcome).toEqual({ _tag: "Failure", error })
      }))
  })

  it.scoped("holds back a kind whose breaker is open, without spending attempts, and lets the others through", () => {
    const Careful = TaskAgent.make("Mailer", {
      ...options,
      concurrency: 2,
      attemptsMax: 1,
      kindOf: ({ kind }) => kind,
      policies: { news: { breaker: { consecutiveFailures: 1, openFor: "10 seconds" } } }
    })
    return withMailer(Careful, (script) =>
      Effect.gen(function*() {
        const mailer = yield* Careful.client
        yield* mailer.Enqueue(to("n-1", "news"))
        yield* script.begun
        yield* script.end("n-1", new Bounced({ to: "n-1" }))
        yield* settleFibers
        yield* mailer.Enqueue(to("n-2", "news"))
        yield* enqueueAll(mailer, "a", "b")
        for (const name of ["a", "b"]) {
          expect(yield* script.begun).toBe(name)
          yield* script.end(name)
        }
        yield* TestClock.adjust("9 seconds")
        yield* settleFibers
        expect(script.running.size).toBe(0)
        yield* TestClock.adjust("1 second")
        expect(yield* script.begun).toBe("n-2")
        yield* script.end("n-2")
        yield* settleFibers
        expect(yield* outcomeOf(Careful.queue, "n-2")).toMatchObject({ attempt: 1, status: "completed" })
      }))
  })

  it.scoped("ends an attempt that meets a bug, makes it again, and goes on: neither the agent nor its workers crash", () =>
    withMailer(Mailer, (script) =>
      Effect.gen(function*() {
        const mailer = yield* Mailer.client
        const runtime = yield* AgentRuntime.AgentRuntime
        yield* enqueueAll(mailer, "a", "b")
        yield* script.begun
        yield* script.end("a", Effect.dieMessage("a bug"))
        expect(yield* script.begun).toBe("b")
        expect((yield* outcomeOf(Mailer.queue, "a")).outcome).toMatchObject({ _tag: "Defect" })
        yield* script.end("b")
        yield* TestClock.adjust("10 seconds")
        expect(yield* script.begun).toBe("a")
        expect((yield* runtime.list)[0]?.restarts).toBe(0)
      })))

  it.scoped("parked, it works on nothing and gives back the task in hand, until it is resumed", () =>
    withMailer(Mailer, (script) =>
      Effect.gen(function*() {
        const mailer = yield* Mailer.client
        const runtime = yield* AgentRuntime.AgentRuntime
        yield* enqueueAll(mailer, "a", "b")
        yield* script.begun
        yield* runtime.park(Mailer.address, "for lunch")
        yield* TestClock.adjust("5 seconds")
        expect(yield* Effect.map(TaskQueue.stats("Mailer"), ({ counts }) => counts)).toMatchObject({
          ready: 2,
          running: 0
        })
        expect(yield* Effect.flip(mailer.Status())).toMatchObject({
          _tag: "AgentParked",
          detail: "for lunch"
        })
        yield* runtime.resume(Mailer.address)
        yield* TestClock.adjust("1 second")
        expect(yield* script.begun).toBe("a")
      })))

  it.scoped("stays in memory while it works, however long nobody asks it", () =>
    withMailer(Mailer, () =>
      Effect.gen(function*() {
        const runtime = yield* AgentRuntime.AgentRuntime
        yield* Effect.flatMap(Mailer.client, (mailer) => mailer.Status())
        yield* TestClock.adjust("61 seconds")
        expect((yield* runtime.list).map(({ id, status }) => [id, status])).toEqual([["main", "idle"]])
      })))

  it.effect("gives back what it has in hand before its program ends, however long that takes to stop", () =>
    Effect.gen(function*() {
      const storage = Memory.storage()
      const begun = yield* Deferred.make<void>()
      const run = () =>
        Effect.ensuring(Effect.zipRight(Deferred.succeed(begun, undefined), Effect.never), settleFibers)
      yield* Effect.flatMap(Mailer.client, (mailer) => mailer.Enqueue(to("a"))).pipe(
        Effect.zipRight(Deferred.await(begun)),
        Effect.provide(
          Mailer.toLayer(run).pipe(
            Layer.provideMerge(AgentRuntime.layer),
            Layer.provideMerge(Memory.layerFrom(storage))
          )
        )
      )
      const task = yield* Effect.provide(outcomeOf(Mailer.queue, "a"), Memory.layerFrom(storage))
      expect(task).toEqual({ attempt: 0, status: "ready", outcome: null })
    }))

  it.scoped("runs what others enqueue into its queue", () =>
    withMailer(Mailer, (script) =>
      Effect.gen(function*() {
        yield* TaskQueue.enqueue(Mailer.queue, to("a"))
        expect(yield* script.begun).toBe("a")
      })))
})
