import { describe, expect, it } from "@effect/vitest"
import * as CommitBuffer from "@holdfast/persistence/CommitBuffer"
import * as FastCheck from "effect/FastCheck"

const limits: CommitBuffer.Limits = { rows: 12, bytes: 120, laneShare: 0.5 }

const op = FastCheck.record({
  _tag: FastCheck.constantFrom("0", "1", "2"),
  lane: FastCheck.constantFrom("a", "b", "c", "d")
})

const rankOf = (op: { readonly _tag: string }) => Number(op._tag)

const entry: FastCheck.Arbitrary<CommitBuffer.Entry> = FastCheck.record({
  unit: FastCheck.array(op, { maxLength: 3 }),
  rows: FastCheck.nat(8),
  bytes: FastCheck.nat(80),
  answer: FastCheck.constant(() => undefined)
})

const entries = FastCheck.array(entry, { maxLength: 12 })

const lanesOf = (entry: CommitBuffer.Entry) => entry.unit.map(({ lane }) => lane)

const shareLane = (a: CommitBuffer.Entry, b: CommitBuffer.Entry) =>
  lanesOf(a).some((lane) => lanesOf(b).includes(lane))

const sum = (of: "rows" | "bytes", entries: ReadonlyArray<CommitBuffer.Entry>) =>
  entries.reduce((total, entry) => total + entry[of], 0)

describe("CommitBuffer", () => {
  it.prop("law: nothing is lost, added or reordered", { entries }, ({ entries }) => {
    const { batch, rest } = CommitBuffer.take(entries, rankOf, limits)
    expect(entries.filter((entry) => batch.includes(entry))).toEqual(batch)
    expect(entries.filter((entry) => rest.includes(entry))).toEqual(rest)
    expect(batch.length + rest.length).toBe(entries.length)
    expect(batch.includes(entries[0] as CommitBuffer.Entry)).toBe(entries.length > 0)
  })

  it.prop("law: an entry never overtakes an earlier one of its lane", { entries }, ({ entries }) => {
    const { batch, rest } = CommitBuffer.take(entries, rankOf, limits)
    for (const left of rest) {
      const later = entries.slice(entries.indexOf(left)).filter((entry) => batch.includes(entry))
      expect(later.filter((entry) => shareLane(entry, left))).toEqual([])
    }
  })

  it.prop(
    "law: in a batch no lane goes back in the order of kinds from one entry to the next",
    { entries },
    ({ entries }) => {
      const { batch } = CommitBuffer.take(entries, rankOf, limits)
      for (const [index, entry] of batch.entries()) {
        for (const op of entry.unit) {
          const earlier = batch.slice(0, index).flatMap(({ unit }) => unit).filter(({ lane }) =>
            lane === op.lane
          )
          expect(Math.max(0, ...earlier.map(rankOf))).toBeLessThanOrEqual(rankOf(op))
        }
      }
    }
  )

  it.prop(
    "law: beyond its first entry a batch keeps the caps, and a lane its share of them",
    { entries },
    ({ entries }) => {
      const { batch } = CommitBuffer.take(entries, rankOf, limits)
      for (const  of of["rows", "bytes"] as const) {
        if (batch.length > 1) expect(sum(of, batch)).toBeLessThanOrEqual(limits[of])
        for (const lane of new Set(batch.flatMap(lanesOf))) {
          const own = batch.filter((entry) => lanesOf(entry).includes(lane))
          // An entry weighs once in a lane, however many of its operations belong to it.
          if (own.length > 1) expect(sum(of, own)).toBeLessThanOrEqual(limits[of] * limits.laneShare)
        }
      }
    }
  )

  it.prop("law: what fits and waits behind nobody of its lane is taken", { entries }, ({ entries }) => {
    const { batch, rest } = CommitBuffer.take(entries, rankOf, limits)
    const first = rest[0]
    if (first === undefined) return
    const before = entries.slice(0, entries.indexOf(first))
    const fits = sum("rows", [...before, first]) <= limits.rows &&
      sum("bytes", [...before, first]) <= limits.bytes
    expect(fits && !before.some((entry) => shareLane(entry, first))).toBe(false)
    expect(before).toEqual(batch.slice(0, before.length))
  })

  it("takes a first entry that is larger than a batch by itself", () => {
    const large = { unit: [{ _tag: "0", lane: "a" }], rows: 100, bytes: 1_000, answer: () => undefined }
    const small = { ...large, unit: [{ _tag: "0", lane: "b" }], rows: 1, bytes: 1 }
    expect(CommitBuffer.take([large, small], rankOf, limits)).toEqual({ batch: [large], rest: [small] })
  })

  it("weighs a unit as the sum of its operations", () => {
    const unit = [{ _tag: "0", lane: "a" }, { _tag: "2", lane: "b" }]
    const weigh = (op: { readonly _tag: string }) => ({ rows: 1 + rankOf(op), bytes: 10 })
    expect(CommitBuffer.weighUnit(unit, weigh)).toEqual({ rows: 4, bytes: 20 })
    expect(CommitBuffer.weighUnit([], weigh)).toEqual({ rows: 0, bytes: 0 })
  })
})
