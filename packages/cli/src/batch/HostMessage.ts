/**
 * A host message is what a batch and its command host tell each other: plain data, in order, over an IPC channel.
 */
import * as SystemCommand from "@holdfast/core/SystemCommand"
import * as Schema from "effect/Schema"

/** What a batch asks of its host. */
export type Request =
  /** The environment of all commands to follow. */
  | { readonly _tag: "Environment"; readonly env: SystemCommand.Environment }
  | { readonly _tag: "Run"; readonly id: number; readonly options: HostedOptions }
  /** Ends a command that runs; its answer comes when nothing of it is left. */
  | { readonly _tag: "Interrupt"; readonly id: number }

/** The options of a command, but for its environment, with times in milliseconds. */
export interface HostedOptions extends Omit<SystemCommand.CommandOptions, "env" | "timeout" | "killGrace"> {
  readonly timeout?: number
  readonly killGrace?: number
}

/** What a host answers, once to each command. */
export type Answer =
  | { readonly _tag: "Ended"; readonly id: number; readonly result: SystemCommand.CommandResult }
  | { readonly _tag: "Failed"; readonly id: number; readonly error: typeof CommandError.Encoded }
  | { readonly _tag: "Defect"; readonly id: number; readonly detail: string }
  | { readonly _tag: "Interrupted"; readonly id: number }

/** Why a command did not start, in the form in which it is sent. */
export const CommandError = Schema.Union(SystemCommand.CommandNotFound, SystemCommand.CommandFailedToStart)
