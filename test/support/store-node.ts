import { CommitLog } from "@holdfast/agents/CommitLog"
import type { ClaimedTask } from "@holdfast/agents/Task"
import { ProcessMarker, SystemCommand } from "@holdfast/core/node"
import * as Sqlite from "@holdfast/persistence/Sqlite"
import Database from "better-sqlite3"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Option from "effect/Option"
import * as ChildProcess from "node:child_process"
import Process from "node:process"
import * as StoreTasks from "./store-tasks.ts"
import type { Executed } from "./watched-connection.ts"
import { openWatched, tasksWritten } from "./watched-connection.ts"

/**
 * A node of a store in a process of its own. It joins at once, does what its parent asks over IPC, and reports each time
 * it was fenced; it dies with its parent.
 */

/** How the node is started. */
export interface StoreNodeOptions {
  readonly filename: string
  readonly leaseMillis?: number
  readonly deadlineMillis?: number
  /** Whether it gives up the rights of root, where it has them, before it opens the store. */
  readonly unprivileged?: boolean
  /** What it does to itself before the COMMIT of its n-th transaction that writes tasks. */
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
    readonly out: ReadonlyArray<ClaimedTask>
  }
  readonly complete: {
    readonly in: Pick<ClaimedTask, "queue" | "sequence" | "activation">
    readonly out: void
  }
  /** Starts a shell script marked for a node, and yields its pid. */
  readonly startMarked: {
    readonly in: { readonly node: string; readonly script: string }
    readonly out: number
  }
  /** Closes the layer; the process then ends by itself. */
  readonly close: { readonly in: Record<string, never>; readonly out: void }
}

const options = JSON.parse(Process.argv[2] ?? "{}") as StoreNodeOptions

/** What is loaded on first use is loaded before; afterwards this user may not be allowed to. */
if (options.unprivileged === true && Process.getuid?.() === 0) {
  new Database(":memory:").close()
  Process.setgid?.(65_534)
  Process.setuid?.(65_534)
}

let commits = 0

const signalSelf = (statements: ReadonlyArray<Executed>) => {
  if (tasksWritten(statements) === 0) return
  commits += 1
  const { signalBeforeCommit } = options
  if (signalBeforeCommit?.nth === commits) Process.kill(Process.pid, signalBeforeCommit.signal)
}

const runtime = ManagedRuntime.make(Sqlite.layerWith({
  filename: options.filename,
  ...(options.leaseMillis === undefined ? {} : { lease: options.leaseMillis }),
  ...(options.deadlineMillis === undefined ? {} : { deadline: options.deadlineMillis })
}, openWatched(signalSelf)))

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
  enqueue: ({ ids, queue, ...options }) => StoreTasks.enqueue(queue, ids, options),
  claim: ({ limit, queue }) => StoreTasks.claim(queue, limit),
  complete: StoreTasks.complete,
  startMarked: ({ node, script }) =>
    Effect.map(SystemCommand.inheritedEnvironment, (environment) => {
      const env = ProcessMarker.mark(environment, node)
      const child = ChildProcess.spawn("/bin/sh", ["-c", script], { env, stdio: "ignore", detached: true })
      child.unref()
      return child.pid ?? 0
    }),
  close: () =>
    Effect.sync(() => {
      Process.removeAllListeners("disconnect")
      setImmediate(() => void runtime.dispose().then(() => Process.disconnect()))
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
