/**
 * The current message is the one that a fiber, or whoever started it, handles: what such a fiber asks is asked by its agent.
 */
import * as FiberRef from "effect/FiberRef"
import * as GlobalValue from "effect/GlobalValue"
import type { MessageRun } from "./MessageRun.ts"

/** `null` outside of handlers. */
export const currentMessage: FiberRef.FiberRef<MessageRun | null> = GlobalValue.globalValue(
  "@holdfast/agents/CurrentMessage",
  () => FiberRef.unsafeMake<MessageRun | null>(null)
)
