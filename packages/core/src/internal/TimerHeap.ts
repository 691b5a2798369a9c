/**
 * A timer heap holds timers by the moment they are due: the earliest is looked at in constant time, and any is put in or
 * taken out in logarithmic time. Of those due at one moment the first put in comes first.
 */

/** What is in a heap, in one at the most. `index` is its place there, -1 outside. */
export interface Timer {
  dueMillis: number
  order: number
  index: number
}

/** Timers, the earliest first. Bounded by what puts timers in. */
export interface TimerHeap<A extends Timer> {
  readonly timers: Array<A>
  inserted: number
}

export const make = <A extends Timer>(): TimerHeap<A> => ({ timers: [], inserted: 0 })

export const size = <A extends Timer>(heap: TimerHeap<A>): number => heap.timers.length

export const peek = <A extends Timer>(heap: TimerHeap<A>): A | undefined => heap.timers[0]

/** Puts a timer in, or moves it when it is in already. */
export const set = <A extends Timer>(heap: TimerHeap<A>, timer: A, dueMillis: number): void => {
  remove(heap, timer)
  timer.dueMillis = dueMillis
  timer.order = heap.inserted++
  place(heap, timer, heap.timers.length)
  rise(heap, timer)
}

/** Takes a timer out; one that is not in stays out. */
export const remove = <A extends Timer>(heap: TimerHeap<A>, timer: A): void => {
  const { index } = timer
  if (index < 0) return
  timer.index = -1
  const last = heap.timers.pop()
  if (last === undefined || last === timer) return
  place(heap, last, index)
  rise(heap, last)
  sink(heap, last)
}

// internal

const isBefore = (a: Timer, b: Timer): boolean =>
  a.dueMillis < b.dueMillis || (a.dueMillis === b.dueMillis && a.order < b.order)

const place = <A extends Timer>(heap: TimerHeap<A>, timer: A, index: number): void => {
  heap.timers[index] = timer
  timer.index = index
}

const rise = <A extends Timer>(heap: TimerHeap<A>, timer: A): void => {
  while (timer.index > 0) {
    const at = timer.index
    const up = (at - 1) >> 1
    const parent = heap.timers[up]
    if (parent === undefined || !isBefore(timer, parent)) return
    place(heap, parent, at)
    place(heap, timer, up)
  }
}

const sink = <A extends Timer>(heap: TimerHeap<A>, timer: A): void => {
  for (;;) {
    const at = timer.index
    const left = heap.timers[2 * at + 1]
    const right = heap.timers[2 * at + 2]
    const child = left !== undefined && right !== undefined && isBefore(right, left) ? right : left
    if (child === undefined || !isBefore(child, timer)) return
    const down = child.index
    place(heap, child, at)
    place(heap, timer, down)
  }
}
