/**
 * The commands about agents that a node carries out: `holdfast agents restart`, `park`, `resume` and `discard`.
 */
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import type { AgentAddress } from "@holdfast/agents/AgentAddress"
import { render } from "@holdfast/agents/AgentAddress"
import type { StorageError } from "@holdfast/core/StorageError"
import type { AgentCommand } from "@holdfast/persistence/AgentCommand"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Address from "../agents/Address.ts"
import * as Failure from "../Failure.ts"
import type { Guest } from "../Guest.ts"
import { Output } from "../Output.ts"
import { db, json } from "./Shared.ts"

const options = { db, json, address: Address.address }

/** `holdfast agents restart`. */
export const restart = Command.make("restart", options, (given) =>
  carryOut(given, {
    done: "restarted",
    undone: "it is not live any more",
    check: (guest, address) =>
      Effect.flatMap(Address.requireAgent(guest, address), ({ status }) =>
        status === "live" ? Effect.void : Effect.fail(Failure.conflict(
          `agent ${render(address)} is ${status}: ` +
            (status === "parked" ? "resume it" : "the next message activates it from its last commit")
        ))),
    command: (address) => ({ _tag: "RestartAgent", ...address })
  })).pipe(
    Command.withDescription(
      "Ends the present life of a live agent, and what it has in hand; it begins again from its last commit."
    )
  )

const reason = Options.text("reason").pipe(
  Options.withDefault("parked by an operator"),
  Options.withDescription("What those are told who ask it something")
)

/** `holdfast agents park`. */
export const park = Command.make("park", { ...options, reason }, (given) =>
  carryOut(given, {
    done: "parked",
    undone: "it is parked already",
    check: (guest, address) =>
      Effect.gen(function*() {
        const agent = Option.getOrNull(yield* guest.agents.store.get(address))
        if (agent?.status === "parked") {
          return yield* Failure.conflict(`agent ${render(address)} is parked already: ${agent.cause ?? ""}`)
        }
        if (agent === null && (yield* guest.agents.inbox(address)).messages === 0) {
          return yield* Failure.conflict(`there is no agent ${render(address)}, and no message for one`)
        }
      }),
    command: (address) => ({ _tag: "ParkAgent", ...address, cause: given.reason })
  })).pipe(
    Command.withDescription("Parks an agent: nobody activates it until it is resumed. Its messages wait.")
  )

/** `holdfast agents resume`. */
export const resume = Command.make("resume", options, (given) =>
  carryOut(given, {
    done: "resumed",
    undone: "it is not parked any more",
    check: (guest, address) =>
      Effect.flatMap(Address.requireAgent(guest, address), ({ status }) =>
        status === "parked"
          ? Effect.void
          : Effect.fail(Failure.conflict(`agent ${render(address)} is ${status}, not parked`))),
    command: (address) => ({ _tag: "ResumeAgent", ...address })
  })).pipe(
    Command.withDescription(
      "Lets a parked agent go on from its last commit; its messages get all their attempts."
    )
  )

const sequence = Args.integer({ name: "NO" }).pipe(
  Args.withDescription("The number of the message, as agents show gives it")
)

/** `holdfast agents discard`. */
export const discard = Command.make("discard", { ...options, sequence }, (given) =>
  carryOut(given, {
    done: `message ${given.sequence} discarded`,
    undone: `message ${given.sequence} is not in its inbox any more`,
    check: (guest, address) =>
      Effect.flatMap(guest.agents.store.inbox(address, given.sequence - 1, 1), ([message]) =>
        message?.sequence === given.sequence
          ? Effect.void
          : Effect.fail(
            Failure.conflict(`agent ${render(address)} has no message ${given.sequence} in its inbox`)
          )),
    command: (address) => ({ _tag: "DiscardMessage", ...address, sequence: given.sequence })
  })).pipe(
    Command.withDescription(
      "Removes a message from an agent's inbox, for good: one that parks it, for example."
    )
  )

interface Request {
  /** What is said when it is done, and when there was nothing to do any more. */
  readonly done: string
  readonly undone: string
  /** What cannot be done is said at once, whether or not a node runs. */
  readonly check: (
    guest: Guest,
    address: AgentAddress
  ) => Effect.Effect<void, StorageError | Failure.Failure>
  readonly command: (address: AgentAddress) => AgentCommand
}

const carryOut = (
  given: { readonly db: string; readonly json: boolean; readonly address: string },
  request: Request
) =>
  Effect.gen(function*() {
    const address = yield* Address.parse(given.address)
    const outcome = yield* Address.visiting(given.db, (guest) =>
      Effect.zipRight(request.check(guest, address), guest.command(request.command(address))))
    const output = yield* Output
    const name = `agent ${render(address)}`
    if (given.json) {
      yield* output.result(
        JSON.stringify({ ...address, queued: outcome === null, changed: outcome?.changed ?? null })
      )
    } else if (outcome === null) {
      yield* output.say(`${name}: queued; no node has carried it out yet`)
    } else if (outcome.changed > 0) {
      yield* output.say(`${name}: ${request.done}`)
    }
    if (outcome?.changed === 0) {
      return yield* Failure.conflict(`${name}: ${request.undone}`)
    }
  })
