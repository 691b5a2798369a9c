/**
 * `holdfast tasks`: lists tasks, shows one, and retries those that were given up.
 */
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import type { Task } from "@holdfast/agents/Task"
import { TaskStatus } from "@holdfast/agents/Task"
import type { StorageError } from "@holdfast/core/StorageError"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Failure from "../Failure.ts"
import type { Guest } from "../Guest.ts"
import { Output } from "../Output.ts"
import { iso, oneLine, table, time } from "../Table.ts"
import { db, json, withGuest } from "./Shared.ts"

const queue = Options.text("queue").pipe(
  Options.withAlias("q"),
  Options.withDescription("Only this queue: the name of a batch, for example")
)

const status = Options.choice("status", TaskStatus.literals).pipe(
  Options.optional,
  Options.withDescription("Only tasks that are ready, running, completed, dead or skipped")
)

const since = Options.text("since").pipe(
  Options.optional,
  Options.withPseudoName("TIME"),
  Options.withDescription(
    "Only tasks enqueued since an ISO 8601 time, or within a duration such as 10m, 2h or 1d"
  )
)

const limit = Options.integer("limit").pipe(
  Options.withDefault(100),
  Options.withDescription("At most so many, 100 by default")
)

const after = Options.integer("after").pipe(
  Options.withDefault(0),
  Options.withDescription("Go on behind this number (NO): the last one of the page before")
)

const id = Args.text({ name: "ID" }).pipe(
  Args.withDescription("The task's id; in a batch, its number from 1")
)

const list = Command.make(
  "list",
  { db, json, queue: Options.optional(queue), status, since, limit, after },
  (options) =>
    Effect.gen(function*() {
      const sinceMillis = yield* parseSince(options.since)
      if (options.limit < 1) return yield* Failure.usage("--limit must be at least 1")
      const tasks = yield* withGuest(options.db, (guest) =>
        Effect.mapError(
          guest.tasks.tasks({
            limit: options.limit,
            after: options.after,
            ...optional("queue", options.queue),
            ...optional("status", options.status),
            ...optional("sinceMillis", sinceMillis)
          }),
          (error) => Failure.storage(options.db, error)
        ))
      const output = yield* Output
      const lines = options.json
        ? tasks.map((task) => JSON.stringify(summary(task)))
        : table(headings, tasks.map(row))
      yield* Effect.forEach(lines, output.result, { discard: true })
      const last = tasks.at(-1)
      if (tasks.length === options.limit && last !== undefined && !options.json) {
        yield* output.say(`there may be more: add --after ${last.sequence}`)
      }
    })
).pipe(
  Command.withDescription("Lists tasks in the order they were enqueued. With --json, one object a line.")
)

const show = Command.make("show", { db, json, queue, id }, (options) =>
  Effect.gen(function*() {
    const found = yield* withGuest(options.db, (guest) =>
      Effect.mapError(guest.tasks.task(options.queue, options.id), (error) =>
        Failure.storage(options.db, error)))
    if (Option.isNone(found)) {
      return yield* Failure.conflict(`queue ${options.queue} has no task ${options.id}`)
    }
    const detail = {
      ...summary(found.value),
      payload: parsed(found.value.payload),
      outcome: parsed(found.value.outcome)
    }
    const output = yield* Output
    yield* output.result(JSON.stringify(detail, null, options.json ? undefined : 2))
  })).pipe(Command.withDescription("Shows one task with its payload and what came of its last attempt."))

const retry = Command.make(
  "retry",
  {
    db,
    json,
    queue,
    all: Options.boolean("all").pipe(Options.withDescription("Every dead and skipped task of the queue")),
    yes: Options.boolean("yes").pipe(Options.withDescription("Do not ask: needed with --all")),
    dryRun: Options.boolean("dry-run").pipe(
      Options.withDescription("Say what would be retried, and change nothing")
    ),
    ids: Args.repeated(id)
  },
  (options) =>
    Effect.gen(function*() {
      if (options.all === options.ids.length > 0) {
        return yield* Failure.usage("name tasks by their ID, or all with --all")
      }
      if (options.all && !options.yes && !options.dryRun) {
        return yield* Failure.usage("--all changes many tasks: add --yes, or look first with --dry-run")
      }
      return yield* options.dryRun ? retryDry(options) : retryTasks(options)
    })
).pipe(Command.withDescription("Makes dead and skipped tasks ready again, with all their attempts."))

interface RetryOptions {
  readonly db: string
  readonly json: boolean
  readonly queue: string
  readonly all: boolean
  readonly ids: ReadonlyArray<string>
}

const retryTasks = (options: RetryOptions) =>
  Effect.gen(function*() {
    const output = yield* Output
    const results = yield* withGuest(options.db, (guest) =>
      Effect.mapError(
        Effect.zipRight(
          requireRetryable(guest, options),
          Effect.forEach(options.all ? [null] : options.ids, (id) =>
            Effect.map(
              guest.command({ _tag: "RetryTasks", queue: options.queue, id }),
              (outcome) => ({ id, outcome })
            ))
        ),
        (error) => error._tag === "Failure" ? error : Failure.storage(options.db, error)
      ))
    for (const { id, outcome } of results) {
      const what = id === null ? "every dead and skipped task" : `task ${id}`
      if (options.json) {
        yield* output.result(
          JSON.stringify({ id, queued: outcome === null, retried: outcome?.changed ?? null })
        )
      } else if (outcome === null) {
        yield* output.say(`${what}: queued; no node runs now, the next one retries it`)
      } else yield* output.say(`${what}: ${outcome.changed} made ready again`)
    }
    if (results.some(({ outcome }) => outcome?.changed === 0)) {
      return yield* Failure.conflict("only dead and skipped tasks can be retried")
    }
  })

/** What cannot be retried is said at once, whether or not a node runs. */
const requireRetryable = (
  guest: Guest,
  options: RetryOptions
): Effect.Effect<void, Failure.Failure | StorageError> =>
  Effect.gen(function*() {
    if (Option.isNone(yield* guest.tasks.queue(options.queue))) {
      return yield* Failure.conflict(`there is no queue ${options.queue}`)
    }
    for (const id of options.ids) {
      const task = Option.getOrNull(yield* guest.tasks.task(options.queue, id))
      if (task === null) return yield* Failure.conflict(`queue ${options.queue} has no task ${id}`)
      if (task.status !== "dead" && task.status !== "skipped") {
        return yield* Failure.conflict(
          `task ${id} is ${task.status}: only dead and skipped tasks can be retried`
        )
      }
    }
  })

const retryDry = (options: RetryOptions) =>
  Effect.gen(function*() {
    const output = yield* Output
    const count = yield* withGuest(options.db, (guest) =>
      Effect.mapError(
        Effect.zipRight(requireRetryable(guest, options), guest.tasks.queue(options.queue)),
        (error) => error._tag === "Failure" ? error : Failure.storage(options.db, error)
      ).pipe(Effect.map((queue) => {
        const counts = Option.getOrUndefined(queue)?.counts
        return options.all ? (counts?.dead ?? 0) + (counts?.skipped ?? 0) : new Set(options.ids).size
      })))
    yield* output.result(
      options.json ? JSON.stringify({ wouldRetry: count }) : `${count} tasks would be retried`
    )
  })

/** `holdfast tasks`. */
export const tasks = Command.make("tasks").pipe(
  Command.withDescription("Lists, shows and retries tasks."),
  Command.withSubcommands([list, show, retry])
)

const optional = <K extends string, A>(key: K, value: Option.Option<A>) =>
  (Option.isSome(value) ? { [key]: value.value } : {}) as { readonly [P in K]?: A }

const units: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

const parseSince = (text: Option.Option<string>): Effect.Effect<Option.Option<number>, Failure.Failure> =>
  Effect.gen(function*() {
    if (Option.isNone(text)) return Option.none()
    const [, amount, unit] = /^(\d+)([smhd])$/.exec(text.value) ?? []
    if (amount !== undefined && unit !== undefined) {
      const span = Duration.millis(Number(amount) * (units[unit] ?? 0))
      return Option.some((yield* Clock.currentTimeMillis) - Duration.toMillis(span))
    }
    const at = Date.parse(text.value)
    if (Number.isNaN(at)) {
      return yield* Failure.usage(
        `--since ${text.value}: write an ISO 8601 time, or a duration such as 10m, 2h or 1d`
      )
    }
    return Option.some(at)
  })

const headings = ["NO", "QUEUE", "ID", "STATUS", "ATTEMPT", "ENQUEUED", "STARTED", "FINISHED", "PAYLOAD"]

const row = (task: Task): ReadonlyArray<string | number> => [
  task.sequence,
  task.queue,
  task.id,
  task.status,
  `${task.attempt}/${task.attemptsMax}`,
  time(task.enqueuedAtMillis),
  time(task.startedAtMillis),
  time(task.finishedAtMillis),
  oneLine(task.payload, 60)
]

const summary = (task: Task) => ({
  no: task.sequence,
  queue: task.queue,
  id: task.id,
  status: task.status,
  attempt: task.attempt,
  attemptsMax: task.attemptsMax,
  priority: task.priority,
  notBefore: isoOrNull(task.notBeforeMillis),
  node: task.node,
  enqueuedAt: isoOrNull(task.enqueuedAtMillis),
  startedAt: isoOrNull(task.startedAtMillis),
  finishedAt: isoOrNull(task.finishedAtMillis)
})

const isoOrNull = (millis: number | null): string | null => (millis === null ? null : iso(millis))

const parsed = (text: string | null): unknown => (text === null ? null : JSON.parse(text))
