/**
 * A host runs the layer that a module exports, on a SQLite file, until it is asked to stop.
 *
 * The command calls it, which is a bundle with an Effect of its own. Only plain data, functions and promises pass between
 * the two, so that the module, its agents and their storage share the Effect that the module itself finds.
 */
import * as AgentRuntime from "@holdfast/agents/AgentRuntime"
import { StorageError } from "@holdfast/core/StorageError"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as os from "node:os"
import process from "node:process"
import * as HostedModule from "./HostedModule.ts"
import * as NodeRows from "./NodeRows.ts"
import * as Sqlite from "./Sqlite.ts"
import * as SqliteReader from "./SqliteReader.ts"

/** What is run, and where. */
export interface Options {
  /** The database file, made where there is none. */
  readonly filename: string
  /** What the module exports: a layer as `layer`, or as its default. */
  readonly exports: HostedModule.Exports
  /** Ends it: agents handle what they have, and then storage is closed. */
  readonly stop: AbortSignal
  /** Called once, when the layer is built. */
  readonly started: (hosting: Hosting) => void
}

/** What a host has started. */
export interface Hosting {
  /** The id of this process's node. */
  readonly node: string
  /** The names of the agents that are registered. */
  readonly agents: ReadonlyArray<string>
}

/**
 * How a host ended.
 *
 * `Stopped`: as asked. `NoLayer`: the module exports none, and nothing was started. `StorageFailed`: storage could not be
 * used. `Failed`: the layer could not be built, typed or by a defect.
 */
export interface Ended {
  readonly _tag: "Stopped" | "NoLayer" | "StorageFailed" | "Failed"
  /** Why, for people; empty when it stopped as asked. */
  readonly message: string
}

/** Runs the module's layer until `stop` is aborted; never rejects. */
export const run = (options: Options): Promise<Ended> => {
  const found = HostedModule.layerOf(options.exports)
  if (Either.isLeft(found)) return Promise.resolve({ _tag: "NoLayer", message: found.left })
  const hosting = Effect.scoped(Effect.zipRight(host(found.right, options), Effect.never))
  return Effect.runPromiseExit(logsApart(hosting), { signal: options.stop }).then(toEnded)
}

// internal

const host = (
  layer: Layer.Layer<never, HostedModule.Thrown, HostedModule.Services>,
  { filename, started }: Options
): Effect.Effect<void, HostedModule.Thrown, Scope.Scope> =>
  Effect.gen(function*() {
    const agents: Array<string> = []
    const runtime = Layer.provideMerge(
      Layer.map(AgentRuntime.layer, named(agents)),
      Sqlite.layer({ filename })
    )
    yield* Layer.build(Layer.provide(layer, runtime))
    started({ node: yield* ownNode(filename), agents: agents.sort() })
  })

/** Writes down what is registered. */
const named = (agents: Array<string>) => (context: Context.Context<AgentRuntime.AgentRuntime>) => {
  const runtime = Context.get(context, AgentRuntime.AgentRuntime)
  const register: typeof runtime.register = (definition, handlers) =>
    Effect.zipLeft(runtime.register(definition, handlers), Effect.sync(() => agents.push(definition.name)))
  return Context.make(AgentRuntime.AgentRuntime, { ...runtime, register })
}

const ownNode = (filename: string): Effect.Effect<string, StorageError> =>
  Effect.scoped(Effect.gen(function*() {
    const reader = yield* SqliteReader.open(filename)
    const rows = yield* reader.read("nodes", () => NodeRows.all())
    const own = rows.filter((row) =>
      row.status === "alive" && row.pid === process.pid && row.hostname === os.hostname()
    )
    return own.at(-1)?.id ?? ""
  }))

/** What the program prints stays on stdout; what Effect logs goes to stderr. */
const logsApart = <A, E, R>(program: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.consoleWith((current) => {
    const { unsafe } = current
    return Effect.withConsole(program, { ...current, unsafe: { ...unsafe, log: unsafe.error } })
  })

const toEnded = (exit: Exit.Exit<never, HostedModule.Thrown>): Ended => {
  if (Exit.isSuccess(exit) || Cause.isInterruptedOnly(exit.cause)) return { _tag: "Stopped", message: "" }
  const failure = Option.getOrNull(Cause.failureOption(exit.cause))
  if (failure === null) return { _tag: "Failed", message: Cause.pretty(exit.cause) }
  const message = HostedModule.describeFailure(failure)
  return { _tag: failure instanceof StorageError ? "StorageFailed" : "Failed", message }
}
