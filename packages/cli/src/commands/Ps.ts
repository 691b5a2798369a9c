/**
 * `holdfast ps`: nodes and queues at a glance.
 */
import * as Command from "@effect/cli/Command"
import type { Queue } from "@holdfast/agents/Queue"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Failure from "../Failure.ts"
import type { GuestNode } from "../Guest.ts"
import { Output } from "../Output.ts"
import { iso, table, time } from "../Table.ts"
import { db, json, withGuest } from "./Shared.ts"

/** `holdfast ps`. */
export const ps = Command.make("ps", { db, json }, (options) =>
  Effect.gen(function*() {
    const { nodes, queues } = yield* withGuest(options.db, (guest) =>
      Effect.mapError(
        Effect.all({ nodes: guest.nodes, queues: guest.tasks.queues }),
        (error) => Failure.storage(options.db, error)
      ))
    const output = yield* Output
    const nowMillis = yield* Clock.currentTimeMillis
    const lines = options.json
      ? [JSON.stringify({ nodes: nodes.map(nodeJson), queues: queues.map(queueJson) })]
      : [
        ...table(nodeHeadings, nodes.map((node) => nodeRow(node, nowMillis))),
        "",
        ...table(queueHeadings, queues.map(queueRow))
      ]
    yield* Effect.forEach(lines, output.result, { discard: true })
  })).pipe(Command.withDescription("Shows the nodes and queues of a database, whether or not anything runs."))

const nodeHeadings = ["NODE", "STATUS", "PID", "HOST", "STARTED", "HEARTBEAT", "BATCHES"]

const nodeRow = (node: GuestNode, nowMillis: number): ReadonlyArray<string | number> => [
  node.id,
  statusOf(node),
  node.pid,
  node.hostname,
  time(node.started_at),
  `${Math.max(0, Math.round((nowMillis - node.heartbeat_at) / 1_000))}s ago`,
  node.batch
]

/** `gone`: its process has died, and nobody has taken over from it yet. */
const statusOf = (node: GuestNode): "running" | "gone" | "dead" =>
  node.running ? "running" : node.status === "alive" ? "gone" : "dead"

const nodeJson = (node: GuestNode) => ({
  id: node.id,
  status: statusOf(node),
  pid: node.pid,
  hostname: node.hostname,
  startedAt: iso(node.started_at),
  heartbeatAt: iso(node.heartbeat_at),
  batches: node.batch
})

const queueHeadings = ["QUEUE", "STATE", "READY", "RUNNING", "COMPLETED", "DEAD", "SKIPPED"]

const stateOf = (queue: Queue): "open" | "paused" | "loading" =>
  queue.paused ? "paused" : queue.sealed ? "open" : "loading"

const queueRow = (queue: Queue): ReadonlyArray<string | number> => [
  queue.name,
  stateOf(queue),
  queue.counts.ready,
  queue.counts.running,
  queue.counts.completed,
  queue.counts.dead,
  queue.counts.skipped
]

const queueJson = (queue: Queue) => ({ name: queue.name, state: stateOf(queue), ...queue.counts })
