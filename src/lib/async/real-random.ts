// The machine's own randomness.
import { randomFillSync } from 'node:crypto'
import type { Random } from '../base/random.ts'

export const realRandom: Random = {
  float: () => Math.random(),
  bytes: (length) => randomFillSync(new Uint8Array(length)),
}
