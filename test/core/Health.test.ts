import { assert, describe, it } from "@effect/vitest"
import * as Health from "@holdfast/core/Health"
import * as HealthState from "@holdfast/core/HealthState"
import * as Arr from "effect/Array"
import * as Chunk from "effect/Chunk"
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as FiberTracker from "effect/Supervisor"
import * as TestClock from "effect/TestClock"

class Unreachable extends Data.TaggedError("Unreachable")<{ readonly message: string }> {}

const withHealth = <A, E>(program: (health: Health.Health["Type"]) => Effect.Effect<A, E, Scope.Scope>) =>
  Effect.provide(Effect.scoped(Effect.flatMap(Health.Health, program)), Health.layer)

/** A check that finds what it was last told to. */
const puppet = (subject: string, options: Health.Options = {}) =>
  Effect.map(
    Ref.make<Effect.Effect<Health.Finding, Unreachable>>(Effect.succeed(Health.healthy)),
    (found) => ({ found, check: { subject, check: Effect.flatten(Ref.get(found)), ...options } })
  )

const read = (health: Health.Health["Type"], subject: string) =>
  Effect.flatten(health.status(subject)).pipe(Effect.orDie)

const collect = (health: Health.Health["Type"]) =>
  Effect.gen(function*() {
    const seen: Array<string> = []
    yield* Effect.forkScoped(
      Stream.runForEach(health.changes, ({ status, subject }) =>
        Effect.sync(() => seen.push(`${subject} ${status}`)))
    )
    yield* TestClock.adjust(0)
    return seen
  })

const event = FastCheck.constantFrom<HealthState.Event>(
  { _tag: "Healthy" },
  { _tag: "Degraded", reason: "slow" },
  { _tag: "Failed", reason: "down" }
)

describe("Health", () => {
  it.prop(
    "law: the status follows from the last run of checks alike and from what passed last",
    {
      unhealthyAfter: FastCheck.integer({ min: 1, max: 4 }),
      healthyAfter: FastCheck.integer({ min: 1, max: 4 }),
      events: FastCheck.array(event, { maxLength: 30 })
    },
    ({ events, healthyAfter, unhealthyAfter }) => {
      const config = { intervalMillis: 1, timeoutMillis: 1, unhealthyAfter, healthyAfter }
      let health = HealthState.initial("subject", 0)
      for (const [index, event] of events.entries()) {
        const before = health
        health = HealthState.transition(config, health, event, index + 1)
        const sinceOther = Arr.takeWhile(
          Arr.reverse(events.slice(0, index + 1)),
          ({ _tag }) => (_tag === "Failed") === (event._tag === "Failed")
        ).length
        const isFailed = event._tag === "Failed"
        assert.strictEqual(health.consecutiveFailures, isFailed ? sinceOther : 0)
        assert.strictEqual(health.consecutivePasses, isFailed ? 0 : sinceOther)
        const found = event._tag === "Degraded" ? "degraded" : "healthy"
        const expected: HealthState.Status = isFailed
          ? sinceOther >= unhealthyAfter
            ? "unhealthy"
            : before.status === "healthy"
            ? "degraded"
            : before.status
          : before.status === "unhealthy" && sinceOther < healthyAfter
          ? "unhealthy"
          : found
        assert.strictEqual(health.status, expected)
        assert.strictEqual(health.checkedAtMillis, index + 1)
        assert.strictEqual(
          health.changedAtMillis,
          health.status === before.status ? before.changedAtMillis : index + 1
        )
        assert.strictEqual(health.reason === "", health.status === "healthy")
      }
      const dead = HealthState.transition(config, health, { _tag: "Gone" }, 99)
      assert.strictEqual(dead.status, "dead")
      assert.strictEqual(HealthState.transition(config, dead, { _tag: "Healthy" }, 100), dead)
    }
  )

  it("is as well as its worst part, and of nothing it knows nothing", () => {
    assert.strictEqual(HealthState.worst([]), "unknown")
    assert.strictEqual(HealthState.worst(["healthy", "healthy"]), "healthy")
    assert.strictEqual(HealthState.worst(["healthy", "degraded"]), "degraded")
    assert.strictEqual(HealthState.worst(["unknown", "degraded"]), "unknown")
    assert.strictEqual(HealthState.worst(["unhealthy", "healthy", "unknown"]), "unhealthy")
  })

  it.effect("checks at once, then every 30 seconds", () =>
    withHealth((health) =>
      Effect.gen(function*() {
        const times: Array<number> = []
        const check = Effect.map(Clock.currentTimeMillis, (millis) => {
          times.push(millis)
          return Health.healthy
        })
        yield* health.register({ subject: "db", check })
        assert.strictEqual((yield* read(health, "db")).status, "unknown")
        yield* TestClock.adjust(0)
        assert.strictEqual((yield* read(health, "db")).status, "healthy")
        yield* TestClock.adjust("90 seconds")
        assert.deepStrictEqual(times, [0, 30_000, 60_000, 90_000])
        assert.strictEqual(yield* health.overall, "healthy")
      })
    ))

  it.effect("starts no check before the last one has ended, and measures from start to start", () =>
    withHealth((health) =>
      Effect.gen(function*() {
        const starts: Array<number> = []
        const durations = [400, 2_500, 100, 100]
        const check = Effect.flatMap(Clock.currentTimeMillis, (millis) => {
          starts.push(millis)
          return Effect.as(Effect.sleep(durations[starts.length - 1] ?? 0), Health.healthy)
        })
        yield* health.register({ subject: "db", check, interval: "1 second", timeout: "3 seconds" })
        yield* TestClock.adjust("6 seconds")
        assert.deepStrictEqual(starts, [0, 1_000, 3_500, 4_500, 5_500])
      })
    ))

  it.effect("turns degraded, then unhealthy, with reasons, and well again", () =>
    withHealth((health) =>
      Effect.gen(function*() {
        const { check, found } = yield* puppet("db", { interval: "1 second", healthyAfter: 2 })
        const next = (finding: Effect.Effect<Health.Finding, Unreachable>) =>
          Effect.gen(function*() {
            yield* Ref.set(found, finding)
            yield* TestClock.adjust("1 second")
            const { reason, status } = yield* read(health, "db")
            return [status, reason]
          })
        const down = new Unreachable({ message: "no route" })
        yield* health.register(check)
        yield* TestClock.adjust(0)
        const seen = yield* collect(health)
        assert.deepStrictEqual(yield* next(down), ["degraded", "the check failed: no route"])
        assert.deepStrictEqual(yield* next(Effect.die(new Error("bug"))), [
          "degraded",
          "the check died: bug"
        ])
        assert.deepStrictEqual(yield* next(Effect.interrupt), ["unhealthy", "the check was interrupted"])
        assert.strictEqual((yield* read(health, "db")).consecutiveFailures, 3)
        assert.strictEqual((yield* read(health, "db")).changedAtMillis, 3_000)
        const well = Effect.succeed(Health.healthy)
        assert.strictEqual((yield* next(well))[0], "unhealthy")
        assert.deepStrictEqual(yield* next(well), ["healthy", ""])
        assert.deepStrictEqual(yield* next(Effect.succeed(Health.degraded("slow"))), ["degraded", "slow"])
        assert.deepStrictEqual(seen, [
          "db healthy",
          "db degraded",
          "db unhealthy",
          "db healthy",
          "db degraded"
        ])
      })
    ))

  it.effect("counts a check that takes too long as failed, and answers meanwhile", () =>
    withHealth((health) =>
      Effect.gen(function*() {
        const stubborn = Effect.uninterruptible(Effect.as(Effect.sleep("12 seconds"), Health.healthy))
        yield* health.register({ subject: "stubborn", check: stubborn, unhealthyAfter: 1 })
        yield* health.register({ subject: "hung", check: Effect.never, unhealthyAfter: 1 })
        yield* TestClock.adjust("4999 millis")
        assert.deepStrictEqual((yield* health.all).map(({ status }) => status), ["unknown", "unknown"])
        yield* TestClock.adjust("1 millis")
        assert.deepStrictEqual((yield* health.all).map(({ status }) => status), ["unhealthy", "unhealthy"])
        assert.strictEqual((yield* read(health, "hung")).reason, "the check took longer than 5s")
        yield* TestClock.adjust("8 seconds")
        assert.strictEqual((yield* read(health, "stubborn")).status, "unhealthy")
      })
    ))

  it.effect("tells once that a subject is dead when its scope closes, forgets it, and checks it no more", () =>
    withHealth((health) =>
      Effect.gen(function*() {
        const seen = yield* collect(health)
        const scope = yield* Scope.make()
        let checks = 0
        const check = Effect.sync(() => {
          checks += 1
          return Health.healthy
        })
        yield* Scope.extend(health.register({ subject: "worker", check }), scope)
        yield* TestClock.adjust("30 seconds")
        yield* Scope.close(scope, Exit.void)
        yield* TestClock.adjust("5 minutes")
        assert.strictEqual(checks, 2)
        assert.deepStrictEqual(seen, ["worker unknown", "worker healthy", "worker dead"])
        assert.deepStrictEqual(yield* health.status("worker"), Option.none())
        assert.deepStrictEqual(yield* health.all, [])
        yield* health.register({ subject: "worker", check })
        assert.strictEqual((yield* read(health, "worker")).status, "unknown")
      })
    ))

  it.effect("releases what a check acquires after each check", () =>
    withHealth((health) =>
      Effect.gen(function*() {
        const open = { now: 0, ever: 0 }
        const check = Effect.as(
          Effect.acquireRelease(
            Effect.sync(() => {
              open.now += 1
              open.ever += 1
            }),
            () =>
              Effect.sync(() => {
                open.now -= 1
              })
          ),
          Health.healthy
        )
        yield* health.register({ subject: "db", check, interval: "1 second" })
        yield* TestClock.adjust("10 seconds")
        assert.deepStrictEqual(open, { now: 0, ever: 11 })
      })
    ))

  it.effect("refuses a subject that is checked already, and leaves the first as it is", () =>
    withHealth((health) =>
      Effect.gen(function*() {
        const check = { subject: "db", check: Effect.succeed(Health.healthy) }
        yield* health.register(check)
        const error = yield* Effect.flip(Effect.scoped(health.register(check)))
        assert.strictEqual(error.message, `"db" is checked already`)
        yield* TestClock.adjust(0)
        assert.strictEqual((yield* read(health, "db")).status, "healthy")
      })
    ))

  it.effect("begins a subscription with what is, and lets one that stalls delay nobody", () =>
    withHealth((health) =>
      Effect.gen(function*() {
        const check = Effect.succeed(Health.healthy)
        yield* health.register({ subject: "db", check })
        yield* TestClock.adjust(0)
        const pull = yield* Stream.toPull(health.changes)
        const first = yield* pull
        assert.deepStrictEqual(Chunk.toReadonlyArray(first).map(({ status }) => status), ["healthy"])
        const seen = yield* collect(health)
        const rounds = Health.changesMax
        yield* Effect.forEach(Arr.range(1, rounds), (round) =>
          Effect.zipRight(
            Effect.scoped(health.register({ subject: `s${round}`, check: Effect.never })),
            Effect.repeatN(Effect.yieldNow(), 20)
          ))
        yield* TestClock.adjust(0)
        assert.strictEqual(seen.length, 2 * rounds + 1)
        const missed = Stream.take(Stream.repeatEffectChunkOption(pull), Health.changesMax)
        const kept = Chunk.toReadonlyArray(yield* Stream.runCollect(missed))
        assert.deepStrictEqual(
          kept.map(({ status, subject }) => `${subject} ${status}`),
          seen.slice(-Health.changesMax)
        )
        assert.strictEqual(kept[0]?.subject, `s${rounds / 2 + 1}`)
      })
    ))

  it.effect("ends subscriptions with the layer", () =>
    Effect.gen(function*() {
      const subscription = yield* withHealth((health) =>
        Effect.zipLeft(Effect.fork(Stream.runDrain(health.changes)), Effect.yieldNow())
      )
      assert.isTrue(Exit.isSuccess(yield* Fiber.await(subscription)))
    }))

  it.effect("leaves nothing behind after 10,000 subjects have come and gone", () =>
    withHealth((health) =>
      Effect.gen(function*() {
        const tracker = yield* FiberTracker.track
        const register = (subject: number) =>
          Effect.scoped(
            Effect.zipRight(
              health.register({
                subject: `${subject}`,
                check: subject % 3 === 0 ? Effect.never : Effect.succeed(Health.healthy)
              }),
              subject % 2 === 0 ? Effect.yieldNow() : Effect.void
            )
          )
        yield* Effect.supervised(Effect.forEach(Arr.range(1, 10_000), register, { discard: true }), tracker)
        assert.deepStrictEqual(yield* tracker.value, [])
        assert.deepStrictEqual(yield* health.all, [])
      })
    ))

  it.effect("fails typed for options that are out of range, naming the option", () =>
    withHealth((health) =>
      Effect.gen(function*() {
        const refused = (options: Health.Options) =>
          Effect.map(
            Effect.flip(
              health.register({ subject: "bad", check: Effect.succeed(Health.healthy), ...options })
            ),
            (error) => error._tag === "HealthOutOfRange" ? error.option : error._tag
          )
        for (const wrong of [0, -1, 1.5, Number.NaN, Infinity]) {
          assert.strictEqual(yield* refused({ unhealthyAfter: wrong }), "unhealthyAfter")
          assert.strictEqual(yield* refused({ healthyAfter: wrong }), "healthyAfter")
        }
        for (const wrong of [0, Number.NaN, Infinity, "25 days"] as const) {
          assert.strictEqual(yield* refused({ interval: wrong }), "interval")
          assert.strictEqual(yield* refused({ timeout: wrong }), "timeout")
        }
        assert.deepStrictEqual(yield* health.all, [])
      })
    ))
})
