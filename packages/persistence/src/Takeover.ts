/**
 * Takeover finds nodes that died, fences them, ends the commands they left running, and makes what they held claimable.
 */
import * as AgentOperation from "@holdfast/agents/AgentOperation"
import type { CommitError } from "@holdfast/agents/CommitLog"
import * as TaskOperation from "@holdfast/agents/TaskOperation"
import { ProcessMarker } from "@holdfast/core/node"
import type { StorageError } from "@holdfast/core/StorageError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as path from "node:path"
import * as FileLock from "./FileLock.ts"
import { lockFile } from "./Membership.ts"
import * as NodeExpiry from "./NodeExpiry.ts"
import * as NodeOperation from "./NodeOperation.ts"
import * as NodeRows from "./NodeRows.ts"
import type { SqlCommitLog } from "./SqlCommitLog.ts"
import type { SqliteReader } from "./SqliteReader.ts"
import { whileBusy } from "./SqliteReader.ts"

/** How many claims, and how many agents, one batch takes back. */
export const releaseLimit = 1_000

/** One observer's takeovers. */
export interface Takeover {
  /** Looks once at all nodes and takes over from the dead ones. */
  readonly look: Effect.Effect<void, CommitError>
}

/**
 * Makes an observer that looks every `intervalMillis`.
 *
 * A node whose lock can be taken is dead beyond doubt, at once; one whose lock is held and whose heartbeat stands still
 * is dead when its lease is over. Killing what it had started comes before its tasks can be claimed again.
 */
export const make = (
  log: SqlCommitLog,
  reader: SqliteReader,
  filename: string,
  intervalMillis: number
): Takeover => {
  let observation = NodeExpiry.initial
  let swept = false
  const observe = (rows: ReadonlyArray<NodeRows.NodeRow>, nowMillis: number): ReadonlySet<string> => {
    const alive = rows.filter((row) => row.status === "alive")
    const observed = NodeExpiry.observe(observation, alive.map(toObserved), nowMillis, intervalMillis * 2)
    observation = observed.observation
    return new Set(observed.expired.map((node) => node.id))
  }
  const look = Effect.gen(function*() {
    yield* log.renew
    const self = yield* log.node
    const rows = (yield* reader.read("nodes", () => NodeRows.all())).filter((row) => row.id !== self)
    const expired = observe(rows, Number((yield* Clock.currentTimeNanos) / 1_000_000n))
    yield* Effect.forEach(rows, (row) => takeOver(log, filename, row, expired.has(row.id)), { discard: true })
    if (!swept) yield* sweep(filename, rows)
    swept = true
  })
  return { look }
}

const toObserved = (row: NodeRows.NodeRow): NodeExpiry.Observed => ({
  id: row.id,
  epoch: row.epoch,
  heartbeat: row.heartbeat,
  leaseMillis: row.lease_millis
})

const takeOver = (
  log: SqlCommitLog,
  filename: string,
  row: NodeRows.NodeRow,
  expired: boolean
): Effect.Effect<void, CommitError> =>
  Effect.acquireUseRelease(
    proveFree(lockFile(filename, row.id)),
    (proof) =>
      proof === null && row.status === "alive" && !expired ? Effect.void : Effect.gen(function*() {
        if (row.status === "alive") yield* log.port.commit([NodeOperation.markDead(row.id, row.epoch)])
        yield* ProcessMarker.killMarked(row.id)
        yield* releaseAll(log, row.id)
      }),
    (proof) => Effect.sync(() => proof?.release())
  )

const proveFree = (file: string): Effect.Effect<FileLock.FileLock | null, StorageError> =>
  whileBusy("takeover", () => FileLock.proveFree(file))

/**
 * Removes the lock files of dead nodes that have no row: those that were killed before they had joined, or after they
 * were taken over from. Once a process is enough, as they do no harm.
 */
const sweep = (
  filename: string,
  rows: ReadonlyArray<NodeRows.NodeRow>
): Effect.Effect<void, StorageError> => {
  const prefix = path.basename(lockFile(filename, ""))
  const known = new Set(rows.map((row) => row.id))
  const directory = path.dirname(filename)
  return Effect.forEach(
    namesIn(directory).filter((name) => name.startsWith(prefix) && !known.has(name.slice(prefix.length))),
    (name) => Effect.map(proveFree(path.join(directory, name)), (proof) => proof?.release()),
    { discard: true }
  )
}

/** None where the directory may not be listed. */
const namesIn = (directory: string): ReadonlyArray<string> => {
  try {
    return fs.readdirSync(directory)
  } catch {
    return []
  }
}

/** Ends: each round takes tasks or agents off the node, and a dead node claims no new ones. */
const releaseAll = (log: SqlCommitLog, node: string): Effect.Effect<void, CommitError> =>
  Effect.gen(function*() {
    const nowMillis = yield* Clock.currentTimeMillis
    const release = TaskOperation.releaseClaims({ node, limit: releaseLimit, nowMillis })
    const agents = AgentOperation.releaseAgents({ node, limit: releaseLimit, nowMillis })
    const released = yield* log.port.commit([release, agents])
    if (released.includes(releaseLimit)) return yield* releaseAll(log, node)
    yield* log.port.commit([NodeOperation.removeDead(node)])
  })
