// Signals by the names that images and CRI give them. Pure.
import type { Signal } from '../../../lib/cri-api/generated/types.ts'

const numbers: { readonly [name: string]: number } = {
  HUP: 1, INT: 2, QUIT: 3, ILL: 4, TRAP: 5, ABRT: 6, IOT: 6, BUS: 7, FPE: 8, KILL: 9, USR1: 10, SEGV: 11, USR2: 12, PIPE: 13, ALRM: 14, TERM: 15, STKFLT: 16, CHLD: 17, CLD: 17, CONT: 18,
  STOP: 19, TSTP: 20, TTIN: 21, TTOU: 22, URG: 23, XCPU: 24, XFSZ: 25, VTALRM: 26, PROF: 27, WINCH: 28, IO: 29, POLL: 29, PWR: 30, SYS: 31,
}
const lowestRealTime = 34
const highestRealTime = 64

/** `SIGTERM`, `term`, `15`, `RTMIN+3`, CRI's `SIGNAL_SIGRTMINPLUS3`. Undefined for what is no signal. */
export function signalNumber(text: string): number | undefined {
  const name = text.trim().toUpperCase().replace(/^SIGNAL_/, '').replace(/^SIG/, '').replace('PLUS', '+').replace('MINUS', '-')
  if (/^\d+$/.test(name)) return Number(name) >= 1 && Number(name) <= highestRealTime ? Number(name) : undefined
  const known = Object.hasOwn(numbers, name) ? numbers[name] : undefined
  if (known !== undefined) return known
  const realTime = /^RT(MIN|MAX)(?:([+-])(\d+))?$/.exec(name)
  if (!realTime) return undefined
  const value = (realTime[1] === 'MIN' ? lowestRealTime : highestRealTime) + (realTime[2] === '-' ? -1 : 1) * Number(realTime[3] ?? 0)
  return value >= lowestRealTime && value <= highestRealTime ? value : undefined
}

/** The pod's choice, else the image's, else SIGTERM. */
export function stopSignalOf(wanted: Signal | undefined, image: string | undefined): number {
  const own = wanted === undefined || wanted === 'SIGNAL_RUNTIME_DEFAULT' ? undefined : signalNumber(wanted)
  return own ?? (image ? signalNumber(image) : undefined) ?? 15
}
