import type { RestartKind } from "@holdfast/core/RestartDecision"
import type { AutoShutdown, Strategy } from "@holdfast/core/Supervisor"
import * as FastCheck from "effect/FastCheck"

/** How a child may end; a failure by its tag. */
export type End =
  | "success"
  | "defect"
  | "interrupted"
  | "Busy"
  | "BadConfig"
  | "RestartIntensityExceeded"

/** A decision; `later` is a restart after {@link delayMillis}. */
export type Decided = "restart" | "later" | "stop" | "park" | "escalate"

/** A worker, or a supervisor where it has children. */
export type ChildScript = WorkerScript | NestedScript

export interface WorkerScript extends AnyChildScript {
  readonly children?: undefined
}

export interface NestedScript extends AnyChildScript, SupervisorScript {}

interface AnyChildScript {
  readonly restart: RestartKind
  readonly significant: boolean
  readonly intensity: {
    readonly maxRestarts: number
    readonly exceeded: "park" | "escalate"
    readonly backs: boolean
  } | null
  readonly onFailure: {
    readonly Busy: Decided
    readonly BadConfig: Decided
    readonly RestartIntensityExceeded?: Decided | undefined
  }
}

export interface SupervisorScript {
  readonly strategy: Strategy
  readonly autoShutdown: AutoShutdown
  readonly maxRestarts: number
  readonly children: ReadonlyArray<ChildScript>
}

/** One of the workers that run ends; or somebody asks the root for something. */
export type Step =
  | { readonly _tag: "End"; readonly worker: number; readonly how: End; readonly afterMillis: number }
  | { readonly _tag: "Start"; readonly id: string; readonly child: ChildScript }
  | { readonly _tag: "Terminate" | "Restart" | "Delete"; readonly id: string }

/** A tree, and what happens to it. */
export interface Script {
  readonly root: SupervisorScript
  readonly steps: ReadonlyArray<Step>
}

/** The period of all intensities, the delay of `later`, and of the backoff. None falls on the time of a step. */
export const periodMillis = 5_000
export const delayMillis = 1_000.001
export const backoffMillis = 1_000

const decided = FastCheck.oneof(
  { weight: 1, arbitrary: FastCheck.constant<Decided>("restart") },
  { weight: 1, arbitrary: FastCheck.constantFrom<Decided>("later", "stop", "park", "escalate") }
)

const maxRestarts = FastCheck.integer({ min: 0, max: 4 })

const intensity = FastCheck.record({
  maxRestarts: FastCheck.integer({ min: 0, max: 2 }),
  exceeded: FastCheck.constantFrom<"park" | "escalate">("park", "escalate"),
  backs: FastCheck.boolean()
})

// Only what may end for good may be significant, and only where the supervisor looks at it.
const settled = (autoShutdown: AutoShutdown) => <C extends ChildScript>(child: C): C => ({
  ...child,
  significant: child.significant && autoShutdown !== "never" && child.restart !== "permanent"
})

const anyChild = {
  restart: FastCheck.constantFrom<RestartKind>("permanent", "permanent", "transient", "temporary"),
  significant: FastCheck.boolean(),
  intensity: FastCheck.option(intensity, { freq: 3 })
}

const worker: FastCheck.Arbitrary<WorkerScript> = FastCheck.record({
  ...anyChild,
  onFailure: FastCheck.record({ Busy: decided, BadConfig: decided })
})

const anyStrategy = FastCheck.constantFrom<Strategy>("one_for_one", "one_for_all", "rest_for_one")

const supervisor = (child: FastCheck.Arbitrary<ChildScript>) => ({
  autoShutdown: FastCheck.constantFrom<AutoShutdown>("never", "never", "any", "all"),
  maxRestarts,
  children: FastCheck.array(child, { minLength: 1, maxLength: 4 })
})

const coherent = <S extends SupervisorScript>(script: S): S => ({
  ...script,
  children: script.children.map(settled(script.autoShutdown))
})

const nested = (child: FastCheck.Arbitrary<ChildScript>): FastCheck.Arbitrary<ChildScript> =>
  FastCheck.record({
    ...anyChild,
    ...supervisor(child),
    strategy: anyStrategy,
    onFailure: FastCheck.record({
      Busy: decided,
      BadConfig: decided,
      RestartIntensityExceeded: FastCheck.option(decided, { nil: undefined })
    })
  }).map(coherent)

const either = (below: FastCheck.Arbitrary<ChildScript>): FastCheck.Arbitrary<ChildScript> =>
  FastCheck.oneof({ weight: 3, arbitrary: worker }, { weight: 2, arbitrary: nested(below) })

const id = FastCheck.constantFrom("0", "1", "2", "x", "y")

const step: FastCheck.Arbitrary<Step> = FastCheck.oneof(
  {
    weight: 8,
    arbitrary: FastCheck.record({
      _tag: FastCheck.constant("End" as const),
      worker: FastCheck.nat({ max: 19 }),
      how: FastCheck.constantFrom<End>("success", "defect", "defect", "interrupted", "Busy", "BadConfig"),
      afterMillis: FastCheck.constantFrom(1, 1, 1, 700, 2_503, 5_001)
    })
  },
  {
    weight: 1,
    arbitrary: FastCheck.record({
      _tag: FastCheck.constant("Start" as const),
      id,
      child: either(worker).map(settled("never"))
    })
  },
  {
    weight: 2,
    arbitrary: FastCheck.record({
      _tag: FastCheck.constantFrom("Terminate" as const, "Restart" as const, "Delete" as const),
      id
    })
  }
)

/** Trees of at most three floors whose root has the strategy; those below it have any. */
export const script = (strategy: Strategy): FastCheck.Arbitrary<Script> =>
  FastCheck.record({
    root: FastCheck.record(supervisor(either(either(worker)))).map((root) => coherent({ ...root, strategy })),
    steps: FastCheck.array(step, { maxLength: 14, size: "max" })
  })
