/**
 * Prepares a batch: checks its input and command before anything starts, and puts its tasks into their queue.
 */
import type { CommitError, CommitLog } from "@holdfast/agents/CommitLog"
import * as Queue from "@holdfast/agents/Queue"
import type { VersionConflict } from "@holdfast/agents/TaskOperation"
import * as TaskQueue from "@holdfast/agents/TaskQueue"
import type { TaskStore } from "@holdfast/agents/TaskStore"
import type { StorageError } from "@holdfast/core/StorageError"
import * as SystemCommand from "@holdfast/core/SystemCommand"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as fs from "node:fs"
import * as path from "node:path"
import process from "node:process"
import { buffer } from "node:stream/consumers"
import * as Failure from "../Failure.ts"
import type { BatchOptions } from "./BatchOptions.ts"
import * as BatchTask from "./BatchTask.ts"
import * as Identity from "./Identity.ts"
import * as Input from "./Input.ts"
import * as Template from "./Template.ts"

/** A batch whose input and command are in order. */
export interface Prepared {
  readonly name: string
  readonly input: Input.Input
  readonly label: Identity.Label
  readonly template: Template.Template
}

/** Reads and checks everything that can be wrong before a task runs; writes nothing. */
export const check = (options: BatchOptions): Effect.Effect<Prepared, Failure.Failure> =>
  Effect.gen(function*() {
    const template = Template.parse(options.command.argv)
    const source = options.tasks === "-" ? "stdin" : options.tasks
    const input = yield* toFailure(Input.parse(source, yield* readInput(options.tasks)))
    yield* checkProgram(template, options)
    yield* checkFiles(options)
    for (const task of input.tasks) {
      const problem = Either.flatMap(Template.render(template, task), () => priorityOf(options, task.value))
      if (Either.isLeft(problem)) return yield* Failure.usage(`${source}:${task.line}: ${problem.left}`)
    }
    const name = options.name ?? Identity.defaultName(options.tasks, process.cwd(), options.command)
    return { name, input, template, label: Identity.label(input, options.command) }
  })

/** Puts the tasks into the batch's queue where they are not there yet; says how many had finished before. */
export const load = (
  prepared: Prepared,
  options: BatchOptions
): Effect.Effect<number, Failure.Failure | CommitError, CommitLog | TaskStore> =>
  Effect.gen(function*() {
    const queue = yield* TaskQueue.stats(prepared.name)
    if (queue.version === 0) yield* put(prepared, 0)
    else if (options.restart) yield* clear(prepared, queue)
    else yield* requireSame(prepared, queue)
    if (!(yield* TaskQueue.stats(prepared.name)).sealed) yield* enqueueAll(prepared, options)
    const { completed, dead, skipped } = (yield* TaskQueue.stats(prepared.name)).counts
    return completed + dead + skipped
  }).pipe(Effect.catchTag("VersionConflict", () => load(prepared, { ...options, restart: false })))

/** Fails when the batch is not what it was when it was loaded: it was begun anew by another process meanwhile. */
export const requireUnchanged = (
  prepared: Prepared
): Effect.Effect<void, Failure.Failure | StorageError, TaskStore> =>
  Effect.flatMap(TaskQueue.stats(prepared.name), (queue) => {
    const count = Object.values(queue.counts).reduce((sum, count) => sum + count, 0)
    return queue.sealed && count === prepared.label.tasks
      ? requireSame(prepared, queue)
      : Effect.fail(begunAnew(prepared))
  })

/** The failure of a process whose batch was begun anew by another one. */
export const begunAnew = ({ name }: Prepared): Failure.Failure =>
  Failure.conflict(`batch ${name} was begun anew by another process (--restart)`)

const toFailure = <A>(either: Either.Either<A, string>) => Either.mapLeft(either, Failure.usage)

const readInput = (name: string): Effect.Effect<Uint8Array, Failure.Failure> =>
  Effect.tryPromise({
    // A pipe that has nothing yet would refuse to be read in one go.
    try: async () => name === "-" ? buffer(process.stdin) : fs.readFileSync(name),
    catch: (error) => Failure.usage(`${name}: ${error instanceof Error ? error.message : String(error)}`)
  })

const checkProgram = (
  template: Template.Template,
  options: BatchOptions
): Effect.Effect<void, Failure.Failure> =>
  Effect.flatMap(SystemCommand.inheritedEnvironment, (environment) => {
    const program = Template.fixedProgram(template)
    const runnable = program === null || options.command.shell ||
      isRunnable(program, environment["PATH"] ?? "")
    return runnable ? Effect.void : Failure.usage(`command not found, or not executable: ${program}`)
  })

const isRunnable = (program: string, searchPath: string): boolean => {
  const directories = program.includes("/") ? [""] : searchPath.split(path.delimiter)
  return directories.some((directory) => {
    const file = path.join(directory, program)
    try {
      fs.accessSync(file, fs.constants.X_OK)
      return fs.statSync(file).isFile()
    } catch (error) {
      if (error instanceof Error && "code" in error) return false
      throw error
    }
  })
}

/** What is written must be a file of its own, at a place that can be written. */
const checkFiles = ({ failed, out, tasks }: BatchOptions): Effect.Effect<void, Failure.Failure> => {
  const given = [["--out", out], ["--failed", failed]] as const
  const taken = new Map([[realPath(tasks), "the tasks"]])
  for (const [option, file] of given) {
    if (file === null) continue
    const other = taken.get(realPath(file))
    if (other !== undefined) return Effect.fail(Failure.usage(`${option} ${file}: this file holds ${other}`))
    taken.set(realPath(file), `what ${option} writes`)
    const problem = whyNotWritable(file)
    if (problem !== null) return Effect.fail(Failure.usage(`${option} ${file}: ${problem}`))
  }
  return Effect.void
}

const realPath = (file: string): string => fs.existsSync(file) ? fs.realpathSync(file) : path.resolve(file)

const whyNotWritable = (file: string): string | null => {
  try {
    fs.accessSync(fs.existsSync(file) ? file : path.dirname(file), fs.constants.W_OK)
    return null
  } catch (error) {
    if (error instanceof Error && "code" in error) return error.message
    throw error
  }
}

const priorityOf = (options: BatchOptions, value: Input.TaskValue): Either.Either<number, string> => {
  if (options.priority === null) return Either.right(0)
  if (typeof value === "string") return Either.left("--priority names a field, and this task is plain text")
  const priority = value[options.priority]
  return typeof priority === "number" && Number.isSafeInteger(priority)
    ? Either.right(priority)
    : Either.left(
      `the field "${options.priority}" (--priority) must be a whole number, not ${
        JSON.stringify(priority) ?? "missing"
      }`
    )
}

const put = ({ label, name }: Prepared, base: number) =>
  TaskQueue.put(name, base, {
    ...Queue.defaultSettings,
    sealed: false,
    label: Schema.encodeSync(Identity.Label)(label)
  })

const requireSame = ({ label, name }: Prepared, queue: Queue.Queue): Effect.Effect<void, Failure.Failure> => {
  const known = Option.flatMap(Option.fromNullable(queue.label), Schema.decodeOption(Identity.Label))
  if (Option.isNone(known)) {
    return Effect.fail(Failure.conflict(`${name} is a queue of another kind: choose another --name`))
  }
  const difference = Identity.difference(known.value, label)
  return difference === "" ? Effect.void : Effect.fail(Failure.conflict(
    `batch ${name} exists with another ${difference}: use another --name, or --restart to begin it anew`
  ))
}

const enqueueAll = (
  { input, label, name }: Prepared,
  options: BatchOptions
): Effect.Effect<void, Failure.Failure | CommitError, CommitLog | TaskStore> =>
  TaskQueue.load(
    BatchTask.queue(name, options.retries + 1),
    Stream.map(Stream.fromIterable(input.tasks), ({ index, value }) => ({
      id: String(index),
      payload: { index, task: value, batch: Identity.fingerprint(label) },
      priority: Either.getOrElse(priorityOf(options, value), () => 0)
    }))
  ).pipe(
    Effect.asVoid,
    Effect.catchTags({
      QueueFull: (error) => Failure.conflict(error.message),
      PayloadTooLarge: (error) => Failure.usage(error.message),
      ParseError: (error) => Effect.die(error)
    })
  )

/** Deletes the batch's tasks and labels it anew, unless somebody runs it: nothing is claimed while it is not sealed. */
const clear = (
  prepared: Prepared,
  queue: Queue.Queue
): Effect.Effect<void, Failure.Failure | CommitError | VersionConflict, CommitLog | TaskStore> =>
  Effect.gen(function*() {
    const { name } = prepared
    yield* TaskQueue.put(name, queue.version, { ...settingsOf(queue), sealed: false })
    const held = yield* TaskQueue.stats(name)
    if (held.counts.running > 0) {
      yield* TaskQueue.put(name, held.version, settingsOf(queue))
      return yield* Failure.conflict(
        `batch ${name} is being run by another process: stop it before --restart`
      )
    }
    yield* TaskQueue.purge(name)
    yield* put(prepared, held.version)
  })

const settingsOf = (
  { errorThreshold, label, paused, sealed, sizeMax }: Queue.Queue
): Queue.QueueSettings => ({
  errorThreshold,
  label,
  paused,
  sealed,
  sizeMax
})
