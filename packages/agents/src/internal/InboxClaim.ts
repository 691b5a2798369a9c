/**
 * An inbox claim takes durable messages of one agent out of storage into its mailbox. What cannot be handled becomes a dead
 * letter; what was handed out too often and never done parks the agent.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type { AgentError, InvalidPayload, UnknownMessage } from "../AgentError.ts"
import { isAgentError } from "../AgentError.ts"
import * as AgentOperation from "../AgentOperation.ts"
import type { InboxMessage } from "../AgentRecord.ts"
import type { Activation } from "./Activation.ts"
import type { Failure } from "./HandlerFailure.ts"
import type { Envelope } from "./Mailbox.ts"

/** How many messages one claim takes at most. */
const claimMax = 128

/** How long a message waits that failed for no fault of its own; those behind it go before it. */
const retryPause = "1 second"

/** Claims what there is room for. */
export const claim = (
  activation: Activation
): Effect.Effect<ReadonlyArray<Envelope>, AgentOperation.AgentSuperseded> =>
  claimAtMost(activation, Math.min(claimMax, activation.mailbox.room))

/** Claims nothing, and fails where somebody has taken the agent from the activation. */
export const verify = (
  activation: Activation
): Effect.Effect<ReadonlyArray<Envelope>, AgentOperation.AgentSuperseded> => claimAtMost(activation, 0)

const claimAtMost = (
  activation: Activation,
  limit: number
): Effect.Effect<ReadonlyArray<Envelope>, AgentOperation.AgentSuperseded> =>
  Effect.gen(function*() {
    const { host, number } = activation
    const nowMillis = host.nowMillis()
    const operation = AgentOperation.claimMessages({
      ...activation.address,
      activation: number,
      limit,
      nowMillis
    })
    const [{ messages }] = yield* host.log.commit([operation])
    if (limit > 0 && messages.length === limit) activation.inboxWaits = true
    // Those behind it were handed out with it, and may never have been in hand.
    const [first] = messages
    if (first !== undefined && first.attempt > host.attemptsMax) {
      activation.park(handedOut(first))
      return []
    }
    const envelopes: Array<Envelope> = []
    for (const message of messages) {
      const envelope = yield* Effect.either(toEnvelope(activation, message))
      if (envelope._tag === "Right") envelopes.push(envelope.right)
      else yield* bury(activation, message, envelope.left.message)
    }
    return envelopes
  }).pipe(
    // Whoever looks for messages that wait finds these again.
    Effect.catchAll((error) =>
      error._tag === "AgentSuperseded"
        ? Effect.fail(error)
        : Effect.as(Effect.logDebug(`${activation.name}: ${error.message}`), [])
    )
  )

const handedOut = ({ attempt, message, sequence }: InboxMessage): string =>
  `message ${sequence} (${message}) was handed out ${attempt - 1} times and never done`

const toEnvelope = (
  activation: Activation,
  message: InboxMessage
): Effect.Effect<Envelope, UnknownMessage | InvalidPayload> =>
  Effect.gen(function*() {
    const { address, agent } = activation
    const { epoch } = activation
    const codec = yield* agent.message(address, message.message)
    const payload = yield* codec.decodePayload(address, message.payload)
    const envelope: Envelope = {
      rpc: message.message,
      payload,
      key: message.key,
      inbox: message,
      accepted: null,
      answer: (exit) => settle(activation, envelope, message, { epoch, tries: 1 }, exit)
    }
    return envelope
  })

/** Is the life of its agent that a message was handed out to, and how often it was tried there. */
interface Life {
  readonly epoch: number
  readonly tries: number
}

/** Nobody waits for the answer: a failure is kept where people look for it, and one that may pass is tried again. */
const settle = (
  activation: Activation,
  envelope: Envelope,
  message: InboxMessage,
  { epoch, tries }: Life,
  exit: Exit.Exit<unknown, Failure>
): void => {
  // What belongs to an earlier life is claimed again by the present one.
  if (Exit.isSuccess(exit) || activation.epoch !== epoch) return
  const failure = Option.getOrNull(Cause.failureOption(exit.cause))
  const isTransient = failure === null || (isAgentError(failure) && !permanent.has(failure._tag))
  if (!isTransient || tries >= activation.host.attemptsMax) {
    activation.agent.fork(bury(activation, message, detailOf(failure)), null)
    return
  }
  activation.agent.fork(Effect.sleep(retryPause), null).addObserver(() => {
    if (activation.epoch !== epoch) return
    const next: Envelope = {
      ...envelope,
      answer: (end) => settle(activation, next, message, { epoch, tries: tries + 1 }, end)
    }
    activation.post(next)
  })
}

/** What another attempt would meet again. */
const permanent: ReadonlySet<AgentError["_tag"]> = new Set([
  "AskCycle",
  "InvalidPayload",
  "PayloadTooLarge",
  "RefusedInTransaction",
  "StateTooNew",
  "UnknownMessage"
])

const detailOf = (failure: unknown): string => {
  const { _tag = "", message = "" } = Object(failure) as { readonly _tag?: string; readonly message?: string }
  return failure === null ? "its handler was interrupted" : message === "" ? _tag : `${_tag}: ${message}`
}

/** Kept before it leaves the inbox, so that it is in one of the two whenever the process dies. */
const bury = (
  activation: Activation,
  message: InboxMessage,
  detail: string
): Effect.Effect<void> => {
  const { address, host, name } = activation
  const { attempt: attempts, key, message: rpc, payload, sender } = message
  const letter = { address, rpc, payload, key, sender }
  return host.letters.add({
    recipient: name,
    topic: rpc,
    message: letter,
    reason: "failed",
    detail,
    attempts
  }).pipe(
    Effect.zipRight(host.log.commit([AgentOperation.discardMessage(message.sequence)])),
    Effect.zipRight(
      Effect.logWarning(`message ${message.sequence} (${rpc}) to agent ${name} is a dead letter: ${detail}`)
    ),
    Effect.catchAll((error) => Effect.logError(`${name}: ${error.message}`))
  )
}
