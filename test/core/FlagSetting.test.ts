import { describe, expect, it } from "@effect/vitest"
import * as FlagSetting from "@holdfast/core/FlagSetting"
import * as FastCheck from "effect/FastCheck"

const percentage = FastCheck.integer({ min: 0, max: 10_000 }).map((parts) => parts / 100)

const text = FastCheck.string({ unit: "binary" })

const ids = Array.from({ length: 20_000 }, (_, index) => `user-${index}`)

const share = (setting: FlagSetting.FlagSetting, among = ids) =>
  among.filter((id) => FlagSetting.isEnabled(setting, id)).length / among.length

describe("FlagSetting", () => {
  it.prop(
    "law: raising the percentage only adds ids; at 0 there is none, at 100 every one",
    { one: percentage, other: percentage, salt: text, ids: FastCheck.array(text) },
    ({ ids, one, other, salt }) => {
      const low = Math.min(one, other)
      const high = Math.max(one, other)
      for (const id of ids) {
        const at = (percentage: number) => FlagSetting.isEnabled({ percentage, salt }, id)
        expect(at(0)).toBe(false)
        expect(at(100)).toBe(true)
        expect(at(low) && !at(high)).toBe(false)
        // The bucket is the very step at which the id is added.
        const bucket = FlagSetting.bucketOf(salt, id)
        expect([at(bucket / 100), at((bucket + 1) / 100)]).toEqual([false, true])
      }
    },
    { fastCheck: { numRuns: 300 } }
  )

  it("spreads ids that differ by little evenly, and each salt on its own", () => {
    for (const percentage of [1, 10, 25, 50, 90]) {
      const deviation = Math.sqrt((percentage / 100) * (1 - percentage / 100) / ids.length)
      for (const salt of ["", "checkout", "checkout2"]) {
        expect(Math.abs(share({ percentage, salt }) - percentage / 100)).toBeLessThan(4 * deviation)
      }
    }
    const chosen = ids.filter((id) => FlagSetting.isEnabled({ percentage: 50, salt: "checkout" }, id))
    expect(share({ percentage: 50, salt: "checkout2" }, chosen)).toBeCloseTo(0.5, 1)
    const counts = new Map<number, number>()
    for (const id of ids) {
      const part = Math.floor(FlagSetting.bucketOf("checkout", id) / 100)
      counts.set(part, (counts.get(part) ?? 0) + 1)
    }
    const chiSquare = Array.from({ length: 100 }, (_, part) => ((counts.get(part) ?? 0) - 200) ** 2 / 200)
      .reduce((a, b) => a + b)
    // The 99.99 % quantile of 99 degrees of freedom.
    expect(chiSquare).toBeLessThan(161)
  })

  it("puts an id where it has always been, whatever the version", () => {
    expect(
      [["", ""], ["checkout", "user-1"], ["checkout", "user-2"], ["é", "😀"]].map(([salt = "", id = ""]) =>
        FlagSetting.bucketOf(salt, id)
      )
    ).toEqual([4_203, 4_537, 5_114, 225])
  })

  it("is on without an id only where it is on for all", () => {
    expect(FlagSetting.isEnabled({ percentage: 99.99, salt: "" })).toBe(false)
    expect(FlagSetting.isEnabled({ percentage: 100, salt: "" })).toBe(true)
    expect([FlagSetting.isEnabled(true), FlagSetting.isEnabled(false, "id")]).toEqual([true, false])
  })

  it("names the known flag that takes the fewest edits", () => {
    const names = ["new-checkout", "dark-mode", "beta"]
    expect(FlagSetting.nearest("new-chekout", names)).toBe("new-checkout")
    expect(FlagSetting.nearest("darkmode", names)).toBe("dark-mode")
    expect(FlagSetting.nearest("bet", names)).toBe("beta")
    expect(FlagSetting.nearest("abet", names)).toBe("beta")
    expect(FlagSetting.nearest("x", [])).toBeUndefined()
  })
})
