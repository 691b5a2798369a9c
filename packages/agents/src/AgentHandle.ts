/**
 * An agent handle is what a handler sees of its own agent while it handles one message.
 */
import type * as Rpc from "@effect/rpc/Rpc"
import type { StartRefused } from "@holdfast/core/ChildError"
import type { ChildSpec } from "@holdfast/core/ChildSpec"
import type { ChildInfo } from "@holdfast/core/Supervisor"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type { AgentAddress } from "./AgentAddress.ts"
import type { AgentError } from "./AgentError.ts"
import type { Client, Protocol, Teller } from "./AgentProtocol.ts"
import type { EntryAccess } from "./EntryAccess.ts"
import type { Item, TaskQueue } from "./TaskQueue.ts"

/**
 * Lets a handler read and change a draft of its agent's state, and say what else is to happen.
 *
 * What is buffered (`tell`, `schedule`, `enqueue`, `onCommit`) is committed with the state, all or nothing, when the
 * handler succeeds; it cannot fail by itself. A typed failure or a defect drops it with the draft. A payload that
 * does not match its schema is a defect here: the sender is this handler.
 *
 * **Source** `durability.md`, rules 15 and 16.
 */
export interface Handle<in out S> {
  readonly self: AgentAddress
  /** Reads the draft: the state as the message found it, with what this handler has set. */
  readonly get: Effect.Effect<S>
  readonly set: (state: S) => Effect.Effect<void>
  readonly update: (change: (state: S) => S) => Effect.Effect<void>
  /** Reads and changes the agent's durable collections; see `DurableMap` and `DurableQueue`. */
  readonly entries: EntryAccess
  /** Buffers a message to an agent: delivered after any crash, once in effect. */
  readonly tell: <R extends Rpc.Any>(agent: Protocol<R>, id: string) => Teller<R>
  /** Buffers a message that is delivered after a delay, counted from the commit. */
  readonly schedule: <R extends Rpc.Any>(
    delay: Duration.DurationInput,
    agent: Protocol<R>,
    id: string
  ) => Teller<R>
  /**
   * Asks an agent and waits for its answer, once the state this draft was read from is committed. It is no part of
   * this message's transaction: what the other agent did stays done if this handler fails.
   */
  readonly ask: <R extends Rpc.Any>(agent: Protocol<R>, id: string) => Client<R>
  /** Buffers a task. */
  readonly enqueue: <P, A, E>(queue: TaskQueue<P, A, E>, item: Item<P>) => Effect.Effect<void>
  /**
   * Buffers the user's own SQL, run in the transaction that commits this message. It may run twice and commits once.
   * Its failure is the message's, so `E` has to be among the errors of the Rpc.
   */
  readonly onCommit: <E, R>(effect: Effect.Effect<unknown, E, R>) => Effect.Effect<void, E, R>
  /** Starts a supervised child that lives as long as this activation, once the state drafted from is committed. */
  readonly spawn: <R>(
    spec: ChildSpec<string, never, R>
  ) => Effect.Effect<ChildInfo, StartRefused | AgentError, R>
}
