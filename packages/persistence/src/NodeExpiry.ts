/**
 * Decides which nodes have let their lease expire, from what one observer saw.
 *
 * Clocks of two processes are never compared: a node is expired when its heartbeat counter stood still for a full lease
 * of the observer's monotonic time, in which the observer itself was never late.
 */

/** What was seen of each node: its counter, and since when it stands there. */
export interface Observation {
  readonly atMillis: number | null
  readonly seen: ReadonlyMap<string, Seen>
}

interface Seen {
  readonly epoch: string
  readonly heartbeat: number
  readonly sinceMillis: number
}

/** What is looked at. */
export interface Observed {
  readonly id: string
  readonly epoch: string
  readonly heartbeat: number
  readonly leaseMillis: number
}

/** Nothing seen yet. */
export const initial: Observation = { atMillis: null, seen: new Map() }

/**
 * Takes in one look at the nodes, made at a monotonic time, and says which are expired.
 *
 * An observer that is later than `lateMillis` after its last look was itself stopped or starved: it trusts nothing it
 * saw before.
 */
export const observe = (
  before: Observation,
  nodes: ReadonlyArray<Observed>,
  nowMillis: number,
  lateMillis: number
): { readonly observation: Observation; readonly expired: ReadonlyArray<Observed> } => {
  const late = before.atMillis === null || nowMillis - before.atMillis > lateMillis
  const seen = new Map<string, Seen>()
  const expired: Array<Observed> = []
  for (const node of nodes) {
    const last = before.seen.get(node.id)
    const stands = !late && last !== undefined && last.epoch === node.epoch &&
      last.heartbeat === node.heartbeat
    const sinceMillis = stands ? last.sinceMillis : nowMillis
    seen.set(node.id, { epoch: node.epoch, heartbeat: node.heartbeat, sinceMillis })
    if (nowMillis - sinceMillis >= node.leaseMillis) expired.push(node)
  }
  return { observation: { atMillis: nowMillis, seen }, expired }
}
