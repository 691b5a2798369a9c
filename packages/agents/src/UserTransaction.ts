/**
 * A user transaction runs a user's effect before a deadline, marked so that what must not be done inside it can be refused.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { currentTransaction, transactionDeadline, TransactionTimeout } from "./CommitLog.ts"

/**
 * Runs `user` in a fiber of its own, which can be interrupted whatever the caller's region, and yields how it ended.
 *
 * At the deadline, and when the caller is interrupted, the transaction is over at once: what of `user` does not end then
 * goes on outside of it, until the caller's fiber ends.
 */
export const run = <A, E, R>(
  user: Effect.Effect<A, E, R>,
  deadline: Duration.DurationInput = transactionDeadline
): Effect.Effect<Exit.Exit<A, E | TransactionTimeout>, never, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const transaction = { isOpen: true }
      const marked = Effect.locally(Effect.interruptible(user), currentTransaction, transaction)
      const fiber = yield* Effect.fork(marked)
      const exit = yield* Effect.exit(restore(inTime(fiber, deadline)))
      transaction.isOpen = false
      if (Exit.isFailure(exit)) yield* Fiber.interruptAsFork(fiber, fiber.id())
      return exit
    })
  )

const inTime = <A, E>(fiber: Fiber.Fiber<A, E>, deadline: Duration.DurationInput) =>
  Effect.timeoutFail(Effect.interruptible(Fiber.join(fiber)), {
    duration: deadline,
    onTimeout: () => new TransactionTimeout({ limitMillis: Duration.toMillis(deadline) })
  })
