import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as ChildProcess from "node:child_process"
import * as FileSystem from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import Process from "node:process"
import * as Readline from "node:readline"
import { fileURLToPath } from "node:url"
import { eventually, readIfPresent } from "./command-processes.ts"
import type { StoreNodeOptions, StoreNodeRequests } from "./store-node.ts"

/** What a node in another process answered instead of a result. */
export class RemoteError extends Data.TaggedError("RemoteError")<{
  readonly error: {
    readonly _tag: string
    readonly message: string
    readonly reason?: string
    readonly outcome?: string
    readonly detail?: string
  }
}> {
  override get message(): string {
    return this.error.message
  }
}

/** A node of a store in a process of its own. */
export interface StoreNode {
  readonly pid: number
  /** Completes when it has joined the store. */
  readonly joined: Effect.Effect<void, RemoteError>
  readonly ask: <K extends keyof StoreNodeRequests>(
    method: K,
    argument: StoreNodeRequests[K]["in"]
  ) => Effect.Effect<StoreNodeRequests[K]["out"], RemoteError>
  /** The next node id it was fenced under. */
  readonly fenced: Effect.Effect<string>
  readonly signal: (signal: NodeJS.Signals) => Effect.Effect<void>
  /** Completes with the signal that ended it, or its exit code. */
  readonly exited: Effect.Effect<NodeJS.Signals | number>
}

const fixture = (name: string): string => fileURLToPath(new URL(name, import.meta.url))

/** How Node runs a TypeScript fixture from source. */
export const nodeArguments = ["--import", "tsx", "--conditions=@holdfast/source"]

/** The command line of a fixture. */
export const fixtureCommand = (name: string, ...args: ReadonlyArray<string>): ReadonlyArray<string> => [
  Process.execPath,
  ...nodeArguments,
  fixture(name),
  ...args
]

/** A fixture that runs, and writes lines. */
export interface RunningFixture {
  readonly pid: number
  /** Its next line; waits for it. */
  readonly line: Effect.Effect<string>
  readonly signal: (signal: NodeJS.Signals) => Effect.Effect<void>
  /** Completes with the signal that ended it, or its exit code. */
  readonly exited: Effect.Effect<NodeJS.Signals | number>
}

/** Starts a fixture, which is killed when the scope closes. */
export const startFixture = (name: string, ...args: ReadonlyArray<string>) =>
  startProcess(fixtureCommand(name, ...args))

/** Starts a program that writes lines, which is killed when the scope closes. */
export const startProcess = (
  command: ReadonlyArray<string>
): Effect.Effect<RunningFixture, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { child, exited } = yield* spawn(command, ["ignore", "pipe", "inherit"])
    const lines = yield* Queue.unbounded<string>()
    if (child.stdout !== null) {
      Readline.createInterface(child.stdout).on("line", (line) => Queue.unsafeOffer(lines, line))
    }
    return {
      pid: child.pid ?? 0,
      line: Queue.take(lines),
      signal: (signal) => Effect.asVoid(Effect.sync(() => child.kill(signal))),
      exited
    }
  })

/** Runs a fixture to its end and yields its one line; fails on a bad exit. */
export const runFixture = (
  name: string,
  ...args: ReadonlyArray<string>
): Effect.Effect<string, RemoteError> =>
  Effect.scoped(Effect.gen(function*() {
    const running = yield* startFixture(name, ...args)
    const line = yield* Effect.raceFirst(running.line, died(running.exited))
    const how = yield* running.exited
    return how === 0 ? line : yield* died(Effect.succeed(how))
  }))

const spawn = (command: ReadonlyArray<string>, stdio: ChildProcess.StdioOptions) =>
  Effect.gen(function*() {
    const [file = "", ...args] = command
    const exited = yield* Deferred.make<NodeJS.Signals | number>()
    const child = yield* Effect.acquireRelease(
      Effect.sync(() => ChildProcess.spawn(file, args, { stdio })),
      (child) => Effect.zipRight(Effect.sync(() => child.kill("SIGKILL")), Deferred.await(exited))
    )
    // "close" comes when its last line was read, too.
    child.once("close", (code, signal) => Deferred.unsafeDone(exited, Effect.succeed(signal ?? code ?? -1)))
    return { child, exited: Deferred.await(exited) }
  })

/** A directory that is gone when the scope closes. */
export const temporaryDirectory = Effect.acquireRelease(
  Effect.sync(() => FileSystem.mkdtempSync(Path.join(Os.tmpdir(), "holdfast-store-"))),
  (directory) => Effect.sync(() => FileSystem.rmSync(directory, { recursive: true, force: true }))
)

/** A name for a store that does not exist yet. */
export const temporaryStore = Effect.map(temporaryDirectory, (directory) => Path.join(directory, "store.db"))

/** Starts a node in a process of its own, which is killed when the scope closes; does not wait until it has joined. */
export const startNode = (
  options: StoreNodeOptions,
  wrap: (command: ReadonlyArray<string>) => ReadonlyArray<string> = (command) => command
): Effect.Effect<StoreNode, never, Scope.Scope> =>
  Effect.gen(function*() {
    const command = wrap(fixtureCommand("store-node.ts", JSON.stringify(options)))
    const { child, exited } = yield* spawn(command, ["ignore", "inherit", "inherit", "ipc"])
    return converse(child, exited)
  })

/** Starts a node and waits until it has joined. */
export const joinNode = (options: StoreNodeOptions): Effect.Effect<StoreNode, RemoteError, Scope.Scope> =>
  Effect.tap(startNode(options), (node) => node.joined)

type Answer = { readonly value: unknown } | { readonly error: RemoteError["error"] }

type Message = { readonly fenced: string } | ({ readonly id: number } & Answer)

const converse = (
  child: ChildProcess.ChildProcess,
  exited: Effect.Effect<NodeJS.Signals | number>
): StoreNode => {
  const fences = Effect.runSync(Queue.unbounded<string>())
  const answers = new Map<number, Deferred.Deferred<never, RemoteError>>()
  const answerTo = (id: number) => {
    const known = answers.get(id)
    if (known !== undefined) return known
    const made = Effect.runSync(Deferred.make<never, RemoteError>())
    answers.set(id, made)
    return made
  }
  child.on("message", (message: Message) => {
    if ("fenced" in message) return void Queue.unsafeOffer(fences, message.fenced)
    Deferred.unsafeDone(
      answerTo(message.id),
      "error" in message
        ? Effect.fail(new RemoteError({ error: message.error }))
        : Effect.succeed(message.value as never)
    )
  })
  const answered = (id: number) => Effect.raceFirst(Deferred.await(answerTo(id)), died(exited))
  let asked = 0
  return {
    pid: child.pid ?? 0,
    joined: answered(0),
    ask: (method, argument) =>
      Effect.suspend(() => {
        asked += 1
        child.send({ id: asked, method, argument })
        return answered(asked)
      }),
    fenced: Queue.take(fences),
    signal: (signal) => Effect.asVoid(Effect.sync(() => child.kill(signal))),
    exited
  }
}

const died = (exited: Effect.Effect<NodeJS.Signals | number>) =>
  Effect.flatMap(
    exited,
    (how) => new RemoteError({ error: { _tag: "Died", message: `the process ended with ${how}` } })
  )

/** The state of a process by its letter in `/proc`; empty when it is gone. */
export const processState = (pid: number): string =>
  /\) (\w) /.exec(readIfPresent(`/proc/${pid}/stat`))?.[1] ?? ""

/** Completes when a process is stopped. */
export const stopped = (pid: number): Effect.Effect<void> => eventually(() => processState(pid) === "T")

/** Stops a node and waits until it stands still. */
export const stop = (node: StoreNode): Effect.Effect<void> =>
  Effect.zipRight(node.signal("SIGSTOP"), stopped(node.pid))

/** Kills a node and waits until it is gone. */
export const kill = (node: StoreNode): Effect.Effect<void> =>
  Effect.asVoid(Effect.zipRight(node.signal("SIGKILL"), node.exited))

/** The first of what must not be empty. */
export const first = <A>(items: ReadonlyArray<A>): A => {
  const [item] = items
  if (item === undefined) throw new Error("expected at least one")
  return item
}
