// Named places in our etcd at which a test has something happen: in the process under test, armed over the channel to its parent.
//
// Each operation on the disk that changes something and each message between members is one, before and after: `wal/*.wal:append:before`,
// `snap/db.tmp:sync:after`, `peer:send:MsgApp:before`. Nobody keeps a list: a process tells of each place when it first comes by, so that a place
// that is new is tested too.
import { writeSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'

/** `crash`: SIGKILL there. `tear`: half of the write, then SIGKILL. `error`: the operation fails with EIO. `stall`: that one takes a while. `freeze`: the whole process does. */
export type FailpointAction = 'crash' | 'tear' | 'error' | 'stall' | 'freeze'

export type FailpointMessage =
  | { readonly type: 'arm'; readonly name: string; readonly action: FailpointAction; readonly ms?: number }
  | { readonly type: 'disarm' }
  /** From the process: it has come by there for the first time in its life, or done what was armed. */
  | { readonly type: 'seen' | 'hit'; readonly name: string }

interface Armed { readonly action: FailpointAction; readonly ms: number }

const defaultMs = 300
const armed = new Map<string, Armed>()
const seen = new Set<string>()
const never = new Int32Array(new SharedArrayBuffer(4))

process.on('message', (message) => {
  const told = message as FailpointMessage // cast: the parent sends nothing else
  if (told.type === 'arm') armed.set(told.name, { action: told.action, ms: told.ms ?? defaultMs })
  if (told.type === 'disarm') armed.clear()
})

/** `name=action`, with commas between. */
export function armFrom(text: string): void {
  for (const pair of text.split(',')) {
    const at = pair.lastIndexOf('=')
    if (at > 0) armed.set(pair.slice(0, at), { action: pair.slice(at + 1) as FailpointAction, ms: defaultMs }) // cast: a test's own words
  }
}

export class FailpointError extends Error {
  override readonly name = 'FailpointError'
  readonly code = 'EIO'
}

/** Where something could happen. Undefined: nothing does. */
export function pass(name: string): Promise<void> | undefined {
  if (!seen.has(name)) {
    seen.add(name)
    process.send?.({ type: 'seen', name } satisfies FailpointMessage)
  }
  const found = armed.get(name)
  if (found === undefined) return undefined
  armed.delete(name)
  writeSync(2, `failpoint ${name}: ${found.action}\n`)
  process.send?.({ type: 'hit', name } satisfies FailpointMessage)
  switch (found.action) {
    case 'crash': case 'tear': return die()
    case 'error': throw new FailpointError(`EIO: failpoint ${name}`)
    case 'freeze': Atomics.wait(never, 0, 0, found.ms); return undefined
    default: return delay(found.ms)
  }
}

/** Whether a write is to be torn here. */
export function tears(name: string): boolean { return armed.get(name)?.action === 'tear' }

/** Nothing of this process runs any more. */
function die(): never {
  process.kill(process.pid, 'SIGKILL')
  for (;;) Atomics.wait(never, 0, 0)
}
