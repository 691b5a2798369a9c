import { describe, expect, it } from "@effect/vitest"
import * as Tree from "../../packages/cli/src/Tree.ts"

const leaf = (label: string): Tree.Tree => ({ label, children: [] })

describe("a tree", () => {
  it("is drawn with a line from each parent to its children, at any depth", () => {
    const drawn = Tree.draw({
      label: "root",
      children: [{ label: "a", children: [leaf("a1"), leaf("a2")] }, { label: "b", children: [leaf("b1")] }]
    })
    expect(drawn).toEqual(["root", "├─ a", "│  ├─ a1", "│  └─ a2", "└─ b", "   └─ b1"])
  })

  it("of one thing is one line", () => {
    expect(Tree.draw(leaf("root"))).toEqual(["root"])
  })
})
