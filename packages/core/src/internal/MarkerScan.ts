import * as Process from "node:process"
import { processEnvironment, processIds, processStat } from "../ProcessTable.ts"

/** The environment variable that holds the markers of a process. */
export const markerVariable = "HOLDFAST_NODE"

const passesMax = 5

/** A process and the group it is in. */
export interface GroupMember {
  readonly pid: number
  readonly group: number
}

/** What one look at all processes found. */
export interface MarkerScan {
  readonly marked: ReadonlyArray<GroupMember>
  /** The group of this process, where it is known. */
  readonly ownGroup: number | undefined
}

/** A scan where processes cannot be looked at. */
export const emptyScan: MarkerScan = { marked: [], ownGroup: undefined }

/** The names in the value of the marker variable. */
export const markerNames = (value: string): ReadonlyArray<string> =>
  value.split(",").filter((name) => name !== "")

/**
 * Looks at the environment of every process in `/proc` but this one.
 *
 * A process that is gone before it was looked at may have left a child that was not listed yet, so the list is read
 * again for new processes, five times at the most.
 */
export const scanProcessTable = (name: string): MarkerScan => {
  const marked: Array<GroupMember> = []
  const seen = new Set([Process.pid])
  for (let passes = 0, someVanished = true; someVanished && passes < passesMax; passes++) {
    someVanished = false
    for (const pid of processIds()) {
      if (seen.has(pid)) continue
      seen.add(pid)
      const environment = processEnvironment(pid)
      if (environment === undefined) someVanished = true
      else if (hasMarker(environment, "\0", name)) marked.push({ pid, group: processStat(pid)?.group ?? 0 })
    }
  }
  return { marked, ownGroup: processStat("self")?.group }
}

/** Reads what `ps -o pid=,pgid=,command=` lists with environments (`-E`), where a space ends an entry. */
export const scanListing = (listing: string, name: string, ownPid: number): MarkerScan => {
  const marked: Array<GroupMember> = []
  let ownGroup: number | undefined
  for (const line of listing.split("\n")) {
    const [, pid, group, rest] = /^\s*(\d+)\s+(\d+)\s(.*)$/.exec(line) ?? []
    if (rest === undefined) continue
    if (Number(pid) === ownPid) ownGroup = Number(group)
    else if (hasMarker(rest, " ", name)) marked.push({ pid: Number(pid), group: Number(group) })
  }
  return { marked, ownGroup }
}

const hasMarker = (environment: string, separator: string, name: string): boolean => {
  const prefix = `${markerVariable}=`
  if (!environment.includes(prefix)) return false
  return environment.split(separator).some((entry) =>
    entry.startsWith(prefix) && markerNames(entry.slice(prefix.length)).includes(name)
  )
}
