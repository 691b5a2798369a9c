/**
 * Runs a user's module: finds its host, imports both, and hosts the module's layer until somebody asks to stop.
 */
import type { Ended, Hosting, run as host } from "@holdfast/persistence/Host"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Scope from "effect/Scope"
import process from "node:process"
import * as Interruption from "../batch/Interruption.ts"
import type { Load } from "../commands/Run.ts"
import { notYet } from "../commands/Shared.ts"
import * as Failure from "../Failure.ts"
import { Output } from "../Output.ts"
import * as ModuleResolution from "./ModuleResolution.ts"

/** What is run, and where. */
export interface RunOptions {
  readonly module: string
  readonly db: string
  readonly json: boolean
  readonly load: Load
}

/** Runs a module until SIGINT or SIGTERM; what it then ends with is a failure with the exit code. */
export const run = (options: RunOptions): Effect.Effect<never, Failure.Failure, Output> =>
  Effect.gen(function*() {
    const output = yield* Output
    if (/^postgres(ql)?:/.test(options.db)) return yield* notYet(options.db)
    const found = yield* Either.mapLeft(
      ModuleResolution.resolve(options.module),
      (reason) => Failure.usage(`${options.module}: ${reason}`)
    )
    for (const { copies, name } of found.twice) {
      yield* output.say(`${options.module} and its host have a copy of ${name} each: ${copies.join(" and ")}`)
    }
    return yield* Effect.scoped(hostUntilStopped(options, found))
  })

const hostUntilStopped = (
  options: RunOptions,
  found: ModuleResolution.Resolved
): Effect.Effect<never, Failure.Failure, Output | Scope.Scope> =>
  Effect.gen(function*() {
    const output = yield* Output
    const interruption = yield* Interruption.listen
    const stopped = Effect.zipRight(interruption.first, interrupted)
    const [{ run }, exports] = yield* Effect.raceFirst(importBoth(options, found), stopped)
    const stop = new AbortController()
    const started = yield* Deferred.make<Hosting>()
    yield* Effect.forkScoped(Effect.zipRight(
      interruption.first,
      Effect.zipRight(
        output.say("stopping: agents handle what they have; again to stop at once"),
        Effect.sync(() => stop.abort())
      )
    ))
    yield* Effect.forkScoped(Effect.flatMap(Deferred.await(started), (hosting) => announce(options, hosting)))
    const hosted = Effect.promise(() =>
      run({
        filename: options.db,
        exports,
        stop: stop.signal,
        started: (hosting) => Deferred.unsafeDone(started, Effect.succeed(hosting))
      })
    )
    const ended = yield* Effect.raceFirst(hosted, Effect.zipRight(interruption.second, interrupted))
    return yield* toFailure(options, ended)
  })

const interrupted = Effect.fail(
  new Failure.Failure({ exitCode: Failure.exitCodes.interrupted, message: "" })
)

const importBoth = ({ load, module }: RunOptions, found: ModuleResolution.Resolved) =>
  Effect.all([
    importFrom<{ readonly run: typeof host }>(load, found.host, ModuleResolution.hostModule),
    importFrom<Readonly<Record<string, unknown>>>(load, found.module, module)
  ])

/** The type is what the file at that address promises. */
const importFrom = <A>(load: Load, url: string, name: string): Effect.Effect<A, Failure.Failure> =>
  Effect.tryPromise({
    try: () => load(url) as Promise<A>,
    catch: (error) => Failure.usage(`${name}: ${importProblem(error)}`)
  })

const importProblem = (error: unknown): string => {
  if (!(error instanceof Error)) return `it threw ${String(error)}`
  const code = "code" in error ? error.code : ""
  return code === "ERR_UNKNOWN_FILE_EXTENSION"
    ? `Node ${process.versions.node} does not read it: compile it to JavaScript, use Node 22.18 or newer for TypeScript, ` +
      `or give Node a loader, such as NODE_OPTIONS="--import tsx"`
    : error.stack ?? error.message
}

const announce = ({ db, json, module }: RunOptions, { agents, node }: Hosting) =>
  Effect.flatMap(Output, (output) =>
    json
      ? output.result(JSON.stringify({ module, db, node, pid: process.pid, agents }))
      : output.say(
        `node ${node} hosts ${
          agents.length === 0 ? "no agents" : agents.join(", ")
        } on ${db}; SIGINT or SIGTERM stops it`
      ))

const toFailure = ({ db, module }: RunOptions, { _tag, message }: Ended): Failure.Failure => {
  switch (_tag) {
    case "Stopped":
      return new Failure.Failure({
        exitCode: Failure.exitCodes.interrupted,
        message: "stopped; all is saved, and the same command goes on"
      })
    case "NoLayer":
      return Failure.usage(`${module}: ${message}`)
    case "StorageFailed":
      return new Failure.Failure({ exitCode: Failure.exitCodes.storage, message: `${db}: ${message}` })
    case "Failed":
      return new Failure.Failure({
        exitCode: Failure.exitCodes.someFailed,
        message: `${module}: its layer could not be built: ${message}`
      })
  }
}
