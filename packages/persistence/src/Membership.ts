/**
 * A membership is one stay of this process in a store: an identity nobody had before, the lock that proves it alive, and
 * the number of its last batch.
 */
import { ProcessTable } from "@holdfast/core/node"
import * as os from "node:os"
import process from "node:process"
import * as FileLock from "./FileLock.ts"
import type { NodeIdentity } from "./NodeRows.ts"
import { StorageFailure } from "./StorageFailure.ts"

/** A stay in the store. */
export interface Membership {
  readonly identity: NodeIdentity
  readonly lock: FileLock.FileLock
  /** The number of the last batch that was committed. */
  batch: number
}

/** The file whose lock proves a node alive. */
export const lockFile = (filename: string, node: string): string => `${filename}.node-${node}`

/** Begins a stay: takes the lock first, so that a row without a held lock is always a dead node's. */
export const make = (
  config: { readonly filename: string; readonly leaseMillis: number },
  nowMillis: number
): Membership => {
  const id = globalThis.crypto.randomUUID()
  const lock = FileLock.tryAcquire(lockFile(config.filename, id))
  if (lock === null) throw new StorageFailure({ reason: "Busy", detail: `the lock of node ${id} is held` })
  return { identity: identityOf(id, config.leaseMillis, nowMillis), lock, batch: 0 }
}

const identityOf = (id: string, leaseMillis: number, startedAtMillis: number): NodeIdentity => ({
  id,
  epoch: globalThis.crypto.randomUUID(),
  hostname: os.hostname(),
  pid: process.pid,
  processStart: ProcessTable.processStat("self")?.started ?? null,
  leaseMillis,
  startedAtMillis
})
