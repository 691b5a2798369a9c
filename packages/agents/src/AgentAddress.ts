/**
 * An agent address names one agent: its type, which is the name of its definition, and its id among the agents of it.
 */
import * as Schema from "effect/Schema"

/** Names one agent. A type has no slash, so that the rendered form is unique. */
export const AgentAddress = Schema.Struct({ type: Schema.String, id: Schema.String })
export type AgentAddress = typeof AgentAddress.Type

/** Makes an address. */
export const make = (type: string, id: string): AgentAddress => ({ type, id })

/** Renders an address as `type/id`: what people read, and the key of the agent within a process. */
export const render = (address: AgentAddress): string => `${address.type}/${address.id}`
