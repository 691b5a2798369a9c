/**
 * Command hosts start the commands of this process, which holds too much memory to do so quickly itself.
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

/** How many hosts a batch has at the most: 2. A host waits for each start, so that two start half as many more. */
export const hostsMax = 2

/** Starts hosts for so many commands at once; they end with the scope. What ended before is replaced when it is needed. */
export const make = (concurrency: number): Effect.Effect<CommandHost, never, Scope.Scope> =>
  Effect.gen(function*() {
    const slots = yield* Effect.replicateEffect(makeSlot, Math.min(concurrency, hostsMax))
    return { run: (command) => Effect.suspend(() => runIn(leastBusy(slots), command)) }
  })

// internal

/** The place of a host, and how many commands it has been given that have not ended. */
interface Slot {
  host: HostProcess.HostProcess | null
  running: number
  readonly turn: Effect.Semaphore
}

const makeSlot: Effect.Effect<Slot, never, Scope.Scope> = Effect.gen(function*() {
  const turn = yield* Effect.makeSemaphore(1)
  const started = Effect.orElseSucceed(HostProcess.start, () => null)
  return yield* Effect.acquireRelease(
    Effect.map(started, (host): Slot => ({ host, running: 0, turn })),
    ({ host }) => host?.close ?? Effect.void
  )
})

const leastBusy = (slots: ReadonlyArray<Slot>): Slot =>
  slots.reduce((least, slot) => slot.running < least.running ? slot : least)

const runIn = (slot: Slot, command: HostProcess.HostedCommand) => {
  slot.running += 1
  return Effect.ensuring(
    Effect.flatMap(hostOf(slot), (host) => host.run(command)),
    Effect.sync(() => void (slot.running -= 1))
  )
}

const hostOf = (slot: Slot): Effect.Effect<HostProcess.HostProcess, HostProcess.CommandHostFailed> =>
  isRunning(slot.host)
    ? Effect.succeed(slot.host)
    : slot.turn.withPermits(1)(Effect.uninterruptible(replaceEnded(slot)))

const isRunning = (host: HostProcess.HostProcess | null): host is HostProcess.HostProcess =>
  host !== null && !host.hasEnded

/** Somebody else who waited for the same may have done it. */
const replaceEnded = (slot: Slot): Effect.Effect<HostProcess.HostProcess, HostProcess.CommandHostFailed> =>
  Effect.suspend(() =>
    isRunning(slot.host)
      ? Effect.succeed(slot.host)
      : Effect.tap(HostProcess.start, (host) => Effect.sync(() => void (slot.host = host)))
  )
