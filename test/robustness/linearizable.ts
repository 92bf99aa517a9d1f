// Hands histories to the linearizability checker (test/robustness/checker, Go and porcupine).
import { spawn } from 'node:child_process'
import { copyFileSync, existsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import type { KeyState } from './operation.ts'
import type { ResolvedOperation } from './resolve-outcomes.ts'

const program = join(import.meta.dirname, '.bin/linearizable')
export const checkerMissing: string | undefined = existsSync(program) ? undefined : `no linearizability checker at ${program}: run test/robustness/build-checker.sh (needs Go)`

export interface History {
  readonly revision: number
  readonly kvs: readonly KeyState[]
  readonly leases: readonly string[]
  readonly operations: readonly ResolvedOperation[]
}

export interface Verdict { readonly result: 'Ok' | 'Illegal' | 'Unknown'; readonly operations: number; readonly milliseconds: number; readonly linearized?: number; readonly stuck?: string }

/** Checks one history; `path` is where it is written for the checker, and for people afterwards. */
export async function checkLinearizable(history: History, path: string): Promise<Verdict> {
  const { operations, ...start } = history
  writeFileSync(path, [start, ...operations].map((line) => `${JSON.stringify(line, (_, value: unknown) => (value === Infinity ? Number.MAX_SAFE_INTEGER : value))}\n`).join(''))
  const child = spawn(program, [path], { stdio: ['ignore', 'pipe', 'inherit'] })
  let text = ''
  child.stdout.on('data', (data: Buffer) => { text += data.toString() })
  const code = await new Promise<number | null>((done, failed) => { child.once('error', failed); child.once('close', done) })
  if (code !== 0 && code !== 1) throw new Error(`the linearizability checker ended with ${code}`)
  // Whatever becomes of the test's own folder: without it nobody could tell why. Control builds leave some, too.
  if (code === 1) copyFileSync(path, join(tmpdir(), `k8ts-not-linearizable-${process.pid}-${basename(path)}`))
  return JSON.parse(text) as Verdict // cast: the checker prints this
}
