import { describe, expect, it } from "@effect/vitest"
import { CommitLog } from "@holdfast/agents/CommitLog"
import { TaskStore } from "@holdfast/agents/TaskStore"
import * as Sqlite from "@holdfast/persistence/Sqlite"
import Database from "better-sqlite3"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import * as FileSystem from "node:fs"
import * as TaskModel from "../agents/TaskModel.ts"
import * as ScriptedSqlite from "../support/scripted-connection.ts"
import { temporaryStore } from "../support/store-processes.ts"
import * as CommitScript from "./CommitScript.ts"

/** A store whose database refuses poison. */
const poisonedStore = Effect.gen(function*() {
  const filename = yield* temporaryStore
  yield* Effect.scoped(Layer.build(Sqlite.layer({ filename })))
  const database = new Database(filename)
  database.exec(
    `CREATE TRIGGER poison BEFORE INSERT ON tasks WHEN NEW.payload = '${CommitScript.poison}' ` +
      `BEGIN SELECT RAISE(ABORT, 'poison'); END`
  )
  database.close()
  return filename
})

/** What a crash leaves: the file and its log, as they are at that moment, which live where they are copied to. */
const copyStore = (from: string, to: string) => {
  FileSystem.copyFileSync(from, to)
  if (FileSystem.existsSync(`${from}-wal`)) FileSystem.copyFileSync(`${from}-wal`, `${to}-wal`)
}

const adopt = (filename: string) => {
  const database = new Database(filename)
  const home = [FileSystem.realpathSync(filename), FileSystem.statSync(filename).ino]
  database.prepare("UPDATE store SET home_path = ?, home_inode = ?").run(...home)
  database.close()
}

const written = { _tag: "Written" }

interface Answered {
  readonly unit: CommitScript.Unit
  /** What its caller heard before the crash: that it was written, an error, or nothing. */
  heard: { readonly _tag: string } | null
}

/** Submits all units of a round before the first of them can be written; completes when all are answered, or on a crash. */
const submitRound = (
  log: CommitLog["Type"],
  sqlite: ScriptedSqlite.ScriptedSqlite,
  crashed: Effect.Effect<void>,
  units: ReadonlyArray<CommitScript.Unit>
): Effect.Effect<ReadonlyArray<Answered>> =>
  Effect.suspend(() => {
    let submitted = 0
    sqlite.held = () => submitted < units.length
    const answered = units.map((unit): Answered => ({ unit, heard: null }))
    const round = Effect.forEach(answered, (answer) =>
      Effect.suspend(() => {
        submitted += 1
        return Effect.either(log.commit(answer.unit))
      }).pipe(Effect.map((result) => {
        if (sqlite.crashed()) return
        answer.heard = result._tag === "Right" ? written : result.left
      })), { concurrency: "unbounded", discard: true })
    return Effect.as(Effect.raceFirst(round, crashed), answered)
  })

/** Follows the script until it ends or crashes; yields what every caller heard, round by round. */
const follow = (script: CommitScript.Script, filename: string, copy: string) =>
  Effect.gen(function*() {
    const crashed = yield* Deferred.make<void>()
    const sqlite = ScriptedSqlite.make(script.faults, () => {
      copyStore(filename, copy)
      Deferred.unsafeDone(crashed, Effect.void)
    })
    const scope = yield* Scope.make()
    const built = yield* Effect.either(
      Scope.extend(Layer.build(Sqlite.layerWith({ filename }, sqlite.open)), scope)
    )
    const rounds: Array<ReadonlyArray<Answered>> = []
    let model = TaskModel.make()
    for (const [at, round] of script.rounds.entries()) {
      if (built._tag === "Left" || sqlite.crashed()) break
      const units = CommitScript.unitsOf(model, round, (unit, step, task) => `${at}.${unit}.${step}.${task}`)
      const log = yield* Effect.provide(CommitLog, built.right)
      rounds.push(yield* submitRound(log, sqlite, Deferred.await(crashed), units))
      const failed = new Set<string>()
      for (const unit of units) model = CommitScript.expected(model, failed, unit).model
    }
    yield* Scope.close(scope, Exit.void)
    return { rounds, crashed: sqlite.crashed() }
  }).pipe(
    // The shortest pauses between attempts.
    Effect.withRandom(Random.fixed([1]))
  )

/** Units of different lanes may be written in any order. */
const byQueue = (a: { readonly queue: string }, b: { readonly queue: string }) =>
  a.queue < b.queue ? -1 : a.queue > b.queue ? 1 : 0

/** Everything there is in a store, as the model puts it. */
const contents = (filename: string) =>
  Effect.gen(function*() {
    const store = yield* TaskStore
    const tasks = yield* store.tasks({ limit: 10_000 })
    const queues = yield* store.queues
    return {
      tasks: tasks.map(({ id, payload, queue, status }) => ({ id, payload, queue, status })).sort(byQueue),
      queues: queues.map(({ counts, label, name, version }) => ({
        name,
        version,
        label,
        ready: counts.ready
      }))
    }
  }).pipe(Effect.provide(Sqlite.layer({ filename })))

const modelContents = (model: TaskModel.TaskModel): Effect.Effect.Success<ReturnType<typeof contents>> => ({
  tasks: model.tasks.map(({ id, payload, queue, status }) => ({ id, payload, queue, status })).sort(byQueue),
  queues: model.queues
    .map(({ name, settings, version }) => ({
      name,
      version,
      label: settings.label,
      ready: TaskModel.countOf(model, name, "ready")
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
})

/** The model after all units that were written: those that were acknowledged, and unanswered ones that are there. */
const judge = (rounds: ReadonlyArray<ReadonlyArray<Answered>>, isThere: (id: string) => boolean) => {
  let model = TaskModel.make()
  const lost = new Set<string>()
  for (const round of rounds) {
    const failed = new Set<string>()
    for (const { heard, unit } of round) {
      const expected = CommitScript.expected(model, failed, unit)
      const there = unit.some((op) => op._tag === "EnqueueTasks" && op.tasks.some(({ id }) => isThere(id)))
      if (heard === null && expected.refusal === null && !there) {
        for (const { lane } of unit) lost.add(lane)
        continue
      }
      if (heard !== null) expect(heard).toMatchObject(expected.refusal ?? written)
      // Nothing is written behind an unanswered unit of its lane that was not.
      if (there) expect(unit.filter(({ lane }) => lost.has(lane))).toEqual([])
      model = expected.model
    }
  }
  return model
}

describe("CommitLog on SQLite with faults", () => {
  it.scopedLive.prop(
    "law: what was acknowledged is there after any faults and a crash, what was refused is not, a failed operation takes " +
      "its lane's later ones with it and nothing else, and units are there whole or not at all",
    { script: CommitScript.script },
    ({ script }) =>
      Effect.gen(function*() {
        const filename = yield* poisonedStore
        const copy = yield* temporaryStore
        const { crashed, rounds } = yield* follow(script, filename, copy)
        if (crashed) adopt(copy)
        const found = yield* contents(crashed ? copy : filename)
        const ids = new Set(found.tasks.map(({ id }) => id))
        const unanswered = rounds.flat().filter(({ heard }) => heard === null)
        if (!crashed) expect(unanswered).toEqual([])
        expect(found).toEqual(modelContents(judge(rounds, (id) => ids.has(id))))
      }),
    { fastCheck: { numRuns: 50 } }
  )
})
