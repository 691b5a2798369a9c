import * as Sqlite from "@holdfast/persistence/Sqlite"
import * as Effect from "effect/Effect"
import * as EffectSupervisor from "effect/Supervisor"
import * as AsyncHooks from "node:async_hooks"
import * as FileSystem from "node:fs"
import * as Path from "node:path"
import Process from "node:process"
import { eventually } from "./command-processes.ts"
import { enqueue, ids } from "./store-tasks.ts"

/**
 * Opens and closes a store that often, enqueueing in each so many tasks of 64 KiB, and prints what is left of it at the
 * end. Where a store takes more than a checkpoint's worth, it is closed when it was checkpointed. Nothing ends the
 * process but having nothing left to do.
 */
const [filename = "", cycles = "1", tasks = "1"] = Process.argv.slice(2)

const bytes = Number(tasks) * 65_536
let threads = 0
AsyncHooks.createHook({
  init: (_id, type) => {
    if (type === "WORKER") threads += 1
  }
}).enable()

const sizeOf = (file: string) => FileSystem.statSync(file, { throwIfNoEntry: false })?.size ?? 0

const useOnce = (cycle: number) =>
  Effect.gen(function*() {
    const size = sizeOf(filename)
    const payload = JSON.stringify("x".repeat(65_536))
    yield* Effect.forEach(ids(`cycle-${cycle}`, Number(tasks)), (id) => enqueue("work", [id], { payload }), {
      concurrency: 16
    })
    if (bytes > 4 * 1024 * 1024) yield* eventually(() => sizeOf(filename) > size + bytes)
  }).pipe(Effect.provide(Sqlite.layer({ filename })))

/** What this process holds: descriptors, resources that keep it alive, files beside the store. */
const holdings = () => ({
  descriptors: FileSystem.readdirSync("/proc/self/fd").length,
  resources: Process.getActiveResourcesInfo().length,
  files: FileSystem.readdirSync(Path.dirname(filename))
})

const program = Effect.gen(function*() {
  const supervisor = yield* EffectSupervisor.track
  yield* useOnce(0)
  const before = holdings()
  const uses = Effect.forEach(Array.from({ length: Number(cycles) }, (_, index) => index + 1), useOnce)
  yield* Effect.supervised(uses, supervisor)
  const fibers = yield* supervisor.value
  Process.stdout.write(`${JSON.stringify({ threads, fibers: fibers.length, before, after: holdings() })}\n`)
})

await Effect.runPromise(program)
