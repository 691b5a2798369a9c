import * as AgentOperation from "@holdfast/agents/AgentOperation"
import { AgentStore } from "@holdfast/agents/AgentStore"
import { CommitLog } from "@holdfast/agents/CommitLog"
import * as EntryAccess from "@holdfast/agents/EntryAccess"
import type { EntryChanges } from "@holdfast/agents/EntryOverlay"
import * as Effect from "effect/Effect"

const address = { type: "a", id: "1" }

interface Uncommitted {
  readonly changes: EntryChanges
  landed: boolean
}

/**
 * An agent that handles messages one after another and leaves their commits on the way: each has `land`ed before it is
 * `settle`d, and the agent knows of it only then.
 */
export const makeAgent = Effect.gen(function*() {
  const store = yield* AgentStore
  const log = yield* CommitLog
  yield* log.commit([AgentOperation.activateAgent({ ...address, stateVersionMax: 1, nowMillis: 0 })])
  const uncommitted: Array<Uncommitted> = []
  let base = 0
  const land = (count: number) =>
    Effect.forEach(uncommitted.filter(({ landed }) => !landed).slice(0, count), (message) => {
      const changes = Array.from(message.changes.values())
      const fields = { ...address, activation: 1, base, changes, tells: [], nowMillis: 0 }
      return Effect.map(log.commit([AgentOperation.commitMessage(fields)]), () => {
        base += 1
        message.landed = true
      })
    }, { discard: true })
  return {
    /** Handles a message; what a failed one has changed is dropped. */
    handle: <A, E, R>(
      use: (agent: { readonly entries: EntryAccess.EntryAccess }) => Effect.Effect<A, E, R>
    ): Effect.Effect<A, E, R> => {
      const draft = new Map<string, AgentOperation.EntryChange>()
      const entries = EntryAccess.make({
        store,
        address,
        pending: () => uncommitted.map(({ changes }) => changes),
        draft: () => draft
      })
      return Effect.tap(use({ entries }), () => {
        if (draft.size > 0) uncommitted.push({ changes: draft, landed: false })
      })
    },
    land,
    /** Learns of the oldest commits, which land at the latest now. */
    settle: (count: number) =>
      Effect.map(land(uncommitted.slice(0, count).filter(({ landed }) => !landed).length), () => {
        uncommitted.splice(0, count)
      }),
    /** Writes entries as they are. */
    write: (changes: ReadonlyArray<AgentOperation.EntryChange>) =>
      Effect.map(
        log.commit([
          AgentOperation.commitMessage({ ...address, activation: 1, base, changes, tells: [], nowMillis: 0 })
        ]),
        () => {
          base += 1
        }
      ),
    /** Everything that is stored of a collection. */
    stored: (collection: string) => store.entries(address, collection, { limit: 1_000 })
  }
})
