import { describe, expect, it } from "@effect/vitest"
import * as Barrier from "@holdfast/core/Barrier"
import * as LeaderElection from "@holdfast/core/LeaderElection"
import * as Lease from "@holdfast/core/Lease"
import * as Lock from "@holdfast/core/Lock"
import * as MemoryRecords from "@holdfast/core/MemoryRecords"
import { RecordStore } from "@holdfast/core/RecordStore"
import { StorageError } from "@holdfast/core/StorageError"
import * as Vote from "@holdfast/core/Vote"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as TestClock from "effect/TestClock"
import { suite } from "./CoordinationSuite.ts"

suite("memory", MemoryRecords.layer)

/** A process on the shared memory whose writes can be made to hang, to fail, or to lose their answer. */
const faulty = (memory: MemoryRecords.MemoryRecords) => {
  const mode: { now: "works" | "hangs" | "fails" | "loses" } = { now: "works" }
  const store = MemoryRecords.make(memory)
  const failed = (outcome: "none" | "unknown") =>
    new StorageError({ operation: "commit", reason: "Io", outcome, detail: "as told" })
  const commit: RecordStore["Type"]["commit"] = (writes) =>
    Effect.suspend(() => {
      if (mode.now === "hangs") return Effect.never
      if (mode.now === "fails") return Effect.fail(failed("none"))
      const written = store.commit(writes)
      return mode.now === "loses" ? Effect.zipRight(written, Effect.fail(failed("unknown"))) : written
    })
  return { mode, layer: Layer.provide(Lease.layer, Layer.succeed(RecordStore, { ...store, commit })) }
}

const held = (name: string, entered: Deferred.Deferred<void>) =>
  Lock.withLock(Effect.zipRight(Deferred.succeed(entered, undefined), Effect.never), { name })

describe("Lease", () => {
  it.scoped("passes from a holder that renews no more, which has ended what it did before", () =>
    Effect.gen(function*() {
      const memory = MemoryRecords.memory()
      const dying = faulty(memory)
      const entered = yield* Deferred.make<void>()
      const order = yield* Ref.make<ReadonlyArray<string>>([])
      const holder = yield* Effect.fork(Effect.provide(
        Effect.onExit(held("job", entered), () => Ref.update(order, (all) => [...all, "holder ended"])),
        dying.layer
      ))
      yield* Deferred.await(entered)
      const waiter = yield* Effect.fork(Effect.provide(
        Lock.withLock(Ref.update(order, (all) => [...all, "waiter entered"]), { name: "job" }),
        faulty(memory).layer
      ))
      yield* TestClock.adjust("1 minute")
      expect(yield* Ref.get(order)).toEqual([])
      dying.mode.now = "hangs"
      yield* TestClock.adjust("20 seconds")
      yield* Fiber.join(waiter)
      expect(yield* Ref.get(order)).toEqual(["holder ended", "waiter entered"])
      expect(Exit.isFailure(yield* Fiber.await(holder))).toBe(true)
      expect(yield* Effect.flip(Fiber.join(holder))).toBeInstanceOf(Lease.LeaseLost)
    }))

  it.scoped("outlasts storage that fails for less than its time, and answers that are lost", () =>
    Effect.gen(function*() {
      const memory = MemoryRecords.memory()
      const shaky = faulty(memory)
      const entered = yield* Deferred.make<void>()
      const holder = yield* Effect.fork(Effect.provide(held("job", entered), shaky.layer))
      yield* Deferred.await(entered)
      for (
        const [mode, seconds] of [["fails", 6], ["works", 6], ["loses", 4], ["works", 6], [
          "fails",
          6
        ]] as const
      ) {
        shaky.mode.now = mode
        yield* TestClock.adjust(Duration.seconds(seconds))
      }
      shaky.mode.now = "works"
      yield* TestClock.adjust("5 minutes")
      expect(Option.isNone(yield* Fiber.poll(holder))).toBe(true)
      yield* Fiber.interrupt(holder)
      expect(memory.collections.size).toBe(0)
    }))

  it.scoped("begins the leader's work anew when it was lost and won again", () =>
    Effect.gen(function*() {
      const shaky = faulty(MemoryRecords.memory())
      const terms = yield* Ref.make<ReadonlyArray<number>>([])
      const leader = yield* Effect.fork(Effect.provide(
        LeaderElection.lead({ name: "job" }, ({ token }) =>
          Effect.zipRight(Ref.update(terms, (all) => [...all, token]), Effect.never)),
        shaky.layer
      ))
      yield* TestClock.adjust("1 minute")
      expect(yield* Ref.get(terms)).toHaveLength(1)
      shaky.mode.now = "hangs"
      yield* TestClock.adjust("10 seconds")
      shaky.mode.now = "works"
      yield* TestClock.adjust("1 minute")
      const [first = 0, second = 0, ...rest] = yield* Ref.get(terms)
      expect(rest).toEqual([])
      expect(second).toBeGreaterThan(first)
      yield* Fiber.interrupt(leader)
    }))

  it.scoped("leaves nothing of 10,000 waiters that gave up", () =>
    Effect.gen(function*() {
      const memory = MemoryRecords.memory()
      const entered = yield* Deferred.make<void>()
      const { layer } = faulty(memory)
      const context = yield* Layer.build(layer)
      const holder = yield* Effect.fork(Effect.provide(held("job", entered), context))
      yield* Deferred.await(entered)
      const waiter = Lock.withLock(Effect.die("a waiter that gave up got the lock"), {
        name: "job",
        timeout: "1 second"
      })
      const waiters = yield* Effect.forEach(
        Array.from({ length: 10_000 }),
        () => Effect.fork(Effect.provide(waiter, context))
      )
      yield* Effect.yieldNow()
      yield* Fiber.interruptAll(waiters)
      yield* Fiber.interrupt(holder)
      expect(memory.collections.size).toBe(0)
      expect(memory.subscribers.size).toBe(0)
    }))

  it.effect("refuses a time that is too short, no number, or without end", () =>
    Effect.gen(function*() {
      for (const ttl of [0, 29, Infinity]) {
        const exit = yield* Effect.exit(Effect.provide(
          Lock.withLock(Effect.void, { name: "job", ttl }),
          faulty(MemoryRecords.memory()).layer
        ))
        expect(Exit.isFailure(exit) && exit.cause._tag).toBe("Die")
      }
    }))
})

describe("Barrier", () => {
  it.scoped("forgets a party that died when its time is over", () =>
    Effect.gen(function*() {
      const memory = MemoryRecords.memory()
      const dead = MemoryRecords.make(memory)
      const died = { now: false }
      const commit: RecordStore["Type"]["commit"] = (writes) => died.now ? Effect.never : dead.commit(writes)
      yield* Effect.forkDaemon(
        Effect.provideService(Barrier.arrive({ name: "b", parties: 2 }), RecordStore, { ...dead, commit })
      )
      yield* Effect.yieldNow()
      yield* TestClock.adjust("1 second")
      died.now = true
      yield* TestClock.adjust("11 seconds")
      const alone = yield* Effect.flip(
        Effect.fork(
          Barrier.arrive({ name: "b", parties: 2, timeout: "1 second" })
        ).pipe(
          Effect.tap(() => TestClock.adjust("1 second")),
          Effect.flatMap(Fiber.join),
          Effect.provide(MemoryRecords.layerFrom(memory))
        )
      )
      expect(alone).toBeInstanceOf(Barrier.BarrierTimeout)
    }))

  it.effect("refuses a number of parties that no barrier can have", () =>
    Effect.gen(function*() {
      for (const parties of [0, -1, 1.5, Number.NaN, 1_001]) {
        const exit = yield* Effect.exit(Barrier.arrive({ name: "b", parties }))
        expect(Exit.isFailure(exit) && exit.cause._tag).toBe("Die")
      }
    }).pipe(Effect.provide(MemoryRecords.layer)))
})

describe("Vote", () => {
  const votes = FastCheck.array(FastCheck.constantFrom("a", "b", "c", null), { minLength: 1, maxLength: 9 })

  it.prop(
    "law: is decided or undecidable exactly when no outstanding vote can change that",
    [votes],
    ([given]) => {
      const voters = given.map((_, index) => `v${index}`)
      const cast = Object.fromEntries(
        given.flatMap((choice, index) => choice === null ? [] : [[`v${index}`, choice]])
      )
      const ballot: Vote.Ballot = { name: "law", voters }
      const outstanding = voters.filter((voter) => !(voter in cast))
      const endings = (["a", "b", "c"] as const).map((choice) => ({
        ...cast,
        ...Object.fromEntries(outstanding.map((voter) => [voter, choice]))
      }))
      const winner = (all: Record<string, string>) =>
        ["a", "b", "c"].find((choice) =>
          Object.values(all).filter((vote) => vote === choice).length * 2 > voters.length
        )
      const possible = new Set(endings.map(winner))
      const stands = Vote.standing(ballot, cast)
      const now = winner(cast)
      expect(stands._tag === "Decided" ? stands.choice : undefined).toBe(now)
      if (now === undefined) {
        expect(stands._tag).toBe(
          Array.from(possible).every((one) => one === undefined) ? "Undecidable" : "Open"
        )
      }
    }
  )

  it.effect("refuses a ballot on which two choices could win, or voters are named twice", () =>
    Effect.gen(function*() {
      const ballots: ReadonlyArray<Vote.Ballot> = [
        { name: "x", voters: [] },
        { name: "x", voters: ["a", "a"] },
        { name: "x", voters: ["a", "b"], quorum: 1 },
        { name: "x", voters: ["a", "b"], quorum: 3 },
        { name: "x", voters: ["a", "b", "c"], quorum: Number.NaN }
      ]
      for (const ballot of ballots) {
        const exit = yield* Effect.exit(Vote.read(ballot))
        expect(Exit.isFailure(exit) && exit.cause._tag).toBe("Die")
      }
    }).pipe(Effect.provide(MemoryRecords.layer)))

  it.scoped("tells those who wait that the votes were split, or that time is over", () =>
    Effect.gen(function*() {
      const ballot: Vote.Ballot = { name: "split", voters: ["a", "b"] }
      const late = yield* Effect.fork(Effect.flip(Vote.decision(ballot, { timeout: "1 second" })))
      yield* TestClock.adjust("1 second")
      expect(yield* Fiber.join(late)).toBeInstanceOf(Vote.VoteTimeout)
      yield* Vote.cast(ballot, "a", "yes")
      yield* Vote.cast(ballot, "b", "no")
      expect(yield* Effect.flip(Vote.decision(ballot))).toBeInstanceOf(Vote.VoteSplit)
    }).pipe(Effect.provide(MemoryRecords.layer)))
})
