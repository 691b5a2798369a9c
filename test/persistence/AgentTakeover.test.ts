import { describe, expect, it } from "@effect/vitest"
import * as AgentOperation from "@holdfast/agents/AgentOperation"
import { AgentStore } from "@holdfast/agents/AgentStore"
import { CommitLog } from "@holdfast/agents/CommitLog"
import * as Sqlite from "@holdfast/persistence/Sqlite"
import * as StoreAdmin from "@holdfast/persistence/StoreAdmin"
import * as Takeover from "@holdfast/persistence/Takeover"
import Database from "better-sqlite3"
import * as Effect from "effect/Effect"
import { temporaryStore } from "../support/store-processes.ts"

const count = Takeover.releaseLimit + 1

const agents = Array.from({ length: count }, (_, index) => ({ type: "a", id: `${index}` }))

/** Gives every agent to a node that holds no lock: what a killed one leaves. */
const giveToDeadNode = (filename: string) =>
  Effect.sync(() => {
    const database = new Database(filename)
    database.exec(
      "INSERT INTO nodes (id, epoch, status, batch, heartbeat, heartbeat_at, lease_millis, started_at, schema_version, " +
        "hostname, pid) VALUES ('dead', 'epoch', 'alive', 1, 1, 0, 600000, 0, 3, 'host', 1); " +
        "UPDATE agents SET status = 'live', node = 'dead'"
    )
    database.close()
  })

describe("a takeover of agents", () => {
  it.scopedLive("makes all that a dead node owned passive, with what it had claimed and how often", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryStore
      const layer = Sqlite.layer({ filename, lease: "10 minutes" })
      const [agent] = agents
      if (agent === undefined) return yield* Effect.die("no agent")
      yield* Effect.gen(function*() {
        const log = yield* CommitLog
        yield* log.commit(
          agents.map((agent) => AgentOperation.activateAgent({ ...agent, stateVersionMax: 1, nowMillis: 0 }))
        )
        yield* log.commit([AgentOperation.tellAgent({ to: agent, message: "M", payload: "1", nowMillis: 0 })])
        yield* log.commit([AgentOperation.claimMessages({ ...agent, activation: 1, limit: 1, nowMillis: 0 })])
      }).pipe(Effect.provide(layer))
      yield* giveToDeadNode(filename)
      yield* Effect.gen(function*() {
        const log = yield* CommitLog
        const store = yield* AgentStore
        expect(yield* store.counts).toEqual([{ type: "a", passive: count, live: 0, parked: 0, messages: 1 }])
        const late = AgentOperation.commitMessage({
          ...agent,
          activation: 1,
          base: 0,
          tells: [],
          nowMillis: 0
        })
        expect(yield* Effect.flip(log.commit([late]))).toMatchObject({ _tag: "AgentSuperseded" })
        yield* log.commit([AgentOperation.activateAgent({ ...agent, stateVersionMax: 1, nowMillis: 0 })])
        const [{ messages }] = yield* log.commit([
          AgentOperation.claimMessages({ ...agent, activation: 2, limit: 1, nowMillis: 0 })
        ])
        expect(messages).toMatchObject([{ attempt: 2 }])
        expect((yield* StoreAdmin.check(filename)).nodes).toBe(1)
      }).pipe(Effect.provide(layer))
      expect(yield* StoreAdmin.check(filename)).toMatchObject({ nodes: 0, problems: [] })
    }))
})
