import { ProcessMarker } from "@holdfast/core/node"
import * as Effect from "effect/Effect"
import * as ChildProcess from "node:child_process"
import * as Process from "node:process"

/**
 * A marked process that kills all with its own marker, given as its argument, and prints who is left: itself, an unmarked
 * companion and a marked one in its own group.
 */
const marker = Process.argv[2] ?? ""

const isRunning = (child: ChildProcess.ChildProcess) => child.exitCode === null && child.signalCode === null

const program = Effect.gen(function*() {
  const unmarked = ChildProcess.spawn("sleep", ["1000"], {
    env: { PATH: Process.env["PATH"] },
    stdio: "ignore"
  })
  const marked = ChildProcess.spawn("sleep", ["1000"], { stdio: "ignore" })
  const killed = yield* ProcessMarker.killMarked(marker)
  yield* Effect.sleep("20 millis")
  const report = { killed, unmarked: isRunning(unmarked), marked: isRunning(marked) }
  unmarked.kill("SIGKILL")
  Process.stdout.write(JSON.stringify(report))
})

await Effect.runPromise(program)
