/**
 * Discovery finds instances of services by what they can do: a view of a registry, which knows who is there,
 * and of `Health`, which knows how they are.
 */
import * as Arr from "effect/Array"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { UsableStatus } from "./DiscoveryChoice.ts"
import * as DiscoveryChoice from "./DiscoveryChoice.ts"
import * as Health from "./Health.ts"
import * as Registry from "./Registry.ts"
import * as RegistryOperation from "./RegistryOperation.ts"

/** What an instance says of itself. */
export interface Offer<Metadata, E, R> {
  readonly service: string
  /** Names the instance: one of that name per service at a time. */
  readonly instance: string
  /** What it can be asked for. */
  readonly capabilities: ReadonlyArray<string>
  /** What callers need to know to reach it. */
  readonly metadata: Metadata
  /**
   * How loaded it is, in whatever unit its rivals use: less is better. Asked in the fiber of whoever looks for the
   * least loaded; one that dies or is not a number counts as infinite. Default: 0.
   */
  readonly load?: Effect.Effect<number>
  /**
   * How well it is, where it knows that itself. Asked as `load` is, so that it costs nothing until then; one that dies
   * counts as dead. `watch` sees that it has changed when it looks again for another reason. No use beside `check`.
   */
  readonly status?: Effect.Effect<Health.Status>
  /**
   * How it is found out whether it is well; its health subject is `service/instance`. Without it, and without
   * `status`, an instance is healthy while it is registered.
   */
  readonly check?: Omit<Health.Check<E, R>, "subject">
}

/** An instance that can be called. */
export interface Instance<out Metadata> {
  /** Is `service/instance`. */
  readonly id: string
  readonly service: string
  readonly instance: string
  readonly capabilities: ReadonlyArray<string>
  readonly metadata: Metadata
  readonly status: UsableStatus
}

/**
 * A running discovery. An instance can be found while it is healthy or, after those that are, degraded; not
 * while nothing is known of it.
 */
export interface Discovery<Metadata> {
  /** Offers an instance until the scope closes. */
  readonly register: <E = never, R = never>(
    offer: Offer<Metadata, E, R>
  ) => Effect.Effect<
    void,
    InstanceTaken | Health.HealthOutOfRange,
    Exclude<R, Scope.Scope> | Scope.Scope
  >
  /** Finds who can be asked for a capability now: healthy before degraded, then the least loaded first. */
  readonly find: (capability: string) => Effect.Effect<ReadonlyArray<Instance<Metadata>>>
  /** Finds the first of these. */
  readonly leastLoaded: (capability: string) => Effect.Effect<Instance<Metadata>, NoInstance>
  /**
   * Makes a turn: an effect that gives each instance in turn, in the order of the ids. Those that are
   * healthy share the turns; the degraded get some only while nobody is healthy.
   */
  readonly roundRobin: (capability: string) => Effect.Effect<Effect.Effect<Instance<Metadata>, NoInstance>>
  /** Those who can be asked now, in the order of registration, and again each time somebody comes, goes or changes status. */
  readonly watch: (capability: string) => Stream.Stream<ReadonlyArray<Instance<Metadata>>>
}

/** An instance of that name is registered already. Close its scope first, or use another name. */
export class InstanceTaken
  extends Schema.TaggedError<InstanceTaken>("@holdfast/core/InstanceTaken")("InstanceTaken", {
    service: Schema.String,
    instance: Schema.String
  })
{
  override get message(): string {
    return `service "${this.service}" has an instance "${this.instance}" already`
  }
}

/** Nobody who offers the capability is well enough. Try later, or `watch` until somebody is. */
export class NoInstance extends Schema.TaggedError<NoInstance>("@holdfast/core/NoInstance")("NoInstance", {
  capability: Schema.String,
  offered: Schema.Number
}) {
  override get message(): string {
    return this.offered === 0
      ? `nobody offers "${this.capability}"`
      : `none of the ${this.offered} who offer "${this.capability}" is well`
  }
}

/**
 * Makes a discovery of instances that are all described by the same type of metadata.
 *
 * @example
 * import * as Effect from "effect/Effect"
 * import * as Discovery from "@holdfast/core/Discovery"
 * import * as Health from "@holdfast/core/Health"
 *
 * const program = Effect.scoped(Effect.gen(function*() {
 *   const discovery = yield* Discovery.make<{ readonly port: number }>()
 *   yield* discovery.register({
 *     service: "printer",
 *     instance: "p-1",
 *     capabilities: ["print", "scan"],
 *     metadata: { port: 9100 }
 *   })
 *   const printer = yield* discovery.leastLoaded("print")
 *   return printer.metadata.port
 * })).pipe(Effect.provide(Health.layer))
 */
export const make = <Metadata>(): Effect.Effect<Discovery<Metadata>, never, Health.Health> =>
  Effect.gen(function*() {
    const view: View<Metadata> = {
      health: yield* Health.Health,
      instances: yield* Registry.make<Offered<Metadata>>({ name: "instances", keys: "unique" }),
      offers: yield* Registry.make<Offered<Metadata>>({ name: "offers", keys: "duplicate" })
    }
    return {
      register: (offer) => register(view, offer),
      find: (capability) => find(view, capability),
      leastLoaded: (capability) =>
        Effect.flatMap(find(view, capability), ([first]) => orNone(view, capability, first)),
      roundRobin: (capability) => Effect.sync(() => turn(view, capability)),
      watch: (capability) => watch(view, capability)
    }
  })

/** Makes a discovery with the layer. The tag names it and the type of its metadata. */
export const layer = <I, Metadata>(
  tag: Context.Tag<I, Discovery<Metadata>>
): Layer.Layer<I, never, Health.Health> => Layer.effect(tag, make<Metadata>())

// internal

interface Offered<Metadata> {
  readonly described: Omit<Instance<Metadata>, "status">
  readonly load: Effect.Effect<number>
  readonly status: Effect.Effect<Health.Status>
}

interface View<Metadata> {
  readonly health: Health.Health["Type"]
  /** By id, which keeps ids unique. */
  readonly instances: Registry.Unique<Offered<Metadata>>
  /** By capability. */
  readonly offers: Registry.Duplicate<Offered<Metadata>>
}

const register = <Metadata, E, R>(view: View<Metadata>, offer: Offer<Metadata, E, R>) => {
  const { capabilities, check, instance, load = Effect.succeed(0), metadata, service, status = healthy } =
    offer
  const id = `${service}/${instance}`
  const offered: Offered<Metadata> = {
    described: { id, service, instance, capabilities, metadata },
    load,
    status: check === undefined ? statusOf(status) : checkedStatus(view.health, id)
  }
  const taken = () => new InstanceTaken({ service, instance })
  const checking = check === undefined
    ? Effect.void
    : Effect.tapError(
      Effect.catchTag(view.health.register({ ...check, subject: id }), "SubjectTaken", taken),
      () => view.instances.unregister(id)
    )
  const offers = Arr.dedupe(capabilities).map((name) => RegistryOperation.register(name, offered, {}))
  return Effect.uninterruptible(
    Effect.catchTag(view.instances.register(id, offered, {}), "AlreadyRegistered", taken).pipe(
      Effect.zipRight(checking),
      Effect.zipRight(view.offers.serially(offers)),
      Effect.asVoid
    )
  )
}

const healthy: Effect.Effect<Health.Status> = Effect.succeed("healthy")

const checkedStatus = (health: Health.Health["Type"], id: string): Effect.Effect<Health.Status> =>
  Effect.map(
    health.status(id),
    Option.match({ onNone: () => "dead", onSome: ({ status }) => status })
  )

const statusOf = (status: Effect.Effect<Health.Status>): Effect.Effect<Health.Status> =>
  Effect.map(Effect.exit(status), (exit) => Exit.isSuccess(exit) ? exit.value : "dead")

interface Usable<Metadata> {
  readonly instance: Instance<Metadata>
  readonly load: Effect.Effect<number>
}

const usable = <Metadata>(
  view: View<Metadata>,
  capability: string
): Effect.Effect<ReadonlyArray<Usable<Metadata>>> =>
  Effect.flatMap(view.offers.lookup(capability), (entries) =>
    Effect.map(
      Effect.forEach(entries, ({ value }) => Effect.map(value.status, (status) => toUsable(value, status))),
      Arr.getSomes
    ))

const toUsable = <Metadata>(
  { described, load }: Offered<Metadata>,
  status: Health.Status
): Option.Option<Usable<Metadata>> =>
  status === "healthy" || status === "degraded"
    ? Option.some({ instance: { ...described, status }, load })
    : Option.none()

const find = <Metadata>(view: View<Metadata>, capability: string) =>
  Effect.flatMap(usable(view, capability), (candidates) =>
    Effect.map(
      Effect.forEach(candidates, ({ instance, load }) =>
        Effect.map(loadOf(load), (load) => [instance, load] as const)),
      DiscoveryChoice.byLoad
    ))

const loadOf = (load: Effect.Effect<number>): Effect.Effect<number> =>
  Effect.map(
    Effect.exit(load),
    (exit) => Exit.isSuccess(exit) && !Number.isNaN(exit.value) ? exit.value : Infinity
  )

const orNone = <Metadata>(
  view: View<Metadata>,
  capability: string,
  instance: Instance<Metadata> | undefined
): Effect.Effect<Instance<Metadata>, NoInstance> =>
  instance === undefined
    ? Effect.flatMap(
      view.offers.lookup(capability),
      ({ length }) => new NoInstance({ capability, offered: length })
    )
    : Effect.succeed(instance)

const turn = <Metadata>(
  view: View<Metadata>,
  capability: string
): Effect.Effect<Instance<Metadata>, NoInstance> => {
  let last: string | undefined
  return Effect.flatMap(usable(view, capability), (candidates) => {
    const next = DiscoveryChoice.nextInTurn(candidates.map(({ instance }) => instance), last)
    last = next?.id ?? last
    return orNone(view, capability, next)
  })
}

/** Whatever happens is a reason to look again, so that what a slow consumer misses matters to nobody. */
const watch = <Metadata>(
  view: View<Metadata>,
  capability: string
): Stream.Stream<ReadonlyArray<Instance<Metadata>>> =>
  Stream.mergeAll(
    // The last begins when both others have subscribed.
    [view.offers.watch({ key: capability }), view.health.changes, Stream.fromEffect(Effect.yieldNow())],
    { concurrency: "unbounded" }
  ).pipe(
    Stream.mapEffect(() => usable(view, capability)),
    Stream.map((candidates) => candidates.map(({ instance }) => instance)),
    Stream.changesWith(Arr.getEquivalence<Instance<Metadata>>(sameInstance))
  )

const sameInstance = <Metadata>(a: Instance<Metadata>, b: Instance<Metadata>): boolean =>
  a.id === b.id && a.status === b.status
