/**
 * A router delivers messages between parties that know one another by name or by topic: each recipient has a bounded
 * buffer, a breaker and a fiber of its own, so that a slow one delays no other.
 */
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as BreakerConfig from "./BreakerConfig.ts"
import type * as CircuitBreaker from "./CircuitBreaker.ts"
import type { DeadLetters } from "./DeadLetters.ts"
import type { PostError, RecipientNameTaken, SendError } from "./DeliveryError.ts"
import type { Overflow } from "./internal/RecipientBuffer.ts"
import * as Routing from "./internal/Routing.ts"
import type * as Retry from "./Retry.ts"
import type { MalformedPattern } from "./Topic.ts"
import * as Topic from "./Topic.ts"

export type { Overflow } from "./internal/RecipientBuffer.ts"

/** Says what is the same for all recipients of a router. */
export interface Options<in out M> {
  /** Names the router in errors. Default: `router`. */
  readonly name?: string
  /** How many messages a buffer holds where its recipient says nothing else. Default: 100. */
  readonly capacity?: number
  /** Where messages go that were accepted and not handled. Without them they are only counted. */
  readonly deadLetters?: DeadLetters<M>
}

/** Says how a recipient takes messages. `E` are its handler's failures. */
export interface RecipientOptions<E> {
  /** How many messages its buffer holds, from 1 to 1,000,000. Default: the router's. */
  readonly capacity?: number
  /** What becomes of a message that meets a full buffer. Default: `dropOldest`. */
  readonly overflow?: Overflow
  /** When the recipient rests. Default: after 5 failures in a row, for 30 seconds. Meanwhile messages stay buffered. */
  readonly breaker?: BreakerConfig.Options
  /** Which failures are tried again, and how often. Default: none. */
  readonly retry?: Retry.Options<E>
}

/** Says how a subscriber takes messages: as a recipient does, but a publisher never waits and is never refused. */
export interface SubscriberOptions<E> extends RecipientOptions<E> {
  readonly overflow?: "dropOldest" | "dropNewest"
}

/** Is what became of a published message: how many received it, and how many messages had to go for want of room. */
export interface Published {
  readonly received: number
  readonly dropped: number
}

/** Is a message with the topic it was published to. */
export interface Publication<out M> {
  readonly topic: string
  readonly message: M
}

/** Describes a recipient or a subscriber, which then has a `pattern`; the counts are since it joined. */
export interface RecipientStats {
  readonly name: string
  readonly pattern?: string
  readonly buffered: number
  /** Senders that wait for a place in the buffer. */
  readonly waiting: number
  readonly isHandling: boolean
  readonly delivered: number
  readonly dropped: number
  readonly refused: number
  /** Messages whose handler failed on every attempt, or crashed. */
  readonly failed: number
  readonly breaker: CircuitBreaker.Status
}

/** Describes a router. `unkept` counts the messages that should have become dead letters and could not be written. */
export interface Stats {
  readonly recipients: ReadonlyArray<RecipientStats>
  readonly unkept: number
}

/** A running router of messages `M`; `E` are the failures its handlers may have. */
export interface Router<in out M, in out E = never> {
  readonly name: string
  /**
   * Joins under a name until the scope closes. Messages are handled in the order of their acceptance, one at a time.
   * Dies on a capacity outside its bounds.
   *
   * A defect of the handler is a crash: the sender of the message in hand gets `RecipientCrashed`, and the recipient goes
   * on with its buffer, unless it crashed more than 3 times in 5 seconds: then it is gone.
   */
  readonly recipient: <R = never>(
    name: string,
    handler: (message: M) => Effect.Effect<void, E, R>,
    options?: RecipientOptions<E>
  ) => Effect.Effect<void, RecipientNameTaken | BreakerConfig.BreakerOutOfRange, R | Scope.Scope>
  /**
   * Delivers a message and waits until it was handled, once. Interrupted before it was accepted, the message is not
   * delivered; after that it is, and nobody learns how it ended. A handler that sends to its own recipient waits for itself.
   */
  readonly send: (name: string, message: M) => Effect.Effect<void, SendError<E>>
  /** Delivers a message and waits only until it was accepted. */
  readonly post: (name: string, message: M) => Effect.Effect<void, PostError>
  /** Handles what is published to the topics of a pattern until the scope closes; in all else a recipient. */
  readonly subscribe: <R = never>(
    pattern: string,
    handler: (message: M, topic: string) => Effect.Effect<void, E, R>,
    options?: SubscriberOptions<E>
  ) => Effect.Effect<void, MalformedPattern | BreakerConfig.BreakerOutOfRange, R | Scope.Scope>
  /**
   * Streams what is published to the topics of a pattern while it is run, and ends with the router. Two messages may be
   * on their way out of the buffer; they count as delivered.
   */
  readonly stream: (
    pattern: string,
    options?: Pick<SubscriberOptions<never>, "capacity" | "overflow">
  ) => Stream.Stream<Publication<M>, MalformedPattern>
  /** Offers a message to all whose patterns select the topic. It never waits for a subscriber. */
  readonly publish: (topic: string, message: M) => Effect.Effect<Published>
  readonly stats: Effect.Effect<Stats>
}

/**
 * Makes a router, without recipients. When its scope closes all of them are gone. Dies on a capacity outside its bounds.
 *
 * @example
 * import * as Effect from "effect/Effect"
 * import * as Schema from "effect/Schema"
 * import * as Router from "@holdfast/core/Router"
 *
 * class Declined extends Schema.TaggedError<Declined>()("Declined", {}) {}
 * declare const charge: (order: string) => Effect.Effect<void, Declined>
 *
 * const program = Effect.scoped(Effect.gen(function*() {
 *   const router = yield* Router.make<string, Declined>({ name: "orders" })
 *   yield* router.recipient("billing", charge, { overflow: "backpressure" })
 *   yield* router.send("billing", "order-1")
 * }))
 */
export const make = <M, E = never>(
  options: Options<M> = {}
): Effect.Effect<Router<M, E>, never, Scope.Scope> =>
  Effect.map(Routing.open<M, E>(options), (state): Router<M, E> => ({
    name: state.name,
    recipient: (name, handler, options) => recipient(state, name, handler, options),
    send: (name, message) => Routing.send(state, name, message),
    post: (name, message) => Routing.post(state, name, message),
    subscribe: (pattern, handler, options) => Effect.asVoid(subscribe(state, pattern, handler, options)),
    stream: (pattern, options) => stream(state, pattern, options),
    publish: (topic, message) => Effect.sync(() => Routing.publish(state, topic, message)),
    stats: Effect.map(Routing.recipientStats(state), (recipients) => ({
      recipients,
      unkept: state.outbox.unkept
    }))
  }))

/** Makes a router as a service. Options and defects are those of {@link make}. */
export const layer = <Id, M, E>(
  tag: Context.Tag<Id, Router<M, E>>,
  options: Options<M> = {}
): Layer.Layer<Id> => Layer.scoped(tag, make<M, E>(options))

// internal

const recipient = <M, E, R>(
  state: Routing.State<M, E>,
  name: string,
  handler: (message: M) => Effect.Effect<void, E, R>,
  options: RecipientOptions<E> = {}
) =>
  Effect.gen(function*() {
    const context = yield* Effect.context<R>()
    const handle: Routing.Handler<M, E> = (message) => Effect.provide(handler(message), context)
    yield* Routing.joinNamed(state, yield* Routing.makeRecipient(state, name, handle, options))
  })

const subscribe = <M, E, R>(
  state: Routing.State<M, E>,
  text: string,
  handler: (message: M, topic: string) => Effect.Effect<void, E, R>,
  options: SubscriberOptions<E> = {}
) =>
  Effect.gen(function*() {
    const context = yield* Effect.context<R>()
    const pattern = yield* Topic.parsePattern(text)
    const handle: Routing.Handler<M, E> = (message, topic = "") =>
      Effect.provide(handler(message, topic), context)
    const subscriber = yield* Routing.makeRecipient(state, text, handle, options)
    yield* Routing.joinTopics(state, subscriber, pattern)
    return subscriber
  })

const stream = <M, E>(
  state: Routing.State<M, E>,
  pattern: string,
  options: Pick<SubscriberOptions<never>, "capacity" | "overflow"> = {}
): Stream.Stream<Publication<M>, MalformedPattern> =>
  Stream.unwrapScoped(Effect.gen(function*() {
    const queue = yield* Effect.acquireRelease(Queue.bounded<Publication<M>>(1), Queue.shutdown)
    const handler = (message: M, topic: string) => Queue.offer(queue, { topic, message })
    const { left } = yield* Effect.catchTag(
      subscribe(state, pattern, handler, options),
      "BreakerOutOfRange",
      // The breaker is the default one.
      Effect.die
    )
    return Stream.interruptWhen(Stream.fromQueue(queue, { maxChunkSize: 1 }), Deferred.await(left))
  }))
