/**
 * The process table of the operating system, as `/proc` shows it; elsewhere it is empty.
 */
import * as FileSystem from "node:fs"

/** What `/proc/<pid>/stat` says of a process. */
export interface ProcessStat {
  /** One letter: `R` running, `S` sleeping, `T` stopped, `Z` zombie, ... */
  readonly state: string
  /** Its process group. */
  readonly group: number
  /** When it started, in clock ticks since boot; with the pid it names the process for good. */
  readonly started: string
}

/** The ids of all visible processes; none where there is no `/proc`. */
export const processIds = (): ReadonlyArray<number> => {
  const ids: Array<number> = []
  for (const name of readOr([], () => FileSystem.readdirSync("/proc"))) {
    const code = name.charCodeAt(0)
    if (code > 0x30 && code <= 0x39) ids.push(Number(name))
  }
  return ids
}

/** The state and group of a process, or undefined when it is gone. */
export const processStat = (pid: number | "self"): ProcessStat | undefined => {
  const text = readOr(undefined, () => FileSystem.readFileSync(`/proc/${pid}/stat`, "utf8"))
  return text === undefined ? undefined : parseStat(text)
}

/**
 * The environment a process was started with: `NAME=value` entries, each ended by a NUL.
 *
 * Empty for kernel threads, zombies and what other users run; undefined when the process is gone. What the kernel lets a
 * process be started with bounds its size.
 */
export const processEnvironment = (pid: number): string | undefined => {
  try {
    return FileSystem.readFileSync(`/proc/${pid}/environ`, "utf8")
  } catch (cause) {
    return isForbidden(cause) ? "" : undefined
  }
}

/**
 * Reads the fields after the command name, which may itself hold spaces, parentheses and line feeds.
 *
 * **Source** proc_pid_stat(5): `pid (comm) state ppid pgrp ...`, starttime is field 22
 */
export const parseStat = (text: string): ProcessStat | undefined => {
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ", 20)
  const [state, , groupField] = fields
  const started = fields[19]
  const group = Number(groupField)
  return state === undefined || started === undefined || !Number.isSafeInteger(group)
    ? undefined
    : { state, group, started }
}

/** Whether a process still runs code: a zombie and a dead process no longer do. */
export const isRunning = (stat: ProcessStat): boolean => stat.state !== "Z" && stat.state !== "X"

const readOr = <A, B>(absent: B, read: () => A): A | B => {
  try {
    return read()
  } catch {
    return absent
  }
}

const isForbidden = (cause: unknown): boolean =>
  cause instanceof Error && "code" in cause && (cause.code === "EACCES" || cause.code === "EPERM")
