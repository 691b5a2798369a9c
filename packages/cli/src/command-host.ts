/**
 * The command host: a small process that runs the commands of a batch for it.
 *
 * To start a process copies the tables of its parent's memory, and costs twice as much for every 50 MB that it holds: this
 * parent holds little. It ends, and before that all it runs, as soon as the batch does, however the batch ends.
 */
import * as SystemCommand from "@holdfast/core/SystemCommand"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as FiberMap from "effect/FiberMap"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import process from "node:process"
import * as HostMessage from "./batch/HostMessage.ts"

const encodeError = Schema.encodeSync(HostMessage.CommandError)

const parent = Number(process.argv[2])

const program = Effect.scoped(Effect.gen(function*() {
  // As many as the batch runs at once.
  const commands = yield* FiberMap.make<number>()
  const fork = yield* FiberMap.runtime(commands)<never>()
  let env: SystemCommand.Environment = {}
  const listen = (request: HostMessage.Request): void => {
    switch (request._tag) {
      case "Environment":
        env = request.env
        return
      case "Run":
        // A request of the dead starts nothing: whoever took the batch over may run the same task by now.
        if (process.ppid === parent) fork(request.id, run(request.id, { ...request.options, env }))
        return
      case "Interrupt":
        Option.getOrUndefined(FiberMap.unsafeGet(commands, request.id))?.unsafeInterruptAsFork(FiberId.none)
        return
    }
  }
  yield* Effect.async<void>((resume) => {
    process.once("disconnect", () => resume(Effect.void))
    process.on("message", listen)
  })
}))

const run = (id: number, options: SystemCommand.CommandOptions) =>
  Effect.onExit(SystemCommand.run(options), (exit) => Effect.sync(() => send(toAnswer(id, exit))))

const toAnswer = (
  id: number,
  exit: Exit.Exit<SystemCommand.CommandResult, SystemCommand.CommandError>
): HostMessage.Answer => {
  if (exit._tag === "Success") return { _tag: "Ended", id, result: exit.value }
  if (Cause.isInterruptedOnly(exit.cause)) return { _tag: "Interrupted", id }
  const failure = Cause.failureOption(exit.cause)
  return failure._tag === "Some"
    ? { _tag: "Failed", id, error: encodeError(failure.value) }
    : { _tag: "Defect", id, detail: Cause.pretty(exit.cause) }
}

/** What cannot be sent is for nobody: the batch has ended. */
const send = (answer: HostMessage.Answer): void => {
  if (process.connected) process.send?.(answer, undefined, undefined, () => {})
}

await Effect.runPromise(program)
