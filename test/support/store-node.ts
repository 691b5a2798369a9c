import { CommitLog } from "@holdfast/agents/CommitLog"
import * as TaskOperation from "@holdfast/agents/TaskOperation"
import { ProcessMarker, SystemCommand } from "@holdfast/core/node"
import * as Command from "@holdfast/persistence/Command"
import * as Sqlite from "@holdfast/persistence/Sqlite"
import type { SqliteConnection } from "@holdfast/persistence/SqliteConnection"
import * as Connection from "@holdfast/persistence/SqliteConnection"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Option from "effect/Option"
import * as ChildProcess from "node:child_process"
import * as Process from "node:process"

/**
 * A node of a store in a process of its own. It joins at once, does what its parent asks over IPC, and reports each time
 * it was fenced; it dies with its parent.
 */

/** How the node is started. */
export interface StoreNodeOptions {
  readonly filename: string
  readonly leaseMillis?: number
  readonly deadlineMillis?: number
  /** What it does to itself before the COMMIT of the n-th transaction that writes tasks. */
  readonly signalBeforeCommit?: { readonly signal: "SIGSTOP" | "SIGKILL"; readonly nth: number }
}

/** What a parent may ask. */
export interface StoreNodeRequests {
  readonly enqueue: {
    readonly in: {
      readonly queue: string
      readonly ids: ReadonlyArray<string>
      readonly attemptsMax?: number
      readonly payload?: string
    }
    readonly out: number
  }
  readonly claim: {
    readonly in: { readonly queue: string; readonly limit: number }
    readonly out: ReadonlyArray<{
      readonly id: string
      readonly node: string
      readonly sequence: number
      readonly activation: number
      readonly attempt: number
    }>
  }
  readonly complete: {
    readonly in: { readonly queue: string; readonly sequence: number; readonly activation: number }
    readonly out: null
  }
  readonly submit: { readonly in: { readonly queue: string }; readonly out: string }
  /** Starts a shell script marked for a node, and yields its pid. */
  readonly startMarked: {
    readonly in: { readonly node: string; readonly script: string }
    readonly out: number
  }
  /** Closes the layer; the process then ends by itself. */
  readonly close: { readonly in: Record<string, never>; readonly out: null }
}

const options = JSON.parse(Process.argv[2] ?? "{}") as StoreNodeOptions

const signalling = (connection: SqliteConnection): SqliteConnection => {
  let touched = false
  return {
    ...connection,
    execute: (statement) => {
      if (statement.sql === "BEGIN IMMEDIATE") touched = false
      if (/\b(UPDATE|INTO) tasks\b/.test(statement.sql)) touched = true
      if (statement.sql === "COMMIT" && touched) beforeCommit()
      return connection.execute(statement)
    }
  }
}

let commits = 0

const beforeCommit = () => {
  commits += 1
  const { signalBeforeCommit } = options
  if (signalBeforeCommit?.nth === commits) Process.kill(Process.pid, signalBeforeCommit.signal)
}

const runtime = ManagedRuntime.make(Sqlite.layerWith({
  filename: options.filename,
  ...(options.leaseMillis === undefined ? {} : { lease: options.leaseMillis }),
  ...(options.deadlineMillis === undefined ? {} : { deadline: options.deadlineMillis })
}, (filename) => signalling(Connection.open(filename))))

const send = (message: unknown) => void Process.send?.(message)

type Requests = {
  readonly [K in keyof StoreNodeRequests]: (
    argument: StoreNodeRequests[K]["in"]
  ) => Effect.Effect<
    StoreNodeRequests[K]["out"],
    { readonly _tag: string; readonly message: string },
    CommitLog
  >
}

const requests: Requests = {
  enqueue: ({ attemptsMax = 3, ids, payload = "null", queue }) =>
    Effect.gen(function*() {
      const log = yield* CommitLog
      const nowMillis = yield* Clock.currentTimeMillis
      const task = { priority: 0, notBeforeMillis: 0, attemptsMax, payload }
      const tasks = ids.map((id) => ({ ...task, id }))
      const [{ enqueued }] = yield* log.commit([TaskOperation.enqueueTasks({ queue, tasks, nowMillis })])
      return enqueued
    }),
  claim: ({ limit, queue }) =>
    Effect.gen(function*() {
      const log = yield* CommitLog
      const nowMillis = yield* Clock.currentTimeMillis
      const [{ tasks }] = yield* log.commit([TaskOperation.claimTasks({ queue, limit, nowMillis })])
      return tasks.map(({ activation, attempt, id, node, sequence }) => ({
        activation,
        attempt,
        id,
        node,
        sequence
      }))
    }),
  complete: ({ activation, queue, sequence }) =>
    Effect.gen(function*() {
      const log = yield* CommitLog
      const nowMillis = yield* Clock.currentTimeMillis
      const settlement = { _tag: "Completed", outcome: `{"_tag":"Success","value":"null"}` } as const
      yield* log.commit([
        TaskOperation.settleTask({ queue, sequence, activation, settlement, nowMillis })
      ])
      return null
    }),
  submit: ({ queue }) => Command.submit(options.filename, { _tag: "RetryTasks", queue, id: null }),
  startMarked: ({ node, script }) =>
    Effect.map(SystemCommand.inheritedEnvironment, (env) => {
      const child = ChildProcess.spawn("/bin/sh", ["-c", script], {
        env: ProcessMarker.mark(env, node),
        stdio: "ignore",
        detached: true
      })
      child.unref()
      return child.pid ?? 0
    }),
  close: () =>
    Effect.sync(() => {
      Process.removeAllListeners("disconnect")
      setImmediate(() => void runtime.dispose().then(() => Process.disconnect()))
      return null
    })
}

const failure = (cause: Cause.Cause<{ readonly _tag: string; readonly message: string }>) => {
  const error = Option.getOrUndefined(Cause.failureOption(cause))
  return error === undefined
    ? { _tag: "Defect", message: Cause.pretty(cause) }
    : { ...error, _tag: error._tag, message: error.message }
}

const answer = async (
  id: number,
  effect: Effect.Effect<unknown, { readonly _tag: string; readonly message: string }, CommitLog>
) => {
  const exit = await runtime.runPromiseExit(effect)
  send(Exit.isFailure(exit) ? { id, error: failure(exit.cause) } : { id, value: exit.value })
}

const reportFences = Effect.forever(
  Effect.flatMap(
    CommitLog,
    (log) => Effect.flatMap(log.fenced, ({ node }) => Effect.sync(() => send({ fenced: node })))
  )
)

Process.on("disconnect", () => Process.exit(1))
Process.on("message", (message: { id: number; method: keyof StoreNodeRequests; argument: never }) => {
  void answer(message.id, requests[message.method](message.argument))
})
void runtime.runPromiseExit(reportFences)
await answer(0, Effect.as(CommitLog, null))
