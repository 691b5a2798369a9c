/**
 * A task agent is an agent in front of a task queue: it takes tasks in, runs them by workers that live and die with it, and
 * says how they stand.
 */
import type * as Backoff from "@holdfast/core/Backoff"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Agent from "./Agent.ts"
import * as AgentAddress from "./AgentAddress.ts"
import type { AgentError } from "./AgentError.ts"
import type { Handle } from "./AgentHandle.ts"
import type { Client } from "./AgentProtocol.ts"
import { AgentRuntime } from "./AgentRuntimeTag.ts"
import type { CommitError, CommitLog } from "./CommitLog.ts"
import { commitRefused } from "./internal/commitErrors.ts"
import * as TaskPool from "./internal/TaskPool.ts"
import type * as Queue from "./Queue.ts"
import type { ClaimedTask } from "./Task.ts"
import type { Messages, Metrics, NewTask, Status } from "./TaskMessages.ts"
import * as TaskMessages from "./TaskMessages.ts"
import * as TaskPolicy from "./TaskPolicy.ts"
import * as TaskQueue from "./TaskQueue.ts"
import type { TaskStore } from "./TaskStore.ts"

/** How many unfinished tasks a task agent holds, unless its definition says otherwise. */
export const queueLimitDefault = 1_000

/** How many tasks in a row die before a task agent pauses itself, unless its definition says otherwise. */
export const errorThresholdDefault = 10

/** How many tasks a task agent runs at once, unless its definition says otherwise. */
export const concurrencyDefault = 1

/** The id of every task agent: there is one for each definition. */
export const id = "main"

/** A definition. Made by {@link make}; nothing runs and nothing is stored until its layer is built. */
export interface TaskAgent<out N extends string, in out P, in out A, in out E> {
  readonly name: N
  readonly address: AgentAddress.AgentAddress
  /** The agent, as others are: it has no state of its own, since what there is to know is in the queue. */
  readonly agent: Agent.Agent<N, Messages<P>, null>
  /** The queue, of the same name. Whatever is enqueued there is run, too. */
  readonly queue: TaskQueue.TaskQueue<P, A, E | TaskPolicy.TaskTimeout>
  readonly policies: TaskPolicy.TaskPolicies<P, E>
  readonly concurrency: number
  readonly settings: Pick<Queue.QueueSettings, "sizeMax" | "errorThreshold">
  /** Makes what asks the agent. */
  readonly client: Effect.Effect<Client<Messages<P>>, never, AgentRuntime>
  /**
   * Runs its tasks, while the layer lives. On several nodes the agent, and with it the work, is on one of them; another
   * takes over when that one is gone.
   *
   * A typed failure ends an attempt, which is made again as the queue and the policy say; a defect does, too, and is
   * logged. Whatever ends the agent (kill, restart, park) ends the attempts in hand: these are not spent, and are made
   * again when the agent is back.
   */
  readonly toLayer: <R>(
    run: (payload: P, task: ClaimedTask) => Effect.Effect<A, E, R>
  ) => Layer.Layer<never, CommitError, AgentRuntime | CommitLog | TaskStore | R>
}

/** Are the options of {@link make}. */
export interface Options<P, PI, A, AI, E, EI>
  extends Pick<Agent.Policy, "capabilities" | "mailbox" | "askTimeout" | "supervision">
{
  readonly payload: Schema.Schema<P, PI>
  readonly success?: Schema.Schema<A, AI>
  readonly error?: Schema.Schema<E, EI>
  readonly attemptsMax?: number
  readonly backoff?: Backoff.Backoff
  readonly queueLimit?: number | null
  readonly errorThreshold?: number | null
  readonly concurrency?: number
  readonly kindOf?: (payload: NoInfer<P>) => string
  readonly policy?: TaskPolicy.TaskPolicy<NoInfer<E>>
  readonly policies?: Readonly<Record<string, TaskPolicy.TaskPolicy<NoInfer<E>>>>
}

/**
 * Defines a task agent, and its queue of the same name.
 *
 * - `payload`, `success`, `error`, `attemptsMax`, `backoff`: as of `TaskQueue.make`.
 * - `queueLimit`: how many unfinished tasks it holds before `Enqueue` fails with `QueueFull`; 1,000 by default, `null` for
 *   no limit.
 * - `errorThreshold`: how many tasks in a row die before it pauses itself; 10 by default, `null` for never.
 * - `concurrency`: how many tasks run at once; 1 by default.
 * - `kindOf`, `policy`, `policies`: the timeout, the attempts and the breaker of a task by its kind; see `TaskPolicy`. A
 *   task whose breaker is open waits where it would run: kinds that must not wait for each other are agents of their own.
 *
 * Its messages: `Enqueue` yields the id of the task, which is durable then; `Pause` lets what runs go on; `Status`;
 * `Metrics`; `Resume`. The layer sends `Work`, which says whether it started the workers.
 *
 * Throws as `Agent.make` does, and on a limit, threshold, concurrency or policy out of its bounds.
 *
 * @example
 * import * as TaskAgent from "@holdfast/agents/TaskAgent"
 * import * as Effect from "effect/Effect"
 * import * as Schema from "effect/Schema"
 *
 * class Bounced extends Schema.TaggedError<Bounced>()("Bounced", { to: Schema.String }) {}
 * declare const send: (to: string, text: string) => Effect.Effect<void, Bounced>
 *
 * const Mailer = TaskAgent.make("Mailer", {
 *   payload: Schema.Struct({ kind: Schema.Literal("receipt", "news"), to: Schema.String, text: Schema.String }),
 *   error: Bounced,
 *   concurrency: 4,
 *   kindOf: ({ kind }) => kind,
 *   policies: { news: { attemptsMax: 1, timeout: "10 seconds", breaker: { openFor: "1 minute" } } }
 * })
 *
 * export const MailerLayer = Mailer.toLayer(({ text, to }) => send(to, text))
 *
 * export const program = Effect.gen(function*() {
 *   const mailer = yield* Mailer.client
 *   yield* mailer.Enqueue({ payload: { kind: "receipt", to: "ann", text: "Thank you" }, priority: -1 })
 *   return yield* mailer.Metrics()
 * })
 */
export const make = <const N extends string, P, PI, A = void, AI = null, E = never, EI = never>(
  name: N,
  options: Options<P, PI, A, AI, E, EI>
): TaskAgent<N, P, A, E> => {
  const settings = settingsOf(name, options)
  const policies = policiesOf(name, options)
  const agent: Agent.Agent<N, Messages<P>, null> = Agent.make(name, {
    ...options,
    protocol: TaskMessages.make(options.payload),
    state: Schema.Null,
    initial: null
  })
  const self: TaskAgent<N, P, A, E> = {
    name,
    address: AgentAddress.make(name, id),
    agent,
    queue: queueOf(name, options),
    policies,
    concurrency: natural(name, "concurrency", options.concurrency ?? concurrencyDefault),
    settings,
    client: Effect.map(agent.client, (client) => client(id)),
    toLayer: (run) => toLayer(self, run)
  }
  return self
}

// internal

const queueOf = <P, PI, A, AI, E, EI>(name: string, options: Options<P, PI, A, AI, E, EI>) => {
  const error: Schema.Schema<E, EI> = options.error ?? (Schema.Never as unknown as Schema.Schema<E, EI>)
  return TaskQueue.make(name, { ...options, error: Schema.Union(TaskPolicy.TaskTimeout, error) })
}

const settingsOf = <P, PI, A, AI, E, EI>(name: string, options: Options<P, PI, A, AI, E, EI>) => {
  const { errorThreshold = errorThresholdDefault, queueLimit = queueLimitDefault } = options
  return {
    sizeMax: queueLimit === null ? null : natural(name, "queueLimit", queueLimit),
    errorThreshold: errorThreshold === null ? null : natural(name, "errorThreshold", errorThreshold)
  }
}

const policiesOf = <P, PI, A, AI, E, EI>(
  name: string,
  { kindOf = () => "task", policies = {}, policy = {} }: Options<P, PI, A, AI, E, EI>
): TaskPolicy.TaskPolicies<P, E> => {
  const made = { kindOf, policy, policies }
  TaskPolicy.unsafeCheck(name, made)
  return made
}

const natural = (name: string, option: string, value: number): number => {
  if (Number.isSafeInteger(value) && value >= 1) return value
  throw new RangeError(`${option} of task agent "${name}" must be a positive integer, not ${value}`)
}

const toLayer = <N extends string, P, A, E, R>(
  self: TaskAgent<N, P, A, E>,
  run: (payload: P, task: ClaimedTask) => Effect.Effect<A, E, R>
): Layer.Layer<never, CommitError, AgentRuntime | CommitLog | TaskStore | R> =>
  Layer.scopedDiscard(Effect.gen(function*() {
    yield* TaskQueue.update(self.name, (settings) => ({ ...settings, ...self.settings }))
    const { concurrency, policies, queue } = self
    const pool = yield* TaskPool.make(queue, yield* TaskPolicy.enforce(self.name, policies, run), concurrency)
    const runtime = yield* AgentRuntime
    yield* runtime.register(self.agent, handlers(self, pool))
    const client = yield* self.client
    yield* Effect.forkScoped(TaskPool.keep(pool, client.Work()))
  }))

const handlers = <N extends string, P, A, E>(
  self: TaskAgent<N, P, A, E>,
  pool: TaskPool.TaskPool
): Agent.Handlers<Messages<P>, null, CommitLog | TaskStore> => ({
  Enqueue: (task, agent) => enqueue(self, task, agent),
  Status: () => Effect.map(TaskQueue.stats(self.name), statusOf),
  Metrics: () => Effect.map(TaskQueue.stats(self.name), metricsOf),
  Pause: () => refusing(self, TaskQueue.pause(self.name)),
  Resume: () => refusing(self, TaskQueue.resume(self.name)),
  Work: (_, agent) => TaskPool.start(pool, agent)
})

/** The handle would take a payload that is too large for a bug of the handler: here it is the sender's. */
const enqueue = <N extends string, P, A, E>(
  { policies, queue }: TaskAgent<N, P, A, E>,
  { delayMillis = 0, ...task }: NewTask<P>,
  agent: Handle<null>
): Effect.Effect<string, AgentError> =>
  Effect.gen(function*() {
    const { attemptsMax } = TaskPolicy.policyOf(policies, task.payload)
    const taskId = task.id ?? globalThis.crypto.randomUUID()
    const item = {
      ...task,
      id: taskId,
      delay: delayMillis,
      ...(attemptsMax === undefined ? {} : { attemptsMax })
    }
    yield* Effect.catchTag(TaskQueue.enqueueOperation(queue, [item]), "ParseError", Effect.die)
    yield* agent.enqueue(queue, item)
    return taskId
  })

const refusing = <N extends string, P, A, E, R>(
  { address }: TaskAgent<N, P, A, E>,
  change: Effect.Effect<void, CommitError, R>
): Effect.Effect<void, AgentError, R> => Effect.mapError(change, (error) => commitRefused(address, error))

const statusOf = ({ counts, deadInRow, errorThreshold, paused, sizeMax }: Queue.Queue): Status => ({
  status: paused ? "paused" : "active",
  ready: counts.ready,
  running: counts.running,
  limit: sizeMax,
  errorThreshold,
  deadInRow
})

const metricsOf = ({ counts, finishSequence }: Queue.Queue): Metrics => ({
  processed: counts.completed,
  failed: counts.dead,
  skipped: counts.skipped,
  ready: counts.ready,
  running: counts.running,
  finished: finishSequence
})
