/**
 * `holdfast agents tell`: puts a message into an agent's inbox.
 */
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as Options from "@effect/cli/Options"
import type { AgentAddress } from "@holdfast/agents/AgentAddress"
import { render } from "@holdfast/agents/AgentAddress"
import * as Encoded from "@holdfast/agents/Encoded"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import process from "node:process"
import { text as textOf } from "node:stream/consumers"
import * as Address from "../agents/Address.ts"
import * as Payload from "../agents/Payload.ts"
import * as Failure from "../Failure.ts"
import { Output } from "../Output.ts"
import { db, json } from "./Shared.ts"

const message = Args.text({ name: "MESSAGE" }).pipe(
  Args.withDescription("The tag of the message, as in the agent's protocol")
)

const payload = Args.text({ name: "JSON" }).pipe(
  Args.withDefault("null"),
  Args.withDescription("The encoded payload, or - to read it from stdin; none by default")
)

const key = Options.text("key").pipe(
  Options.optional,
  Options.withDescription("Told again with the same key, it changes nothing")
)

const delay = Options.text("delay").pipe(
  Options.withPseudoName("TIME"),
  Options.optional,
  Options.withDescription("Hand it out so much later: 500ms, 10s, 5m, 2h, 1d")
)

const description = HelpDoc.blocks([
  HelpDoc.p(
    "Puts a message into an agent's inbox, where it waits until a node that knows the agent handles it. Its payload is " +
      "checked against the schema there: one that does not match becomes a dead letter."
  ),
  HelpDoc.p("holdfast agents tell Counter/c-1 Increment '{\"by\":2}'"),
  HelpDoc.p("holdfast agents tell Mailer/m-1 Send - --key invoice-7 --delay 10m < mail.json")
])

/** `holdfast agents tell`. */
export const tell = Command.make(
  "tell",
  { db, json, key, delay, address: Address.address, message, payload },
  (options) =>
    Effect.gen(function*() {
      const to = yield* Address.parse(options.address)
      const text = yield* read(options.payload)
      const delayMillis = yield* Payload.delayMillis(Option.getOrElse(options.delay, () => "0s"))
      const notBeforeMillis = delayMillis === 0 ? 0 : (yield* Clock.currentTimeMillis) + delayMillis
      const told = yield* Address.visiting(options.db, (guest) =>
        Effect.all({
          counts: guest.agents.store.counts,
          isNew: guest.agents.tell({
            sender: "holdfast agents tell",
            message: {
              to,
              message: options.message,
              payload: text,
              notBeforeMillis,
              ...(Option.isNone(options.key) ? {} : { key: options.key.value })
            }
          }),
          isRunning: Effect.map(guest.nodes, (nodes) => nodes.some(({ running }) => running))
        }))
      const isKnown = told.counts.some(({ type }) => type === to.type)
      yield* report(options, to, { ...told, isKnown })
    })
).pipe(Command.withDescription(description))

const read = (given: string): Effect.Effect<string, Failure.Failure> =>
  Effect.gen(function*() {
    const text = given === "-" ? yield* standardInput : given
    const payload = yield* Either.mapLeft(Payload.check(text), Failure.usage)
    yield* Effect.mapError(Encoded.checkSize("payload", payload), ({ message }) => Failure.usage(message))
    return payload
  })

const standardInput = Effect.tryPromise({
  // A pipe that has nothing yet would refuse to be read in one go.
  try: () => textOf(process.stdin),
  catch: (error) => Failure.file("stdin", error)
})

const report = (
  options: { readonly json: boolean; readonly message: string },
  to: AgentAddress,
  told: { readonly isNew: boolean; readonly isKnown: boolean; readonly isRunning: boolean }
) =>
  Effect.gen(function*() {
    const output = yield* Output
    if (!told.isKnown) {
      yield* output.say(
        `notice: no agent of type ${to.type} is known to this store yet; the message waits for one`
      )
    }
    if (options.json) {
      return yield* output.result(
        JSON.stringify({ ...to, message: options.message, told: told.isNew, nodeRuns: told.isRunning })
      )
    }
    const name = `${options.message} to ${render(to)}`
    if (!told.isNew) return yield* output.say(`${name}: told before under this key; nothing changed`)
    yield* output.say(`${name}: ${told.isRunning ? "told" : "queued; no node runs now"}`)
  })
