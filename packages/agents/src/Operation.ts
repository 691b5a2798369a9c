/**
 * An operation is one durable change as plain data: what to write, the lane it belongs to, and what it builds on.
 */

/** Carries the result and refusal types of an operation; no value of it exists at run time. */
export declare const TypeId: unique symbol

/**
 * A durable change as plain data.
 *
 * `lane` names what the change belongs to (a queue, one claimed task, later an agent or an execution): operations of one
 * lane are applied in the order they were submitted, and a lane's operation that cannot be executed takes the later ones
 * of its lane with it. `base` is the version the change builds on, for operations that replace a versioned row.
 */
export interface Operation<out Tag extends string, out Result, out Refusal> {
  readonly _tag: Tag
  readonly lane: string
  readonly base?: number
  readonly [TypeId]?: { readonly result: Result; readonly refusal: Refusal }
}

/** Any operation. */
export type Any = Operation<string, unknown, unknown>

/** What a committed operation yields. */
export type Result<O> = O extends Operation<string, infer A, unknown> ? A : never

/** How an operation can be refused: its condition did not hold and nothing of it was written. */
export type Refusal<O> = O extends Operation<string, unknown, infer E> ? E : never

/** The results of a list of operations, in their order. */
export type Results<Ops extends ReadonlyArray<Any>> = { -readonly [K in keyof Ops]: Result<Ops[K]> }
