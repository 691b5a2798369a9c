import Database from "better-sqlite3"
import Process from "node:process"

/** Holds a file's write lock, in one endless transaction or in many short ones, without being a node of its store. */
const [file = "", holdMillis = ""] = Process.argv.slice(2)

const database = new Database(file, { timeout: 5_000 })

/** How long it leaves the file alone in between. */
const gapMillis = 5

const holdForEver = () => {
  database.exec("BEGIN IMMEDIATE")
  setInterval(() => undefined, 1_000)
}

const holdAgainAndAgain = (millis: number) => {
  database.exec("BEGIN IMMEDIATE")
  setTimeout(() => {
    database.exec("COMMIT")
    setTimeout(() => holdAgainAndAgain(millis), gapMillis)
  }, millis)
}

if (holdMillis === "") holdForEver()
else holdAgainAndAgain(Number(holdMillis))
Process.stdout.write("holding\n")
