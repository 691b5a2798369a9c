/**
 * Routing finds the recipients of a message, by name or by topic.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import { constVoid } from "effect/Function"
import type * as Scope from "effect/Scope"
import type * as BreakerConfig from "../BreakerConfig.ts"
import * as CircuitBreaker from "../CircuitBreaker.ts"
import * as DeliveryError from "../DeliveryError.ts"
import * as Retry from "../Retry.ts"
import type { Options, Published, RecipientOptions, RecipientStats } from "../Router.ts"
import * as Topic from "../Topic.ts"
import * as LetterOutbox from "./LetterOutbox.ts"
import * as Recipient from "./Recipient.ts"
import * as RecipientBuffer from "./RecipientBuffer.ts"
import { supervised } from "./supervised.ts"

/** Is a router's state, changed in place. Bounded by the scopes that joined it. */
export interface State<M, E> {
  readonly name: string
  readonly capacity: number
  readonly outbox: LetterOutbox.LetterOutbox<M>
  readonly named: Map<string, Recipient.Recipient<M, E>>
  readonly subscribers: Topic.PatternIndex<Recipient.Recipient<M, E>>
  readonly members: Map<Recipient.Recipient<M, E>, Member>
}

/** Is what a router holds of a member: its pattern, if it is a subscriber, and its fiber, once that runs. */
export interface Member {
  readonly pattern: Topic.Pattern | undefined
  fiber: Fiber.Fiber<void>
}

/** Is what handles the messages of one recipient. */
export type Handler<M, E> = (message: M, topic: string | undefined) => Effect.Effect<void, E>

/** Makes a router without recipients, and starts what writes its dead letters. */
export const open = <M, E>(options: Options<M>): Effect.Effect<State<M, E>, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { capacity = defaultCapacity, deadLetters, name = "router" } = options
    const outbox = LetterOutbox.make(deadLetters)
    const state: State<M, E> = {
      name,
      capacity: checkedCapacity(name, capacity),
      outbox,
      named: new Map(),
      subscribers: Topic.makeIndex(),
      members: new Map()
    }
    // Finalizers run from the last to the first: the recipients go, then what is left of them is written.
    yield* Effect.addFinalizer(() => LetterOutbox.close(outbox))
    if (deadLetters !== undefined) {
      yield* Effect.forkScoped(
        supervised(`${name}/dead letters`, LetterOutbox.drain(outbox), LetterOutbox.close(outbox))
      )
    }
    yield* Effect.addFinalizer(() => closeAll(state))
    return state
  })

/** How many messages a recipient's buffer holds, unless said otherwise. */
export const defaultCapacity = 100

/** The highest capacity of a buffer. */
export const capacityMax = 1_000_000

/** Makes a recipient that is not in the router yet. */
export const makeRecipient = <M, E>(
  state: State<M, E>,
  name: string,
  handler: Handler<M, E>,
  options: RecipientOptions<E>
): Effect.Effect<Recipient.Recipient<M, E>, BreakerConfig.BreakerOutOfRange> =>
  Effect.map(CircuitBreaker.make(`${state.name}/${name}`, options.breaker), (breaker) => {
    const { capacity = state.capacity, overflow = "dropOldest", retry } = options
    return Recipient.make({
      name,
      buffer: RecipientBuffer.make(checkedCapacity(name, capacity), overflow),
      breaker,
      outbox: state.outbox,
      handle: ({ message, topic }, attempt) => {
        const handled = CircuitBreaker.protectWhenReady(
          Effect.zipRight(attempt, Effect.suspend(() => handler(message, topic))),
          breaker
        )
        return retry === undefined ? handled : Retry.retry(handled, retry)
      }
    })
  })

/** Puts a recipient into the router under its name, and into the scope that takes it out again. */
export const joinNamed = <M, E>(
  state: State<M, E>,
  recipient: Recipient.Recipient<M, E>
): Effect.Effect<void, DeliveryError.RecipientNameTaken, Scope.Scope> => {
  const { name: router, named } = state
  return join(
    state,
    recipient,
    Effect.suspend(() => {
      if (named.has(recipient.name)) {
        return new DeliveryError.RecipientNameTaken({ router, recipient: recipient.name })
      }
      named.set(recipient.name, recipient)
      return Effect.succeed(enter(state, recipient, undefined))
    })
  )
}

/** Puts a subscriber into the router, and into the scope that takes it out again. */
export const joinTopics = <M, E>(
  state: State<M, E>,
  subscriber: Recipient.Recipient<M, E>,
  pattern: Topic.Pattern
): Effect.Effect<void, never, Scope.Scope> =>
  join(
    state,
    subscriber,
    Effect.sync(() => {
      Topic.add(state.subscribers, pattern, subscriber)
      return enter(state, subscriber, pattern)
    })
  )

/** Delivers a message to a name and waits until it was handled. */
export const send = <M, E>(
  state: State<M, E>,
  name: string,
  message: M
): Effect.Effect<void, DeliveryError.SendError<E>> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.suspend(() => {
      const recipient = state.named.get(name)
      if (recipient === undefined) return notFound(state, name)
      const settled = Deferred.unsafeMake<void, DeliveryError.SendError<E>>(FiberId.none)
      const envelope: Recipient.Envelope<M, E> = {
        message,
        topic: undefined,
        settle: (exit) => Deferred.unsafeDone(settled, exit)
      }
      const accepted = Recipient.accept(recipient, envelope, restore)
      return Effect.zipRight(accepted, restore(Deferred.await(settled)))
    })
  )

/** Delivers a message to a name and waits until it was accepted. */
export const post = <M, E>(
  state: State<M, E>,
  name: string,
  message: M
): Effect.Effect<void, DeliveryError.PostError> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.suspend(() => {
      const recipient = state.named.get(name)
      return recipient === undefined
        ? notFound(state, name)
        : Recipient.accept(recipient, { message, topic: undefined, settle: constVoid }, restore)
    })
  )

/** Offers a message to all whose patterns select the topic, and waits for none of them. */
export const publish = <M, E>(state: State<M, E>, topic: string, message: M): Published => {
  const offers = Topic.match(state.subscribers, topic).map((subscriber) =>
    Recipient.offer(subscriber, { message, topic, settle: constVoid })._tag
  )
  return {
    received: offers.filter((tag) => tag === "Accepted" || tag === "Displaced").length,
    dropped: offers.filter((tag) => tag === "Displaced" || tag === "Dropped").length
  }
}

/** Shows all recipients, in the order in which they joined. */
export const recipientStats = <M, E>(
  { members }: State<M, E>
): Effect.Effect<ReadonlyArray<RecipientStats>> =>
  Effect.suspend(() =>
    Effect.forEach([...members], ([recipient, { pattern }]) => statsOf(recipient, pattern))
  )

// internal

const statsOf = <M, E>(
  recipient: Recipient.Recipient<M, E>,
  pattern: Topic.Pattern | undefined
): Effect.Effect<RecipientStats> =>
  Effect.map(recipient.breaker.status, (breaker) => ({
    name: recipient.name,
    ...(pattern === undefined ? {} : { pattern: pattern.text }),
    buffered: recipient.buffer.items.size,
    waiting: recipient.buffer.waiting.size,
    isHandling: recipient.isHandling,
    delivered: recipient.delivered,
    dropped: recipient.dropped,
    refused: recipient.refused,
    failed: recipient.failed,
    breaker
  }))

const checkedCapacity = (name: string, capacity: number): number => {
  if (Number.isInteger(capacity) && capacity >= 1 && capacity <= capacityMax) return capacity
  throw new RangeError(
    `capacity of "${name}" must be a whole number from 1 to ${capacityMax}, not ${capacity}`
  )
}

const notFound = <M, E>({ name: router }: State<M, E>, recipient: string) =>
  new DeliveryError.RecipientNotFound({ router, recipient })

const enter = <M, E>(
  { members }: State<M, E>,
  recipient: Recipient.Recipient<M, E>,
  pattern: Topic.Pattern | undefined
): Member => {
  const member = { pattern, fiber: Fiber.void }
  members.set(recipient, member)
  return member
}

const join = <M, E, E2>(
  state: State<M, E>,
  recipient: Recipient.Recipient<M, E>,
  entered: Effect.Effect<Member, E2>
): Effect.Effect<void, E2, Scope.Scope> => {
  const run = supervised(recipient.name, Recipient.drain(recipient), leave(state, recipient, "crashed"))
  return Effect.acquireRelease(
    Effect.gen(function*() {
      const member = yield* entered
      member.fiber = yield* Effect.forkScoped(Effect.interruptible(run))
    }),
    // It runs before the fiber is interrupted, so that what that has in hand is known to be lost.
    () => leave(state, recipient, "closed")
  )
}

const leave = <M, E>(
  state: State<M, E>,
  recipient: Recipient.Recipient<M, E>,
  reason: DeliveryError.RecipientGone["reason"]
): Effect.Effect<void> =>
  Effect.uninterruptible(Effect.suspend(() => {
    const pattern = state.members.get(recipient)?.pattern
    if (state.members.delete(recipient)) {
      if (pattern === undefined) state.named.delete(recipient.name)
      else Topic.remove(state.subscribers, pattern, recipient)
    }
    return Recipient.leave(recipient, reason)
  }))

const closeAll = <M, E>(state: State<M, E>): Effect.Effect<void> =>
  Effect.forEach(
    [...state.members],
    ([recipient, { fiber }]) => Effect.zipRight(leave(state, recipient, "closed"), Fiber.interrupt(fiber)),
    { concurrency: "unbounded", discard: true }
  )
