import { describe, expect, it } from "@effect/vitest"
import * as Registry from "@holdfast/core/Registry"
import * as RegistryOperation from "@holdfast/core/RegistryOperation"
import * as RegistryQuery from "@holdfast/core/RegistryQuery"
import type { WatchEvent } from "@holdfast/core/RegistryWatch"
import * as Supervisor from "@holdfast/core/Supervisor"
import * as Chunk from "effect/Chunk"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

interface Metadata {
  readonly load: number
}

const makeUnique = Registry.make<string, Metadata>({ keys: "unique", indexes: ["load"] })
const makeDuplicate = Registry.make<string, Metadata>({ keys: "duplicate", indexes: ["load"] })

const empty: Registry.Counts = { entries: 0, keys: 0, indexed: 0, watchers: 0 }

/** Collects what a stream of events says; `settle` lets it catch up. */
const collect = <A>(stream: Stream.Stream<A>) =>
  Effect.gen(function*() {
    const seen: Array<A> = []
    yield* Effect.forkScoped(Stream.runForEach(stream, (event) => Effect.sync(() => seen.push(event))))
    yield* settle
    return seen
  })

const settle = Effect.repeatN(Effect.yieldNow(), 20)

// The model: entries in a list, events in a list.

interface ModelEntry extends Registry.Entry<string, Metadata> {
  readonly owner: number
}

interface Model {
  readonly entries: ReadonlyArray<ModelEntry>
  readonly nextId: number
  readonly events: ReadonlyArray<WatchEvent<string, Metadata>>
}

const key = FastCheck.constantFrom("a", "b", "c")

const operation = FastCheck.oneof(
  FastCheck.record({ _tag: FastCheck.constant("Register" as const), key, load: FastCheck.nat(3) }),
  FastCheck.record({ _tag: FastCheck.constant("Update" as const), key, load: FastCheck.nat(3) }),
  FastCheck.record({ _tag: FastCheck.constant("Unregister" as const), key }),
  FastCheck.record({
    _tag: FastCheck.constant("Find" as const),
    load: FastCheck.nat(3),
    limit: FastCheck.integer({ min: -1, max: 9 })
  })
)

const command = FastCheck.record({
  owner: FastCheck.nat(2),
  what: FastCheck.oneof(
    { weight: 4, arbitrary: operation },
    FastCheck.record({
      _tag: FastCheck.constantFrom(
        "atomically" as const,
        "serially" as const,
        "continue" as const,
        "rollback" as const
      ),
      operations: FastCheck.array(operation, { maxLength: 5 })
    }),
    FastCheck.constant({ _tag: "Close" as const })
  )
})

type ModelOperation = typeof operation extends FastCheck.Arbitrary<infer A> ? A : never
type ModelCommand = typeof command extends FastCheck.Arbitrary<infer A> ? A : never

const toOperation = (operation: ModelOperation): Registry.Operation<string, Metadata> => {
  switch (operation._tag) {
    case "Register":
      return RegistryOperation.register(operation.key, "value", { load: operation.load })
    case "Update":
      return RegistryOperation.update(operation.key, ({ load }) => ({ load: load + operation.load }))
    case "Unregister":
      return RegistryOperation.unregister(operation.key)
    case "Find":
      return RegistryOperation.find({
        where: RegistryQuery.gte("load", operation.load),
        limit: operation.limit
      })
  }
}

const publicOf = ({ id, key, metadata, value }: ModelEntry): Registry.Entry<string, Metadata> => ({
  id,
  key,
  value,
  metadata
})

const endIn = (model: Model, isEnded: (entry: ModelEntry) => boolean): Model => ({
  ...model,
  entries: model.entries.filter((entry) => !isEnded(entry)),
  events: [
    ...model.events,
    ...model.entries.filter(isEnded).map((entry) => ({
      _tag: "Unregistered" as const,
      entry: publicOf(entry)
    }))
  ]
})

/** What one operation does to the model, or the tag of its error. */
const applyTo = (
  keys: "unique" | "duplicate",
  model: Model,
  owner: number,
  operation: ModelOperation
): Model | string => {
  if (operation._tag === "Find") return operation.limit < 0 ? "QueryOutOfRange" : model
  const isOwn = (entry: ModelEntry) => entry.key === operation.key && entry.owner === owner
  if (operation._tag === "Unregister") return endIn(model, isOwn)
  if (operation._tag === "Update") {
    if (!model.entries.some(isOwn)) return "NotRegistered"
    const updated = (entry: ModelEntry) => ({
      ...entry,
      metadata: { load: entry.metadata.load + operation.load }
    })
    return {
      ...model,
      entries: model.entries.map((entry) => (isOwn(entry) ? updated(entry) : entry)),
      events: [
        ...model.events,
        ...model.entries.filter(isOwn).map((entry) => ({
          _tag: "Updated" as const,
          entry: publicOf(updated(entry)),
          before: entry.metadata
        }))
      ]
    }
  }
  if (keys === "unique" && model.entries.some((entry) => entry.key === operation.key)) {
    return "AlreadyRegistered"
  }
  const entry = {
    id: model.nextId,
    key: operation.key,
    value: "value",
    metadata: { load: operation.load },
    owner
  }
  return {
    entries: [...model.entries, entry],
    nextId: model.nextId + 1,
    events: [...model.events, { _tag: "Registered", entry: publicOf(entry) }]
  }
}

/** Tags of outcomes, an error's own where an operation failed. */
const applyMany = (
  keys: "unique" | "duplicate",
  before: Model,
  owner: number,
  operations: ReadonlyArray<ModelOperation>,
  onError: "stop" | "continue" | "rollback"
): { readonly model: Model; readonly outcomes: ReadonlyArray<string> } => {
  let model = before
  const outcomes: Array<string> = []
  for (const [index, operation] of operations.entries()) {
    const next = applyTo(keys, model, owner, operation)
    outcomes.push(typeof next === "string" ? next : "Applied")
    if (typeof next !== "string") model = next
    else if (onError !== "continue") {
      const skipped = operations.slice(index + 1).map(() => "Skipped")
      return onError === "stop"
        ? { model, outcomes: [...outcomes, ...skipped] }
        : { model: before, outcomes: [...outcomes.slice(0, -1).map(() => "RolledBack"), next, ...skipped] }
    }
  }
  return { model, outcomes }
}

const onErrorOf = (tag: "atomically" | "serially" | "continue" | "rollback") =>
  tag === "atomically" ? "rollback" : tag === "serially" ? "stop" : tag

const runModel = (keys: "unique" | "duplicate", model: Model, { owner, what }: ModelCommand) => {
  if (what._tag === "Close") return { model: endIn(model, (entry) => entry.owner === owner), outcomes: [] }
  if (!("operations" in what)) return applyMany(keys, model, owner, [what], "stop")
  return applyMany(keys, model, owner, what.operations, onErrorOf(what._tag))
}

const outcomesOf = (
  { outcomes }: {
    readonly outcomes: ReadonlyArray<{ readonly _tag: string; readonly error?: { readonly _tag: string } }>
  }
) => outcomes.map(({ _tag, error }) => error?._tag ?? _tag)

type AnyRegistry = Registry.Unique<string, Metadata> | Registry.Duplicate<string, Metadata>

const runReal = (
  registry: AnyRegistry,
  { what }: ModelCommand
): Effect.Effect<ReadonlyArray<string>, never, Scope.Scope> => {
  if (what._tag === "Close") return Effect.succeed([])
  const one = (effect: Effect.Effect<unknown, { readonly _tag: string }, Scope.Scope>) =>
    Effect.match(effect, { onFailure: ({ _tag }) => [_tag], onSuccess: () => ["Applied"] })
  if ("operations" in what) {
    const operations = what.operations.map(toOperation)
    if (what._tag === "serially") return Effect.map(registry.serially(operations), outcomesOf)
    if (what._tag !== "atomically") return Effect.map(registry.batch(operations, what._tag), outcomesOf)
    return Effect.match(registry.atomically(operations), {
      onFailure: ({ _tag }) => ["atomically", _tag],
      onSuccess: (results) => results.map(() => "Applied")
    })
  }
  if (what._tag === "Register") return one(registry.register(what.key, "value", { load: what.load }))
  if (what._tag === "Update") {
    return one(registry.update(what.key, ({ load }) => ({ load: load + what.load })))
  }
  if (what._tag === "Unregister") return one(registry.unregister(what.key))
  return one(registry.query({ where: RegistryQuery.gte("load", what.load), limit: what.limit }))
}

describe("Registry", () => {
  it.effect.prop(
    "law: whatever scopes do, entries, indexes, outcomes and events are those of a list that is changed by the rules",
    {
      keys: FastCheck.constantFrom("unique" as const, "duplicate" as const),
      commands: FastCheck.array(command, { maxLength: 25 })
    },
    ({ commands, keys }) =>
      Effect.scoped(Effect.gen(function*() {
        const registry: AnyRegistry = yield* keys === "unique" ? makeUnique : makeDuplicate
        const events = yield* collect(registry.watch({}))
        const scopes = yield* Effect.replicateEffect(Scope.make(), 3)
        let model: Model = { entries: [], nextId: 0, events: [] }
        for (const command of commands) {
          const scope = scopes[command.owner] ?? (yield* Effect.dieMessage("no such owner"))
          const expected = runModel(keys, model, command)
          model = { ...expected.model, nextId: expected.model.nextId }
          const outcomes = yield* Scope.extend(runReal(registry, command), scope)
          const failed = expected.outcomes.find((outcome) =>
            !["Applied", "RolledBack", "Skipped"].includes(outcome)
          )
          expect(outcomes).toEqual(
            command.what._tag === "atomically" && failed !== undefined
              ? ["atomically", failed]
              : expected.outcomes
          )
          if (command.what._tag === "Close") {
            const before = model.events.length
            yield* Scope.close(scope, Exit.void)
            scopes[command.owner] = yield* Scope.make()
            yield* settle
            // A scope unwinds in reverse: of several calls the last ends first.
            const byId = (all: ReadonlyArray<WatchEvent<string, Metadata>>) =>
              all.toSorted((a, b) => ("entry" in a ? a.entry.id : 0) - ("entry" in b ? b.entry.id : 0))
            const ended = model.events.filter((event) => event._tag === "Unregistered").length
            expect(events.filter((event) => event._tag === "Unregistered")).toHaveLength(ended)
            expect(byId(events.slice(0, before))).toEqual(byId(model.events))
            model = { ...model, events: events.slice() }
          }
          yield* settle
          expect(events).toEqual(model.events)
          const all = yield* registry.query({})
          expect(all.entries).toEqual(model.entries.map(publicOf))
          const byLoad = yield* registry.query({ where: RegistryQuery.gte("load", 0) })
          expect(byLoad).toEqual({ plan: "index", entries: all.entries })
          for (const key of ["a", "b", "c"]) {
            const under = model.entries.filter((entry) => entry.key === key).map(publicOf)
            expect(yield* registry.lookup(key)).toEqual(
              keys === "unique" ? Option.fromNullable(under[0]) : under
            )
          }
        }
        yield* Effect.forEach(scopes, (scope) => Scope.close(scope, Exit.void))
        expect(yield* registry.counts).toEqual({ ...empty, watchers: 1 })
      })),
    { fastCheck: { numRuns: 100 } }
  )

  it.effect("refuses a unique key that is held, naming it, until its holder is gone", () =>
    Effect.gen(function*() {
      const registry = yield* makeUnique
      const holder = yield* Scope.make()
      yield* Scope.extend(registry.register("a", "first", { load: 0 }), holder)
      const error = yield* Effect.flip(Effect.scoped(registry.register("a", "second", { load: 0 })))
      expect(error).toMatchObject({
        _tag: "AlreadyRegistered",
        key: "a",
        message: `registry "registry": the key "a" is already registered`
      })
      yield* Scope.close(holder, Exit.void)
      yield* Effect.scoped(registry.register("a", "second", { load: 0 }))
      expect(yield* registry.counts).toEqual(empty)
    }))

  it.scoped("finds the new instance after a supervised restart", () =>
    Effect.gen(function*() {
      const registry = yield* Registry.make<Queue.Enqueue<"crash">>({ keys: "unique" })
      const worker = Effect.gen(function*() {
        const inbox = yield* Queue.bounded<"crash">(1)
        yield* registry.register("worker", inbox, {})
        yield* Queue.take(inbox)
        return yield* Effect.dieMessage("crashed")
      })
      yield* Supervisor.make({
        strategy: "one_for_one",
        children: [
          Supervisor.child({ id: "worker", start: worker, onFailure: { AlreadyRegistered: "restart" } })
        ]
      })
      const next = Stream.filter(registry.watch({ key: "worker" }), (event) => event._tag === "Registered")
      const [first] = Chunk.toReadonlyArray(yield* Stream.runCollect(Stream.take(next, 1)))
      const restarted = yield* Effect.fork(Stream.runCollect(Stream.take(next, 2)))
      yield* settle
      if (first?._tag === "Registered") yield* Queue.offer(first.entry.value, "crash")
      yield* Fiber.join(restarted)
      const found = Option.getOrThrow(yield* registry.lookup("worker"))
      expect(found.value).not.toBe(first?._tag === "Registered" ? first.entry.value : undefined)
      expect((yield* registry.counts).entries).toBe(1)
    }))

  it.scoped("lets only the scope that registered update or unregister", () =>
    Effect.gen(function*() {
      const registry = yield* makeDuplicate
      yield* registry.register("a", "mine", { load: 1 })
      const error = yield* Effect.flip(Effect.scoped(registry.update("a", () => ({ load: 9 }))))
      expect(error).toMatchObject({ _tag: "NotRegistered", key: "a" })
      expect(yield* Effect.scoped(registry.unregister("a"))).toEqual([])
      expect(yield* registry.lookup("a")).toMatchObject([{ value: "mine", metadata: { load: 1 } }])
    }))

  it.scoped("changes nothing when a change of metadata throws", () =>
    Effect.gen(function*() {
      const registry = yield* makeUnique
      yield* registry.register("a", "mine", { load: 1 })
      const throwing = RegistryOperation.update<Metadata>("a", () => {
        throw new Error("no")
      })
      const exit = yield* Effect.exit(
        registry.atomically([
          RegistryOperation.unregister("a"),
          RegistryOperation.register("a", "new", { load: 2 }),
          throwing
        ])
      )
      expect(Exit.isFailure(exit)).toBe(true)
      expect(yield* registry.lookup("a")).toMatchObject(Option.some({ value: "mine" }))
      expect(yield* registry.counts).toEqual({ entries: 1, keys: 1, indexed: 1, watchers: 0 })
    }))

  it.effect("leaves nothing behind when a registration is interrupted at any point", () =>
    Effect.forEach(Array.from({ length: 30 }, (_, index) => index), (yields) =>
      Effect.gen(function*() {
        const registry = yield* makeUnique
        const many = ["a", "b", "c"].map((key) => RegistryOperation.register(key, key, { load: 1 }))
        const use = Effect.gen(function*() {
          yield* Effect.forEach(many, (one) => Effect.zipRight(registry.serially([one]), Effect.yieldNow()))
          yield* Stream.runDrain(registry.watch({}))
        })
        const fiber = yield* Effect.fork(Effect.scoped(use))
        yield* Effect.repeatN(Effect.yieldNow(), yields)
        yield* Fiber.interrupt(fiber)
        expect(yield* registry.counts).toEqual(empty)
      })))

  it.effect("ends at once what is registered for a scope that is closed", () =>
    Effect.gen(function*() {
      const registry = yield* makeUnique
      const closed = yield* Scope.make()
      yield* Scope.close(closed, Exit.void)
      yield* Scope.extend(registry.register("a", "late", { load: 0 }), closed)
      expect(yield* registry.counts).toEqual(empty)
    }))

  it.scoped("shows no reader half of what is done atomically", () =>
    Effect.gen(function*() {
      const registry = yield* makeUnique
      const move = (from: string, to: string) =>
        registry.atomically([
          RegistryOperation.unregister(`${from}1`),
          RegistryOperation.unregister(`${from}2`),
          RegistryOperation.register(`${to}1`, to, { load: 1 }),
          RegistryOperation.register(`${to}2`, to, { load: 1 })
        ])
      const writer = { isDone: false }
      let reads = 0
      const read = Effect.gen(function*() {
        while (!writer.isDone && reads < 100_000) {
          const { entries } = yield* registry.query({ where: RegistryQuery.eq("load", 1) })
          expect(["", "x1 x2", "y1 y2"]).toContain(entries.map((entry) => entry.key).join(" "))
          reads += 1
          yield* Effect.yieldNow()
        }
      })
      const readers = yield* Effect.forkAll(Array.from({ length: 50 }, () => read))
      const write = Effect.gen(function*() {
        yield* move("x", "y")
        yield* Effect.yieldNow()
        yield* Effect.flip(
          registry.atomically([
            RegistryOperation.unregister("y1"),
            RegistryOperation.register("y2", "", { load: 1 })
          ])
        )
        yield* Effect.yieldNow()
        yield* move("y", "x")
        yield* Effect.yieldNow()
      })
      yield* Effect.repeatN(Effect.scoped(write), 100)
      writer.isDone = true
      yield* Fiber.join(readers)
      expect(reads).toBeGreaterThan(1_000)
    }))

  it.scoped("streams in pages, and each entry that stays exactly once", () =>
    Effect.gen(function*() {
      const registry = yield* makeDuplicate
      yield* Effect.forEach(Array.from({ length: 50 }, (_, load) => load), (load) =>
        registry.register(`k${load}`, "stays", { load: -load }))
      const pages: Array<ReadonlyArray<string>> = []
      yield* registry.stream({ orderBy: { attribute: "load" } }, 7).pipe(
        Stream.chunks,
        Stream.runForEach((page) =>
          Effect.gen(function*() {
            pages.push(Chunk.toReadonlyArray(Chunk.map(page, (entry) =>
              entry.key)))
            const turn = pages.length
            yield* registry.update(`k${turn}`, () => ({ load: 100 }))
            yield* registry.unregister(`k${40 + turn}`)
            yield* registry.register(`new${turn}`, "new", { load: -100 })
          })
        )
      )
      const all = pages.flat()
      expect(new Set(all).size).toBe(all.length)
      expect(pages[0]).toHaveLength(7)
      expect(Math.max(...pages.map((page) => page.length))).toBe(7)
      const stays = (yield* registry.query({})).entries.filter((entry) => entry.value === "stays")
      expect(all).toEqual(expect.arrayContaining(stays.map((entry) => entry.key)))
      expect(all.filter((key) => key.startsWith("new"))).toEqual([])
      const error = yield* Effect.flip(Stream.runDrain(registry.stream({}, 0)))
      expect(error.message).toBe("pageSize must be a whole number from 1, not 0")
    }))

  it.scoped("forgets 10,000 that registered and died, and 10,000 that registered and unregistered", () =>
    Effect.gen(function*() {
      const registry = yield* makeUnique
      const once = registry.register("a", "value", { load: 1 })
      const watched = Effect.zipRight(
        once,
        Stream.runDrain(Stream.take(registry.watch({ key: "a" }), 1))
      )
      yield* Effect.repeatN(Effect.scoped(watched), 999)
      const heap = () => {
        globalThis.gc?.()
        return process.memoryUsage().heapUsed
      }
      const before = heap()
      yield* Effect.repeatN(Effect.scoped(watched), 9_999)
      expect(yield* registry.counts).toEqual(empty)
      const scope = yield* Effect.scope
      yield* Effect.repeatN(Effect.zipRight(once, registry.unregister("a")), 9_999)
      expect(yield* registry.counts).toEqual(empty)
      expect(finalizersOf(scope)).toBeLessThan(10)
      if (globalThis.gc !== undefined) expect(heap()).toBeLessThan(before * 1.02)
    }))

  it.effect("registers into many as fast as into few", () =>
    Effect.gen(function*() {
      const perEntry = (count: number) =>
        Effect.scoped(Effect.gen(function*() {
          const registry = yield* makeDuplicate
          const operations = Array.from(
            { length: count },
            (_, load) => RegistryOperation.register("all", "value", { load })
          )
          const start = performance.now()
          yield* registry.batch(operations, "rollback")
          return (performance.now() - start) / count
        }))
      yield* perEntry(5_000)
      const few = yield* perEntry(5_000)
      expect(yield* perEntry(100_000)).toBeLessThan(few * 10)
    }))

  it.scoped("is a layer through the user's tag", () => {
    class Rooms extends Context.Tag("test/Rooms")<Rooms, Registry.Duplicate<string, Metadata>>() {}
    const program = Effect.gen(function*() {
      const rooms = yield* Rooms
      yield* rooms.register("north", "n1", { load: 1 })
      return yield* rooms.lookup("north")
    })
    return Effect.map(
      Effect.provide(program, Registry.layer(Rooms, { keys: "duplicate" })),
      (found) => expect(found).toMatchObject([{ value: "n1" }])
    )
  })
})

const finalizersOf = (scope: Scope.Scope): number => {
  const state: unknown = Reflect.get(scope, "state")
  const finalizers: unknown = typeof state === "object" && state !== null
    ? Reflect.get(state, "finalizers")
    : undefined
  return finalizers instanceof Map ? finalizers.size : 0
}
