import type { RestartKind } from "@holdfast/core/RestartDecision"
import type { ChildInfo } from "@holdfast/core/Supervisor"
import type { SupervisorEvent } from "@holdfast/core/SupervisorEvent"
import * as FastCheck from "effect/FastCheck"

/** How a child may be told to end; `Busy` is its typed failure. */
export type End = "success" | "defect" | "interrupted" | "Busy"

/** `later` is a restart after a second. */
export type OnBusy = "restart" | "later" | "stop" | "park"

export interface Spec {
  readonly id: string
  readonly restart: RestartKind
  readonly onBusy: OnBusy
  /** The child's own budget in 5 seconds; the supervisor's, 2, where this is null. */
  readonly maxRestarts: number | null
  readonly exceeded: "park" | "escalate"
}

export type Operation =
  | { readonly _tag: "start"; readonly spec: Spec }
  | { readonly _tag: "terminate"; readonly id: string }
  | { readonly _tag: "restart"; readonly id: string }
  | { readonly _tag: "exit"; readonly id: string; readonly end: End }
  | { readonly _tag: "advance"; readonly millis: number }

interface Child {
  readonly spec: Spec
  readonly status: "starting" | "running" | "parked"
  readonly restarts: number
  readonly restartedAt: ReadonlyArray<number>
  readonly dueAt: number
}

export interface Model {
  readonly children: ReadonlyArray<Child>
  readonly log: ReadonlyArray<string>
  readonly atMillis: number
}

export const maxChildren = 3
export const maxRestarts = 2
export const laterMillis = 1_000
const periodMillis = 5_000

const id = FastCheck.constantFrom("a", "b", "c", "d")
const spec: FastCheck.Arbitrary<Spec> = FastCheck.record({
  id,
  restart: FastCheck.constantFrom("permanent", "transient", "temporary"),
  onBusy: FastCheck.constantFrom("restart", "later", "stop", "park"),
  maxRestarts: FastCheck.constantFrom(null, 0, 1, 3),
  exceeded: FastCheck.constantFrom("park", "escalate")
})

const end = FastCheck.constantFrom<Array<End>>("success", "defect", "defect", "interrupted", "Busy", "Busy")

const operation: FastCheck.Arbitrary<Operation> = FastCheck.oneof(
  { weight: 3, arbitrary: FastCheck.record({ _tag: FastCheck.constant("start" as const), spec }) },
  { weight: 6, arbitrary: FastCheck.record({ _tag: FastCheck.constant("exit" as const), id, end }) },
  { weight: 1, arbitrary: FastCheck.record({ _tag: FastCheck.constant("terminate" as const), id }) },
  { weight: 2, arbitrary: FastCheck.record({ _tag: FastCheck.constant("restart" as const), id }) },
  {
    weight: 2,
    arbitrary: FastCheck.record({
      _tag: FastCheck.constant("advance" as const),
      millis: FastCheck.constantFrom(1, 999, 1_000, 4_000, 5_000, 5_001)
    })
  }
)

export const operations: FastCheck.Arbitrary<ReadonlyArray<Operation>> = FastCheck.array(operation, {
  maxLength: 40,
  size: "max"
})

export const empty: Model = { children: [], log: [], atMillis: 0 }

/** The model after an operation, and what the operation answers. */
export const apply = (model: Model, operation: Operation): readonly [Model, answer: string] => {
  switch (operation._tag) {
    case "start":
      return start(model, operation.spec)
    case "advance":
      return [advance(model, model.atMillis + operation.millis), "done"]
    default: {
      const child = model.children.find(({ spec }) => spec.id === operation.id)
      if (child === undefined) return [model, operation._tag === "exit" ? "nobody" : "ChildNotFound"]
      if (operation._tag === "terminate") return [terminate(model, child), "done"]
      if (operation._tag === "restart") return resume(model, child)
      return child.status === "running" ? [exit(model, child, operation.end), "done"] : [model, "nobody"]
    }
  }
}

export const infos = ({ children }: Model): ReadonlyArray<ChildInfo> =>
  children.map(({ restarts, spec, status }) => ({ id: spec.id, status, restarts }))

/** The log of one child: what happens to different children has no order. */
export const logOf = (log: ReadonlyArray<string>, id: string): ReadonlyArray<string> =>
  log.filter((line) => line.startsWith(`${id} `))

/** What is told when the scope closes. */
export const closed = (model: Model): Model =>
  model.children.reduce((model, child) => terminate(model, child), model)

export const told = (event: SupervisorEvent): string => {
  if (event._tag === "SupervisorStopped") return event._tag
  switch (event._tag) {
    case "ChildExited":
      return `${event.child} exited ${event.exitClass} ${event.decision}`
    case "ChildRestarted":
      return `${event.child} restarted ${event.restarts}`
    default:
      return `${event.child} ${event._tag}`
  }
}

const start = (model: Model, spec: Spec): readonly [Model, string] => {
  if (model.children.some((child) => child.spec.id === spec.id)) return [model, "ChildAlreadyPresent"]
  if (model.children.length === maxChildren) return [model, "MaxChildrenReached"]
  const child: Child = { spec, status: "running", restarts: 0, restartedAt: [], dueAt: 0 }
  return [
    { ...model, children: [...model.children, child], log: [...model.log, `${spec.id} ChildStarted`] },
    "running"
  ]
}

const terminate = (model: Model, child: Child): Model => {
  const stopped = child.status === "parked" ? [] : [`${child.spec.id} ChildStopped`]
  return { ...without(model, child), log: [...model.log, ...stopped] }
}

const resume = (model: Model, child: Child): readonly [Model, string] =>
  child.status === "parked"
    ? [{
      ...put(model, { ...child, status: "running", restartedAt: [] }),
      log: [...model.log, `${child.spec.id} ChildStarted`]
    }, "running"]
    : [model, "ChildRunning"]

const exit = (before: Model, child: Child, end: End): Model => {
  const decision = decide(child.spec, end)
  const decided = decision === "later" ? "restart" : decision
  const model = {
    ...before,
    log: [...before.log, `${child.spec.id} exited ${end === "Busy" ? "failure" : end} ${decided}`]
  }
  if (decision === "stop") return without(model, child)
  if (decision === "park") return put(model, { ...child, status: "parked" })
  const recent = child.restartedAt.filter((time) => model.atMillis - time <= periodMillis)
  if (recent.length >= (child.spec.maxRestarts ?? maxRestarts)) {
    const log = [...model.log, `${child.spec.id} IntensityExceeded`]
    return put({ ...model, log }, { ...child, status: "parked" })
  }
  const again = { ...child, restarts: child.restarts + 1, restartedAt: [...recent, model.atMillis] }
  return decision === "later"
    ? put(model, { ...again, status: "starting", dueAt: model.atMillis + laterMillis })
    : run(model, again)
}

const advance = (model: Model, atMillis: number): Model =>
  model.children.filter((child) => child.status === "starting" && child.dueAt <= atMillis)
    .reduce(run, { ...model, atMillis })

const run = (model: Model, child: Child): Model => ({
  ...put(model, { ...child, status: "running" }),
  log: [...model.log, `${child.spec.id} restarted ${child.restarts}`]
})

const put = (model: Model, child: Child): Model => ({
  ...model,
  children: model.children.map((other) => other.spec.id === child.spec.id ? child : other)
})

const without = (model: Model, child: Child): Model => ({
  ...model,
  children: model.children.filter((other) => other !== child)
})

const decide = ({ onBusy, restart }: Spec, end: End): OnBusy => {
  if (end === "Busy") return onBusy
  if (restart === "permanent") return "restart"
  return restart === "transient" && end !== "success" ? "restart" : "stop"
}
