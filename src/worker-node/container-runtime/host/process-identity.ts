// Whether a process is still the one we knew: ids are used again, start times are not.
import { readFileSync } from 'node:fs'

export interface ProcessIdentity {
  readonly pid: number
  /** Clock ticks since boot, from /proc/<pid>/stat. */
  readonly startTime: string
}

/** Undefined when there is no such process, or only its zombie. */
export function identifyProcess(pid: number): ProcessIdentity | undefined {
  let text: string
  try { text = readFileSync(`/proc/${pid}/stat`, 'utf8') } catch { return undefined }
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ') // the name may hold anything, so count from its end
  const [state] = fields
  const startTime = fields[19]
  return startTime === undefined || state === 'Z' || state === 'X' ? undefined : { pid, startTime }
}

export function isAlive(process: ProcessIdentity | undefined): process is ProcessIdentity {
  return process !== undefined && identifyProcess(process.pid)?.startTime === process.startTime
}

/** Sends a signal if it is still the same process. False when it is gone. */
export function signalProcess(identity: ProcessIdentity | undefined, signal: number): boolean {
  if (!isAlive(identity)) return false
  try { process.kill(identity.pid, signal); return true } catch { return false }
}
