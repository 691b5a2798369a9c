import { assert, describe, it } from "@effect/vitest"
import * as SupervisionTree from "@holdfast/core/SupervisionTree"
import * as FastCheck from "effect/FastCheck"

type TreeNode = SupervisionTree.TreeNode

const awkward = FastCheck.constantFrom(
  "",
  "end",
  "n1",
  "a\nb",
  "\"]-->n0",
  "a#quot;b",
  "style: #35; x;",
  "├─ ",
  "1. first",
  "user_1.a-b",
  "日本 1"
)
const text = FastCheck.oneof(awkward, FastCheck.string({ unit: "binary" }), FastCheck.string())

const treeOf = (depth: number): FastCheck.Arbitrary<TreeNode> =>
  FastCheck.record({
    name: text,
    kind: FastCheck.constantFrom("supervisor" as const, "worker" as const),
    strategy: text,
    status: text,
    restarts: FastCheck.nat({ max: 2 }),
    children: depth === 0 ? FastCheck.constant([]) : FastCheck.array(treeOf(depth - 1), { maxLength: 3 })
  }, { requiredKeys: ["name", "kind", "status", "restarts", "children"] })

const tree = treeOf(3)

const inOrder = (node: TreeNode, depth = 0): ReadonlyArray<readonly [node: TreeNode, depth: number]> => [
  [node, depth],
  ...node.children.flatMap((child) => inOrder(child, depth + 1))
]

const shapeOf = (node: TreeNode): unknown => [node.name, node.children.map(shapeOf)]

const decoded = (label: string): string =>
  label.replaceAll(/#(\d+);/g, (_, code) => String.fromCodePoint(Number(code)))

/** Reads a flowchart back, refusing any line that is neither one node nor one edge. */
const readMermaid = (chart: string): unknown => {
  const [head, ...lines] = chart.split("\n")
  assert.strictEqual(head, "flowchart TD")
  const nodes = new Map<string, [name: string, children: Array<unknown>]>()
  for (const line of lines) {
    const [, parent = "", child = ""] = /^ {2}(n\d+) --> (n\d+)$/.exec(line) ?? []
    const [, id = "", box, round] = /^ {2}(n\d+)(?:\["([^"]*)"\]|\("([^"]*)"\))$/.exec(line) ?? []
    assert.isTrue(parent !== "" || (id !== "" && !nodes.has(id)), line)
    if (id !== "") nodes.set(id, [decoded((box ?? round ?? "").split("<br/>")[0] ?? ""), []])
    else nodes.get(parent)?.[1].push(nodes.get(child))
  }
  return nodes.get("n0")
}

const worker = (name: string, restarts = 0, status = "running"): TreeNode => ({
  name,
  kind: "worker",
  status,
  restarts,
  children: []
})

const app: TreeNode = {
  name: "app",
  kind: "supervisor",
  strategy: "one_for_one",
  status: "running",
  restarts: 0,
  children: [
    worker("storage"),
    {
      name: "agents",
      kind: "supervisor",
      strategy: "dynamic",
      status: "running",
      restarts: 1,
      children: [worker("a-1"), worker("a-2", 3, "parked")]
    },
    worker("web \"main\"")
  ]
}

describe("SupervisionTree", () => {
  it("is drawn as text with aligned columns, and restarts where there were any", () => {
    assert.strictEqual(
      SupervisionTree.toText(app),
      [
        "app            one_for_one  running",
        "├─ storage     worker       running",
        "├─ agents      dynamic      running  1 restart",
        "│  ├─ a-1      worker       running",
        "│  └─ a-2      worker       parked   3 restarts",
        "└─ web \"main\"  worker       running"
      ].join("\n")
    )
  })

  it("is drawn as a Mermaid flowchart with supervisors as boxes and names escaped", () => {
    assert.strictEqual(
      SupervisionTree.toMermaid(app),
      [
        "flowchart TD",
        "  n0[\"app<br/>one_for_one<br/>running\"]",
        "  n1(\"storage<br/>worker<br/>running\")",
        "  n0 --> n1",
        "  n2[\"agents<br/>dynamic<br/>running<br/>1 restart\"]",
        "  n0 --> n2",
        "  n3(\"a-1<br/>worker<br/>running\")",
        "  n2 --> n3",
        "  n4(\"a-2<br/>worker<br/>parked<br/>3 restarts\")",
        "  n2 --> n4",
        "  n5(\"web #34;main#34;<br/>worker<br/>running\")",
        "  n0 --> n5"
      ].join("\n")
    )
  })

  it.prop("law: text has one line for each node, in order, at its depth", [tree], ([tree]) => {
    const lines = SupervisionTree.toText(tree).split("\n")
    const nodes = inOrder(tree)
    assert.lengthOf(lines, nodes.length)
    for (const [index, [node, depth]] of nodes.entries()) {
      const name = (lines[index] ?? "").slice(depth * 3)
      const plain = /^[^\p{Cc}\p{Zl}\p{Zp}]*$/u.test(node.name)
      if (plain) assert.isTrue(name.startsWith(node.name.trimEnd()), `${name} is not ${node.name}`)
      if (depth > 0) assert.match((lines[index] ?? "").slice((depth - 1) * 3), /^[├└]─( |$)/)
    }
  })

  it.prop(
    "law: a Mermaid chart reads back as the tree, its ids unique, whatever the names are",
    [tree],
    ([tree]) => assert.deepStrictEqual(readMermaid(SupervisionTree.toMermaid(tree)), shapeOf(tree)),
    { fastCheck: { numRuns: 500 } }
  )

  it("is drawn however deep it is", () => {
    let deep = worker("leaf")
    for (let depth = 0; depth < 2_000; depth++) deep = { ...worker(`${depth}`), children: [deep] }
    assert.lengthOf(SupervisionTree.toText(deep).split("\n"), 2_001)
  })
})
