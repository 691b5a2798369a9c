/**
 * A command host starts the commands of this process, which holds too much memory to do so quickly itself.
 */
import type * as SystemCommand from "@holdfast/core/SystemCommand"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as HostProcess from "./HostProcess.ts"

/** Runs commands in a process of its own. */
export interface CommandHost {
  /**
   * Runs a command as `SystemCommand.run` does.
   *
   * Fails with `CommandHostFailed` where the host was killed meanwhile: nothing of the command runs then.
   */
  readonly run: (
    command: HostProcess.HostedCommand
  ) => Effect.Effect<SystemCommand.CommandResult, HostProcess.HostedError>
}

/** Starts a host that ends with the scope; one that ended before is replaced when the next command comes. */
export const make: Effect.Effect<CommandHost, never, Scope.Scope> = Effect.gen(function*() {
  const turn = yield* Effect.makeSemaphore(1)
  const started = Effect.orElseSucceed(HostProcess.start, () => null)
  const slot = yield* Effect.acquireRelease(
    Effect.map(started, (host): Slot => ({ host })),
    ({ host }) => host?.close ?? Effect.void
  )
  const replace = turn.withPermits(1)(Effect.uninterruptible(replaceEnded(slot)))
  const running = Effect.suspend(() => isRunning(slot.host) ? Effect.succeed(slot.host) : replace)
  return { run: (command) => Effect.flatMap(running, (host) => host.run(command)) }
})

// internal

interface Slot {
  host: HostProcess.HostProcess | null
}

const isRunning = (host: HostProcess.HostProcess | null): host is HostProcess.HostProcess =>
  host !== null && !host.hasEnded

/** Somebody else who waited for the same may have done it. */
const replaceEnded = (slot: Slot): Effect.Effect<HostProcess.HostProcess, HostProcess.CommandHostFailed> =>
  Effect.suspend(() =>
    isRunning(slot.host)
      ? Effect.succeed(slot.host)
      : Effect.tap(HostProcess.start, (host) => Effect.sync(() => void (slot.host = host)))
  )
