/**
 * The agent runtime runs agents: it activates one when a message comes for it, hands it its messages one at a time, commits
 * what they do, restarts it after a bug, and lets it go when nobody needs it.
 */
import type * as Rpc from "@effect/rpc/Rpc"
import type { RecordStore } from "@holdfast/core/RecordStore"
import type { StorageError } from "@holdfast/core/StorageError"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Agent, Handlers } from "./Agent.ts"
import type { AgentAddress } from "./AgentAddress.ts"
import { render } from "./AgentAddress.ts"
import { AgentDirectory } from "./AgentDirectory.ts"
import type { AgentError } from "./AgentError.ts"
import { AgentCrashed, AgentParked, RuntimeClosed } from "./AgentError.ts"
import type { AgentEvent } from "./AgentEvent.ts"
import * as AgentLetters from "./AgentLetters.ts"
import * as AgentOperation from "./AgentOperation.ts"
import type { AgentRecord } from "./AgentRecord.ts"
import type { Inspected } from "./AgentRuntimeTag.ts"
import { AgentRuntime } from "./AgentRuntimeTag.ts"
import type { StateTooNew, StateUndecodable } from "./AgentState.ts"
import { AgentStore } from "./AgentStore.ts"
import { CommitLog } from "./CommitLog.ts"
import { AgentHost } from "./internal/AgentHost.ts"
import { commitRefused } from "./internal/commitErrors.ts"
import { currentMessage } from "./internal/CurrentMessage.ts"
import type { HostedAgent } from "./internal/HostedAgent.ts"
import * as HostedAgents from "./internal/HostedAgent.ts"

export { AgentRuntime } from "./AgentRuntimeTag.ts"

/** How long agents have to handle what they hold when their layer closes, unless said otherwise: 30 seconds. */
export const drainTimeoutDefault: Duration.Duration = Duration.seconds(30)

/** How often a durable message is handed out before its agent is parked, unless said otherwise. */
export const attemptsMaxDefault = 5

/** How often the runtime looks for messages of which nothing told it, unless said otherwise: 500 milliseconds. */
export const pollIntervalDefault: Duration.Duration = Duration.millis(500)

/** How many events a subscriber may be behind. */
const eventsMax = 1_024

/** How many agents with messages are activated at a time by one look. */
const pendingMax = 100

/** Are the options of {@link layerWith}. */
export interface Options {
  readonly drainTimeout?: Duration.DurationInput
  readonly attemptsMax?: number
  readonly pollInterval?: Duration.DurationInput
}

/** Runs agents as {@link layerWith} does, with its defaults. */
export const layer: Layer.Layer<AgentRuntime, never, CommitLog | AgentStore | RecordStore> = Layer.suspend(
  () => layerWith({})
)

/**
 * Runs agents on the storage that is provided. Those with capabilities are in the `AgentDirectory`, where one is provided.
 *
 * - `drainTimeout`: how long agents have to handle what they hold when their layer closes; 30 seconds by default. What is
 *   then left is interrupted: its senders get `RuntimeClosed`, and durable messages wait for the next runtime.
 * - `attemptsMax`: how often a durable message is handed out before its agent is parked; 5 by default.
 * - `pollInterval`: how often it looks for messages that other processes told, or that are due; 500 ms by default.
 *
 * Dies on a number or duration that is not positive.
 */
export const layerWith = (
  options: Options
): Layer.Layer<AgentRuntime, never, CommitLog | AgentStore | RecordStore> =>
  Layer.scoped(AgentRuntime, make(options))

// internal

const make = (options: Options) =>
  Effect.gen(function*() {
    const { attemptsMax = attemptsMaxDefault } = options
    if (!Number.isSafeInteger(attemptsMax) || attemptsMax < 1) {
      throw new RangeError(`attemptsMax must be a positive integer, not ${attemptsMax}`)
    }
    const events = yield* PubSub.sliding<AgentEvent>(eventsMax)
    const host = new AgentHost({
      log: yield* CommitLog,
      store: yield* AgentStore,
      letters: yield* AgentLetters.make,
      events,
      clock: yield* Clock.clockWith(Effect.succeed),
      scheduler: yield* FiberRef.get(FiberRef.currentScheduler),
      runtime: yield* Effect.runtime<never>(),
      attemptsMax,
      directory: Option.getOrNull(yield* Effect.serviceOption(AgentDirectory))
    })
    yield* host.store.subscribe((address) => host.awake(address))
    yield* Effect.forkScoped(host.deadlines.run)
    yield* Effect.forkScoped(dropFenced(host))
    yield* Effect.forkScoped(
      watch(host, positive("pollInterval", options.pollInterval ?? pollIntervalDefault))
    )
    return service(host, events, positive("drainTimeout", options.drainTimeout ?? drainTimeoutDefault))
  })

const positive = (name: string, input: Duration.DurationInput): Duration.Duration => {
  const duration = Duration.decode(input)
  if (Duration.toMillis(duration) > 0) return duration
  throw new RangeError(`${name} must be longer than nothing, not ${String(input)}`)
}

const service = (
  host: AgentHost,
  events: PubSub.PubSub<AgentEvent>,
  drainTimeout: Duration.Duration
): AgentRuntime["Type"] => ({
  register: (definition, handlers) => register(host, definition, handlers, drainTimeout),
  send: (address, message, payload, options) =>
    host.ask(address, message, payload, options) as Effect.Effect<never>,
  tell: (address, message, payload) => tell(host, address, message, payload),
  list: Effect.sync(() => Array.from(host.live.values(), ({ info }) => info)),
  inspect: (definition, id) => inspect(host, definition, id),
  stop: (address) => stop(host, address),
  kill: (address) => Effect.sync(() => kill(host, address)),
  restart: (address) => Effect.sync(() => restart(host, address)),
  park: (address, cause) => park(host, address, cause),
  resume: (address) =>
    Effect.map(
      Effect.suspend(() =>
        host.log.commit([AgentOperation.resumeAgent({ ...address, nowMillis: host.nowMillis() })])
      ),
      ([wasParked]) => wasParked
    ),
  events: Stream.fromPubSub(events)
})

const register = <N extends string, R extends Rpc.Any, S, RX>(
  host: AgentHost,
  definition: Agent<N, R, S>,
  handlers: Handlers<R, S, RX>,
  drainTimeout: Duration.Duration
): Effect.Effect<void, never, RX | Rpc.Context<R> | Scope.Scope> =>
  Effect.gen(function*() {
    const agent = yield* HostedAgents.make(definition, handlers)
    if (host.agents.has(agent.name)) {
      return yield* Effect.dieMessage(`agent "${agent.name}" is registered twice in one runtime`)
    }
    yield* Effect.acquireRelease(
      Effect.sync(() => host.agents.set(agent.name, { agent, isDraining: false })),
      () => drain(host, agent, drainTimeout)
    )
  })

/** Nothing new from outside; what is there is handled, then let go. Children stop before the storage that they may use. */
const drain = (host: AgentHost, agent: HostedAgent, timeout: Duration.Duration): Effect.Effect<void> =>
  Effect.gen(function*() {
    host.agents.set(agent.name, { agent, isDraining: true })
    const live = () => Array.from(host.live.values()).filter((activation) => activation.agent === agent)
    const stopped = Effect.forEach(live(), ({ address }) => stop(host, address), { concurrency: "unbounded" })
    yield* Effect.timeoutOption(Effect.interruptible(stopped), timeout)
    for (const activation of live()) activation.end(new RuntimeClosed({ address: activation.address }))
    yield* Fiber.awaitAll(host.closing)
    host.agents.delete(agent.name)
  })

const tell = (
  host: AgentHost,
  address: AgentAddress,
  rpc: string,
  input: unknown
): Effect.Effect<void, AgentError> =>
  Effect.withFiberRuntime((fiber) => {
    const found = host.find(address, rpc)
    if (Either.isLeft(found)) return found
    const { codec } = found.right
    const leaving: Effect.Effect<void, AgentError> = fiber.getFiberRef(currentMessage)?.beforeLeaving ??
      Effect.void
    return Effect.flatMap(Effect.zipRight(leaving, codec.construct(address, input)), (payload) => {
      const post = host.volatileTell(address, rpc, payload)
      if (post !== null) return Effect.async<void>((resume) => post(() => resume(Effect.void)))
      const key = Option.getOrUndefined(codec.key(payload))
      return Effect.flatMap(codec.encodePayload(address, payload), (text) =>
        commit(
          host,
          address,
          AgentOperation.tellAgent({
            to: address,
            message: rpc,
            payload: text,
            ...(key === undefined ? {} : { key }),
            nowMillis: host.nowMillis()
          })
        ))
    })
  })

const commit = (
  host: AgentHost,
  address: AgentAddress,
  operation: AgentOperation.TellAgent
): Effect.Effect<void, AgentError> =>
  Effect.mapError(Effect.asVoid(host.log.commit([operation])), (error) => commitRefused(address, error))

const inspect = <N extends string, R extends Rpc.Any, S>(
  host: AgentHost,
  definition: Agent<N, R, S>,
  id: string
): Effect.Effect<Option.Option<Inspected<S>>, StorageError | StateUndecodable | StateTooNew> =>
  Effect.flatMap(
    host.store.get({ type: definition.name, id }),
    Option.match({
      onNone: () => Effect.succeedNone,
      onSome: (record) => Effect.asSome(decode(definition, record))
    })
  )

const decode = <N extends string, R extends Rpc.Any, S>(
  definition: Agent<N, R, S>,
  { state, ...row }: AgentRecord
): Effect.Effect<Inspected<S>, StateUndecodable | StateTooNew> =>
  state === null || row.stateVersion === null
    ? Effect.succeed({ row, state: null })
    : Effect.map(
      definition.state.decode(row, row.stateVersion, state),
      (decoded) => ({ row, state: decoded })
    )

const stop = (host: AgentHost, address: AgentAddress): Effect.Effect<void> =>
  Effect.async((resume) => {
    const activation = host.live.get(render(address))
    if (activation === undefined) resume(Effect.void)
    else activation.stop(() => resume(Effect.void))
  })

const kill = (host: AgentHost, address: AgentAddress): boolean => {
  const activation = host.live.get(render(address))
  activation?.kill(new AgentCrashed({ address, detail: "it was killed" }))
  return activation !== undefined
}

const restart = (host: AgentHost, address: AgentAddress): void => {
  const activation = host.live.get(render(address))
  if (activation === undefined) host.awake(address)
  else activation.restart(new AgentCrashed({ address, detail: "it was restarted" }))
}

/** The row is parked first: what the agent still commits is refused, and its life here ends by that. */
const park = (host: AgentHost, address: AgentAddress, cause: string) =>
  Effect.suspend(() =>
    host.log.commit([
      AgentOperation.parkAgent({ ...address, activation: null, cause, nowMillis: host.nowMillis() })
    ])
  ).pipe(
    Effect.zipRight(
      Effect.sync(() => host.live.get(render(address))?.end(new AgentParked({ address, detail: cause })))
    ),
    Effect.catchTag("AgentSuperseded", Effect.die)
  )

/** What this process had claimed belongs to others. */
const dropFenced = (host: AgentHost): Effect.Effect<never> =>
  Effect.forever(Effect.map(host.log.fenced, (fenced) => {
    for (const activation of Array.from(host.live.values())) {
      activation.lose(commitRefused(activation.address, fenced), activation.epoch)
    }
  }))

/** Wakes agents for messages of which nothing told this process, and looks after those that are idle, or busy for long. */
const watch = (host: AgentHost, interval: Duration.Duration): Effect.Effect<never> =>
  Effect.forever(
    Effect.zipRight(
      Effect.catchTag(awakenPending(host), "StorageError", (error) => Effect.logDebug(error.message)),
      Effect.zipRight(Effect.sync(() => lookAfter(host)), Effect.sleep(interval))
    )
  )

const awakenPending = (host: AgentHost) =>
  Effect.iterate({ after: null as AgentAddress | null, found: pendingMax }, {
    while: ({ found }) => found === pendingMax,
    body: ({ after }) =>
      Effect.suspend(() => {
        const types = Array.from(host.agents.values()).filter(({ isDraining }) => !isDraining).map((
          { agent }
        ) => agent.name)
        if (types.length === 0) return Effect.succeed({ after, found: 0 })
        const query = {
          types,
          nowMillis: host.nowMillis(),
          limit: pendingMax,
          ...(after === null ? {} : { after })
        }
        return Effect.map(host.store.pending(query), (addresses) => {
          addresses.forEach((address) => host.awake(address))
          return { after: addresses.at(-1) ?? after, found: addresses.length }
        })
      })
  })

const lookAfter = (host: AgentHost): void => {
  const nowMillis = host.nowMillis()
  for (const activation of host.live.values()) {
    activation.rest(nowMillis)
    activation.verify(nowMillis)
  }
}
