/**
 * Children are what the handlers of one activation have spawned: supervised, and stopped when its present life ends.
 */
import type { StartRefused } from "@holdfast/core/ChildError"
import type { ChildSpec } from "@holdfast/core/ChildSpec"
import * as DynamicSupervisor from "@holdfast/core/DynamicSupervisor"
import type { TreeNode } from "@holdfast/core/SupervisionTree"
import type { ChildInfo } from "@holdfast/core/Supervisor"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import type { AgentHost } from "./AgentHost.ts"

/** Makes a place without children, which has no supervisor until the first is spawned. */
export class Children {
  readonly #host: AgentHost
  readonly #name: string
  #opened: Effect.Effect<Opened> | null = null
  #closed: Effect.Effect<void> = Effect.void

  constructor(host: AgentHost, name: string) {
    this.#host = host
    this.#name = name
  }

  /** Whether any were spawned. */
  get some(): boolean {
    return this.#opened !== null
  }

  /** Completes when those of earlier lives are gone. */
  get closed(): Effect.Effect<void> {
    return this.#closed
  }

  /** The supervisor and what it supervises; `none` where nothing was spawned. */
  get tree(): Effect.Effect<TreeNode> | null {
    return this.#opened === null ? null : Effect.flatMap(this.#opened, ({ supervisor }) => supervisor.tree)
  }

  /** Starts a child. */
  spawn<R>(spec: ChildSpec<string, never, R>): Effect.Effect<ChildInfo, StartRefused, R> {
    return Effect.suspend(() => {
      this.#opened ??= open(this.#host, this.#name)
      return Effect.flatMap(this.#opened, ({ supervisor }) => supervisor.startChild(spec))
    })
  }

  /** Stops them all. */
  close(): void {
    if (this.#opened === null) return
    const closing = Effect.flatMap(this.#opened, ({ scope }) => Scope.close(scope, Exit.void))
    this.#opened = null
    const closed = this.#host.fork(closing)
    this.#closed = Fiber.join(closed)
    this.#host.closing.add(closed)
    closed.addObserver(() => this.#host.closing.delete(closed))
  }
}

// internal

interface Opened {
  readonly scope: Scope.CloseableScope
  readonly supervisor: DynamicSupervisor.DynamicSupervisor
}

const open = (host: AgentHost, name: string): Effect.Effect<Opened> =>
  Fiber.join(host.fork(Effect.gen(function*() {
    const scope = yield* Scope.make()
    return { scope, supervisor: yield* Scope.extend(DynamicSupervisor.make({ name }), scope) }
  })))
