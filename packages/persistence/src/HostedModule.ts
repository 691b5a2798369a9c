/**
 * A hosted module is a module that exports a layer for a host to run.
 */
import type { AgentRuntime } from "@holdfast/agents/AgentRuntime"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import type { Ports } from "./Sqlite.ts"

/** What a module's layer may require. */
export type Services = AgentRuntime | Ports

/** What a module exports, by name. */
export type Exports = Readonly<Record<string, unknown>>

/** How a layer fails of which only its module knows the type. */
export interface Thrown {
  readonly _tag?: string
  readonly message?: string
}

/** The layer that a module exports as `layer`, or as its default; else a sentence that says what was found. */
export const layerOf = (exports: Exports): Either.Either<Layer.Layer<never, Thrown, Services>, string> => {
  const name = ["layer", "default"].find((name) => exports[name] !== undefined)
  if (name === undefined) return Either.left(`${listed(exports)}; export a Layer as "layer", or by default`)
  const found = exports[name]
  return isLayer(found)
    ? Either.right(found)
    : Either.left(`its export "${name}" is ${describe(found)}, not a Layer`)
}

/** What a failure says of itself. */
export const describeFailure = (failure: Thrown): string => {
  const { _tag = "", message = "" } = Object(failure) as Thrown
  if (_tag === "" && message === "") return String(failure)
  return message === "" || _tag === "" ? `${_tag}${message}` : `${_tag}: ${message}`
}

// internal

/** What it requires beyond what is offered is found when it is built. */
const isLayer = (value: unknown): value is Layer.Layer<never, Thrown, Services> => Layer.isLayer(value)

const listed = (exports: Exports): string => {
  const names = Object.keys(exports)
  return names.length === 0 ? "it exports nothing" : `it exports only ${names.join(", ")}`
}

const describe = (value: unknown): string => {
  if (Effect.isEffect(value)) return "an Effect (Layer.scopedDiscard makes a Layer of it)"
  if (isTagged(value, "Agent")) return "the definition of an agent (its toLayer makes a Layer of it)"
  if (value === null) return "null"
  if (Array.isArray(value)) return "an array (Layer.mergeAll makes one Layer of several)"
  return value instanceof Promise
    ? "a promise"
    : typeof value === "object"
    ? "an object"
    : `a ${typeof value}`
}

const isTagged = (value: unknown, tag: string): boolean =>
  typeof value === "object" && value !== null && "_tag" in value && value._tag === tag
