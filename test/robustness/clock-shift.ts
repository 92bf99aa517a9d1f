// Wall clocks that jump: a library that is preloaded into the process under test (clock-shift.c, built by build-checker.sh).
import { existsSync, openSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'

const library = join(import.meta.dirname, '.bin/clock-shift.so')
export const clockShiftMissing: string | undefined = existsSync(library) ? undefined : `no ${library}: run test/robustness/build-checker.sh (needs a C compiler)`

export class ShiftedClock {
  readonly environment: { readonly [name: string]: string }
  readonly #file: number

  /** @param path of a file to be made, which says by how much the clock is shifted */
  constructor(path: string) {
    writeFileSync(path, Buffer.alloc(8))
    this.#file = openSync(path, 'r+')
    this.environment = { LD_PRELOAD: library, K8TS_CLOCK_SHIFT: path }
  }

  /** From now on the wall clock is so much ahead of the machine's; negative: behind. */
  jumpTo(aheadMs: number): void {
    const bytes = Buffer.alloc(8)
    bytes.writeBigInt64LE(BigInt(aheadMs) * 1_000_000n)
    writeSync(this.#file, bytes, 0, 8, 0)
  }
}
