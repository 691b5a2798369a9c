/**
 * A recipient's buffer holds what is accepted and, when it is full, does with the next message as its policy says.
 */

/**
 * Says what becomes of a message that meets a full buffer.
 *
 * `dropOldest`: it is accepted and the oldest goes. `dropNewest`: it goes itself. `reject`: it is refused. `backpressure`:
 * its sender waits until there is a place, first come, first served.
 */
export type Overflow = "dropOldest" | "dropNewest" | "backpressure" | "reject"

/** Is a buffer, changed in place. Both sets are in order of arrival. */
export interface RecipientBuffer<A> {
  readonly capacity: number
  readonly overflow: Overflow
  /** Accepted; at the most `capacity`. */
  readonly items: Set<A>
  /** Not accepted yet: `backpressure` alone. Bounded by the fibers that wait. */
  readonly waiting: Set<A>
}

/**
 * Is what became of an offer: accepted; accepted while the oldest had to go; dropped; refused; or it waits for its
 * place.
 */
export type Offered<A> =
  | { readonly _tag: "Accepted" }
  | { readonly _tag: "Displaced"; readonly oldest: A }
  | { readonly _tag: "Dropped" }
  | { readonly _tag: "Refused" }
  | { readonly _tag: "Waiting" }

/** Is the oldest item, and the one that took the place it left. */
export interface Taken<A> {
  readonly item: A
  readonly admitted: A | undefined
}

/** Makes an empty buffer. */
export const make = <A>(capacity: number, overflow: Overflow): RecipientBuffer<A> => ({
  capacity,
  overflow,
  items: new Set(),
  waiting: new Set()
})

/** Offers an item, which must not be in the buffer. */
export const offer = <A>(buffer: RecipientBuffer<A>, item: A): Offered<A> => {
  const { capacity, items, overflow, waiting } = buffer
  if (items.size < capacity) {
    items.add(item)
    return { _tag: "Accepted" }
  }
  switch (overflow) {
    case "dropOldest":
      return displace(items, item)
    case "dropNewest":
      return { _tag: "Dropped" }
    case "reject":
      return { _tag: "Refused" }
    case "backpressure":
      waiting.add(item)
      return { _tag: "Waiting" }
  }
}

/** Takes the oldest item and gives its place to the one that waits longest; nothing when there is none. */
export const take = <A>({ items, waiting }: RecipientBuffer<A>): Taken<A> | undefined => {
  for (const item of items) {
    items.delete(item)
    const [admitted] = waiting
    if (admitted !== undefined) {
      waiting.delete(admitted)
      items.add(admitted)
    }
    return { item, admitted }
  }
  return undefined
}

/** Takes back an item that still waits; one that was accepted stays. */
export const withdraw = <A>(buffer: RecipientBuffer<A>, item: A): void => void buffer.waiting.delete(item)

/** Empties the buffer: what was accepted, and what waited. */
export const clear = <A>(
  { items, waiting }: RecipientBuffer<A>
): { readonly items: ReadonlyArray<A>; readonly waiting: ReadonlyArray<A> } => {
  const left = { items: [...items], waiting: [...waiting] }
  items.clear()
  waiting.clear()
  return left
}

// internal

const displace = <A>(items: Set<A>, item: A): Offered<A> => {
  for (const oldest of items) {
    items.delete(oldest)
    items.add(item)
    return { _tag: "Displaced", oldest }
  }
  return { _tag: "Dropped" }
}
