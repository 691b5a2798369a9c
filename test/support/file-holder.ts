import Database from "better-sqlite3"
import * as Effect from "effect/Effect"
import Process from "node:process"

/** Holds a file's write lock, in one endless transaction or in many short ones, without being a node of its store. */
const [file = "", holdMillis = ""] = Process.argv.slice(2)

/** How long it leaves the file alone in between. */
const gapMillis = 5

const database = new Database(file, { timeout: 5_000 })

const statement = (sql: string) => Effect.sync(() => void database.exec(sql))

const said = Effect.sync(() => void Process.stdout.write("holding\n"))

const holdAgainAndAgain = Effect.forever(
  statement("COMMIT").pipe(
    Effect.delay(Number(holdMillis)),
    Effect.zipRight(Effect.delay(statement("BEGIN IMMEDIATE"), gapMillis))
  )
)

await Effect.runPromise(
  statement("BEGIN IMMEDIATE").pipe(
    Effect.zipRight(said),
    Effect.zipRight(holdMillis === "" ? Effect.never : holdAgainAndAgain)
  )
)
