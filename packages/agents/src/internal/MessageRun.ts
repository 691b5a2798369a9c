/**
 * A message run is one message being handled: its handler on a draft, then the commit, then the answer.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import type { AgentError } from "../AgentError.ts"
import { AgentCrashed } from "../AgentError.ts"
import * as AgentOperation from "../AgentOperation.ts"
import type { Activation } from "./Activation.ts"
import type { CommitFailure } from "./commitErrors.ts"
import { commitRefused, isCommitError } from "./commitErrors.ts"
import { CommitSlot } from "./CommitSlot.ts"
import { Draft } from "./Draft.ts"
import type { Failure } from "./HandlerFailure.ts"
import type { Envelope } from "./Mailbox.ts"
import { MessageHandle } from "./MessageHandle.ts"

const none: ReadonlyArray<never> = []

/** Runs one message in a fiber of its own. */
export class MessageRun {
  readonly activation: Activation
  readonly envelope: Envelope
  /** The commit on its way that the draft was read from; `null` when that state is durable. */
  readonly base: CommitSlot | null
  readonly draft: Draft
  /** Its own commit on its way, where others may be drafted from it. */
  #slot: CommitSlot | null = null
  #isSubmitted = false
  #lost: AgentError | null = null
  #killed = false
  #fiber: Fiber.RuntimeFiber<unknown, Failure | CommitFailure> | null = null
  readonly #epoch: number
  isOver = false

  constructor(activation: Activation, envelope: Envelope) {
    this.activation = activation
    this.envelope = envelope
    this.base = activation.slot
    this.#epoch = activation.epoch
    this.draft = new Draft(activation.state)
  }

  /** Handles the message; the activation hears of it by `release`, and of a bug by `crash`. */
  start(): void {
    const { key, rpc } = this.envelope
    const { agent } = this.activation
    const handler = agent.handlers[rpc]
    const handled = Effect.flatMap(
      Effect.suspend(() =>
        handler?.(this.envelope.payload, new MessageHandle(this)) ?? Effect.dieMessage(`no handler of ${rpc}`)
      ),
      (value) => this.#finish(value)
    )
    this.#fiber = agent.fork(key === null ? handled : this.#unlessAnswered(key, handled), this)
    this.#fiber.addObserver((exit) => this.#ended(exit))
  }

  /** Drops the message for its sender, who has left. What is being committed is. */
  abandon(): void {
    this.#interrupt()
  }

  /** Drops the message, since the state it was drafted from was never committed. */
  lose(error: AgentError): void {
    this.#lost = error
    this.#interrupt()
  }

  /** Drops the message as a crash does. */
  kill(): void {
    this.#killed = true
    this.#interrupt()
  }

  /** Waits until the state that the draft was read from is durable: before that, nothing leaves the agent. */
  get beforeLeaving(): Effect.Effect<void, AgentError> {
    return this.base?.durable ?? Effect.void
  }

  #interrupt(): void {
    if (!this.#isSubmitted) this.#fiber?.unsafeInterruptAsFork(FiberId.none)
  }

  /** One of the same key may be on its way, so what is on its way is waited for. */
  #unlessAnswered<E>(key: string, handled: Effect.Effect<unknown, E>): Effect.Effect<unknown, Failure | E> {
    const { activation, envelope } = this
    const codec = activation.codec(envelope.rpc)
    const onItsWay = activation.isAnswering(key) ? this.beforeLeaving : Effect.void
    return Effect.zipRight(onItsWay, activation.host.store.reply(activation.address, key)).pipe(
      Effect.flatMap((reply): Effect.Effect<unknown, Failure | E> =>
        reply._tag === "None"
          ? handled
          : Effect.flatten(codec.decodeOutcome(activation.address, reply.value.outcome))
      )
    )
  }

  #finish(value: unknown): Effect.Effect<unknown, Failure | CommitFailure> {
    const { activation, envelope } = this
    if (envelope.key === null) return this.#commit(value)
    const outcome = activation.codec(envelope.rpc).encodeOutcome(activation.address, Either.right(value))
    return Effect.flatMap(
      outcome,
      (text) => this.#commit(value, { key: envelope.key ?? "", message: envelope.rpc, outcome: text })
    )
  }

  #commit(
    value: unknown,
    reply?: AgentOperation.CommitMessage["reply"]
  ): Effect.Effect<unknown, Failure | CommitFailure> {
    if (this.#lost !== null) return Effect.fail(this.#lost)
    const { activation, draft, envelope } = this
    const writesState = draft.isChanged && activation.agent.durability !== "none"
    if (!writesState && !draft.hasEffects && reply === undefined && envelope.inbox === null) {
      activation.state = draft.state
      return Effect.succeed(value)
    }
    const state = writesState ? activation.encodeState(draft.state) : Either.right(null)
    return Either.isLeft(state)
      ? state.left._tag === "StateInvalid" ? Effect.die(state.left) : Effect.fail(state.left)
      : this.#write(value, state.right, reply)
  }

  #write(
    value: unknown,
    state: string | null,
    reply: AgentOperation.CommitMessage["reply"]
  ): Effect.Effect<unknown, Failure | CommitFailure> {
    const { activation, draft, envelope } = this
    const nowMillis = activation.host.nowMillis()
    const { wanted } = draft
    const { id, type } = activation.address
    const operation = AgentOperation.commitMessage({
      type,
      id,
      activation: activation.number,
      base: activation.version,
      tells: draft.tellsAt(nowMillis),
      nowMillis,
      // Added where they are there only: this is done for every message.
      ...(state !== null && { state: { version: activation.agent.state.version, value: state } }),
      ...(reply !== undefined && { reply }),
      ...(envelope.inbox !== null && { done: envelope.inbox.sequence }),
      ...(wanted !== null && wanted.entries.size > 0 && { changes: Array.from(wanted.entries.values()) })
    })
    const tasks = wanted?.tasks ?? none
    const onCommit = wanted?.onCommit ?? none
    const operations = tasks.length === 0
      ? [operation]
      : [operation, ...tasks.map((task) => ({ ...task, nowMillis }))]
    this.#isSubmitted = true
    if (!draft.isRefusable) this.#goAhead(value)
    const { log } = activation.host
    const written: Effect.Effect<unknown, Failure | CommitFailure> = onCommit.length === 0
      ? log.commit(operations)
      : log.within(Effect.all(onCommit, { discard: true }), () => operations)
    return Effect.uninterruptible(Effect.as(written, value))
  }

  /** Lets the next message draft from what this one is about to commit. */
  #goAhead(value: unknown): void {
    const { activation, envelope } = this
    this.#slot = new CommitSlot()
    activation.submit(this.#slot, this.draft, envelope.key)
    if (activation.agent.durability !== "commit") envelope.answer(Exit.succeed(value))
    activation.release(this)
  }

  #ended(exit: Exit.Exit<unknown, Failure | CommitFailure>): void {
    this.isOver = true
    if (this.#isSubmitted) this.#committed(exit)
    else if (this.#killed) this.#crash("it was killed")
    else if (this.#lost !== null) this.envelope.answer(Exit.fail(this.#lost))
    else this.#handled(exit)
    this.activation.release(this)
  }

  #committed(exit: Exit.Exit<unknown, Failure | CommitFailure>): void {
    const { activation, draft, envelope } = this
    if (Exit.isSuccess(exit)) {
      if (this.#slot === null) activation.apply(draft)
      this.#slot?.settle(null)
      return this.#succeed(exit.value)
    }
    const failure = Option.getOrNull(Cause.failureOption(exit.cause))
    if (this.#slot === null && !isCommitError(failure)) return this.#handled(exit)
    const error = commitRefused(activation.address, failure ?? Cause.pretty(exit.cause))
    this.#slot?.settle(error)
    activation.lose(error, this.#epoch)
    envelope.answer(Exit.fail(error))
  }

  /** What reads a state answers when that state is durable, in the order of the messages; a bug is told at once. */
  #handled(exit: Exit.Exit<unknown, Failure | CommitFailure>): void {
    if (Exit.isFailure(exit) && Cause.isDie(exit.cause)) return this.#crash(Cause.pretty(exit.cause))
    const answer = (lost: AgentError | null) => {
      if (lost !== null) this.envelope.answer(Exit.fail(lost))
      else if (Exit.isSuccess(exit)) this.#succeed(exit.value)
      else this.#fail(exit)
    }
    if (this.base === null) answer(null)
    else this.base.onSettled(answer)
  }

  #succeed(value: unknown): void {
    this.draft.wanted?.volatileTells.forEach((tell) => tell())
    this.envelope.answer(Exit.succeed(value))
  }

  #fail(exit: Exit.Failure<unknown, Failure | CommitFailure>): void {
    const failure = Cause.failureOption(exit.cause)
    this.envelope.answer(
      failure._tag === "Some" ? Exit.fail(failure.value as Failure) : Exit.interrupt(FiberId.none)
    )
  }

  #crash(detail: string): void {
    const { activation, envelope } = this
    const crashed = new AgentCrashed({ address: activation.address, detail })
    activation.crash(crashed)
    envelope.answer(Exit.fail(crashed))
  }
}
