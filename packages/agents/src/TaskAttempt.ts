/**
 * A task attempt runs a claimed task once, in a fiber of its own, and says how that ended.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as ParseResult from "effect/ParseResult"
import * as Encoded from "./Encoded.ts"
import type { ClaimedTask } from "./Task.ts"
import type { TaskQueue } from "./TaskQueue.ts"
import type { AttemptEnd } from "./TaskSettlement.ts"

/** How much of a defect is stored, in UTF-16 units: 64 KiB. */
export const defectLengthMax = 64 * 1024

/** Makes the part of an uninterruptible program interruptible again that may be. */
export type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/**
 * Runs a task and yields its encoded end; what it forked is gone by then.
 *
 * It is `Interrupted` only where the fiber that waits for it was interrupted: a task that interrupts itself, a payload or
 * an outcome that its schema refuses, and an outcome over 1 MiB are defects. Every defect of the task is logged.
 */
export const run = <P, A, E, R>(
  queue: TaskQueue<P, A, E>,
  program: (payload: P, task: ClaimedTask) => Effect.Effect<A, E, R>,
  task: ClaimedTask,
  restore: Restore
): Effect.Effect<AttemptEnd, never, R> =>
  Effect.gen(function*() {
    const payload = yield* Effect.exit(queue.payload.decode(task.payload))
    if (Exit.isFailure(payload)) {
      return defect(`its payload could not be decoded: ${Cause.pretty(payload.cause)}`)
    }
    const fiber = yield* Effect.fork(restore(program(payload.value, task)))
    const awaited = yield* Effect.exit(restore(Fiber.await(fiber)))
    const exit = Exit.isSuccess(awaited) ? awaited.value : yield* Fiber.interrupt(fiber)
    return yield* encodeExit(queue, task, exit, Exit.isFailure(awaited))
  })

const encodeExit = <P, A, E>(
  queue: TaskQueue<P, A, E>,
  task: ClaimedTask,
  exit: Exit.Exit<A, E>,
  stopping: boolean
): Effect.Effect<AttemptEnd> => {
  if (Exit.isSuccess(exit)) return encodeEnd(task, "Success", queue.success.encode(exit.value))
  const failure = Cause.failureOption(exit.cause)
  if (Cause.isDie(exit.cause) || (failure._tag === "None" && !stopping)) {
    const message = `task ${task.id} of queue ${task.queue} ended with a defect`
    return Effect.as(Effect.logError(message, exit.cause), defect(Cause.pretty(exit.cause)))
  }
  return failure._tag === "None"
    ? Effect.succeed({ _tag: "Interrupted" })
    : encodeEnd(task, "Failure", queue.error.encode(failure.value))
}

const defect = (detail: string): AttemptEnd => ({ _tag: "Defect", detail: detail.slice(0, defectLengthMax) })

const encodeEnd = (
  task: ClaimedTask,
  tag: "Success" | "Failure",
  encode: Effect.Effect<string, ParseResult.ParseError>
): Effect.Effect<AttemptEnd> =>
  Effect.tap(encode, (text) => Encoded.checkSize(`outcome of task ${task.id} of queue ${task.queue}`, text))
    .pipe(
      Effect.map((text): AttemptEnd =>
        tag === "Success" ? { _tag: tag, value: text } : { _tag: tag, error: text }
      ),
      Effect.catchAll((error) => Effect.succeed(defect(`its outcome was not stored: ${error.message}`)))
    )
