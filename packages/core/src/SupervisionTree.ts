/**
 * A supervision tree is what a supervisor and its children are at one moment, as plain data that can be
 * printed.
 */

/** Describes a supervisor or a worker. Names need not be unique. */
export interface TreeNode {
  readonly name: string
  readonly kind: "supervisor" | "worker"
  /** How a supervisor treats its children: `one_for_one`, `dynamic`, and so on. */
  readonly strategy?: string
  readonly status: string
  readonly restarts: number
  /** In the order in which they are started. */
  readonly children: ReadonlyArray<TreeNode>
}

/**
 * Draws a tree for a terminal: a line for each node, the columns aligned, restarts where there were any.
 * What would break the line is written as an escape.
 *
 * @example
 * ```ts
 * import * as SupervisionTree from "@holdfast/core/SupervisionTree"
 *
 * const worker = { kind: "worker", status: "running", restarts: 0, children: [] } as const
 * SupervisionTree.toText({
 *   name: "app",
 *   kind: "supervisor",
 *   strategy: "one_for_one",
 *   status: "running",
 *   restarts: 0,
 *   children: [{ ...worker, name: "storage" }, { ...worker, name: "mail", restarts: 2 }]
 * })
 * // app         one_for_one  running
 * // ├─ storage  worker       running
 * // └─ mail     worker       running  2 restarts
 * ```
 */
export const toText = (tree: TreeNode): string => {
  const rows = Array.from(
    walk(tree),
    ({ lead, node }) => [lead + oneLine(node.name), ...facts(node).map(oneLine)]
  )
  const widths = [0, 1, 2].map((column) =>
    rows.reduce((width, row) => Math.max(width, lengthOf(row[column])), 0)
  )
  return rows.map((row) =>
    row.map((cell, column) => cell + " ".repeat(Math.max(0, (widths[column] ?? 0) - lengthOf(cell))))
      .join("  ").trimEnd()
  ).join("\n")
}

/**
 * Draws a tree as a Mermaid flowchart: supervisors are boxes, workers are rounded. Whatever a name holds is
 * shown as it is.
 *
 * **Source** Mermaid, "Flowcharts": entity codes.
 */
export const toMermaid = (tree: TreeNode): string => {
  const lines = ["flowchart TD"]
  for (const { id, node, parent } of walk(tree)) {
    const label = `"${[node.name, ...facts(node)].map(entities).join("<br/>")}"`
    lines.push(`  n${id}${node.kind === "supervisor" ? `[${label}]` : `(${label})`}`)
    if (parent !== undefined) lines.push(`  n${parent} --> n${id}`)
  }
  return lines.join("\n")
}

// internal

interface Place {
  readonly node: TreeNode
  /** Its number in the walk. */
  readonly id: number
  readonly parent: number | undefined
  /** The branches drawn before the name. */
  readonly lead: string
  /** The branches drawn before its children's own. */
  readonly indent: string
}

// Parents before children, children in order. Keeps its own stack: a tree may be deeper than JavaScript's.
function* walk(root: TreeNode): Generator<Place> {
  const ahead: Array<Omit<Place, "id">> = [{ node: root, parent: undefined, lead: "", indent: "" }]
  for (let id = 0, next = ahead.pop(); next !== undefined; id++, next = ahead.pop()) {
    yield { ...next, id }
    const { children } = next.node
    for (let index = children.length - 1; index >= 0; index--) {
      const node = children[index]
      const last = index === children.length - 1
      if (node === undefined) continue
      ahead.push({
        node,
        parent: id,
        lead: next.indent + (last ? "└─ " : "├─ "),
        indent: next.indent + (last ? "   " : "│  ")
      })
    }
  }
}

const facts = ({ kind, restarts, status, strategy }: TreeNode): ReadonlyArray<string> => [
  strategy ?? kind,
  status,
  ...(restarts > 0 ? [`${restarts} ${restarts === 1 ? "restart" : "restarts"}`] : [])
]

const lengthOf = (text = ""): number => Array.from(text).length

const oneLine = (text: string): string =>
  text.replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]/gu, (character) => `\\u{${codeOf(character).toString(16)}}`)

// A dash, dot or underscore within a word is kept: elsewhere Mermaid may read it as Markdown.
const entities = (text: string): string =>
  text.replaceAll(
    /[^\p{L}\p{N} ._-]|(?<![\p{L}\p{N}])[._-]|[._-](?![\p{L}\p{N}])/gu,
    (character) => `#${codeOf(character)};`
  )

const codeOf = (character: string): number => character.codePointAt(0) ?? 0
