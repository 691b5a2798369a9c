/**
 * The agents of a store as trees: nodes, the types of agents that each owns, and the agents.
 */
import type { StorageError } from "@holdfast/core/StorageError"
import type { PlacedAgent, Placement } from "@holdfast/persistence/AgentInspection"
import * as Effect from "effect/Effect"
import type { Guest, GuestNode } from "../Guest.ts"
import { oneLine } from "../Table.ts"
import type { Tree } from "../Tree.ts"

/** Agents of one type and status. */
export interface Group extends Pick<Placement, "type" | "status" | "agents"> {
  /** The first of them. */
  readonly shown: ReadonlyArray<PlacedAgent>
}

/** A node, and what it owns. */
export interface NodeGroups {
  readonly node: string
  readonly status: "running" | "gone" | "dead"
  readonly pid: number
  readonly hostname: string
  readonly groups: ReadonlyArray<Group>
}

/** All agents: those that a node owns, and those that none does. */
export interface Forest {
  readonly nodes: ReadonlyArray<NodeGroups>
  readonly unowned: ReadonlyArray<Group>
}

/** Reads where agents are, at most `limit` of each type and status. */
export const read = (guest: Guest, limit: number): Effect.Effect<Forest, StorageError> =>
  Effect.gen(function*() {
    const nodes = yield* guest.nodes
    const groups = yield* Effect.forEach(
      yield* guest.agents.placements,
      (placement) => Effect.map(guest.agents.placed(placement, limit), (shown) => ({ ...placement, shown }))
    )
    const of = (node: string | null) =>
      groups.filter((group) => group.node === node)
        .map(({ agents, shown, status, type }) => ({ type, status, agents, shown }))
    return { nodes: nodes.map((node) => toGroups(node, of(node.id))), unowned: of(null) }
  })

/** What is drawn of them. */
export const toTrees = ({ nodes, unowned }: Forest): ReadonlyArray<Tree> => [
  ...nodes.map(({ groups, hostname, node, pid, status }) => ({
    label: `node ${node}, ${status}, pid ${pid} on ${hostname}`,
    children: groups.map(toTree)
  })),
  { label: "no node", children: unowned.map(toTree) }
]

const toGroups = (node: GuestNode, groups: ReadonlyArray<Group>): NodeGroups => ({
  node: node.id,
  status: node.running ? "running" : node.status === "alive" ? "gone" : "dead",
  pid: node.pid,
  hostname: node.hostname,
  groups
})

const toTree = ({ agents, shown, status, type }: Group): Tree => ({
  label: `${type}: ${agents} ${status}`,
  children: [
    ...shown.map(({ activation, cause, id, version }) => ({
      label: `${type}/${id}, commits ${version}, activations ${activation}` +
        (cause === null ? "" : `: ${oneLine(cause, 80)}`),
      children: []
    })),
    ...(agents > shown.length ? [{ label: `and ${agents - shown.length} more`, children: [] }] : [])
  ]
})
