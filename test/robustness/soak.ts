// How much of a suite to run, and where longer runs are written down: K8TS_SOAK=<factor> runs that many times as many rounds and adds a row to
// docs/reliability-ledger.md. K8TS_SEED=<number> repeats a run's choices (not its timing). K8TS_KEEP=1 leaves histories and data folders.
import { appendFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { arch, cpus, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { realClock } from '../../src/lib/async/real-clock.ts'
import { realRandom } from '../../src/lib/async/real-random.ts'
import { randomInteger, type Random } from '../../src/lib/base/random.ts'
import type { Counts } from './campaign.ts'

export const soak: number = Math.max(1, Number(process.env['K8TS_SOAK'] ?? 1))
export const seed: number = Number(process.env['K8TS_SEED'] ?? randomInteger(realRandom, 2 ** 31))

/** A folder for one file of tests. */
export class ScratchFolder implements Disposable {
  readonly path: string

  constructor() { this.path = mkdtempSync(join(tmpdir(), 'k8ts-robustness-')) }

  [Symbol.dispose](): void {
    if (process.env['K8TS_KEEP']) console.log(this.path)
    else rmSync(this.path, { recursive: true, force: true })
  }
}

export function shuffle<T>(random: Random, list: readonly T[]): readonly T[] {
  const rest = [...list]
  return list.map(() => rest.splice(randomInteger(random, rest.length), 1)[0]!) // cast: as many as there are
}

export function describeCounts(counts: Counts): string {
  return `${counts.operations} operations (${counts.unknown} unknown), ${counts.linearized} checked by porcupine in ${counts.rounds} histories, ${counts.revisions} revisions, ${counts.watches} watches with ${counts.watchEvents} events, ${counts.hashes} hashes compared`
}

/** When it was a longer run. @param what faults, with their numbers */
export function writeLedger(what: string, counts: Counts, beganMs: number): void {
  const path = resolve(import.meta.dirname, '../../docs/reliability-ledger.md')
  if (soak <= 1 || !existsSync(path)) return
  const date = new Date(realClock.now()).toISOString().slice(0, 16).replace('T', ' ')
  const seconds = Math.round((realClock.monotonic() - beganMs) / 1000)
  appendFileSync(path, `| ${date} | robustness, K8TS_SOAK=${soak}, seed ${seed} | ${cpus().length} × ${cpus()[0]?.model.trim() ?? arch()} | ${what}; ${describeCounts(counts)} | ${seconds} s | 0 violations |\n`)
}
