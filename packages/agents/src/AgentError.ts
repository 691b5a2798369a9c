/**
 * An agent error says that a message got no answer from its handler, and which agent it was meant for.
 */
import { StorageError } from "@holdfast/core/StorageError"
import * as Schema from "effect/Schema"
import * as AgentAddress from "./AgentAddress.ts"
import { StateTooNew } from "./AgentState.ts"
import { RefusedInTransaction } from "./CommitLog.ts"
import { PayloadTooLarge } from "./Encoded.ts"
import { QueueFull } from "./TaskOperation.ts"

const { render } = AgentAddress
const address = AgentAddress.AgentAddress

/**
 * Says that the handler died: a bug. `detail` is the cause, rendered for people.
 *
 * The agent is restarted from its last commit; nothing of the message was written. Remedy: mend the handler.
 */
export class AgentCrashed extends Schema.TaggedError<AgentCrashed>()("AgentCrashed", {
  address,
  detail: Schema.String
}) {
  override get message(): string {
    return `agent ${render(this.address)} crashed: ${this.detail}`
  }
}

/** Says that the mailbox held `capacity` messages and its overflow is `reject`. Remedy: try again later. */
export class MailboxFull extends Schema.TaggedError<MailboxFull>()("MailboxFull", {
  address,
  capacity: Schema.Number
}) {
  override get message(): string {
    return `the mailbox of agent ${render(this.address)} is full: it holds ${this.capacity} messages`
  }
}

/**
 * Says that an ask was not answered in time. Whether the message was handled is not known.
 *
 * Remedy: give the Rpc a `primaryKey`, so that it can be asked again, or raise `askTimeout`.
 */
export class AskTimeout extends Schema.TaggedError<AskTimeout>()("AskTimeout", {
  address,
  rpc: Schema.String,
  timeoutMillis: Schema.Number
}) {
  override get message(): string {
    return `agent ${render(this.address)} did not answer ${this.rpc} within ${this.timeoutMillis} ms`
  }
}

/**
 * Says that an ask would have waited for its own sender. `path` are the rendered addresses of those who wait, each
 * for the next, from the sender back to itself; nothing was sent.
 *
 * Remedy: `tell` instead of asking somewhere on the path.
 */
export class AskCycle extends Schema.TaggedError<AskCycle>()("AskCycle", {
  address,
  path: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return `asking agent ${render(this.address)} would never end: ${this.path.join(" asks ")}`
  }
}

/** Says that the agent is parked, and why. Remedy: mend what `detail` names, then resume the agent. */
export class AgentParked extends Schema.TaggedError<AgentParked>()("AgentParked", {
  address,
  detail: Schema.String
}) {
  override get message(): string {
    return `agent ${render(this.address)} is parked: ${this.detail}`
  }
}

/** Says that another node owns the agent. Remedy: ask there, or `tell`, which reaches it through its inbox. */
export class AgentElsewhere extends Schema.TaggedError<AgentElsewhere>()("AgentElsewhere", {
  address,
  node: Schema.String
}) {
  override get message(): string {
    return `agent ${render(this.address)} runs on node ${this.node}`
  }
}

/** Says that no definition of that name is registered here. Remedy: provide the layer of its handlers. */
export class AgentNotFound extends Schema.TaggedError<AgentNotFound>()("AgentNotFound", { address }) {
  override get message(): string {
    return `agent ${
      render(this.address)
    } is unknown: no handlers of "${this.address.type}" are registered here`
  }
}

/** Says that the agent's protocol has no such message. Remedy: send one that `known` lists. */
export class UnknownMessage extends Schema.TaggedError<UnknownMessage>()("UnknownMessage", {
  address,
  rpc: Schema.String,
  known: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return `agent ${render(this.address)} has no message "${this.rpc}", only ${this.known.join(", ")}`
  }
}

/**
 * Says that a message does not match its schema. `part` is what of it does not: the `payload` it was sent with, or
 * the `success` or `failure` it was answered with. `issue` is the parse issue, rendered.
 *
 * Remedy: send what the schema says; for an answer, mend the handler.
 */
export class InvalidPayload extends Schema.TaggedError<InvalidPayload>()("InvalidPayload", {
  address,
  rpc: Schema.String,
  part: Schema.Literal("payload", "success", "failure"),
  issue: Schema.String
}) {
  override get message(): string {
    return `the ${this.part} of ${this.rpc} of agent ${render(this.address)} is invalid: ${this.issue}`
  }
}

/**
 * Says that what the message came to was not written, nor anything of it: the commit, or one it was built on, was refused
 * for the reason that `detail` names. The agent goes on from its last commit. Remedy: ask again.
 */
export class CommitRefused extends Schema.TaggedError<CommitRefused>()("CommitRefused", {
  address,
  detail: Schema.String
}) {
  override get message(): string {
    return `what agent ${render(this.address)} did was not committed: ${this.detail}`
  }
}

/** Says that the runtime is shutting down and takes no more messages. Remedy: ask another node, or `tell`. */
export class RuntimeClosed extends Schema.TaggedError<RuntimeClosed>()("RuntimeClosed", { address }) {
  override get message(): string {
    return `agent ${render(this.address)} takes no more messages here: its runtime is shutting down`
  }
}

/**
 * Is why a message got no answer from its handler. `PayloadTooLarge` names the agent in `what`; `QueueFull`,
 * `RefusedInTransaction` and `StorageError` blame no agent.
 */
export const AgentError = Schema.Union(
  AgentCrashed,
  MailboxFull,
  AskTimeout,
  AskCycle,
  AgentParked,
  AgentElsewhere,
  AgentNotFound,
  UnknownMessage,
  InvalidPayload,
  PayloadTooLarge,
  QueueFull,
  StateTooNew,
  CommitRefused,
  RefusedInTransaction,
  RuntimeClosed,
  StorageError
)
export type AgentError = typeof AgentError.Type

/** Whether a failure is one of these, and not of a handler's own kind. */
export const isAgentError: (failure: unknown) => failure is AgentError = Schema.is(AgentError)
