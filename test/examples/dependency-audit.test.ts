import { afterAll, describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as ChildProcess from "node:child_process"
import * as Crypto from "node:crypto"
import { EventEmitter, once } from "node:events"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Os from "node:os"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { audit, batchName } from "../../examples/dependency-audit/audit.ts"
import { measure } from "../../examples/dependency-audit/contents.ts"
import { csvRecord, toCsv } from "../../examples/dependency-audit/csv.ts"
import { compare, declaredLicence, evaluate } from "../../examples/dependency-audit/declared.ts"
import { type Inspection, inspectPackage } from "../../examples/dependency-audit/inspection.ts"
import { licenceSection, licencesIn, licencesNamed } from "../../examples/dependency-audit/licences.ts"
import { cell, headline, size, toMarkdown } from "../../examples/dependency-audit/markdown.ts"
import { findPackages, type Package, toJsonLines } from "../../examples/dependency-audit/packages.ts"
import { buildReport, largestMax } from "../../examples/dependency-audit/report.ts"
import { readResults } from "../../examples/dependency-audit/results.ts"

const root = fileURLToPath(new URL("../../", import.meta.url))
const example = Path.join(root, "examples/dependency-audit")

type Tree = { readonly [name: string]: string | { readonly link: string } }

const temporary = Fs.mkdtempSync(Path.join(Os.tmpdir(), "dependency-audit-"))
afterAll(() => Fs.rmSync(temporary, { recursive: true, force: true }))

const directory = (tree: Tree = {}): string => {
  const at = Fs.mkdtempSync(Path.join(temporary, "tree-"))
  for (const [name, content] of Object.entries(tree)) {
    const file = Path.join(at, name)
    Fs.mkdirSync(Path.dirname(file), { recursive: true })
    if (typeof content === "string") Fs.writeFileSync(file, content)
    else Fs.symlinkSync(content.link, file)
  }
  return at
}

const manifest = (name: string, version = "1.0.0") => JSON.stringify({ name, version })

const texts = {
  MIT:
    `Permission is hereby granted, free of charge, to any person obtaining a copy of this software, subject to
    the following conditions: The above copyright notice and this permission notice shall be included in all copies.`,
  ISC:
    `Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is
    hereby granted, provided that the above copyright notice and this permission notice appear in all copies.`,
  "0BSD":
    `Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is
    hereby granted. THE SOFTWARE IS PROVIDED "AS IS".`,
  "Apache-2.0": "Apache License Version 2.0, January 2004 http://www.apache.org/licenses/",
  "BSD-2-Clause":
    "Redistribution and use in source and binary forms, with or without modification, are permitted.",
  "BSD-3-Clause":
    `Redistribution and use in source and binary forms, with or without modification, are permitted.
    Neither the name of X may be used to endorse or promote products derived from this software.`,
  "MPL-2.0": "Mozilla Public License Version 2.0",
  "CC0-1.0": "CC0 1.0 Universal. Statement of Purpose",
  "CC-BY-4.0": "Creative Commons Attribution 4.0 International Public License",
  Unlicense: "This is free and unencumbered software released into the public domain.",
  "BlueOak-1.0.0": "# Blue Oak Model License\n\nVersion 1.0.0",
  "Python-2.0": "PYTHON SOFTWARE FOUNDATION LICENSE VERSION 2"
} as const

const anyText = FastCheck.constantFrom(...Object.entries(texts))

describe("licence texts", () => {
  it("agree with the declared licence in 95 % of the packages installed here", () => {
    const declared = /^(MIT|ISC|Apache-2\.0|BSD-[23]-Clause)$/
    const compared = findPackages(root).packages
      .map(({ path }) => inspectPackage(Path.join(root, path)))
      .filter((entry) => declared.test(entry.declared ?? "") && entry.texts.length > 0)
    const agreeing = compared.filter((entry) => entry.agreement === "agree")
    expect(compared.length).toBeGreaterThan(50)
    expect(agreeing.length / compared.length).toBeGreaterThanOrEqual(0.95)
  })

  it.prop(
    "are recognised whatever their case, wrapping and comment marks",
    [
      anyText,
      FastCheck.array(FastCheck.tuple(FastCheck.boolean(), FastCheck.constantFrom(" ", "\n * ", "\r\n\t# ")))
    ],
    ([[id, text], changes]) => {
      const words = text.split(/\s+/).map((word, index) => {
        const [isUpper, space] = changes[index % changes.length] ?? [false, " "]
        return `${isUpper ? word.toUpperCase() : word}${space}`
      })
      expect(licencesIn(words.join(""))).toEqual([id])
    }
  )

  it.prop("in one file are all found, each once, in order", [FastCheck.array(anyText)], ([chosen]) => {
    const file = chosen.map(([, text]) => `Copyright somebody\n\n${text}`).join("\n\n")
    expect(licencesIn(file)).toEqual([...new Set(chosen.map(([id]) => id))])
  })

  it("that add a condition to a known one are not taken for it", () => {
    const advertising = "All advertising materials mentioning features must display an acknowledgement."
    expect(licencesIn(`${texts["BSD-3-Clause"]} ${advertising}`)).toEqual([])
    expect(licencesIn(`${texts.MIT} The Software shall be used for Good, not Evil.`)).toEqual([])
    expect(licencesIn(texts.ISC.replace("this permission notice appear", "my name appear"))).toEqual([])
    expect(licencesIn("Creative Commons Attribution-NonCommercial 4.0 International")).toEqual([])
    expect(licencesIn("")).toEqual([])
  })

  it("are named in prose by whole words", () => {
    expect(licencesNamed("[MIT](LICENSE) © Somebody")).toEqual(["MIT"])
    expect(licencesNamed("Apache License, Version 2.0")).toEqual(["Apache-2.0"])
    expect(licencesNamed("a permit, or a misc. commit")).toEqual([])
  })

  it("in a README end at the next heading of the same level", () => {
    expect(licenceSection("# x\n## License\nMIT\n### More\nyes\n## Next\nISC")).toBe("MIT\n### More\nyes")
    expect(licenceSection("x\n=\n\nLicence\n-------\nMIT\n\nNext\n----\nISC")?.trim()).toBe("-------\nMIT")
    expect(licenceSection("# x\nThe license is MIT.")).toBeUndefined()
  })
})

describe("declared licences", () => {
  it("are read in every form npm took", () => {
    expect(declaredLicence({ license: "MIT" })).toBe("MIT")
    expect(declaredLicence({ license: { type: "MIT", url: "x" } })).toBe("MIT")
    expect(declaredLicence({ licenses: [{ type: "MIT" }, "ISC", 1] })).toBe("MIT OR ISC")
    expect(declaredLicence({ licenses: { type: "MIT" } })).toBe("MIT")
    expect([{}, { license: "" }, { license: null }, { licenses: [] }].map(declaredLicence)).toEqual(
      [null, null, null, null]
    )
  })

  const expression = FastCheck.letrec<{ either: Expression; both: Expression; one: Expression }>((tie) => ({
    either: FastCheck.array(tie("both"), { minLength: 1, maxLength: 3 }).map((parts) => ({
      text: parts.map((part) => part.text).join(" OR "),
      value: parts.some((part) => part.value)
    })),
    both: FastCheck.array(tie("one"), { minLength: 1, maxLength: 3 }).map((parts) => ({
      text: parts.map((part) => part.text).join(" and "),
      value: parts.every((part) => part.value)
    })),
    one: FastCheck.oneof(
      { depthSize: "small" },
      FastCheck.constantFrom({ text: "YES", value: true }, { text: "NO WITH some-exception", value: false }),
      tie("either").map(({ text, value }) => ({ text: `(${text})`, value }))
    )
  })).either

  it.prop(
    "are SPDX expressions: AND before OR, parentheses before both",
    [expression],
    ([{ text, value }]) => {
      expect(evaluate(text, (name) => name === "YES")).toBe(value)
      expect(evaluate(`${text} OR`, () => true)).toBeUndefined()
      expect(evaluate(`(${text}`, () => true)).toBeUndefined()
      expect(evaluate(`${text} YES`, () => true)).toBeUndefined()
    }
  )

  it("are compared with the texts found", () => {
    expect(compare("MIT", ["MIT", "ISC"])).toBe("agree")
    expect(compare("(MIT OR WTFPL)", ["MIT"])).toBe("agree")
    expect(compare("MIT AND ISC", ["MIT"])).toBe("differ")
    expect(compare("BSD", ["BSD-3-Clause"])).toBe("agree")
    expect(compare("Apache License, Version 2.0", ["Apache-2.0"])).toBe("agree")
    expect(compare("SEE LICENSE IN LICENSE.md", ["MIT"])).toBe("unknown")
    expect(compare("MIT", [])).toBe("unknown")
    expect(compare("MIT", undefined)).toBe("declared only")
    expect(compare(null, ["MIT"])).toBe("text only")
    expect(compare(null, undefined)).toBe("none")
  })
})

interface Expression {
  readonly text: string
  readonly value: boolean
}

describe("the list of packages", () => {
  it("holds top-level, scoped and nested packages, sorted, and no links, caches or unnamed directories", () => {
    const at = directory({
      "node_modules/b/package.json": manifest("b"),
      "node_modules/b/node_modules/@s/n/package.json": manifest("@s/n", "2.0.0"),
      "node_modules/b/test/node_modules/fixture/package.json": manifest("fixture"),
      "node_modules/b-c/package.json": manifest("b-c"),
      "node_modules/@s/n/package.json": manifest("@s/n"),
      "node_modules/@s/workspace": { link: "../../packages/w" },
      "node_modules/.cache/package.json": manifest("cache"),
      "node_modules/a/package.json": manifest("a"),
      "node_modules/broken/package.json": "{",
      "node_modules/broken/node_modules/inner/package.json": manifest("inner"),
      "node_modules/nameless/package.json": "null",
      "node_modules/file": "x",
      "packages/w/package.json": manifest("@s/workspace")
    })
    const { packages, unnamed } = findPackages(at)
    expect(toJsonLines(packages).trim().split("\n").map((line) => JSON.parse(line))).toEqual([
      { name: "@s/n", version: "1.0.0", path: "node_modules/@s/n" },
      { name: "a", version: "1.0.0", path: "node_modules/a" },
      { name: "b", version: "1.0.0", path: "node_modules/b" },
      { name: "b-c", version: "1.0.0", path: "node_modules/b-c" },
      { name: "@s/n", version: "2.0.0", path: "node_modules/b/node_modules/@s/n" },
      { name: "inner", version: "1.0.0", path: "node_modules/broken/node_modules/inner" }
    ])
    expect(unnamed).toEqual(["node_modules/broken", "node_modules/nameless"])
  })

  it("is empty where nothing is installed", () => {
    expect(findPackages(directory())).toEqual({ packages: [], unnamed: [] })
  })
})

describe("the contents of a package", () => {
  const tree = {
    "package.json": manifest("a"),
    "lib/a.js": "a".repeat(200_000),
    "lib/a-b.js": "",
    "lib-a.js": "b",
    "lib/link": { link: "a.js" }
  }

  it("are counted, and hashed in the order of their paths, without the packages installed below", () => {
    const hash = (text: string) => Crypto.createHash("sha256").update(text).digest("hex")
    const entries = [
      ["lib-a.js", 1, hash("b")],
      ["lib/a-b.js", 0, hash("")],
      ["lib/a.js", 200_000, hash(tree["lib/a.js"])],
      ["lib/link", "symlink", "a.js"],
      ["package.json", manifest("a").length, hash(manifest("a"))]
    ]
    expect(measure(directory({ ...tree, "node_modules/x/package.json": manifest("x") }))).toEqual({
      files: 4,
      bytes: 200_001 + manifest("a").length,
      symlinks: 1,
      sha256: hash(entries.map((entry) => `${JSON.stringify(entry)}\n`).join(""))
    })
    expect(measure(directory(tree))).toEqual(measure(directory(tree)))
  })

  it.each<[string, Tree]>([
    ["a byte", { ...tree, "lib/a.js": `${"a".repeat(199_999)}b` }],
    ["a link", { ...tree, "lib/link": { link: "a-b.js" } }],
    ["an empty file", { ...tree, "lib/empty": "" }],
    ["a link in place of a file", { ...tree, "lib/a-b.js": { link: "a.js" } }],
    ["a nested directory of that name", { ...tree, "lib/node_modules/x": "" }]
  ])("hash otherwise when %s changes", (_, changed) => {
    expect(measure(directory(changed)).sha256).not.toBe(measure(directory(tree)).sha256)
  })
})

describe("inspect", () => {
  const inspect = (...args: ReadonlyArray<string>) =>
    ChildProcess.spawnSync(process.execPath, ["--import", "tsx", Path.join(example, "inspect.ts"), ...args], {
      cwd: root,
      encoding: "utf8"
    })

  it("prints one line of JSON that the report reads", () => {
    const at = directory({ "package.json": manifest("a"), LICENSE: texts.ISC, "license.js": texts.MIT })
    const { status, stdout } = inspect("--path", at)
    expect(status).toBe(0)
    expect(stdout.match(/\n/g)).toHaveLength(1)
    const line = JSON.stringify({ task: { path: at }, status: "ok", stdout })
    expect(readResults("results", line)).toEqual({
      outcomes: new Map([[at, { inspection: inspectPackage(at) }]]),
      problems: []
    })
    expect(inspectPackage(at)).toMatchObject({
      name: "a",
      texts: [{ file: "LICENSE", licences: ["ISC"] }],
      agreement: "text only"
    })
  })

  it("ends with 1 and says in one line what it could not read, with 2 on wrong usage", () => {
    const at = directory({ "package.json": "{\n\"name\"\n: x }" })
    const broken = inspect("--path", at)
    expect(broken).toMatchObject({ status: 1, stdout: "" })
    expect(broken.stderr).toMatch(/^inspect: .*package\.json is not JSON: [^\n]*\n$/)
    const missing = inspect("--path", Path.join(at, "missing"))
    expect(missing).toMatchObject({ status: 1, stdout: "" })
    expect(missing.stderr).toMatch(/^inspect: .*ENOENT[^\n]*\n$/)
    expect(inspect().status).toBe(2)
  })

  it("loads Node's own modules only", () => {
    const imports = (file: string): ReadonlyArray<string> =>
      [...Fs.readFileSync(Path.join(example, file), "utf8").matchAll(/^import (?!type).*from "(.*)"$/gm)]
        .flatMap(([, name = ""]) => name.startsWith("./") ? imports(name) : [name])
    expect(imports("inspect.ts").length).toBeGreaterThan(3)
    expect(imports("inspect.ts").filter((name) => !name.startsWith("node:"))).toEqual([])
  })

  it("takes the licence from the README where there is no file for it", () => {
    const at = directory({
      "package.json": manifest("a"),
      "Readme.md": "# a\n\n## License\n\n[MIT](https://x)\n"
    })
    expect(inspectPackage(at).texts).toEqual([{ file: "Readme.md", licences: ["MIT"] }])
  })
})

const inspection = (fields: Partial<Inspection> & { readonly path: string }): Inspection => ({
  name: fields.path.split("/").at(-1) ?? "",
  version: "1.0.0",
  declared: "MIT",
  texts: [],
  agreement: "declared only",
  files: 1,
  bytes: 1,
  symlinks: 0,
  sha256: "0",
  ...fields
})

const anyInspections = FastCheck.uniqueArray(
  FastCheck.record({
    path: FastCheck.string().map((name) => `node_modules/${name}`),
    name: FastCheck.constantFrom("a", "b", "c|d"),
    version: FastCheck.constantFrom("1.0.0", "2.0.0"),
    declared: FastCheck.constantFrom(null, "MIT", "ISC"),
    agreement: FastCheck.constantFrom<Array<Inspection["agreement"]>>("agree", "differ", "none"),
    files: FastCheck.nat(100),
    bytes: FastCheck.nat(10)
  }),
  { selector: ({ path }) => path, maxLength: 30, size: "max" }
).map((entries) => entries.map(inspection))

const resultLine = (entry: Inspection) =>
  JSON.stringify({ task: packageOf(entry), status: "ok", stdout: `${JSON.stringify(entry)}\n` })

const packageOf = ({ name, version, path }: Package): Package => ({ name, version, path })

const reportOf = (entries: ReadonlyArray<Inspection>, lines = entries.map(resultLine)) =>
  buildReport(entries.map(packageOf), readResults("results.jsonl", lines.join("\n")))

describe("the results", () => {
  it("that cannot be used are named by their line", () => {
    const good = resultLine(inspection({ path: "node_modules/a" }))
    const odd = JSON.stringify({ task: { path: "node_modules/b" }, status: "ok", stdout: "{}" })
    const { outcomes, problems } = readResults("results.jsonl", [good, "{", "", good, odd, "[1]"].join("\n"))
    expect([...outcomes.keys()]).toEqual(["node_modules/a"])
    expect(problems.map((problem) => problem.split(" ", 2).join(" "))).toEqual([
      expect.stringMatching(/^results\.jsonl:2: /),
      "results.jsonl:4: node_modules/a",
      "results.jsonl:5: node_modules/b:",
      expect.stringMatching(/^results\.jsonl:6: /)
    ])
    expect(problems.join("")).not.toMatch(/\n/)
  })

  it("of failed packages keep the reason", () => {
    const failed = [
      { status: "failed", exitCode: 1, signal: null, stdout: "", stderr: "at first\nthen this\n" },
      { status: "failed", exitCode: 7, stdout: "", stderr: "" },
      { status: "failed", exitCode: null, signal: "SIGKILL", stdout: null, stderr: null },
      { status: "skipped" }
    ]
    const lines = failed.map((fields, index) => JSON.stringify({ task: { path: `${index}` }, ...fields }))
    expect([...readResults("results", lines.join("\n")).outcomes.values()]).toEqual([
      { failure: "then this" },
      { failure: "exit code 7" },
      { failure: "ended by SIGKILL" },
      { failure: "skipped" }
    ])
  })
})

describe("the report", () => {
  it.prop("adds up, and its parts are parts of the whole", [anyInspections], ([entries]) => {
    const { totals, licences, agreements, unlicensed, disagreements, largest, duplicates, rows } = reportOf(
      entries
    )
    const sum = (numbers: ReadonlyArray<number>) => numbers.reduce((left, right) => left + right, 0)
    expect(totals).toEqual({
      packages: entries.length,
      inspected: entries.length,
      files: sum(entries.map((entry) => entry.files)),
      bytes: sum(entries.map((entry) => entry.bytes)),
      symlinks: 0
    })
    expect(rows.map((row) => row.package)).toEqual(entries.map(packageOf))
    expect(sum(licences.map((entry) => entry.packages))).toBe(entries.length)
    expect(sum(licences.map((entry) => entry.bytes))).toBe(totals.bytes)
    expect(sum(agreements.map((entry) => entry.packages))).toBe(entries.length)
    expect(unlicensed).toEqual(entries.filter((entry) => entry.agreement === "none"))
    expect(disagreements).toEqual(entries.filter((entry) => entry.agreement === "differ"))
    expect(largest.map((entry) => entry.bytes)).toEqual(
      entries.map((entry) => entry.bytes).sort((left, right) => right - left).slice(0, largestMax)
    )
    expect(duplicates.map((entry) => entry.name)).toEqual(
      ["a", "b", "c|d"].filter((name) =>
        new Set(entries.filter((entry) => entry.name === name).map((entry) => entry.version)).size > 1
      )
    )
  })

  it.prop("is the same whatever order the tasks finished in", [
    anyInspections.chain((entries) =>
      FastCheck.tuple(
        FastCheck.constant(entries),
        FastCheck.shuffledSubarray(entries, { minLength: entries.length })
      )
    )
  ], ([[entries, finished]]) => {
    const report = reportOf(entries, finished.map(resultLine))
    expect(toMarkdown(report)).toBe(toMarkdown(reportOf(entries)))
    expect(toCsv(report)).toBe(toCsv(reportOf(entries)))
  })

  it("counts a missing result as a failure and a result of another list as a problem", () => {
    const [a, b] = [inspection({ path: "node_modules/a" }), inspection({ path: "node_modules/b" })]
    const report = reportOf([a], [resultLine(b)])
    expect(report.failures).toEqual([{ package: packageOf(a), reason: "no usable result" }])
    expect(report.problems).toEqual(["node_modules/b: has a result but is not in the list of packages"])
    expect(headline(report)).toBe(
      "1 package, 0 files, 0 B; 0 without a licence; 0 whose text is not the declared licence; "
        + "0 in several versions; 1 not inspected"
    )
    expect(toMarkdown(report)).toContain("| a | 1.0.0 | node_modules/a | no usable result |")
  })

  it.prop("as CSV reads back as it was", [
    FastCheck.array(FastCheck.array(FastCheck.string({ unit: csvUnit }), { minLength: 1 }))
  ], ([records]) => {
    expect(parseCsv(records.map(csvRecord).join(""))).toEqual(records)
  })

  it.prop("as Markdown keeps any text in its cell", [FastCheck.string({ unit: "grapheme" })], ([text]) => {
    const written = cell(`${text}|\n<b>[x](y)`)
    expect(written.replaceAll(/\\./g, "")).not.toMatch(/[|\n\r<[\]]/)
  })

  it("writes sizes for people", () => {
    expect([0, 1023, 1024, 65_536, 1536 * 1024, 5 * 1024 ** 4].map(size)).toEqual(
      ["0 B", "1023 B", "1.0 KiB", "64.0 KiB", "1.5 MiB", "5120.0 GiB"]
    )
  })
})

const csvUnit = FastCheck.constantFrom("a", ",", "\"", "\r", "\n", " ", "é")

const parseCsv = (text: string): ReadonlyArray<ReadonlyArray<string>> => {
  const records: Array<Array<string>> = []
  let record: Array<string> = []
  for (
    const [, quotedField, plain = "", end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n)/g)
  ) {
    record.push(quotedField?.replaceAll("\"\"", "\"") ?? plain)
    if (end === ",") continue
    records.push(record)
    record = []
  }
  return records
}

describe("the audit", () => {
  const standIn = `
    import * as Fs from "node:fs"
    import * as Net from "node:net"
    const option = (name) => process.argv[process.argv.indexOf(name) + 1]
    const tasks = Fs.readFileSync(process.argv[3], "utf8").trim().split("\\n").map((line) => JSON.parse(line))
    const fields = { declared: "MIT", texts: [], agreement: "declared only", files: 1, bytes: 2, symlinks: 0 }
    const finish = () => Fs.writeFileSync(option("--out"), tasks.map((task) =>
      JSON.stringify({ task, status: "ok", stdout: JSON.stringify({ ...task, ...fields, sha256: "0" }) }) + "\\n"
    ).join(""))
    Fs.appendFileSync("names", option("--name") + "\\n")`

  const setting = (script: string, changes: Partial<Parameters<typeof audit>[0]> = {}) => {
    const at = directory({
      "node_modules/a/package.json": manifest("a"),
      "holdfast.mjs": `${standIn}\n${script}`
    })
    const said: Array<string> = []
    const read = (file: string) => Fs.readFileSync(Path.join(at, file), "utf8")
    const run = () =>
      audit({
        root: at,
        out: Path.join(at, "out"),
        holdfast: Path.join(at, "holdfast.mjs"),
        inspect: Path.join(at, "inspect.js"),
        print: (line) => said.push(line),
        signals: new EventEmitter(),
        terminal: false,
        ...changes
      })
    return { at, said, read, run }
  }

  it("run twice writes the same report, and a changed list is another batch", async () => {
    const { at, said, read, run } = setting("finish()")
    expect(await run()).toBe(0)
    const first = [read("out/report.md"), read("out/report.csv")]
    expect(await run()).toBe(0)
    expect([read("out/report.md"), read("out/report.csv")]).toEqual(first)
    expect(said.at(-1)).toContain(Path.join(at, "out/report.md"))
    Fs.writeFileSync(Path.join(at, "node_modules/a/package.json"), manifest("a", "1.0.1"))
    expect(await run()).toBe(0)
    const [one, two, three] = read("names").split("\n")
    expect(one).toBe(two)
    expect(three).not.toBe(one)
    expect(Fs.readdirSync(Path.join(at, "out")).filter((file) => file.endsWith(".tmp"))).toEqual([])
  })

  it.each([
    [1, "finish(); process.exit(1)", true],
    [1, "Fs.writeFileSync(option('--out'), ''); process.exit(0)", true],
    [1, "", false],
    [4, "finish(); process.exit(4)", false],
    [130, "process.exit(130)", false],
    [137, "process.kill(process.pid, 'SIGKILL')", false]
  ])("ends with %i after %j", async (code, script, hasReport) => {
    const { at, said, run } = setting(script)
    expect(await run()).toBe(code)
    expect(Fs.existsSync(Path.join(at, "out/report.md"))).toBe(hasReport)
    expect(said.some((line) => line.includes("Run the same command again"))).toBe(code === 130)
  })

  it("starts nothing where nothing is installed", async () => {
    const { at, read, run } = setting("finish()")
    Fs.rmSync(Path.join(at, "node_modules"), { recursive: true })
    expect(await run()).toBe(2)
    expect(() => read("names")).toThrow("ENOENT")
  })

  it.each([
    ["passes SIGINT on", false, "SIGINT"],
    ["leaves Ctrl-C to the terminal, and passes SIGTERM on", true, "SIGTERM"]
  ])("%s", async (_, terminal, expected) => {
    const signals = new EventEmitter()
    const { at, read, run } = setting(
      `const stop = (signal) => { Fs.writeFileSync("signal", signal); process.exit(130) }
      process.on("SIGINT", stop).on("SIGTERM", stop)
      Net.connect("ready")`,
      { signals, terminal }
    )
    const server = Net.createServer().listen(Path.join(at, "ready"))
    await once(server, "listening")
    const ended = run()
    await once(server, "connection")
    server.close()
    signals.emit("SIGINT")
    if (terminal) signals.emit("SIGTERM")
    expect(await ended).toBe(130)
    expect(read("signal")).toBe(expected)
    expect(signals.eventNames()).toEqual([])
  })

  it("names its batch by the list and the command", () => {
    const names = [batchName("a", ["x"]), batchName("b", ["x"]), batchName("a", ["y"]), batchName("a", ["x"])]
    expect(new Set(names).size).toBe(3)
    expect(names[0]).toMatch(/^dependency-audit-[0-9a-f]{8}$/)
  })
})
