/**
 * What the commands share: common options, and how a guest of the store is opened.
 */
import * as Options from "@effect/cli/Options"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Failure from "../Failure.ts"
import * as Guest from "../Guest.ts"

/** The database when neither `--db` nor `HOLDFAST_DB` names one. */
export const dbDefault = "./holdfast.db"

/** `--db FILE`. */
export const db = Options.text("db").pipe(
  Options.withPseudoName("FILE"),
  Options.withFallbackConfig(Config.nonEmptyString("HOLDFAST_DB")),
  Options.withDefault(dbDefault),
  Options.withDescription("The database (HOLDFAST_DB, else ./holdfast.db)")
)

/** `--json`. */
export const json = Options.boolean("json").pipe(
  Options.withDescription("Write JSON on stdout and nothing else there")
)

/** Uses a store as a guest; what storage refuses becomes a failure of the command. */
export const withGuest = <A, E, R>(
  filename: string,
  use: (guest: Guest.Guest) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | Failure.Failure, Exclude<R, Scope.Scope>> =>
  Effect.scoped(Effect.flatMap(
    Effect.mapError(requireFile(filename, Guest.open(filename)), (error) =>
      error._tag === "Failure" ? error : Failure.storage(filename, error)),
    use
  ))

/** PostgreSQL is not offered yet: say so rather than look for a file of that name. */
const requireFile = <A, E, R>(
  filename: string,
  open: Effect.Effect<A, E, R>
): Effect.Effect<A, E | Failure.Failure, R> =>
  /^postgres(ql)?:/.test(filename) ? Effect.fail(notYet(filename)) : open

/** The failure for a database that is no file. */
export const notYet = (filename: string): Failure.Failure =>
  Failure.usage(`${filename}: this version keeps its database in a SQLite file; name one with --db FILE`)
