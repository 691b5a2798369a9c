import { assert, describe, it } from "@effect/vitest"
import * as Discovery from "@holdfast/core/Discovery"
import * as DiscoveryChoice from "@holdfast/core/DiscoveryChoice"
import * as Health from "@holdfast/core/Health"
import * as Arr from "effect/Array"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as FiberTracker from "effect/Supervisor"
import * as TestClock from "effect/TestClock"

interface Printer {
  readonly port: number
}

const withDiscovery = <A, E>(
  program: (
    discovery: Discovery.Discovery<Printer>,
    health: Health.Health["Type"]
  ) => Effect.Effect<A, E, Scope.Scope>
) =>
  Effect.gen(function*() {
    const health = yield* Health.Health
    return yield* Effect.scoped(program(yield* Discovery.make<Printer>(), health))
  }).pipe(Effect.provide(Health.layer))

const printer = (instance: string) => ({
  service: "printer",
  instance,
  capabilities: ["print"],
  metadata: { port: 9100 }
})

/** A printer whose status is what it is told to be, from its next check on. */
const told = (instance: string, status: Health.Status) =>
  Effect.map(Ref.make(status), (status) => {
    const findings = {
      healthy: Effect.succeed(Health.healthy),
      degraded: Effect.succeed(Health.degraded("told")),
      unhealthy: Effect.fail("told"),
      unknown: Effect.never,
      dead: Effect.never
    }
    const check = Effect.flatMap(Ref.get(status), (status) => findings[status])
    const offer = { ...printer(instance), check: { check, interval: "1 second", unhealthyAfter: 1 } } as const
    return { status, offer }
  })

const names = (instances: ReadonlyArray<Discovery.Instance<Printer>>) =>
  instances.map(({ instance }) => instance)

const statuses = FastCheck.array(
  FastCheck.constantFrom<Health.Status>("healthy", "degraded", "unhealthy", "unknown"),
  { maxLength: 6 }
)

const candidates = FastCheck.uniqueArray(
  FastCheck.record({
    id: FastCheck.string({ maxLength: 2 }),
    status: FastCheck.constantFrom<DiscoveryChoice.UsableStatus>("healthy", "degraded")
  }),
  { selector: ({ id }) => id, minLength: 1, maxLength: 8 }
)

describe("Discovery", () => {
  it.prop(
    "law: round robin visits each healthy instance equally often, wherever it begins",
    { candidates, rounds: FastCheck.integer({ min: 1, max: 4 }), last: FastCheck.string({ maxLength: 2 }) },
    ({ candidates, last, rounds }) => {
      const healthy = candidates.filter(({ status }) => status === "healthy")
      const expected = healthy.length > 0 ? healthy : candidates
      const visits = new Map<string, number>()
      let turn: string | undefined = last
      for (let pick = 0; pick < rounds * expected.length; pick += 1) {
        turn = DiscoveryChoice.nextInTurn(candidates, turn)?.id
        if (turn !== undefined) visits.set(turn, (visits.get(turn) ?? 0) + 1)
      }
      assert.deepStrictEqual(visits, new Map(expected.map(({ id }) => [id, rounds])), "visits")
    }
  )

  it.prop(
    "law: who comes or goes costs nobody else a turn",
    { candidates, steps: FastCheck.array(FastCheck.nat(7), { maxLength: 12 }) },
    ({ candidates, steps }) => {
      const all = candidates.map(({ id }) => ({ id, status: "healthy" as const }))
      const stays = all[0]
      if (stays === undefined) return
      let others = all.slice(1)
      let last: string | undefined
      let waited = 0
      for (const step of steps) {
        others = others.length > 0 && step % 2 === 0 ? others.slice(1) : others
        last = DiscoveryChoice.nextInTurn([...others, stays], last)?.id
        waited = last === stays.id ? 0 : waited + 1
        assert.isBelow(waited, all.length)
      }
    }
  )

  it.prop(
    "law: the first by load is a least loaded healthy one, and nobody is lost",
    {
      loaded: FastCheck.array(
        FastCheck.record({
          status: FastCheck.constantFrom<DiscoveryChoice.UsableStatus>("healthy", "degraded"),
          load: FastCheck.oneof(FastCheck.integer({ min: 0, max: 5 }), FastCheck.constant(Infinity))
        }),
        { minLength: 1 }
      )
    },
    ({ loaded }) => {
      const given = loaded.map((item, index) => ({ id: `${index}`, ...item }))
      const ordered = DiscoveryChoice.byLoad(given.map((item) => [item, item.load]))
      const healthy = given.filter(({ status }) => status === "healthy")
      const eligible = healthy.length > 0 ? healthy : given
      const least = Math.min(...eligible.map(({ load }) => load))
      assert.deepStrictEqual(ordered[0], eligible.find(({ load }) => load === least))
      assert.sameMembers(Array.from(ordered), given)
    }
  )

  it.effect.prop(
    "law: what is found is healthy, or degraded and then last; of the rest nobody is",
    { statuses },
    ({ statuses }) =>
      withDiscovery((discovery) =>
        Effect.gen(function*() {
          for (const [index, status] of statuses.entries()) {
            yield* discovery.register((yield* told(`${index}`, status)).offer)
          }
          assert.deepStrictEqual(yield* discovery.find("print"), [])
          yield* TestClock.adjust(0)
          const having = (wanted: Health.Status) =>
            statuses.flatMap((status, index) => status === wanted ? [`${index}`] : [])
          const expected = [...having("healthy"), ...having("degraded")]
          assert.deepStrictEqual(names(yield* discovery.find("print")), expected)
          const first = yield* Effect.option(discovery.leastLoaded("print"))
          assert.deepStrictEqual(Option.map(first, ({ instance }) => instance), Arr.head(expected))
        })
      ),
    { fastCheck: { numRuns: 25 } }
  )

  it.effect("finds by capability, with what callers need to know", () =>
    withDiscovery((discovery) =>
      Effect.gen(function*() {
        yield* discovery.register({ ...printer("p-1"), capabilities: ["print", "scan", "print"] })
        yield* discovery.register({ ...printer("p-2"), metadata: { port: 9101 } })
        assert.deepStrictEqual(names(yield* discovery.find("print")), ["p-1", "p-2"])
        assert.deepStrictEqual(yield* discovery.find("scan"), [{
          id: "printer/p-1",
          service: "printer",
          instance: "p-1",
          capabilities: ["print", "scan", "print"],
          metadata: { port: 9100 },
          status: "healthy"
        }])
        assert.deepStrictEqual(yield* discovery.find("fax"), [])
      })
    ))

  it.effect("gives the least loaded as loads are now, and takes one that cannot tell for the last", () =>
    withDiscovery((discovery) =>
      Effect.gen(function*() {
        const busy = yield* Ref.make(3)
        yield* discovery.register({ ...printer("broken"), load: Effect.die("bug") })
        yield* discovery.register({ ...printer("lost"), load: Effect.succeed(Number.NaN) })
        yield* discovery.register({ ...printer("a"), load: Ref.get(busy) })
        yield* discovery.register({ ...printer("b"), load: Effect.succeed(2) })
        assert.deepStrictEqual(names(yield* discovery.find("print")), ["b", "a", "broken", "lost"])
        yield* Ref.set(busy, 1)
        assert.strictEqual((yield* discovery.leastLoaded("print")).instance, "a")
      })
    ))

  it.effect("believes an instance that says itself how well it is, and takes one that cannot for dead", () =>
    withDiscovery((discovery, health) =>
      Effect.gen(function*() {
        const status = yield* Ref.make<Health.Status>("degraded")
        yield* discovery.register({ ...printer("broken"), status: Effect.die("bug") })
        yield* discovery.register({ ...printer("a"), status: Ref.get(status) })
        yield* discovery.register(printer("b"))
        assert.deepStrictEqual(names(yield* discovery.find("print")), ["b", "a"])
        yield* Ref.set(status, "healthy")
        assert.deepStrictEqual(names(yield* discovery.find("print")), ["a", "b"])
        yield* Ref.set(status, "unhealthy")
        assert.deepStrictEqual(names(yield* discovery.find("print")), ["b"])
        assert.deepStrictEqual(yield* health.all, [])
      })
    ))

  it.effect("goes round the healthy ones, and round the degraded when there are no others", () =>
    withDiscovery((discovery) =>
      Effect.gen(function*() {
        const a = yield* told("a", "healthy")
        const b = yield* told("b", "healthy")
        const c = yield* told("c", "degraded")
        for (const { offer } of [c, b, a]) yield* discovery.register(offer)
        yield* TestClock.adjust(0)
        const turn = yield* discovery.roundRobin("print")
        const picks = Effect.map(Effect.replicateEffect(turn, 4), names)
        assert.deepStrictEqual(yield* picks, ["a", "b", "a", "b"])
        yield* Ref.set(a.status, "unhealthy")
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(yield* picks, ["b", "b", "b", "b"])
        yield* Ref.set(b.status, "unhealthy")
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(yield* picks, ["c", "c", "c", "c"])
        yield* Ref.set(c.status, "unhealthy")
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(
          yield* Effect.flip(turn),
          new Discovery.NoInstance({ capability: "print", offered: 3 })
        )
      })
    ))

  it.effect("says what was asked for when there is nobody", () =>
    withDiscovery((discovery) =>
      Effect.gen(function*() {
        const none = yield* Effect.flip(discovery.leastLoaded("print"))
        assert.deepStrictEqual([none.capability, none.message], ["print", `nobody offers "print"`])
        yield* discovery.register((yield* told("p", "unhealthy")).offer)
        yield* TestClock.adjust(0)
        const unwell = yield* Effect.flip(discovery.leastLoaded("print"))
        assert.strictEqual(unwell.message, `none of the 1 who offer "print" is well`)
      })
    ))

  it.effect("forgets an instance with its scope, and lets it come back", () =>
    withDiscovery((discovery, health) =>
      Effect.gen(function*() {
        const { offer } = yield* told("p", "healthy")
        const scope = yield* Scope.make()
        yield* Scope.extend(discovery.register(offer), scope)
        yield* TestClock.adjust(0)
        assert.strictEqual((yield* discovery.find("print")).length, 1)
        yield* Scope.close(scope, Exit.void)
        assert.deepStrictEqual(yield* discovery.find("print"), [])
        assert.deepStrictEqual(yield* health.all, [])
        yield* discovery.register(offer)
        yield* TestClock.adjust(0)
        assert.strictEqual((yield* discovery.find("print")).length, 1)
      })
    ))

  it.effect("refuses an instance that is there already, and leaves no half of one that is refused", () =>
    withDiscovery((discovery, health) =>
      Effect.gen(function*() {
        yield* discovery.register(printer("p"))
        const taken = yield* Effect.flip(discovery.register(printer("p")))
        assert.strictEqual(taken.message, `service "printer" has an instance "p" already`)
        yield* health.register({ subject: "printer/q", check: Effect.never })
        const { offer } = yield* told("q", "healthy")
        assert.strictEqual((yield* Effect.flip(discovery.register(offer)))._tag, "InstanceTaken")
        const wrong = { ...offer, check: { ...offer.check, interval: 0 } }
        assert.strictEqual((yield* Effect.flip(discovery.register(wrong)))._tag, "HealthOutOfRange")
        assert.deepStrictEqual(names(yield* discovery.find("print")), ["p"])
        yield* discovery.register(printer("q"))
        assert.deepStrictEqual(names(yield* discovery.find("print")), ["p", "q"])
      })
    ))

  it.effect("tells watchers who can be asked, whenever that changes and only then", () =>
    withDiscovery((discovery) =>
      Effect.gen(function*() {
        const seen: Array<string> = []
        yield* Effect.forkScoped(
          Stream.runForEach(discovery.watch("print"), (instances) =>
            Effect.sync(() =>
              seen.push(
                instances.map(({ instance, status }) => `${instance} ${status}`).join(", ")
              )
            ))
        )
        yield* TestClock.adjust(0)
        const { offer, status } = yield* told("a", "healthy")
        const scope = yield* Scope.make()
        yield* Scope.extend(discovery.register(offer), scope)
        yield* TestClock.adjust("3 seconds")
        yield* discovery.register({ ...printer("other"), capabilities: ["scan"] })
        yield* discovery.register(printer("b"))
        yield* TestClock.adjust(0)
        for (const next of ["degraded", "unhealthy", "healthy"] as const) {
          yield* Ref.set(status, next)
          yield* TestClock.adjust("1 second")
        }
        yield* Scope.close(scope, Exit.void)
        yield* TestClock.adjust(0)
        assert.deepStrictEqual(seen, [
          "",
          "a healthy",
          "a healthy, b healthy",
          "a degraded, b healthy",
          "b healthy",
          "a healthy, b healthy",
          "b healthy"
        ])
      })
    ))

  it.effect("is made by the layer of a tag", () => {
    class Printers extends Context.Tag("test/Printers")<Printers, Discovery.Discovery<Printer>>() {}
    return Effect.gen(function*() {
      const printers = yield* Printers
      yield* printers.register(printer("p"))
      assert.strictEqual((yield* printers.leastLoaded("print")).metadata.port, 9100)
    }).pipe(Effect.scoped, Effect.provide(Layer.provide(Discovery.layer(Printers), Health.layer)))
  })

  it.effect("leaves nothing behind after 2,000 instances have come and gone", () =>
    withDiscovery((discovery, health) =>
      Effect.gen(function*() {
        const tracker = yield* FiberTracker.track
        const cycle = (index: number) =>
          Effect.scoped(
            Effect.zipRight(
              discovery.register({
                ...printer(`${index % 7}`),
                check: { check: Effect.succeed(Health.healthy) }
              }),
              index % 2 === 0 ? Effect.yieldNow() : discovery.find("print")
            )
          )
        yield* Effect.supervised(Effect.forEach(Arr.range(1, 2_000), cycle, { discard: true }), tracker)
        assert.deepStrictEqual(yield* tracker.value, [])
        assert.deepStrictEqual(yield* health.all, [])
        assert.strictEqual((yield* Effect.flip(discovery.leastLoaded("print"))).offered, 0)
      })
    ))
})
