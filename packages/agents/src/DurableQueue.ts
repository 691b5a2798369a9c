/**
 * A durable queue is a first-in first-out queue of an agent's that is stored item by item: offering and taking cost the
 * same however long the queue is.
 */
import type { StorageError } from "@holdfast/core/StorageError"
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Option from "effect/Option"
import type * as Schema from "effect/Schema"
import type { EntryAccess } from "./EntryAccess.ts"
import * as EntryCodec from "./EntryCodec.ts"

/** A queue's name and the schema of its items: a plain value. Every agent whose handlers use it has one of its own. */
export interface DurableQueue<in out A> {
  readonly name: string
  /** What its items are stored under; no map has the same. */
  readonly collection: string
  readonly item: EntryCodec.EntryCodec<A>
}

/**
 * Is the queue as one message sees it: with what it has changed, and what messages before it have.
 *
 * What it changes is committed with the message: an item that was taken is back when the message fails. An item that does
 * not match its schema, or has more than 1 MiB, is a defect, and so is a stored one that cannot be read:
 * `EntryUndecodable`; it stays where it is.
 */
export interface Items<in out A> {
  readonly offer: (item: A) => Effect.Effect<void, StorageError>
  readonly offerAll: (items: Iterable<A>) => Effect.Effect<void, StorageError>
  /** Takes the oldest item. */
  readonly take: Effect.Effect<Option.Option<A>, StorageError>
  /** Takes the oldest items, at most `count`; in memory at once. */
  readonly takeUpTo: (count: number) => Effect.Effect<ReadonlyArray<A>, StorageError>
  /** Takes every item; in memory at once. */
  readonly takeAll: Effect.Effect<ReadonlyArray<A>, StorageError>
  /** Reads the oldest item. */
  readonly peek: Effect.Effect<Option.Option<A>, StorageError>
  readonly size: Effect.Effect<number, StorageError>
}

/**
 * Defines a queue. Its name is unique among the queues of the agent; a map may have the same.
 *
 * @example
 * import * as DurableQueue from "@holdfast/agents/DurableQueue"
 * import * as Schema from "effect/Schema"
 *
 * export const Letters = DurableQueue.make("letters", { item: Schema.Struct({ to: Schema.String }) })
 */
export const make = <A, I>(name: string, options: {
  readonly item: Schema.Schema<A, I>
}): DurableQueue<A> => {
  const collection = `queue:${name}`
  return { name, collection, item: EntryCodec.make(collection, options.item) }
}

/**
 * Opens the queue of the agent that handles a message, for as long as it does. Fibers of one message may share it.
 *
 * @example
 * import * as DurableQueue from "@holdfast/agents/DurableQueue"
 * import type { EntryAccess } from "@holdfast/agents/EntryAccess"
 * import * as Effect from "effect/Effect"
 * import * as Schema from "effect/Schema"
 *
 * const Jobs = DurableQueue.make("jobs", { item: Schema.String })
 *
 * export const replaceOldest = (agent: { readonly entries: EntryAccess }, job: string) =>
 *   Effect.gen(function*() {
 *     const jobs = DurableQueue.of(agent, Jobs)
 *     if ((yield* jobs.size) >= 100) yield* jobs.take
 *     yield* jobs.offer(job)
 *   })
 */
export const of = <A>({ entries }: { readonly entries: EntryAccess }, queue: DurableQueue<A>): Items<A> => {
  const open: Open<A> = { entries, queue }
  const takeUpTo = (count: number) => take(open, count)
  return {
    offer: (item) => offer(open, [item]),
    offerAll: (items) => offer(open, Array.from(items)),
    take: Effect.map(takeUpTo(1), Arr.head),
    takeUpTo,
    takeAll: takeUpTo(Number.MAX_SAFE_INTEGER),
    peek: Effect.map(oldest(open, 1), ({ items }) => Arr.head(items)),
    size: Effect.map(endsOf(open), ({ head, tail }) => tail - head)
  }
}

// internal

interface Open<A> {
  readonly entries: EntryAccess
  readonly queue: DurableQueue<A>
}

/** The sequences of the oldest item and of the next one to be offered, as they are stored: `text`. */
interface Ends {
  readonly head: number
  readonly tail: number
  readonly text: string | null
}

/** Stands before the keys of all items. Both ends are one entry: neither is ever searched for, also of an empty queue. */
const endsKey = "-"

/** The order of keys is that of sequences: the largest has sixteen digits. */
const keyOf = (sequence: number): string => String(sequence).padStart(16, "0")

const endsOf = <A>({ entries, queue: { collection } }: Open<A>): Effect.Effect<Ends, StorageError> =>
  Effect.flatMap(entries.get(collection, endsKey), (text): Effect.Effect<Ends> => {
    if (text === null) return Effect.succeed({ head: 0, tail: 0, text })
    const [head, tail] = text.split(" ").map(Number)
    return head === undefined || tail === undefined || !(head <= tail)
      ? broken(collection, endsKey, text, "it must be two sequences")
      : Effect.succeed({ head, tail, text })
  })

const broken = (collection: string, key: string, text: string, issue: string): Effect.Effect<never> =>
  Effect.die(new EntryCodec.EntryUndecodable({ collection, key, text, issue }))

/** Moves the ends and changes items in one turn; `false` where another fiber of the message has moved the ends. */
const move = <A>(
  { entries, queue: { collection } }: Open<A>,
  ends: Ends,
  to: Pick<Ends, "head" | "tail">,
  changes: ReadonlyArray<readonly [key: string, value: string | null]>
): Effect.Effect<boolean> =>
  entries.changeIf(collection, endsKey, ends.text, [[endsKey, `${to.head} ${to.tail}`], ...changes])

const offer = <A>(open: Open<A>, items: ReadonlyArray<A>): Effect.Effect<void, StorageError> =>
  Effect.flatMap(Effect.orDie(Either.all(items.map(open.queue.item.encode))), (texts) => {
    const attempt: Effect.Effect<void, StorageError> = Effect.flatMap(endsOf(open), (ends) => {
      const { head, tail } = ends
      const changes = texts.map((text, index) => [keyOf(tail + index), text] as const)
      return Effect.if(move(open, ends, { head, tail: tail + texts.length }, changes), {
        onTrue: () => Effect.void,
        onFalse: () => attempt
      })
    })
    return texts.length === 0 ? Effect.void : attempt
  })

const take = <A>(open: Open<A>, count: number): Effect.Effect<ReadonlyArray<A>, StorageError> =>
  Effect.flatMap(oldest(open, count), ({ ends, items }) => {
    if (items.length === 0) return Effect.succeed(items)
    const removed = items.map((_, index) => [keyOf(ends.head + index), null] as const)
    return Effect.if(move(open, ends, { head: ends.head + items.length, tail: ends.tail }, removed), {
      onTrue: () => Effect.succeed(items),
      onFalse: () => take(open, count)
    })
  })

/** The oldest items, at most `count`, and where the ends were. */
const oldest = <A>(
  open: Open<A>,
  count: number
): Effect.Effect<{ readonly ends: Ends; readonly items: ReadonlyArray<A> }, StorageError> =>
  Effect.gen(function*() {
    const ends = yield* endsOf(open)
    const { collection, item } = open.queue
    const texts = yield* readTexts(open, ends.head, Math.min(count, ends.tail - ends.head))
    const lost = texts.indexOf(null)
    if (lost < 0) {
      const items = texts.map((text, index) => item.decode(keyOf(ends.head + index), text ?? ""))
      return { ends, items: yield* Effect.orDie(Either.all(items)) }
    }
    // Another fiber of the message has taken it.
    if ((yield* endsOf(open)).text !== ends.text) return yield* oldest(open, count)
    return yield* broken(collection, keyOf(ends.head + lost), "", "it is not there")
  })

/** What is stored of items; `null` for one that is not there. */
const readTexts = <A>(
  { entries, queue: { collection } }: Open<A>,
  head: number,
  count: number
): Effect.Effect<ReadonlyArray<string | null>, StorageError> => {
  if (count <= 0) return Effect.succeed([])
  if (count === 1) return Effect.map(entries.get(collection, keyOf(head)), (text) => [text])
  const after = head === 0 ? endsKey : keyOf(head - 1)
  return Effect.map(
    entries.page(collection, { after, limit: count }),
    (page) =>
      Array.from({ length: count }, (_, at) => (page[at]?.key === keyOf(head + at) ? page[at].value : null))
  )
}
