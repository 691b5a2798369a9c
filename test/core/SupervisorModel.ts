import type { TreeNode } from "@holdfast/core/SupervisionTree"
import type { AutoShutdown, ChildStatus, Strategy } from "@holdfast/core/Supervisor"
import type { ChildScript, Decided, End, Script, SupervisorScript } from "./SupervisorScript.ts"
import { backoffMillis, delayMillis, periodMillis } from "./SupervisorScript.ts"

/** What may be seen of a supervision tree. */
export interface Prediction {
  /** The workers that came up and went down, in order. */
  readonly log: Array<string>
  /** `running`, `ended`, or what the root failed with. */
  outcome: string
  readonly root: Sup
  nowMillis: number
}

interface Sup {
  readonly name: string
  readonly strategy: Strategy
  readonly autoShutdown: AutoShutdown
  readonly maxRestarts: number
  /** The node that this supervisor is a run of; none of the root. */
  readonly node: Node | undefined
  children: Array<Node>
  line: Array<Node>
  awaited: Node | undefined
  restartedAt: Array<number>
}

interface Node {
  readonly id: string
  readonly path: string
  readonly script: ChildScript
  readonly parent: Sup
  status: ChildStatus
  restarts: number
  restartedAt: Array<number>
  delayMillis: number
  /** When it is to be started. */
  dueMillis: number | undefined
  sup: Sup | undefined
}

/** Starts the tree of a script. */
export const started = (script: Script): Prediction => {
  const root = supOf("root", "", script.root, undefined)
  const model = { log: [], outcome: "running", root, nowMillis: 0 }
  advance(model, root)
  return model
}

/** Says which workers run, by their paths. */
export const running = (model: Prediction): ReadonlyArray<string> =>
  model.outcome === "running" ? nodesOf(model.root).filter(isRunningWorker).map(({ path }) => path) : []

/** Says when the next child is due, at `untilMillis` the latest. */
export const nextDue = (model: Prediction, untilMillis: number): number | undefined => {
  const due = nodesOf(model.root).flatMap(({ dueMillis }) =>
    dueMillis !== undefined && dueMillis <= untilMillis ? [dueMillis] : []
  )
  return due.length === 0 ? undefined : Math.min(...due)
}

/** Starts what is due. */
export const passTo = (model: Prediction, nowMillis: number): void => {
  model.nowMillis = nowMillis
  for (const node of nodesOf(model.root)) {
    if (node.dueMillis === undefined || node.dueMillis > nowMillis) continue
    node.dueMillis = undefined
    run(model, node)
    if (node.parent.awaited !== undefined) advance(model, node.parent)
  }
}

/** Ends a worker. */
export const end = (model: Prediction, path: string, how: End): void => {
  const node = nodesOf(model.root).find((other) => other.path === path)
  if (node === undefined) throw new Error(`no worker ${path}`)
  model.log.push(`${path} down`)
  onEnded(model, node, how, "")
}

export const startChild = (model: Prediction, id: string, script: ChildScript): string => {
  const { root } = model
  const present = root.children.find((child) => child.id === id)
  if (present !== undefined) return isAlive(present) ? "ChildRunning" : "ChildAlreadyPresent"
  const node = nodeOf(root, "", id, script)
  root.children.push(node)
  return startInTurn(model, node)
}

export const terminateChild = (model: Prediction, id: string): string =>
  withChild(model, id, (node) => {
    if (node.status === "parked") node.status = "stopped"
    stop(model, node)
    if (model.root.awaited !== undefined) advance(model, model.root)
    return "done"
  })

export const restartChild = (model: Prediction, id: string): string =>
  withChild(model, id, (node) => {
    if (isAlive(node)) return "ChildRunning"
    node.status = "starting"
    node.restartedAt = []
    return startInTurn(model, node)
  })

export const deleteChild = (model: Prediction, id: string): string =>
  withChild(model, id, (node) => {
    if (isAlive(node)) return "ChildRunning"
    model.root.children = model.root.children.filter((child) => child !== node)
    return "done"
  })

/** Stops the root's children, whatever it ends with. */
export const close = (model: Prediction, outcome: string): void => {
  stopChildren(model, model.root)
  model.outcome = outcome
}

/** Shows the tree as a supervisor shows it. */
export const tree = ({ outcome, root }: Prediction): TreeNode => ({
  name: root.name,
  kind: "supervisor",
  strategy: root.strategy,
  status: outcome === "running" ? "running" : "stopped",
  restarts: 0,
  children: root.children.map(nodeTree)
})

const nodeTree = ({ id: name, restarts, script, status, sup }: Node): TreeNode => ({
  name,
  kind: script.children === undefined ? "worker" : "supervisor",
  status,
  restarts,
  ...(sup === undefined ? { children: [] } : {
    strategy: sup.strategy,
    children: sup.children.map(nodeTree)
  })
})

const supOf = (name: string, path: string, script: SupervisorScript, node: Node | undefined): Sup => {
  const sup: Sup = {
    name,
    node,
    strategy: script.strategy,
    autoShutdown: script.autoShutdown,
    maxRestarts: script.maxRestarts,
    children: [],
    line: [],
    awaited: undefined,
    restartedAt: []
  }
  sup.children = script.children.map((child, index) => nodeOf(sup, path, `${index}`, child))
  sup.line = [...sup.children]
  return sup
}

const nodeOf = (parent: Sup, path: string, id: string, script: ChildScript): Node => ({
  id,
  path: `${path}/${id}`,
  script,
  parent,
  status: "starting",
  restarts: 0,
  restartedAt: [],
  delayMillis: 0,
  dueMillis: undefined,
  sup: undefined
})

const nodesOf = (sup: Sup): ReadonlyArray<Node> =>
  sup.children.flatMap((node) => [node, ...(node.sup === undefined ? [] : nodesOf(node.sup))])

const isRunningWorker = ({ script, status }: Node): boolean =>
  status === "running" && script.children === undefined

const isAlive = ({ status }: Node): boolean => status === "starting" || status === "running"

const withChild = (model: Prediction, id: string, use: (node: Node) => string): string => {
  const node = model.root.children.find((child) => child.id === id)
  return node === undefined ? "ChildNotFound" : use(node)
}

const advance = (model: Prediction, sup: Sup): void => {
  while (sup.awaited?.status !== "starting") {
    sup.awaited = sup.line.shift()
    if (sup.awaited === undefined) return onAllStarted(model, sup)
    begin(model, sup.awaited)
  }
}

const onAllStarted = (model: Prediction, { node }: Sup): void => {
  if (node?.status !== "starting") return
  node.status = "running"
  if (node.parent.awaited !== undefined) advance(model, node.parent)
}

const begin = (model: Prediction, node: Node): void => {
  if (node.delayMillis === 0) return run(model, node)
  node.dueMillis = model.nowMillis + node.delayMillis
  node.delayMillis = 0
}

const run = (model: Prediction, node: Node): void => {
  const { id, path, script } = node
  if (script.children === undefined) {
    model.log.push(`${path} up`)
    node.status = "running"
    return
  }
  node.sup = supOf(id, path, script, node)
  advance(model, node.sup)
}

const startInTurn = (model: Prediction, node: Node): string => {
  const { root } = model
  root.line = root.children.filter((child) => child === node || root.line.includes(child))
  advance(model, root)
  return node.status === "starting" ? "waits" : node.status
}

/** `by` is who gave up. */
const onEnded = (model: Prediction, node: Node, how: End, by: string): void => {
  const sup = node.parent
  node.status = "stopped"
  node.sup = undefined
  const decision = decide(node.script, how)
  if (decision === "escalate") return fail(model, sup, how, by)
  if (decision === "park") node.status = "parked"
  else if (decision === "stop") {
    if (node.script.restart === "temporary") sup.children = sup.children.filter((other) => other !== node)
    if (shutsDown(sup, node)) return endNormally(model, sup)
  } else restart(model, node, decision === "later" ? delayMillis : 0)
  if (isOpen(model, sup) && sup.awaited !== undefined) advance(model, sup)
}

const decide = ({ onFailure, restart }: ChildScript, how: End): Decided => {
  if (how === "Busy" || how === "BadConfig" || how === "RestartIntensityExceeded") {
    return onFailure[how] ?? (restart === "permanent" ? "restart" : "stop")
  }
  if (restart === "permanent") return "restart"
  return restart === "transient" && how !== "success" ? "restart" : "stop"
}

const shutsDown = ({ autoShutdown, children }: Sup, { script }: Node): boolean => {
  if (!script.significant) return false
  const left = children.filter((child) => child.script.significant && child.status !== "stopped")
  return autoShutdown === "any" || autoShutdown === "all" && left.length === 0
}

const restart = (model: Prediction, node: Node, delay: number): void => {
  const { parent, script } = node
  const counted = script.intensity === null ? parent : node
  const { maxRestarts } = script.intensity ?? parent
  const recent = counted.restartedAt.filter((at) => model.nowMillis - at <= periodMillis)
  if (recent.length + 1 > maxRestarts) {
    if (script.intensity?.exceeded !== "park") {
      return fail(model, parent, "RestartIntensityExceeded", `${parent.name} ${node.id}`)
    }
    node.status = "parked"
    return
  }
  counted.restartedAt = [...recent, model.nowMillis]
  node.delayMillis = script.intensity?.backs === true ? Math.max(delay, backoffMillis) : delay
  restartGroup(model, node)
}

const restartGroup = (model: Prediction, node: Node): void => {
  const sup = node.parent
  const at = sup.children.indexOf(node)
  if (sup.strategy === "one_for_one") return restarting(node, () => begin(model, node))
  const group = sup.strategy === "one_for_all" ? sup.children : sup.children.slice(at)
  for (const sibling of group.toReversed()) if (sibling !== node) stop(model, sibling)
  for (const member of group) {
    if (member !== node && (member.script.restart === "temporary" || member.status === "parked")) continue
    restarting(member, () => sup.line.push(member))
  }
  sup.line.sort((a, b) => sup.children.indexOf(a) - sup.children.indexOf(b))
  if (sup.awaited !== undefined && !group.includes(sup.awaited)) return
  sup.awaited = undefined
  advance(model, sup)
}

const restarting = (node: Node, start: () => void): void => {
  node.status = "starting"
  node.restarts += 1
  start()
}

const stop = (model: Prediction, node: Node): void => {
  const { parent, path, script, status, sup } = node
  parent.line = parent.line.filter((other) => other !== node)
  if (script.restart === "temporary") parent.children = parent.children.filter((other) => other !== node)
  if (status === "running" && script.children === undefined) model.log.push(`${path} down`)
  if (sup !== undefined) stopChildren(model, sup)
  if (isAlive(node)) node.status = "stopped"
  node.sup = undefined
  node.dueMillis = undefined
  node.delayMillis = 0
}

// A supervisor that has ended shows its children as they were left.
const stopChildren = (model: Prediction, sup: Sup): void => {
  const { children } = sup
  for (const node of children.toReversed()) stop(model, node)
  sup.children = children
}

const fail = (model: Prediction, sup: Sup, how: End, by: string): void => {
  if (sup.node === undefined) return close(model, `${how}${by === "" ? "" : ` ${by}`}`)
  stopChildren(model, sup)
  onEnded(model, sup.node, how, by)
}

const endNormally = (model: Prediction, sup: Sup): void => {
  if (sup.node === undefined) return close(model, "ended")
  stopChildren(model, sup)
  onEnded(model, sup.node, "success", "")
}

const isOpen = (model: Prediction, sup: Sup): boolean =>
  sup.node === undefined ? model.outcome === "running" : sup.node.sup === sup
