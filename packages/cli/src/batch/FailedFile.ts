/**
 * The `--failed` file: the inputs of failed tasks, in the form in which they were given.
 */
import type { TaskStore } from "@holdfast/agents/TaskStore"
import type { StorageError } from "@holdfast/core/StorageError"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import process from "node:process"
import * as Failure from "../Failure.ts"
import * as BatchTask from "./BatchTask.ts"
import * as Input from "./Input.ts"
import type { Prepared } from "./Prepare.ts"

const pageSize = 500

/** Writes the file as a whole, in place of what was there. */
export const write = (
  file: string,
  prepared: Prepared,
  store: TaskStore["Type"]
): Effect.Effect<void, StorageError | Failure.Failure> =>
  Effect.gen(function*() {
    const indices = new Set<number>()
    let after = 0
    while (true) {
      const tasks = yield* store.tasks({ queue: prepared.name, status: "dead", after, limit: pageSize })
      for (const task of tasks) indices.add((yield* BatchTask.resultLine(task)).index)
      after = tasks.at(-1)?.sequence ?? after
      if (tasks.length < pageSize) break
    }
    const { format, tasks } = prepared.input
    const values = tasks.flatMap(({ index, value }) => (indices.has(index) ? [value] : []))
    // A name of its own: another process of the batch may write the same file now.
    const temporary = `${file}.${process.pid}.tmp`
    yield* Effect.try({
      try: () => {
        fs.writeFileSync(temporary, Input.render(format, values))
        fs.renameSync(temporary, file)
      },
      catch: (error) => Failure.file(file, error)
    })
  })
