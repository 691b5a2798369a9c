import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import type * as Scope from "effect/Scope"
import * as FileSystem from "node:fs"
import { eventually } from "./command-processes.ts"
import type { Holdfast, Place } from "./holdfast.ts"
import { numbers, place, results, upTo } from "./holdfast.ts"

/** How a batch is killed over and over. */
export interface KillLoopOptions {
  readonly tasks: number
  readonly kills: number
  readonly concurrency: number
  /** Decides the moments. */
  readonly seed: number
}

/** What became of a batch that was killed over and over. */
export interface KillLoopReport {
  /** How many commands were run more than once for each task. */
  readonly extra: number
  /** Kills by what they met: a batch that had claimed nothing yet, one at work, one that had ended. */
  readonly met: { readonly starting: number; readonly working: number; readonly ended: number }
  /** Each a sentence; none when all is well. */
  readonly violations: ReadonlyArray<string>
}

/** A moment to kill at: so long after the start, or after so many commands have begun. */
type Moment =
  | { readonly _tag: "Started"; readonly millis: number }
  | { readonly _tag: "Begun"; readonly commands: number; readonly millis: number }

const moments: FastCheck.Arbitrary<Moment> = FastCheck.oneof(
  FastCheck.nat(500).map((millis): Moment => ({ _tag: "Started", millis })),
  FastCheck.tuple(FastCheck.integer({ min: 1, max: 12 }), FastCheck.nat(60))
    .map(([commands, millis]): Moment => ({ _tag: "Begun", commands, millis }))
)

/** Notes that it runs, that an earlier run of its task still does, and that it has ended. */
const task = `
for pid in $(cat "pids/$1" 2>/dev/null); do
  grep -qsF "$HOLDFAST_TEST" "/proc/$pid/environ" && echo "task $1 runs as $pid and as $$" >> overlaps
done
echo $$ >> "pids/$1"
echo "$1" >> begun
sleep 0.0$(($1 % 5 + 4))
echo "$1" >> ended
`

/** Kills a batch with SIGKILL at moments spread over its start, its claims and its work, and then lets it end. */
export const killLoop = (
  options: KillLoopOptions
): Effect.Effect<KillLoopReport, never, Scope.Scope> =>
  Effect.gen(function*() {
    const at = yield* place
    at.write("in.txt", numbers(options.tasks))
    at.write("task.sh", task)
    FileSystem.mkdirSync(at.file("pids"))
    const args = ["batch", "in.txt", "-c", String(options.concurrency), "--retries", String(options.kills)]
    const all = [...args, "--out", "out.jsonl", "--", "sh", "task.sh"]
    const met = { starting: 0, working: 0, ended: 0 }
    const sampled = FastCheck.sample(moments, { seed: options.seed, numRuns: options.kills })
    for (const moment of sampled) met[yield* killAt(at, at.start(all), moment)] += 1
    const last = yield* at.run(all)
    const extra = at.lines("begun").length - options.tasks
    const violations = [
      ...(last.exitCode === 0 ? [] : [`the last run ended with ${last.exitCode}: ${last.stderr}`]),
      ...violationsIn(at, options, extra),
      ...(yield* storeProblems(at))
    ]
    return { extra, met, violations }
  })

const killAt = (at: Place, batch: Holdfast, moment: Moment) =>
  Effect.gen(function*() {
    const before = at.lines("begun").length
    const begun = () => at.lines("begun").length - before
    const reached = moment._tag === "Started" ? Effect.void : eventually(() => begun() >= moment.commands)
    yield* Effect.raceFirst(Effect.zipRight(reached, Effect.sleep(moment.millis)), batch.ended)
    batch.signal("SIGKILL")
    const { signal } = yield* batch.ended
    return signal === null ? "ended" : begun() > 0 ? "working" : "starting"
  })

const violationsIn = (at: Place, { concurrency, kills, tasks }: KillLoopOptions, extra: number) => {
  const found = results(at)
  const expected = upTo(tasks).join()
  const ended = new Set(at.lines("ended")).size
  const left = at.processes()
  return [
    ...(found.map((result) => result.index).join() === expected
      ? []
      : [`--out has ${found.length} lines, not each task once`]),
    ...found.filter(({ status }) => status !== "ok").map(({ index, status }) => `task ${index} is ${status}`),
    ...(extra <= kills * concurrency
      ? []
      : [`${extra} extra executions in ${kills} kills of ${concurrency} at once`]),
    ...(ended === tasks ? [] : [`${ended} tasks of ${tasks} have ended`]),
    ...at.lines("overlaps"),
    ...(left.length === 0 ? [] : [`${left.length} processes are left behind`])
  ]
}

const storeProblems = (at: Place) =>
  Effect.map(at.run(["db", "check"]), ({ exitCode, stdout }) => (exitCode === 0 ? [] : [stdout]))
