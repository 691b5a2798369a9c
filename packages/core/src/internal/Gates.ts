import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

/** Lets one fiber through at a time, by name, in the order in which they came. */
export interface Gates {
  readonly byName: Map<string, Gate>
}

/** Kept while somebody is inside or waits: bounded by the fibers that do. */
interface Gate {
  readonly semaphore: Effect.Semaphore
  users: number
}

export const make = (): Gates => ({ byName: new Map() })

/** Waits at the gate, and stays inside until the scope closes. */
export const enter = (gates: Gates, name: string): Effect.Effect<void, never, Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(
      Effect.acquireRelease(
        Effect.sync(() => join(gates, name)),
        () => Effect.sync(() => leave(gates, name))
      ),
      ({ semaphore }) =>
        Effect.zipRight(
          restore(semaphore.take(1)),
          Effect.addFinalizer(() => semaphore.release(1))
        )
    )
  )

const join = (gates: Gates, name: string): Gate => {
  const gate = gates.byName.get(name) ?? { semaphore: Effect.unsafeMakeSemaphore(1), users: 0 }
  gates.byName.set(name, gate)
  gate.users += 1
  return gate
}

const leave = (gates: Gates, name: string): void => {
  const gate = gates.byName.get(name)
  if (gate === undefined) return
  gate.users -= 1
  if (gate.users === 0) gates.byName.delete(name)
}
