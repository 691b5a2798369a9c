import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Schema from "effect/Schema"
import * as Identity from "../../packages/cli/src/batch/Identity.ts"
import type * as Input from "../../packages/cli/src/batch/Input.ts"

const values = FastCheck.array(
  FastCheck.oneof(FastCheck.string(), FastCheck.dictionary(FastCheck.string(), FastCheck.jsonValue())),
  { maxLength: 5 }
)

const input = (tasks: ReadonlyArray<Input.TaskValue>): Input.Input => ({
  format: "json",
  tasks: tasks.map((value, index) => ({ index: index + 1, line: index + 1, value }))
})

const command = FastCheck.record({
  argv: FastCheck.array(FastCheck.string(), { maxLength: 4 }),
  shell: FastCheck.boolean()
})

const isSame = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b)

describe("Identity.label", () => {
  it.prop("law: two labels differ exactly in what differs: input, command, both or nothing", [
    values,
    values,
    command,
    command,
    FastCheck.boolean(),
    FastCheck.boolean()
  ], ([tasks, otherTasks, given, otherCommand, sameTasks, sameCommand]) => {
    const tasks2 = sameTasks ? tasks : otherTasks
    const command2 = sameCommand ? given : otherCommand
    const difference = Identity.difference(
      Identity.label(input(tasks), given),
      Identity.label(input(tasks2), command2)
    )
    const expected = [
      ...(isSame(tasks, tasks2) ? [] : ["input"]),
      ...(isSame([given.shell, given.argv], [command2.shell, command2.argv]) ? [] : ["command"])
    ]
    expect(difference).toBe(expected.join(" and "))
  })

  it.prop("law: it is stored and read as it is", [values, command], ([tasks, given]) => {
    const label = Identity.label(input(tasks), given)
    expect(Schema.decodeSync(Identity.Label)(Schema.encodeSync(Identity.Label)(label))).toEqual(label)
  })

  it("does not depend on line numbers, nor take one list of tasks or arguments for another", () => {
    const [one, two] = [input(["a", "b"]), input(["a", "b"])]
    const moved = { ...two, tasks: two.tasks.map((task) => ({ ...task, line: task.line + 5 })) }
    const given = { argv: ["x", "y"], shell: false }
    expect(Identity.label(one, given)).toEqual(Identity.label(moved, given))
    expect(Identity.label(one, given).input).not.toBe(Identity.label(input([`a"\n"b`]), given).input)
    expect(Identity.label(one, given).command).not.toBe(
      Identity.label(one, { argv: ["x\ny"], shell: false }).command
    )
  })
})

describe("Identity.fingerprint", () => {
  it.prop(
    "law: labels that differ have other fingerprints",
    [values, values, command],
    ([tasks, others, given]) => {
      const [a, b] = [Identity.label(input(tasks), given), Identity.label(input(others), given)]
      expect(Identity.fingerprint(a) === Identity.fingerprint(b)).toBe(Identity.difference(a, b) === "")
    }
  )
})

describe("Identity.defaultName", () => {
  const given = { argv: ["x"], shell: false }

  it.prop("law: it can be written in a shell without quotes, whatever the file is called", [
    FastCheck.string({ minLength: 1 }).filter((name) => name !== "-" && !name.includes("\0"))
  ], ([file]) => {
    expect(Identity.defaultName(file, "/somewhere", given)).toMatch(/^[\w.-]*-[0-9a-f]{8}$/)
  })

  it("is made of the absolute path and the command", () => {
    const name = Identity.defaultName("b/in.txt", "/a", given)
    expect(name).toMatch(/^in\.txt-/)
    expect(Identity.defaultName("../a/b/./in.txt", "/a", given)).toBe(name)
    expect(Identity.defaultName("/a/b/in.txt", "/elsewhere", given)).toBe(name)
    const others = [
      Identity.defaultName("b/in.txt", "/c", given),
      Identity.defaultName("b/in.txt", "/a", { argv: ["y"], shell: false }),
      Identity.defaultName("b/in.txt", "/a", { argv: ["x"], shell: true }),
      Identity.defaultName("-", "/a/b", given),
      Identity.defaultName("-", "/a", given)
    ]
    expect(new Set([name, ...others]).size).toBe(6)
    expect(others[4]).toMatch(/^stdin-/)
  })
})
