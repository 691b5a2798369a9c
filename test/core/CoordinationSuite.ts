import { describe, expect, it } from "@effect/vitest"
import * as Barrier from "@holdfast/core/Barrier"
import * as LeaderElection from "@holdfast/core/LeaderElection"
import * as Lease from "@holdfast/core/Lease"
import * as Lock from "@holdfast/core/Lock"
import type { RecordStore } from "@holdfast/core/RecordStore"
import type { StorageError } from "@holdfast/core/StorageError"
import * as Vote from "@holdfast/core/Vote"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Ref from "effect/Ref"

/** What every record store must let coordination do, with real time: waiters are woken by events, not by time. */
export const suite = (name: string, store: Layer.Layer<RecordStore, StorageError>) =>
  describe(`coordination on ${name}`, () => {
    const processes = (count: number) =>
      Effect.forEach(Array.from({ length: count }), () => Layer.build(Layer.fresh(Lease.layer)))

    it.scopedLive("law: of all fibers of all processes one at a time holds a lock, also when waiters are interrupted", () =>
      Effect.gen(function*() {
        const nodes = yield* processes(3)
        const inside = yield* Ref.make(0)
        const most = yield* Ref.make(0)
        const entered = yield* Ref.make(0)
        const critical = Effect.acquireUseRelease(
          Ref.updateAndGet(inside, (n) => n + 1),
          (n) => Effect.zipRight(Ref.update(most, (max) => Math.max(max, n)), Effect.yieldNow()),
          () => Effect.zipRight(Ref.update(inside, (n) => n - 1), Ref.update(entered, (n) => n + 1))
        )
        const outcomes = yield* Effect.forEach(
          Array.from({ length: 90 }, (_, index) => index),
          (index) => {
            const node = nodes[index % nodes.length]
            if (node === undefined) return Effect.dieMessage("no process")
            const locked = Effect.provide(Lock.withLock(critical, { name: "one" }), node)
            return index % 5 === 4
              ? Effect.flatMap(Random.nextIntBetween(0, 4), (millis) => Effect.timeoutOption(locked, millis))
              : Effect.asSome(locked)
          },
          { concurrency: "unbounded" }
        )
        expect(yield* Ref.get(most)).toBe(1)
        expect(yield* Ref.get(entered)).toBeGreaterThanOrEqual(outcomes.filter(Option.isSome).length)
        const [first] = nodes
        if (first === undefined) return
        const holder = yield* Effect.provide(LeaderElection.leader("one"), first)
        expect(holder).toEqual(Option.none())
      }).pipe(Effect.provide(store)))

    it.scopedLive("gives a lock to the next waiter, of another process, when the holder's scope closes", () =>
      Effect.gen(function*() {
        const [one, two] = yield* processes(2)
        if (one === undefined || two === undefined) return
        const held = yield* Deferred.make<void>()
        const close = yield* Deferred.make<void>()
        const first = yield* Effect.fork(Effect.provide(
          Lock.withLock(Effect.zipRight(Deferred.succeed(held, undefined), Deferred.await(close)), {
            name: "next"
          }),
          one
        ))
        yield* Deferred.await(held)
        const second = yield* Effect.fork(
          Effect.provide(Lock.withLock(Effect.succeed("in"), { name: "next" }), two)
        )
        yield* Effect.yieldNow()
        yield* Deferred.succeed(close, undefined)
        yield* first.await
        expect(yield* second.await).toEqual(Exit.succeed("in"))
      }).pipe(Effect.provide(store)))

    it.scopedLive("refuses a waiter whose time is over, and never lets it have the lock", () =>
      Effect.gen(function*() {
        const [one, two] = yield* processes(2)
        if (one === undefined || two === undefined) return
        const ran = yield* Ref.make(false)
        const waiter = Lock.withLock(Ref.set(ran, true), { name: "late", timeout: "20 millis" })
        const refused = yield* Effect.provide(
          Lock.withLock(Effect.flip(Effect.provide(waiter, two)), { name: "late" }),
          one
        )
        expect(refused).toEqual(new Lock.LockTimeout({ name: "late", waitedMillis: 20 }))
        expect(
          yield* Effect.provide(Lock.withLock(Ref.get(ran), { name: "late", timeout: "10 seconds" }), one)
        ).toBe(false)
        expect(yield* Effect.provide(LeaderElection.leader("late"), two)).toEqual(Option.none())
      }).pipe(Effect.provide(store)))

    it.scopedLive("gives each holder a larger token than all before", () =>
      Effect.gen(function*() {
        const [one, two] = yield* processes(2)
        if (one === undefined || two === undefined) return
        const lead = LeaderElection.lead({ name: "terms" }, ({ token }) => Effect.succeed(token))
        const tokens = yield* Effect.forEach([one, two, one, two], (node) => Effect.provide(lead, node))
        expect(tokens).toEqual(Array.from(new Set(tokens)).sort((a, b) => a - b))
      }).pipe(Effect.provide(store)))

    it.scopedLive("elects another leader when the leader ends", () =>
      Effect.gen(function*() {
        const [one, two] = yield* processes(2)
        if (one === undefined || two === undefined) return
        const elected = yield* Deferred.make<void>()
        const leader = yield* Effect.fork(Effect.provide(
          LeaderElection.lead({ name: "election" }, () =>
            Effect.zipRight(Deferred.succeed(elected, undefined), Effect.never)),
          one
        ))
        yield* Deferred.await(elected)
        const other = yield* Effect.fork(Effect.provide(
          LeaderElection.lead({ name: "election" }, (lease) =>
            Effect.succeed(lease.holder)),
          two
        ))
        const before = yield* Effect.provide(LeaderElection.leader("election"), two)
        yield* leader.interruptAsFork(leader.id())
        const holder = yield* other
        expect(Option.map(before, (info) => info.holder)).not.toEqual(Option.some(holder))
      }).pipe(Effect.provide(store)))

    it.scopedLive("holds parties at a barrier until all have come, round after round", () =>
      Effect.gen(function*() {
        const arrived = yield* Ref.make(0)
        const party = Effect.gen(function*() {
          const rounds: Array<number> = []
          for (let round = 1; round <= 3; round++) {
            yield* Ref.update(arrived, (n) => n + 1)
            rounds.push(yield* Barrier.arrive({ name: "rounds", parties: 5 }))
            expect(yield* Ref.get(arrived)).toBeGreaterThanOrEqual(round * 5)
          }
          return rounds
        })
        const all = yield* Effect.all(Array.from({ length: 5 }, () => party), { concurrency: "unbounded" })
        expect(all).toEqual(Array.from({ length: 5 }, () => [1, 2, 3]))
      }).pipe(Effect.provide(store)))

    it.scopedLive("does not count a party that left, and refuses one that counts differently", () =>
      Effect.gen(function*() {
        const late = yield* Effect.flip(Barrier.arrive({ name: "left", parties: 2, timeout: "20 millis" }))
        expect(late).toBeInstanceOf(Barrier.BarrierTimeout)
        const waiting = yield* Effect.fork(Barrier.arrive({ name: "left", parties: 2 }))
        const differs = Effect.flip(Barrier.arrive({ name: "left", parties: 3, timeout: "20 millis" }))
        yield* Effect.repeat(differs, { until: (error) => error._tag === "BarrierMismatch" })
        expect(yield* Effect.all([Barrier.arrive({ name: "left", parties: 2 }), waiting])).toEqual([1, 1])
      }).pipe(Effect.provide(store)))

    it.scopedLive("counts every vote of voters who vote at once, and tells all who wait", () =>
      Effect.gen(function*() {
        const voters = Array.from({ length: 9 }, (_, index) => `voter-${index}`)
        const ballot: Vote.Ballot = { name: "at once", voters }
        const waiting = yield* Effect.fork(Vote.decision(ballot))
        yield* Effect.forEach(voters, (voter, index) => Vote.cast(ballot, voter, index < 5 ? "yes" : "no"), {
          concurrency: "unbounded"
        })
        expect(yield* waiting).toBe("yes")
        const standing = yield* Vote.read(ballot)
        expect(Object.keys(standing.votes).sort()).toEqual(voters)
        expect(yield* Effect.flip(Vote.cast(ballot, "voter-0", "no"))).toBeInstanceOf(Vote.AlreadyVoted)
        expect(yield* Effect.flip(Vote.cast(ballot, "nobody", "no"))).toBeInstanceOf(Vote.NotAVoter)
        yield* Vote.forget(ballot.name)
        expect((yield* Vote.read(ballot))._tag).toBe("Open")
      }).pipe(Effect.provide(store)))
  })
