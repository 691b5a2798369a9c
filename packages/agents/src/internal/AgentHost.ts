/**
 * An agent host is what the agents of one runtime share: storage, the live ones by name, who has a turn, and who waits for
 * whom.
 */
import type { DeadLetters } from "@holdfast/core/DeadLetters"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as PubSub from "effect/PubSub"
import * as Runtime from "effect/Runtime"
import type { Scheduler } from "effect/Scheduler"
import type { AgentAddress } from "../AgentAddress.ts"
import { render } from "../AgentAddress.ts"
import type { AgentDirectory } from "../AgentDirectory.ts"
import type { AgentError } from "../AgentError.ts"
import { AgentNotFound, AskCycle, MailboxFull, RuntimeClosed } from "../AgentError.ts"
import type { AgentEvent } from "../AgentEvent.ts"
import type { AgentLetter } from "../AgentLetters.ts"
import type { AskOptions } from "../AgentProtocol.ts"
import type { AgentStore } from "../AgentStore.ts"
import type { CommitLog } from "../CommitLog.ts"
import { currentTransaction, RefusedInTransaction } from "../CommitLog.ts"
import * as WaitGraph from "../WaitGraph.ts"
import { Activation } from "./Activation.ts"
import { Ask } from "./Ask.ts"
import { currentMessage } from "./CurrentMessage.ts"
import { Deadlines } from "./Deadlines.ts"
import type { Failure } from "./HandlerFailure.ts"
import type { HostedAgent, HostedMessage } from "./HostedAgent.ts"
import type { Envelope } from "./Mailbox.ts"
import type { MessageRun } from "./MessageRun.ts"

/** Is what a host is made of. */
export interface Parts {
  readonly log: CommitLog["Type"]
  readonly store: AgentStore["Type"]
  readonly letters: DeadLetters<AgentLetter>
  readonly events: PubSub.PubSub<AgentEvent>
  readonly clock: Clock.Clock
  readonly scheduler: Scheduler
  readonly runtime: Runtime.Runtime<never>
  readonly attemptsMax: number
  /** Where agents with capabilities are found; `null` where nobody provides one. */
  readonly directory: AgentDirectory["Type"] | null
}

/** Makes a host without agents. */
export class AgentHost {
  readonly log: CommitLog["Type"]
  readonly store: AgentStore["Type"]
  readonly letters: DeadLetters<AgentLetter>
  /** How often a durable message is handed out before its agent is parked. */
  readonly attemptsMax: number
  readonly deadlines: Deadlines
  readonly directory: AgentDirectory["Type"] | null
  /** By name; those that drain take nothing more from outside. */
  readonly agents = new Map<string, { readonly agent: HostedAgent; isDraining: boolean }>()
  /** By rendered address. */
  readonly live = new Map<string, Activation>()
  /** What stops the children of lives that have ended. Bounded by those lives. */
  readonly closing = new Set<Fiber.RuntimeFiber<void>>()
  readonly fork: <A, E>(effect: Effect.Effect<A, E>) => Fiber.RuntimeFiber<A, E>
  readonly #clock: Clock.Clock
  readonly #scheduler: Scheduler
  readonly #events: PubSub.PubSub<AgentEvent>
  #waits: WaitGraph.WaitGraph = WaitGraph.empty
  /** Those that have something to do. Each is in it once. */
  #ready: Array<Activation> = []
  #isRunning = false

  constructor(parts: Parts) {
    this.log = parts.log
    this.store = parts.store
    this.letters = parts.letters
    this.attemptsMax = parts.attemptsMax
    this.directory = parts.directory
    this.deadlines = new Deadlines(parts.clock)
    this.fork = Runtime.runFork(parts.runtime)
    this.#clock = parts.clock
    this.#scheduler = parts.scheduler
    this.#events = parts.events
  }

  nowMillis(): number {
    return this.#clock.unsafeCurrentTimeMillis()
  }

  /** Never goes back. */
  monotonicMillis(): number {
    return Number(this.#clock.unsafeCurrentTimeNanos() / 1_000n) / 1_000
  }

  publish(event: AgentEvent): void {
    this.#events.unsafeOffer(event)
  }

  isDraining(agent: HostedAgent): boolean {
    return this.agents.get(agent.name)?.isDraining ?? true
  }

  /** Gives an agent its turn, after those who wait for theirs. */
  schedule(activation: Activation): void {
    if (activation.isScheduled) return
    activation.isScheduled = true
    this.#ready.push(activation)
    if (this.#isRunning) return
    this.#isRunning = true
    this.#scheduler.scheduleTask(this.#run, 0)
  }

  /** Gives an agent a message, and activates it where it is not live. */
  post(agent: HostedAgent, address: AgentAddress, envelope: Envelope): void {
    this.#activation(agent, address).post(envelope)
  }

  /** Hears that messages may wait for an agent. */
  awake(address: AgentAddress): void {
    const hosted = this.agents.get(address.type)
    if (hosted === undefined || hosted.isDraining) return
    this.#activation(hosted.agent, address).awake()
  }

  /** Forgets an agent that has ended. */
  remove(activation: Activation): void {
    if (this.live.get(activation.name) === activation) this.live.delete(activation.name)
  }

  /** Asks an agent, for the one whose message the fiber handles, if any. */
  ask(
    address: AgentAddress,
    rpc: string,
    input: unknown,
    options?: AskOptions
  ): Effect.Effect<unknown, Failure> {
    return Effect.withFiberRuntime((fiber) => {
      if (fiber.getFiberRef(currentTransaction)?.isOpen === true) {
        return new RefusedInTransaction({ operation: `an ask of ${render(address)}` })
      }
      const found = this.find(address, rpc)
      if (Either.isLeft(found)) return found
      const { agent, codec } = found.right
      const from = fiber.getFiberRef(currentMessage)
      return Effect.flatMap(codec.construct(address, input), (payload) => {
        const message = { rpc, payload, key: Option.getOrNull(codec.key(payload)) }
        return from === null || from.isOver
          ? this.#send(agent, address, message, options, false)
          : this.#askFrom(from, address, this.#send(agent, address, message, options, true))
      })
    })
  }

  /** The agent's definition and the codec of its message, or why there is none. */
  find(
    address: AgentAddress,
    rpc: string
  ): Either.Either<{ readonly agent: HostedAgent; readonly codec: HostedMessage }, AgentError> {
    const hosted = this.agents.get(address.type)
    if (hosted === undefined) return Either.left(new AgentNotFound({ address }))
    return Either.map(hosted.agent.message(address, rpc), (codec) => ({ agent: hosted.agent, codec }))
  }

  /** What posts a message to an agent whose messages live in memory; `null` to one whose are durable. */
  volatileTell(
    address: AgentAddress,
    rpc: string,
    payload: unknown
  ): ((accepted?: () => void) => void) | null {
    const hosted = this.agents.get(address.type)
    if (hosted?.agent.durability !== "none") return null
    return (accepted) =>
      this.post(hosted.agent, address, {
        rpc,
        payload,
        key: null,
        inbox: null,
        answer: () => {},
        accepted: accepted ?? null
      })
  }

  /** Nothing leaves before the state that the asking draft was read from is durable, and nobody waits for himself. */
  #askFrom(
    from: MessageRun,
    address: AgentAddress,
    send: Effect.Effect<unknown, Failure>
  ): Effect.Effect<unknown, Failure> {
    const waiter = from.activation.name
    const target = render(address)
    return Effect.zipRight(
      from.beforeLeaving,
      Effect.suspend(() => {
        const waits = WaitGraph.add(this.#waits, waiter, target)
        if (Either.isLeft(waits)) return new AskCycle({ address, path: waits.left })
        this.#waits = waits.right
        return Effect.ensuring(
          send,
          Effect.sync(() => {
            this.#waits = WaitGraph.remove(this.#waits, waiter, target)
          })
        )
      })
    )
  }

  #send(
    agent: HostedAgent,
    address: AgentAddress,
    message: Pick<Envelope, "rpc" | "payload" | "key">,
    options: AskOptions | undefined,
    isInside: boolean
  ): Effect.Effect<unknown, Failure> {
    return Effect.async((resume) => {
      if (!isInside && this.isDraining(agent)) return resume(new RuntimeClosed({ address }))
      const activation = this.#activation(agent, address)
      const { capacity, overflow } = agent.mailbox
      if (overflow === "reject" && activation.mailbox.size >= capacity) {
        return resume(new MailboxFull({ address, capacity }))
      }
      const timeoutMillis = options?.timeoutMillis ?? Duration.toMillis(agent.askTimeout)
      const ask = new Ask(activation, message, timeoutMillis, resume)
      activation.post(ask)
      return ask.abandon
    })
  }

  #activation(agent: HostedAgent, address: AgentAddress): Activation {
    const name = render(address)
    const found = this.live.get(name)
    if (found !== undefined) return found
    const activation = new Activation(this, agent, address, name)
    this.live.set(name, activation)
    return activation
  }

  readonly #run = (): void => {
    const ready = this.#ready
    this.#ready = []
    for (const activation of ready) {
      activation.isScheduled = false
      activation.pump()
    }
    if (this.#ready.length > 0) this.#scheduler.scheduleTask(this.#run, 0)
    else this.#isRunning = false
  }
}
