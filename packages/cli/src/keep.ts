/**
 * Run once with each build: lists the tasks of a database, and keeps what V8 has compiled of the command line for that.
 */
import process from "node:process"
import { fileURLToPath } from "node:url"
import * as CompiledFile from "./CompiledFile.ts"
import type * as Main from "./main.ts"

const [database = ""] = process.argv.slice(2)

const lists = [["db", "migrate"], ["ps", "--json"], ["tasks", "list", "--json"]]

await CompiledFile.keep<typeof Main>(
  fileURLToPath(new URL("main.cjs", import.meta.url)),
  async ({ main }) => {
    for (const list of lists) await main([...list, "--db", database], "", (url) => import(url))
  }
)
