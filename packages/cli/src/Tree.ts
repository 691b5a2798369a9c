/**
 * Trees drawn with lines, for what is in or under something else.
 */

/** A line, and what is under it. */
export interface Tree {
  readonly label: string
  readonly children: ReadonlyArray<Tree>
}

/** Draws a tree, its root without a line before it. */
export const draw = ({ children, label }: Tree): ReadonlyArray<string> => [
  label,
  ...children.flatMap((child, index) => {
    const isLast = index === children.length - 1
    const [first = "", ...rest] = draw(child)
    return [`${isLast ? "└─" : "├─"} ${first}`, ...rest.map((line) => `${isLast ? "  " : "│ "} ${line}`)]
  })
]
