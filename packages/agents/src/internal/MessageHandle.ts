/**
 * A message handle lets the handler of one message work on its draft; it is of no use once the message is handled.
 */
import type * as Rpc from "@effect/rpc/Rpc"
import type { StartRefused } from "@holdfast/core/ChildError"
import type { ChildSpec } from "@holdfast/core/ChildSpec"
import type { ChildInfo } from "@holdfast/core/Supervisor"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as AgentAddress from "../AgentAddress.ts"
import type { AgentError } from "../AgentError.ts"
import type { Handle } from "../AgentHandle.ts"
import type { AskOptions, Client, Protocol, Teller } from "../AgentProtocol.ts"
import * as EntryAccess from "../EntryAccess.ts"
import * as ProtocolCodec from "../ProtocolCodec.ts"
import type { Item, TaskQueue } from "../TaskQueue.ts"
import * as TaskQueues from "../TaskQueue.ts"
import type { Draft } from "./Draft.ts"
import type { Failure, HandlerFailure } from "./HandlerFailure.ts"
import type { HostedMessage } from "./HostedAgent.ts"
import type { MessageRun } from "./MessageRun.ts"

/** Makes the handle of a message. */
export class MessageHandle implements Handle<unknown> {
  readonly #run: MessageRun

  #entries: EntryAccess.EntryAccess | null = null

  constructor(run: MessageRun) {
    this.#run = run
  }

  get entries(): EntryAccess.EntryAccess {
    const { activation } = this.#run
    return this.#entries ??= EntryAccess.make({
      store: activation.host.store,
      address: activation.address,
      pending: () => activation.uncommittedEntries,
      draft: () => this.#openDraft().effects.entries
    })
  }

  get self(): AgentAddress.AgentAddress {
    return this.#run.activation.address
  }

  get get(): Effect.Effect<unknown> {
    return this.#draft(({ state }) => state)
  }

  set(state: unknown): Effect.Effect<void> {
    return this.#draft((draft) => void (draft.state = state))
  }

  update(change: (state: unknown) => unknown): Effect.Effect<void> {
    return this.#draft((draft) => void (draft.state = change(draft.state)))
  }

  tell<R extends Rpc.Any>(agent: Protocol<R>, id: string): Teller<R> {
    return this.schedule(0, agent, id)
  }

  schedule<R extends Rpc.Any>(delay: Duration.DurationInput, agent: Protocol<R>, id: string): Teller<R> {
    const to = AgentAddress.make(agent.name, id)
    const delayMillis = Duration.toMillis(delay)
    return ofMessages(agent, (rpc, payload) => this.#tell(to, rpc, payload, delayMillis)) as Teller<R>
  }

  ask<R extends Rpc.Any>(agent: Protocol<R>, id: string): Client<R> {
    const to = AgentAddress.make(agent.name, id)
    const { host } = this.#run.activation
    return ofMessages(
      agent,
      (rpc, payload, options) => host.ask(to, rpc._tag, payload, options)
    ) as Client<R>
  }

  enqueue<P, A, E>(queue: TaskQueue<P, A, E>, item: Item<P>): Effect.Effect<void> {
    const operation = Effect.orDie(TaskQueues.enqueueOperation(queue, [item]))
    return Effect.flatMap(
      operation,
      (enqueue) => this.#draft(({ effects }) => void effects.tasks.push(enqueue))
    )
  }

  onCommit<E, R>(effect: Effect.Effect<unknown, E, R>): Effect.Effect<void, E, R> {
    return Effect.contextWithEffect((context: Context.Context<R>) =>
      this.#draft(({ effects }) =>
        void effects.onCommit.push(Effect.provide(effect, context) as Effect.Effect<unknown, HandlerFailure>)
      )
    )
  }

  spawn<R>(spec: ChildSpec<string, never, R>): Effect.Effect<ChildInfo, StartRefused | AgentError, R> {
    return Effect.zipRight(this.#run.beforeLeaving, this.#run.activation.children.spawn(spec))
  }

  #draft<A>(use: (draft: Draft) => A): Effect.Effect<A> {
    return Effect.sync(() => use(this.#openDraft()))
  }

  #openDraft(): Draft {
    if (!this.#run.isOver) return this.#run.draft
    const { name } = this.#run.activation
    throw new Error(`the handle of a message to agent ${name} was used after its handler had ended`)
  }

  #tell(
    to: AgentAddress.AgentAddress,
    rpc: Rpc.Any,
    input: unknown,
    delayMillis: number
  ): Effect.Effect<void> {
    const { host } = this.#run.activation
    const codec = ProtocolCodec.ofMessage(rpc) as unknown as HostedMessage
    return Effect.flatMap(Effect.orDie(codec.construct(to, input)), (payload) => {
      const post = delayMillis > 0 ? null : host.volatileTell(to, rpc._tag, payload)
      if (post !== null) return this.#draft(({ effects }) => void effects.volatileTells.push(post))
      const key = Option.getOrNull(codec.key(payload))
      return Effect.flatMap(
        Effect.orDie(codec.encodePayload(to, payload)),
        (text) =>
          this.#draft(({ effects }) =>
            void effects.tells.push({
              to,
              message: rpc._tag,
              payload: text,
              delayMillis,
              ...(key === null ? {} : { key })
            })
          )
      )
    })
  }
}

// internal

const ofMessages = (
  { protocol }: Protocol<Rpc.Any>,
  send: (rpc: Rpc.Any, payload: unknown, options?: AskOptions) => Effect.Effect<unknown, Failure>
) =>
  Object.fromEntries(
    protocol.map((rpc) => [rpc._tag, (payload: unknown, options?: AskOptions) => send(rpc, payload, options)])
  )
