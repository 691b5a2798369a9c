/**
 * `holdfast db`: brings a database up to date, checks it, and adopts a copy.
 */
import * as Command from "@effect/cli/Command"
import * as StoreAdmin from "@holdfast/persistence/StoreAdmin"
import * as Effect from "effect/Effect"
import * as Failure from "../Failure.ts"
import { Output } from "../Output.ts"
import { db, json, notYet } from "./Shared.ts"

const guarded = <A, R>(filename: string, use: Effect.Effect<A, Parameters<typeof Failure.storage>[1], R>) =>
  /^postgres(ql)?:/.test(filename)
    ? Effect.fail(notYet(filename))
    : Effect.mapError(use, (error) => Failure.storage(filename, error))

const migrate = Command.make("migrate", { db, json }, (options) =>
  Effect.gen(function*() {
    const { from, to } = yield* guarded(options.db, StoreAdmin.migrate(options.db))
    const output = yield* Output
    if (options.json) return yield* output.result(JSON.stringify({ db: options.db, from, to }))
    const what = from === to
      ? `is at schema version ${to} already`
      : `was brought from schema version ${from} to ${to}`
    yield* output.say(`${options.db} ${what}`)
  })).pipe(Command.withDescription("Creates the database, or brings its schema up to date."))

const check = Command.make("check", { db, json }, (options) =>
  Effect.gen(function*() {
    const report = yield* guarded(options.db, StoreAdmin.check(options.db))
    const output = yield* Output
    if (options.json) yield* output.result(JSON.stringify({ db: options.db, ...report }))
    else {
      yield* output.result(
        `${options.db}: schema version ${report.schemaVersion}, SQLite ${report.sqliteVersion}, ` +
          `${report.tasks} tasks in ${report.queues} queues, ${report.bytes} bytes, WAL ${report.walBytes} bytes`
      )
      yield* Effect.forEach(report.problems, (problem) => output.result(`problem: ${problem}`), {
        discard: true
      })
      if (report.problems.length === 0) yield* output.result("no problems found")
    }
    if (report.problems.length > 0) {
      return yield* new Failure.Failure({
        exitCode: Failure.exitCodes.someFailed,
        message: `${report.problems.length} problems found`
      })
    }
  })).pipe(
    Command.withDescription("Checks the file's integrity, its settings, counters, and what dead nodes hold.")
  )

const adopt = Command.make("adopt", { db, json }, (options) =>
  Effect.gen(function*() {
    yield* guarded(options.db, StoreAdmin.adopt(options.db))
    const output = yield* Output
    if (options.json) return yield* output.result(JSON.stringify({ db: options.db, adopted: true }))
    yield* output.say(
      `${options.db} may be used here; see that the store it was copied from is not used any more`
    )
  })).pipe(
    Command.withDescription("Allows a copy of a database to be used in place of the one it was copied from.")
  )

/** `holdfast db`. */
export const dbCommand = Command.make("db").pipe(
  Command.withDescription("Migrates and checks the database."),
  Command.withSubcommands([migrate, check, adopt])
)
