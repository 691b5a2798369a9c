/**
 * An activation is one live agent: its mailbox, the state that its next message finds, and where it stands.
 *
 * It has a fiber while it handles a message, and none while it waits for one. `docs/guides/agents.md` draws its states.
 */
import * as Backoff from "@holdfast/core/Backoff"
import type * as Health from "@holdfast/core/Health"
import * as RestartIntensity from "@holdfast/core/RestartIntensity"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import type { AgentAddress } from "../AgentAddress.ts"
import type { AgentElsewhere, AgentError } from "../AgentError.ts"
import { AgentParked, RuntimeClosed } from "../AgentError.ts"
import type { Activated, EntryChange, InboxNotEmpty } from "../AgentOperation.ts"
import * as AgentOperation from "../AgentOperation.ts"
import type { LiveAgent } from "../AgentRuntimeTag.ts"
import type { StateInvalid, StateTooNew } from "../AgentState.ts"
import type { CommitError } from "../CommitLog.ts"
import type { PayloadTooLarge } from "../Encoded.ts"
import type { AgentHost } from "./AgentHost.ts"
import { Children } from "./Children.ts"
import { commitRefused, isAgentRefusal } from "./commitErrors.ts"
import type { CommitSlot } from "./CommitSlot.ts"
import type { Draft } from "./Draft.ts"
import type { HostedAgent, HostedMessage } from "./HostedAgent.ts"
import * as InboxClaim from "./InboxClaim.ts"
import type { Envelope } from "./Mailbox.ts"
import { Mailbox } from "./Mailbox.ts"
import { MessageRun } from "./MessageRun.ts"
import { Presence } from "./Presence.ts"

/** How many messages it handles before other agents have their turn. */
const quantum = 16

/** How long a message may take before its agent is looked after, in milliseconds. */
const verifiedAfterMillis = 500

/** How many commits of one agent may be on their way. */
const uncommittedMax = 256

/**
 * `new`: no message has come yet. `starting`: the claim is on its way. `ready`: it handles messages. `leaving`: it gives the claim up. `ended`: it is
 * forgotten, and another takes its place when a message comes.
 */
type Phase = "new" | "starting" | "ready" | "leaving" | "ended"

/** Makes one that is yet to start. */
export class Activation {
  readonly host: AgentHost
  readonly agent: HostedAgent
  readonly address: AgentAddress
  /** The rendered address. */
  readonly name: string
  readonly mailbox: Mailbox
  /** What its handlers have spawned. */
  readonly children: Children
  /** Raised where what was drafted before is lost. */
  epoch = 0
  /** Which claim of the agent it has. */
  number = 0
  /** What the next message finds: the state as of the latest commit that was submitted. */
  state: unknown = undefined
  version = 0
  /** The latest commit, while it is on its way. */
  slot: CommitSlot | null = null
  /** Whether messages may wait in the inbox that it has not claimed. */
  inboxWaits = false
  isScheduled = false
  /** The changes of durable collections that are on their way, oldest first. */
  readonly uncommittedEntries = new Set<ReadonlyMap<string, EntryChange>>()
  /** Its entry in the directory; `null` where it has no capabilities or there is none. */
  readonly #presence: Presence | null
  /** The keys whose answers are on their way. */
  readonly #uncommittedKeys = new Set<string>()
  #phase: Phase = "new"
  #uncommitted = 0
  #handling: MessageRun | null = null
  #isClaiming = false
  /** Whether it waits before it starts again. */
  #isDelayed = false
  #restarts: RestartIntensity.RestartTimes = []
  #lastActiveAtMillis: number
  #startedAtMillis = 0
  /** Hear that it has ended. While there are any, it leaves as soon as it is idle. */
  #stopping: Array<() => void> = []

  constructor(host: AgentHost, agent: HostedAgent, address: AgentAddress, name: string) {
    this.host = host
    this.agent = agent
    this.address = address
    this.name = name
    this.mailbox = new Mailbox(agent.mailbox.capacity)
    this.children = new Children(host, name)
    this.#presence = host.directory === null || agent.capabilities.length === 0
      ? null
      : new Presence(host.fork, host.directory, this)
    this.#lastActiveAtMillis = host.nowMillis()
  }

  get info(): LiveAgent {
    const busy = this.#handling === null && this.mailbox.size === 0 ? "idle" : "busy"
    return {
      ...this.address,
      status: this.#phase === "ready" ? busy : this.#phase === "starting" ? "starting" : "passivating",
      mailbox: this.mailbox.size,
      uncommitted: this.#uncommitted,
      version: this.version,
      restarts: this.#restartsCounting,
      lastActiveAtMillis: this.#lastActiveAtMillis
    }
  }

  /** How many messages it has: those that wait, and the one in hand. */
  get load(): number {
    return this.mailbox.size + (this.#handling === null ? 0 : 1)
  }

  /** How well it is, for those who look for its capabilities. */
  get health(): Health.Status {
    if (this.#phase === "leaving" || this.#phase === "ended") return "dead"
    return this.#restartsCounting === 0 ? "healthy" : "degraded"
  }

  codec(rpc: string): HostedMessage {
    return Either.getOrThrow(this.agent.message(this.address, rpc))
  }

  encodeState(state: unknown): Either.Either<string, StateInvalid | PayloadTooLarge> {
    return this.agent.state.encode(this.address, state)
  }

  /** Takes a message in. */
  post(envelope: Envelope): void {
    this.mailbox.offer(envelope)
    this.#wake()
  }

  /** Drops a message whose sender has left. */
  abandon(envelope: Envelope): void {
    if (!this.mailbox.remove(envelope) && this.#handling?.envelope === envelope) this.#handling.abandon()
  }

  /** Hears that messages may have come into its inbox. */
  awake(): void {
    this.inboxWaits = true
    this.#wake()
  }

  /** Handles what it can. */
  pump(): void {
    for (let turn = 0; turn < quantum; turn++) {
      if (this.#phase !== "ready" || this.#handling !== null || this.#uncommitted >= uncommittedMax) return
      if (
        this.inboxWaits && !this.#isClaiming && this.mailbox.room > 0 && !this.host.isDraining(this.agent)
      ) {
        this.inboxWaits = false
        this.#claim(InboxClaim.claim(this))
      }
      const envelope = this.mailbox.take()
      if (envelope === null) return this.#idle()
      this.#handling = new MessageRun(this, envelope)
      this.#handling.start()
    }
    this.host.schedule(this)
  }

  /** A message is handled, but for its commit: the next one's turn. */
  release(run: MessageRun): void {
    if (this.#handling !== run) return
    this.#handling = null
    this.#lastActiveAtMillis = this.host.nowMillis()
    if (this.#phase === "starting") this.#start()
    else this.host.schedule(this)
  }

  /** Whether a message of this key was handled and its answer is not durable yet. */
  isAnswering(key: string): boolean {
    return this.#uncommittedKeys.has(key)
  }

  /** A commit of that draft is on its way. */
  submit(slot: CommitSlot, draft: Draft, key: string | null): void {
    const { epoch } = this
    if (key !== null) this.#uncommittedKeys.add(key)
    this.apply(draft)
    this.slot = slot
    this.#uncommitted += 1
    const entries = draft.wanted?.entries
    if (entries !== undefined) this.uncommittedEntries.add(entries)
    slot.onSettled(() => {
      if (entries !== undefined) this.uncommittedEntries.delete(entries)
      if (this.epoch !== epoch) return
      if (key !== null) this.#uncommittedKeys.delete(key)
      this.#uncommitted -= 1
      if (this.slot === slot) this.slot = null
      this.host.schedule(this)
    })
  }

  /** What that draft holds is what the next message finds. */
  apply(draft: Draft): void {
    this.state = draft.state
    this.version += 1
  }

  /** A handler met a bug: restarts from the last commit, or is parked where that was once too often. */
  crash(crashed: AgentError): void {
    if (this.#phase === "ended") return
    const nowMillis = this.host.monotonicMillis()
    const restarts = RestartIntensity.admit(this.agent.supervision, this.#restarts, nowMillis)
    this.#forget()
    if (Option.isNone(restarts)) return this.park(crashed.message)
    this.#restarts = restarts.value
    const { backoff } = this.agent.supervision
    this.host.publish({
      _tag: "Crashed",
      address: this.address,
      cause: crashed.message,
      restarts: restarts.value.length
    })
    if (backoff === null) this.#start()
    else this.#startAfter(backoff, restarts.value.length)
  }

  /** A commit was lost, and with it whatever was drafted from it since. */
  lose(error: AgentError, epoch: number): void {
    if (this.epoch !== epoch || this.#phase === "ended") return
    this.#handling?.lose(error)
    this.#forget()
    this.host.publish({ _tag: "Reset", address: this.address, detail: error.message })
    if (this.#handling === null) this.#start()
  }

  /** Ends its present life as a crash does; says whether there was one. */
  kill(crashed: AgentError): void {
    if (this.#handling === null) this.crash(crashed)
    else this.#handling.kill()
  }

  /** Begins again from the last commit. */
  restart(crashed: AgentError): void {
    this.#restarts = []
    this.kill(crashed)
  }

  /** Calls back when it has handled what it has and ended. */
  stop(ended: () => void): void {
    this.#stopping.push(ended)
    this.host.schedule(this)
  }

  /** Leaves memory, where it has been idle for as long as its definition says. */
  rest(nowMillis: number): void {
    const idleMillis = nowMillis - this.#lastActiveAtMillis
    if (idleMillis >= Duration.toMillis(this.agent.passivateAfter) && this.#isIdle) this.#leave()
  }

  /** Sees whether it still owns the agent, where a message takes long: until its commit, nothing else would say so. */
  verify(nowMillis: number): void {
    if (this.#phase !== "ready" || this.#handling === null || this.#isClaiming) return
    if (nowMillis - this.#lastActiveAtMillis >= verifiedAfterMillis) this.#claim(InboxClaim.verify(this))
  }

  /** Nobody activates it until it is resumed. */
  park(cause: string): void {
    this.#phase = "leaving"
    const operation = AgentOperation.parkAgent({
      ...this.address,
      activation: this.number,
      cause,
      nowMillis: this.host.nowMillis()
    })
    const parked = new AgentParked({ address: this.address, detail: cause })
    this.host.publish({ _tag: "Parked", address: this.address, cause })
    this.host.fork(this.host.log.commit([operation])).addObserver(() => this.end(parked))
  }

  /** Answers all that waits with the error, and is forgotten. */
  end(error: AgentError | null): void {
    if (this.#phase === "ended") return
    this.#phase = "ended"
    this.epoch += 1
    this.#handling?.lose(error ?? new RuntimeClosed({ address: this.address }))
    this.children.close()
    this.#presence?.leave()
    this.host.remove(this)
    const waiting = this.mailbox.removeAll(() => true)
    if (error === null) waiting.forEach((envelope) => this.host.post(this.agent, this.address, envelope))
    else waiting.forEach((envelope) => envelope.answer(Exit.fail(error)))
    this.#stopping.forEach((ended) => ended())
  }

  #wake(): void {
    if (this.#phase === "ready") return this.host.schedule(this)
    if (this.#phase !== "new") return
    this.#phase = "starting"
    this.#start()
  }

  /** How many restarts still count against its intensity. */
  get #restartsCounting(): number {
    const sinceMillis = this.host.monotonicMillis() - this.agent.supervision.periodMillis
    return this.#restarts.filter((millis) => millis >= sinceMillis).length
  }

  get #isIdle(): boolean {
    return this.#phase === "ready" && this.#handling === null && this.mailbox.size === 0 &&
      this.slot === null &&
      !this.#isClaiming && !this.inboxWaits && !this.children.some
  }

  #idle(): void {
    if (this.#stopping.length > 0 && this.slot === null && !this.#isClaiming) this.#leave()
  }

  /** Drops what is only in memory and not certain. The messages of the inbox are claimed again. */
  #forget(): void {
    this.#phase = "starting"
    this.epoch += 1
    this.slot = null
    this.#isDelayed = false
    this.#uncommitted = 0
    this.uncommittedEntries.clear()
    this.#uncommittedKeys.clear()
    this.children.close()
    this.mailbox.removeAll(({ inbox }) => inbox !== null)
  }

  #startAfter(backoff: Backoff.Backoff, restart: number): void {
    const { epoch } = this
    this.#isDelayed = true
    const pause = Effect.flatMap(
      Random.next,
      (random01) => Effect.sleep(Backoff.delayMillis(backoff, restart + 1, random01))
    )
    this.host.fork(pause).addObserver(() => {
      if (this.epoch !== epoch) return
      this.#isDelayed = false
      this.#start()
    })
  }

  /** Claims the agent and reads its state, where it is to be claimed and nothing of its earlier life runs any more. */
  #start(): void {
    if (this.#handling !== null || this.#isDelayed || this.#phase !== "starting") return
    const { agent, epoch, host } = this
    this.#startedAtMillis = host.monotonicMillis()
    const operation = AgentOperation.activateAgent({
      ...this.address,
      stateVersionMax: agent.state.version,
      nowMillis: host.nowMillis()
    })
    host.fork(Effect.zipRight(this.children.closed, host.log.commit([operation]))).addObserver((exit) => {
      if (this.epoch === epoch && this.#phase === "starting") this.#started(exit)
    })
  }

  #started(
    exit: Exit.Exit<readonly [Activated], CommitError | AgentElsewhere | AgentParked | StateTooNew>
  ): void {
    if (exit._tag === "Failure") {
      const failure = Option.getOrElse(Cause.failureOption(exit.cause), () => Cause.pretty(exit.cause))
      return this.end(isAgentRefusal(failure) ? failure : commitRefused(this.address, failure))
    }
    const [{ activation, inboxCount, state, stateVersion, version }] = exit.value
    this.number = activation
    const read = state === null || stateVersion === null
      ? Either.right(this.agent.initial(this.address.id))
      : this.agent.state.decode(this.address, stateVersion, state)
    if (Either.isLeft(read)) return this.park(read.left.message)
    this.state = read.right
    this.version = version
    this.inboxWaits = inboxCount > 0
    this.#phase = "ready"
    this.#presence?.enter()
    this.#lastActiveAtMillis = this.host.nowMillis()
    const millis = this.host.monotonicMillis() - this.#startedAtMillis
    this.host.publish({ _tag: "Activated", address: this.address, millis })
    this.host.schedule(this)
  }

  #claim(claim: Effect.Effect<ReadonlyArray<Envelope>, AgentOperation.AgentSuperseded>): void {
    const { epoch } = this
    this.#isClaiming = true
    this.agent.fork(claim, null).addObserver((exit) => {
      this.#isClaiming = false
      if (this.epoch !== epoch || this.#phase !== "ready") return
      if (exit._tag === "Success") exit.value.forEach((envelope) => this.mailbox.offer(envelope))
      const failure = exit._tag === "Failure" ? Option.getOrNull(Cause.failureOption(exit.cause)) : null
      if (failure !== null) return this.lose(commitRefused(this.address, failure), epoch)
      this.host.schedule(this)
    })
  }

  #leave(): void {
    this.#phase = "leaving"
    const operation = AgentOperation.passivateAgent({
      ...this.address,
      activation: this.number,
      base: this.version,
      nowMillis: this.host.nowMillis()
    })
    this.host.fork(this.host.log.commit([operation])).addObserver((exit) => this.#left(exit))
  }

  #left(exit: Exit.Exit<unknown, CommitError | InboxNotEmpty | AgentOperation.AgentSuperseded>): void {
    if (this.#phase !== "leaving") return
    const failure = exit._tag === "Failure" ? Option.getOrNull(Cause.failureOption(exit.cause)) : null
    if (failure?._tag === "InboxNotEmpty" && !this.host.isDraining(this.agent)) {
      this.#phase = "ready"
      return this.awake()
    }
    if (exit._tag === "Success") this.host.publish({ _tag: "Passivated", address: this.address })
    this.end(null)
  }
}
