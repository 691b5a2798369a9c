import { describe, expect, it } from "@effect/vitest"
import * as NodeExpiry from "@holdfast/persistence/NodeExpiry"
import * as FastCheck from "effect/FastCheck"

const lateMillis = 100

/** A step of time, and what happens at its end: some nodes renew, and the observer may look. */
interface Step {
  readonly millis: number
  readonly renew: ReadonlyArray<string>
  readonly look: boolean
}

const names = ["a", "b"] as const

const steps = FastCheck.array(
  FastCheck.record({
    millis: FastCheck.oneof(
      FastCheck.integer({ min: 0, max: lateMillis }),
      FastCheck.integer({ min: 0, max: 500 })
    ),
    renew: FastCheck.subarray([...names]),
    look: FastCheck.boolean()
  }),
  { maxLength: 60 }
)

const leases = FastCheck.record({
  a: FastCheck.integer({ min: 1, max: 400 }),
  b: FastCheck.integer({ min: 1, max: 400 })
})

interface Look {
  readonly atMillis: number
  readonly sinceLastMillis: number
  readonly expired: ReadonlyArray<string>
  /** When each node had last renewed before this look; what it does later in the same millisecond is not seen. */
  readonly renewedAtMillis: Readonly<Record<string, number>>
}

/** Plays the steps from time 1,000 on; yields every look. */
const play = (all: ReadonlyArray<Step>, lease: Readonly<Record<string, number>>) => {
  let now = 1_000
  let observation = NodeExpiry.initial
  const heartbeats = new Map<string, number>(names.map((name) => [name, 0]))
  const renewedAtMillis: Record<string, number> = {}
  const looks: Array<Look> = []
  for (const step of all) {
    now += step.millis
    for (const name of step.renew) {
      heartbeats.set(name, (heartbeats.get(name) ?? 0) + 1)
      renewedAtMillis[name] = now
    }
    if (!step.look) continue
    const nodes = names.map((id) => node(id, heartbeats.get(id) ?? 0, lease[id] ?? 0))
    const seen = NodeExpiry.observe(observation, nodes, now, lateMillis)
    const sinceLastMillis = now - (observation.atMillis ?? -Infinity)
    observation = seen.observation
    const expired = seen.expired.map(({ id }) => id)
    looks.push({ atMillis: now, sinceLastMillis, expired, renewedAtMillis: { ...renewedAtMillis } })
  }
  return looks
}

const node = (id: string, heartbeat: number, leaseMillis: number, epoch = "boot"): NodeExpiry.Observed => ({
  id,
  epoch,
  heartbeat,
  leaseMillis
})

describe("the expiry of nodes", () => {
  it.prop("spares every node whose counter moved within its lease", [steps, leases], ([all, lease]) => {
    for (const { atMillis, expired, renewedAtMillis } of play(all, lease)) {
      for (const id of expired) {
        expect(atMillis - (renewedAtMillis[id] ?? -Infinity)).toBeGreaterThanOrEqual(lease[id as "a"] ?? 0)
      }
    }
  })

  it.prop("trusts nothing an observer saw before it was late", [steps, leases], ([all, lease]) => {
    const looks = play(all, lease)
    let trustedSince = -Infinity
    for (const { atMillis, expired, sinceLastMillis } of looks) {
      if (sinceLastMillis > lateMillis) trustedSince = atMillis
      for (const id of expired) expect(atMillis - trustedSince).toBeGreaterThanOrEqual(lease[id as "a"] ?? 0)
    }
  })

  it.prop(
    "finds a node within its lease and one interval of the look that saw its last renewal",
    [
      FastCheck.array(FastCheck.integer({ min: 1, max: lateMillis }), { minLength: 10, maxLength: 40 }),
      leases
    ],
    ([gaps, lease]) => {
      const looks = play(gaps.map((millis) => ({ millis, renew: [], look: true })), lease)
      const first = looks[0]?.atMillis ?? 0
      const interval = Math.max(...gaps)
      for (const { atMillis, expired } of looks) {
        for (const id of names) {
          if (atMillis - first >= lease[id] + interval) expect(expired).toContain(id)
        }
      }
    }
  )

  it.prop("judges each node by itself", [steps, leases], ([all, lease]) => {
    const alone = (id: string) =>
      play(all.map((step) => ({ ...step, renew: step.renew.filter((name) => name === id) })), lease)
        .map(({ expired }) => expired.includes(id))
    const together = play(all, lease)
    for (const id of names) expect(together.map(({ expired }) => expired.includes(id))).toEqual(alone(id))
  })

  it("begins anew with a node of another boot, or one that was not there for a while", () => {
    const look = (
      before: NodeExpiry.Observation,
      nodes: ReadonlyArray<NodeExpiry.Observed>,
      atMillis: number
    ) => NodeExpiry.observe(before, nodes, atMillis, lateMillis)
    const first = look(NodeExpiry.initial, [node("a", 7, 50), node("b", 7, 50)], 0)
    const second = look(first.observation, [node("a", 7, 50, "another boot")], 60)
    expect(second.expired).toEqual([])
    const third = look(second.observation, [node("a", 7, 50, "another boot"), node("b", 7, 50)], 110)
    expect(third.expired.map(({ id }) => id)).toEqual(["a"])
  })
})
