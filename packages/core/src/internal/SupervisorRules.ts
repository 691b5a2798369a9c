/**
 * The rules of a supervisor as pure functions: what it refuses, which children it restarts together, and when
 * it ends because one of them did.
 */
import type { ChildSpec } from "../ChildSpec.ts"
import type { RestartKind } from "../RestartDecision.ts"
import type { AutoShutdown, ChildStatus, Strategy } from "../Supervisor.ts"

type AnySpec = ChildSpec<string, unknown, unknown>

/** What the rules know of a child. */
export interface RuledChild {
  readonly spec: { readonly restart: RestartKind; readonly significant: boolean }
  readonly status: ChildStatus
}

/**
 * Picks the children that are restarted with one of them, it included: all, or it and those started after it,
 * or it alone.
 *
 * **Source** OTP `supervisor`, `restart/3`.
 */
export const affected = <C>(strategy: Strategy, children: ReadonlyArray<C>, ended: C): ReadonlyArray<C> => {
  switch (strategy) {
    case "one_for_one":
      return [ended]
    case "one_for_all":
      return children
    case "rest_for_one":
      return children.slice(children.indexOf(ended))
  }
}

/**
 * Says whether a child is started again with another that ended: not a temporary one, and not one that waits
 * for somebody to resume it. One that had ended before is.
 *
 * **Source** OTP `supervisor`, `restart_multiple_children`; it parks nothing.
 */
export const comesBack = ({ spec, status }: RuledChild): boolean =>
  spec.restart !== "temporary" && status !== "parked"

/**
 * Says whether the supervisor ends now that a significant child has ended by itself and is not to be started
 * again; `children` are those it has. A parked child has not ended.
 *
 * **Source** OTP `supervisor`, `do_auto_shutdown`.
 */
export const endsSupervisor = (
  autoShutdown: AutoShutdown,
  children: ReadonlyArray<RuledChild>
): boolean => {
  if (autoShutdown !== "all") return autoShutdown === "any"
  return children.every(({ spec, status }) => !spec.significant || status === "stopped")
}

/** Throws on children that a supervisor cannot have together. */
export const refuseChildren = (autoShutdown: AutoShutdown, specs: ReadonlyArray<AnySpec>): void => {
  const ids = new Set<string>()
  for (const { id, significant } of specs) {
    if (ids.has(id)) throw new Error(`Two children of a supervisor have the id "${id}"`)
    ids.add(id)
    if (significant && autoShutdown === "never") {
      throw new Error(`Child "${id}" is significant, but its supervisor has no autoShutdown`)
    }
  }
  refuseCycle(specs, [], new Set())
}

// internal

// Lists already found without a cycle are not looked at again, so that each is looked at once.
const refuseCycle = (
  specs: ReadonlyArray<AnySpec>,
  above: ReadonlyArray<ReadonlyArray<AnySpec>>,
  sound: Set<ReadonlyArray<AnySpec>>
): void => {
  if (sound.has(specs)) return
  for (const { id, nested } of specs) {
    if (nested === null) continue
    if (nested === specs || above.includes(nested)) throw new Error(`Supervisor "${id}" is nested in itself`)
    refuseCycle(nested, [...above, specs], sound)
  }
  sound.add(specs)
}
