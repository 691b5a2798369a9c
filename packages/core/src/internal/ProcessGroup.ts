import * as Process from "node:process"
import { isRunning, processIds, processStat } from "../ProcessTable.ts"

/**
 * A process group that this process started, named by its leader's id.
 *
 * The kernel does not reuse the id while the group has a member, so it is safe to signal as long as `isAlive` is asked
 * shortly before.
 */
export class ProcessGroup {
  readonly id: number
  #witness = 0

  constructor(id: number) {
    this.id = id
  }

  /**
   * Whether a member still runs that may be signalled.
   *
   * One system call when the group is gone. Zombies that nobody reaps (a container whose first process is no init)
   * keep a group in existence, so on Linux a running member is looked up and remembered for the next call.
   */
  isAlive(): boolean {
    if (!sendSignal(-this.id, 0)) return false
    if (this.#isRunningMember(this.#witness)) return true
    const pids = processIds()
    if (pids.length === 0) return true
    this.#witness = pids.find((pid) => this.#isRunningMember(pid)) ?? 0
    return this.#witness !== 0
  }

  /** Sends a signal to every member. */
  signal(signal: NodeJS.Signals): void {
    sendSignal(-this.id, signal)
  }

  #isRunningMember(pid: number): boolean {
    const stat = pid === 0 ? undefined : processStat(pid)
    return stat !== undefined && stat.group === this.id && isRunning(stat)
  }
}

/** Sends a signal to a process, or to a group by its negated id; false when there is nobody it may be sent to. */
export const sendSignal = (target: number, signal: NodeJS.Signals | 0): boolean => {
  try {
    return Process.kill(target, signal)
  } catch {
    return false
  }
}
