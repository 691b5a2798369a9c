import { describe, expect, it } from "@effect/vitest"
import * as Backoff from "@holdfast/core/Backoff"
import * as DeadLetters from "@holdfast/core/DeadLetters"
import * as MemoryRecords from "@holdfast/core/MemoryRecords"
import * as RecordStore from "@holdfast/core/RecordStore"
import * as Router from "@holdfast/core/Router"
import { StorageError } from "@holdfast/core/StorageError"
import * as Arr from "effect/Array"
import * as Chunk from "effect/Chunk"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Queue from "effect/Queue"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as FiberTracker from "effect/Supervisor"
import * as TestClock from "effect/TestClock"
import * as Model from "./RouterModel.ts"

class Refused extends Data.TaggedError("Refused")<{ readonly at: number }> {}
class Busy extends Data.TaggedError("Busy")<{}> {}

/** Gives everybody the turns they need to come to rest. */
const settle = Effect.repeatN(Effect.yieldNow(), 30)

const quiet = Effect.provide(Logger.remove(Logger.defaultLogger))

const outcome = <A, E extends { readonly _tag: string }>(
  effect: Effect.Effect<A, E>
): Effect.Effect<string> => Effect.match(effect, { onFailure: (error) => error._tag, onSuccess: () => "ok" })

/** Handles messages when it is told how, and notes each that it was given. */
const makePuppet = <E = never>() =>
  Effect.map(Queue.unbounded<Effect.Effect<void, E>>(), (orders) => {
    const handled: Array<number> = []
    return {
      handled,
      end: (order: Effect.Effect<void, E>) => Queue.offer(orders, order),
      handler: (message: number): Effect.Effect<void, E> =>
        Effect.suspend(() => {
          handled.push(message)
          return Effect.flatten(Queue.take(orders))
        })
    }
  })

const ends: Record<"ok" | "fail" | "die", Effect.Effect<void, Busy>> = {
  ok: Effect.void,
  fail: new Busy(),
  die: Effect.die("bug")
}

const lettersOf = <M>(letters: DeadLetters.DeadLetters<M>) =>
  Effect.map(letters.list(), (all) => all.map(({ encoded, reason }) => `${encoded} ${reason}`))

const step = FastCheck.oneof(
  { weight: 6, arbitrary: FastCheck.constantFrom<Model.Step>({ _tag: "send" }, { _tag: "post" }) },
  {
    weight: 4,
    arbitrary: FastCheck.constantFrom("ok", "ok", "ok", "fail", "die").map((how): Model.Step => ({
      _tag: "end",
      how: how as "ok" | "fail" | "die"
    }))
  },
  {
    weight: 1,
    arbitrary: FastCheck.nat({ max: 20 }).map((sender): Model.Step => ({ _tag: "interrupt", sender }))
  }
)

const follow = (overflow: Router.Overflow, capacity: number, steps: ReadonlyArray<Model.Step>) =>
  Effect.gen(function*() {
    const deadLetters = yield* DeadLetters.make("orders", Schema.Number)
    const router = yield* Router.make<number, Busy>({ deadLetters })
    const puppet = yield* makePuppet<Busy>()
    const breaker = { consecutiveFailures: 1_000 }
    yield* router.recipient("r", puppet.handler, { capacity, overflow, breaker })
    yield* settle
    const told: Record<number, string> = {}
    const fibers: Array<Fiber.RuntimeFiber<void>> = []
    let model = Model.initial
    for (const step of steps) {
      if (!Model.applies(model, step)) continue
      const id = fibers.length
      if (step._tag === "end") yield* puppet.end(ends[step.how])
      else if (step._tag === "interrupt") {
        const who = Model.interrupted(model, step.sender)
        yield* Fiber.interrupt(fibers[who] ?? Fiber.void)
        told[who] = "interrupted"
      } else {
        const telling = outcome(router[step._tag]("r", id)).pipe(
          Effect.map((what) => void (told[id] = what))
        )
        fibers.push(yield* Effect.forkScoped(telling))
      }
      model = Model.predict(overflow, capacity, model, step)
      yield* settle
      const { recipients: [stats] } = yield* router.stats
      expect(puppet.handled).toEqual(model.handled)
      expect(told).toEqual(model.told)
      expect(stats === undefined).toBe(model.gone)
      if (stats !== undefined) {
        expect(stats).toMatchObject({
          buffered: model.buffer.length,
          waiting: model.waiting.length,
          isHandling: model.inHand !== undefined,
          delivered: model.delivered,
          dropped: model.dropped,
          refused: model.refused,
          failed: model.failed
        })
      }
    }
    expect((yield* lettersOf(deadLetters)).sort()).toEqual([...model.letters].sort())
    expect((yield* router.stats).unkept).toBe(0)
  }).pipe(Effect.scoped, Effect.provide(MemoryRecords.layer), quiet)

describe("Router", () => {
  for (const overflow of ["dropOldest", "dropNewest", "reject", "backpressure"] as const) {
    it.effect.prop(
      `law: whatever happens to a recipient, ${overflow}: order, counts, letters and what senders learn are the model's`,
      { capacity: FastCheck.integer({ min: 1, max: 3 }), steps: FastCheck.array(step, { maxLength: 40 }) },
      ({ capacity, steps }) => follow(overflow, capacity, steps),
      { fastCheck: { numRuns: 40 } }
    )
  }

  it.effect.prop(
    "law: an acknowledged message was handled exactly once to its end, a failed one tried at most its attempts",
    {
      failures: FastCheck.array(FastCheck.nat({ max: 5 }), { minLength: 1, maxLength: 20 }),
      retries: FastCheck.nat({ max: 3 })
    },
    ({ failures, retries }) =>
      Effect.gen(function*() {
        const router = yield* Router.make<number, Busy>()
        const tries = failures.map(() => 0)
        const handler = (message: number) =>
          Effect.suspend(() => {
            tries[message] = (tries[message] ?? 0) + 1
            return (tries[message] ?? 0) <= (failures[message] ?? 0) ? new Busy() : Effect.void
          })
        yield* router.recipient("r", handler, {
          retry: { on: ["Busy"], retries, backoff: Backoff.immediate },
          breaker: { consecutiveFailures: 1_000 }
        })
        const exits = yield* Effect.forEach(
          failures,
          (_, message) => Effect.exit(router.send("r", message)),
          {
            concurrency: "unbounded"
          }
        )
        failures.forEach((times, message) => {
          const succeeds = times <= retries
          expect(Exit.isSuccess(exits[message] ?? Exit.void)).toBe(succeeds)
          expect(tries[message]).toBe(succeeds ? times + 1 : retries + 1)
        })
      }).pipe(Effect.scoped),
    { fastCheck: { numRuns: 25 } }
  )

  it.effect.prop(
    "law: what an open breaker held back is handled in order once it lets through, but for what had to go",
    {
      overflow: FastCheck.constantFrom("dropOldest" as const, "dropNewest" as const, "reject" as const),
      capacity: FastCheck.integer({ min: 1, max: 10 }),
      posts: FastCheck.nat({ max: 20 }),
      probesFailed: FastCheck.nat({ max: 3 })
    },
    ({ capacity, overflow, posts, probesFailed }) =>
      Effect.gen(function*() {
        const router = yield* Router.make<number, Busy>({ capacity })
        const handled: Array<number> = []
        let failures = 5 + probesFailed
        const handler = (message: number) =>
          Effect.suspend(() => {
            handled.push(message)
            failures -= 1
            return failures >= 0 ? new Busy() : Effect.void
          })
        yield* router.recipient("r", handler, { overflow })
        for (const _ of Arr.range(1, 5)) yield* outcome(router.send("r", -1))
        const messages = Array.from({ length: posts }, (_, message) => message)
        yield* Effect.forEach(messages, (message) => outcome(router.post("r", message)))
        yield* TestClock.adjust("29 seconds")
        expect(handled).toHaveLength(5)
        yield* TestClock.adjust("2 minutes")
        const kept = overflow === "dropOldest" ? messages.slice(-capacity) : messages.slice(0, capacity)
        expect(handled.slice(5)).toEqual(kept)
        expect((yield* router.stats).recipients).toMatchObject([{
          buffered: 0,
          failed: 5 + Math.min(probesFailed, kept.length),
          delivered: Math.max(0, kept.length - probesFailed),
          dropped: overflow === "reject" ? 0 : posts - kept.length,
          refused: overflow === "reject" ? posts - kept.length : 0
        }])
      }).pipe(Effect.scoped),
    { fastCheck: { numRuns: 12 } }
  )

  it.scoped("acknowledges a message when it was handled, and not before", () =>
    Effect.gen(function*() {
      const router = yield* Router.make<number>()
      const puppet = yield* makePuppet()
      yield* router.recipient("r", puppet.handler)
      const sender = yield* Effect.fork(router.send("r", 1))
      yield* settle
      expect(puppet.handled).toEqual([1])
      expect(sender.unsafePoll()).toBeNull()
      yield* puppet.end(Effect.void)
      yield* Fiber.join(sender)
    }))

  it.scoped("fails typed: with the handler's error and the attempts, for a name nobody has, for one taken", () =>
    Effect.gen(function*() {
      const router = yield* Router.make<number, Refused>({ name: "orders" })
      yield* router.recipient("r", (at) => new Refused({ at }))
      const failed = yield* Effect.flip(router.send("r", 7))
      expect(failed).toMatchObject({ _tag: "DeliveryFailed", recipient: "r", attempts: 1, error: { at: 7 } })
      expect((yield* Effect.flip(router.send("nobody", 1))).message).toBe(
        `router "orders" has no recipient "nobody"`
      )
      expect(yield* Effect.flip(router.recipient("r", () => Effect.void))).toMatchObject({
        _tag: "RecipientNameTaken",
        recipient: "r"
      })
    }))

  it.scoped("keeps a crashed recipient's buffer, and tells the sender of the message in hand", () =>
    Effect.gen(function*() {
      const router = yield* Router.make<number>()
      const handled: Array<number> = []
      yield* router.recipient(
        "r",
        (message) => message === 1 ? Effect.die(new Error("bug")) : Effect.sync(() => handled.push(message))
      )
      const outcomes = yield* Effect.forEach([1, 2, 3], (message) => outcome(router.send("r", message)), {
        concurrency: "unbounded"
      })
      expect(outcomes).toEqual(["RecipientCrashed", "ok", "ok"])
      expect(handled).toEqual([2, 3])
    }).pipe(quiet))

  it.scoped("counts a failure beside a defect as a crash", () =>
    Effect.gen(function*() {
      const router = yield* Router.make<number, Busy>()
      const both = Effect.zipRight(new Busy(), Effect.void).pipe(Effect.ensuring(Effect.die("bug")))
      yield* router.recipient("r", () => both)
      expect(yield* outcome(router.send("r", 1))).toBe("RecipientCrashed")
    }).pipe(quiet))

  it.scoped("is gone after more crashes than its supervisor allows; all who wait learn it, and the name is free", () =>
    Effect.gen(function*() {
      const router = yield* Router.make<number>()
      yield* router.recipient("r", () => Effect.die("bug"), { capacity: 5, overflow: "backpressure" })
      const outcomes = yield* Effect.forEach(
        Arr.range(1, 10),
        (message) => outcome(router.send("r", message)),
        { concurrency: "unbounded" }
      )
      expect(outcomes).toEqual([
        ...Arr.replicate("RecipientCrashed", 4),
        ...Arr.replicate("RecipientGone", 6)
      ])
      expect((yield* router.stats).recipients).toEqual([])
      yield* router.recipient("r", () => Effect.void)
      yield* router.send("r", 1)
    }).pipe(quiet))

  it.scoped("buffers while the breaker is open, probes when its time is over, and drains in order", () =>
    Effect.gen(function*() {
      const router = yield* Router.make<number, Busy>()
      const handled: Array<number> = []
      let well = false
      yield* router.recipient("r", (message) =>
        Effect.suspend(() => {
          handled.push(message)
          return well ? Effect.void : new Busy()
        }))
      for (const message of Arr.range(1, 5)) yield* outcome(router.send("r", message))
      for (const message of Arr.range(6, 9)) yield* router.post("r", message)
      yield* settle
      expect((yield* router.stats).recipients).toMatchObject([
        { buffered: 4, failed: 5, isHandling: false, breaker: { state: "Open" } }
      ])
      yield* TestClock.adjust("30 seconds")
      expect(handled).toEqual([1, 2, 3, 4, 5, 6])
      expect((yield* router.stats).recipients).toMatchObject([{ buffered: 3, breaker: { state: "Open" } }])
      well = true
      yield* TestClock.adjust("30 seconds")
      expect(handled).toEqual(Arr.range(1, 9))
      expect((yield* router.stats).recipients).toMatchObject([
        { buffered: 0, delivered: 3, failed: 6, breaker: { state: "Closed" } }
      ])
    }))

  it.scoped("delays no other subscriber for a stalled one of 100, counts its drops, and drains it in order", () =>
    Effect.gen(function*() {
      const router = yield* Router.make<number>()
      const stalled = yield* Deferred.make<void>()
      const received = Arr.makeBy(100, (): Array<number> => [])
      yield* Effect.forEach(
        received,
        (list, index) =>
          router.subscribe(index % 2 === 0 ? "ticks.*" : "ticks.**", (message) =>
            Effect.zipRight(
              index === 0 ? Deferred.await(stalled) : Effect.void,
              Effect.sync(() => list.push(message))
            ))
      )
      const published: Array<Router.Published> = []
      for (const message of Arr.range(1, 300)) {
        published.push(yield* router.publish("ticks.eu", message))
        yield* settle
        expect(received.slice(1).every((list) => list.length === message)).toBe(true)
      }
      expect(published.every(({ received }) => received === 100)).toBe(true)
      expect(published.reduce((sum, { dropped }) => sum + dropped, 0)).toBe(199)
      const [stats] = (yield* router.stats).recipients
      expect(stats).toMatchObject({ pattern: "ticks.*", buffered: 100, dropped: 199, isHandling: true })
      yield* Deferred.succeed(stalled, undefined)
      while ((received[0] ?? []).length < 101) yield* Effect.yieldNow()
      expect(received[0]).toEqual([1, ...Arr.range(201, 300)])
      for (const list of received.slice(1)) expect(list).toEqual(Arr.range(1, 300))
      expect(yield* router.publish("tocks", 0)).toEqual({ received: 0, dropped: 0 })
    }))

  it.effect("leaves nothing behind after 10,000 subscriptions and 1,000 recipients with full buffers", () =>
    Effect.gen(function*() {
      const tracker = yield* FiberTracker.track
      yield* Effect.gen(function*() {
        const router = yield* Router.make<number>()
        yield* settle
        const fibersBefore = (yield* tracker.value).length
        const subscribe = (index: number) =>
          Effect.gen(function*() {
            yield* router.subscribe(`a.${index % 7}.*`, () => Effect.never, { capacity: 1 })
            yield* router.publish(`a.${index % 7}.b`, 1)
          })
        const receive = (index: number) =>
          Effect.gen(function*() {
            const name = `r${index}`
            yield* router.recipient(name, () => Effect.never, { capacity: 1, overflow: "backpressure" })
            yield* Effect.fork(Effect.replicateEffect(outcome(router.send(name, 1)), 3, {
              concurrency: "unbounded"
            }))
            yield* Effect.repeatN(Effect.yieldNow(), index % 20)
          })
        const options = { concurrency: 100, discard: true } as const
        yield* Effect.forEach(Arr.range(1, 10_000), (index) => Effect.scoped(subscribe(index)), options)
        yield* Effect.forEach(Arr.range(1, 1_000), (index) => Effect.scoped(receive(index)), options)
        yield* settle
        expect((yield* router.stats).recipients).toEqual([])
        expect(yield* router.publish("a.1.b", 1)).toEqual({ received: 0, dropped: 0 })
        expect((yield* tracker.value).length).toBe(fibersBefore)
      }).pipe(Effect.scoped, Effect.supervised(tracker))
      yield* settle
      expect((yield* tracker.value).filter((fiber) => fiber.unsafePoll() === null)).toEqual([])
    }))

  it.scoped("tells all senders when the recipient's scope closes, those of the message in hand and without place too", () =>
    Effect.gen(function*() {
      const deadLetters = yield* DeadLetters.make("orders", Schema.Number)
      const router = yield* Router.make<number>({ deadLetters })
      const scope = yield* Scope.make()
      yield* router.recipient("r", () => Effect.never, { capacity: 2, overflow: "backpressure" }).pipe(
        Scope.extend(scope)
      )
      const senders = yield* Effect.forEach(
        Arr.range(1, 5),
        (message) => Effect.fork(outcome(router.send("r", message)))
      )
      yield* settle
      expect((yield* router.stats).recipients).toMatchObject([{ buffered: 2, waiting: 2, isHandling: true }])
      yield* Scope.close(scope, Exit.void)
      expect(yield* Fiber.join(Fiber.all(senders))).toEqual(Arr.replicate("RecipientGone", 5))
      expect((yield* lettersOf(deadLetters)).sort()).toEqual(["1 gone", "2 gone", "3 gone"])
      expect(yield* outcome(router.send("r", 1))).toBe("RecipientNotFound")
    }).pipe(Effect.provide(MemoryRecords.layer)))

  it.effect("closes its recipients, whose scopes are still open, and its streams with it", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const router = yield* Scope.extend(Router.make<number>(), scope)
      yield* router.recipient("r", () => Effect.never)
      const sender = yield* Effect.fork(outcome(router.send("r", 1)))
      const reader = yield* Effect.fork(Stream.runCollect(router.stream("**")))
      yield* settle
      yield* router.publish("a", 1)
      yield* settle
      yield* Scope.close(scope, Exit.void)
      expect(yield* Fiber.join(sender)).toBe("RecipientGone")
      expect(Chunk.toReadonlyArray(yield* Fiber.join(reader))).toEqual([{ topic: "a", message: 1 }])
      expect((yield* router.stats).recipients).toEqual([])
    }).pipe(Effect.scoped))

  it.scoped("streams what is published to a pattern, drops the oldest of what is not read, and leaves", () =>
    Effect.gen(function*() {
      const router = yield* Router.make<number>()
      const gate = yield* Queue.unbounded<void>()
      const reader = yield* router.stream("orders.*", { capacity: 2 }).pipe(
        Stream.mapEffect((publication) => Effect.as(Queue.take(gate), publication)),
        Stream.take(5),
        Stream.runCollect,
        Effect.fork
      )
      yield* settle
      for (const message of Arr.range(1, 9)) {
        yield* router.publish("orders.eu", message)
        yield* settle
      }
      yield* Queue.offerAll(gate, Arr.replicate(undefined, 5))
      const read = Chunk.toReadonlyArray(yield* Fiber.join(reader)).map(({ message }) => message)
      expect(read).toEqual([1, 2, 3, 8, 9])
      expect((yield* router.stats).recipients).toEqual([])
      expect(yield* Effect.flip(Stream.runDrain(router.stream("a*")))).toMatchObject({
        _tag: "MalformedPattern"
      })
    }))

  it.scoped("writes what was dropped into the dead letters with its topic, and counts what cannot be written", () =>
    Effect.gen(function*() {
      const fails = yield* Ref.make(false)
      const store = yield* RecordStore.RecordStore
      const failing = Context.make(RecordStore.RecordStore, {
        ...store,
        commit: (writes) =>
          Effect.flatMap(Ref.get(fails), (fails) =>
            fails
              ? new StorageError({ operation: "commit", reason: "Full", outcome: "none", detail: "full" })
              : store.commit(writes))
      })
      const deadLetters = yield* Effect.provide(DeadLetters.make("orders", Schema.Number), failing)
      const router = yield* Router.make<number, Busy>({ deadLetters })
      yield* router.subscribe("a.*", () => Effect.never, { capacity: 1 })
      for (const message of Arr.range(1, 4)) {
        yield* router.publish("a.b", message)
        yield* settle
      }
      expect(yield* deadLetters.list()).toMatchObject([
        { recipient: "a.*", topic: "a.b", encoded: "2", reason: "dropped", attempts: 0 },
        { recipient: "a.*", topic: "a.b", encoded: "3", reason: "dropped", attempts: 0 }
      ])
      yield* Ref.set(fails, true)
      yield* router.recipient("r", () => new Busy())
      expect(yield* outcome(router.send("r", 1))).toBe("DeliveryFailed")
      yield* router.publish("a.b", 5)
      yield* settle
      expect((yield* router.stats).unkept).toBe(2)
    }).pipe(Effect.provide(MemoryRecords.layer), quiet))

  it.scoped("writes what is left in its outbox when it closes", () =>
    Effect.gen(function*() {
      const deadLetters = yield* DeadLetters.make("orders", Schema.Number)
      yield* Effect.scoped(Effect.gen(function*() {
        const router = yield* Router.make<number>({ deadLetters })
        yield* router.subscribe("a", () => Effect.never, { capacity: 1 })
        yield* settle
        yield* Effect.forEach(Arr.range(1, 50), (message) => router.publish("a", message))
      }))
      const reasons = Arr.groupBy(yield* deadLetters.list(), ({ reason }) => reason)
      expect([reasons["dropped"]?.length, reasons["gone"]?.length]).toEqual([49, 1])
    }).pipe(Effect.provide(MemoryRecords.layer)))

  it.effect("dies on a capacity that is none, and refuses a breaker that cannot be", () =>
    Effect.gen(function*() {
      for (const capacity of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 1_000_001]) {
        const exit = yield* Effect.exit(Router.make<number>({ capacity }))
        expect(Exit.isFailure(exit) && String(exit.cause)).toContain(`not ${capacity}`)
      }
      const router = yield* Router.make<number>()
      const exit = yield* Effect.exit(router.recipient("r", () => Effect.void, { capacity: 0 }))
      expect(Exit.isFailure(exit) && String(exit.cause)).toContain(
        "capacity of \"r\" must be a whole number from 1 to 1000000, not 0"
      )
      const breaker = { consecutiveFailures: -1 }
      expect(yield* Effect.flip(router.recipient("r", () => Effect.void, { breaker }))).toMatchObject({
        _tag: "BreakerOutOfRange"
      })
    }).pipe(Effect.scoped))

  it.effect("is a service, and gives handlers what they need", () => {
    class Log extends Context.Tag("test/Log")<Log, (text: string) => Effect.Effect<void>>() {}
    class Mail extends Context.Tag("test/Mail")<Mail, Router.Router<string>>() {}
    return Effect.gen(function*() {
      const lines: Array<string> = []
      const log = Layer.succeed(Log, (text) => Effect.sync(() => void lines.push(text)))
      const mail = yield* Mail
      yield* mail.recipient("ann", (text) => Effect.flatMap(Log, (log) => log(text))).pipe(
        Effect.provide(log)
      )
      yield* mail.send("ann", "hello")
      expect(lines).toEqual(["hello"])
    }).pipe(Effect.scoped, Effect.provide(Router.layer(Mail)))
  })
})
