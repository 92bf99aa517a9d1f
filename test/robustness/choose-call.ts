// Decides what a client asks next: the mixture that the API server makes of an etcd (guarded creations, updates and deletions whose failure
// reads the key, reads of one key and of lists), and what else there is: several changes in one revision, leases, reads of the past.
import { randomInteger, type Random } from '../../src/lib/base/random.ts'
import { paddedValue, type Call, type Step } from './operation.ts'

export const prefix = '/registry/'
export const prefixEnd = '/registry0'

/** What one client knows and holds. */
export class ClientView {
  readonly client: number
  /** The revisions in which it last saw keys; 0: absent. */
  readonly seen = new Map<string, number>()
  /** Its own leases, with their times to live. */
  readonly leases = new Map<string, number>()
  #values = 0
  readonly #run: string

  /** @param run makes values differ from those of other runs on the same store */
  constructor(client: number, run: string) {
    this.client = client
    this.#run = run
  }

  newValue(random: Random): string {
    const roll = random.float()
    return paddedValue(`${this.#run}.${this.client}.${++this.#values}`, roll < 0.02 ? 6000 : roll < 0.3 ? 700 : randomInteger(random, 60))
  }
}

export interface TrafficShape {
  readonly keys: number
  /** Newest revision that somebody has heard of, for reads of the past. */
  readonly newestRevision: () => number
  /** Seconds; the first is not renewed and expires. */
  readonly shortTtlSeconds: number
  readonly longTtlSeconds: number
}

export function chooseCall(random: Random, view: ClientView, shape: TrafficShape): Call {
  const roll = random.float()
  const key = `${prefix}pods/p${randomInteger(random, shape.keys)}`
  const read: Step = { type: 'get', key }
  if (roll < 0.08) return { type: 'txn', guards: [], success: [put(random, view, key)], failure: [] }
  if (roll < 0.36) return { type: 'txn', guards: [{ key, modRevision: view.seen.get(key) ?? 0 }], success: [put(random, view, key)], failure: [read] }
  if (roll < 0.42) return { type: 'txn', guards: [{ key, modRevision: view.seen.get(key) ?? 0 }], success: [{ type: 'delete', key }], failure: [read] }
  if (roll < 0.48) return { type: 'txn', guards: [], success: [put(random, view, `${prefix}services/s${randomInteger(random, 5)}`), { type: 'delete', key }, { type: 'get', key: prefix, end: prefixEnd, limit: 3 }, put(random, view, `${prefix}endpoints/e${randomInteger(random, 5)}`)], failure: [] }
  if (roll < 0.56) return chooseLeaseCall(random, view, shape)
  if (roll < 0.84) return { type: 'range', key }
  if (roll < 0.92) return { type: 'range', key: `${prefix}pods/`, end: `${prefix}pods0`, limit: randomInteger(random, 3) * 4 }
  if (roll < 0.94) return { type: 'range', key: prefix, end: prefixEnd }
  if (roll < 0.97) return { type: 'readAt', key: `${prefix}pods/`, end: `${prefix}pods0`, revision: Math.max(1, shape.newestRevision() - randomInteger(random, 60)), serializable: false }
  return { type: 'readAt', key, revision: 0, serializable: true }
}

function put(random: Random, view: ClientView, key: string, lease = '0'): Step { return { type: 'put', key, value: view.newValue(random), lease } }

function chooseLeaseCall(random: Random, view: ClientView, shape: TrafficShape): Call {
  const mine = [...view.leases.keys()]
  const lease = mine[randomInteger(random, mine.length)]
  const roll = random.float()
  if (lease === undefined || (roll < 0.15 && mine.length < 6)) {
    const id = new DataView(Uint8Array.from(random.bytes(8)).buffer).getBigUint64(0) & 0x7fffffffffffffffn
    return { type: 'grant', lease: String(id || 1n), ttlSeconds: random.float() < 0.3 ? shape.shortTtlSeconds : shape.longTtlSeconds }
  }
  if (roll < 0.3) return { type: 'revoke', lease }
  if (roll < 0.45) return { type: 'keepAlive', lease }
  return { type: 'txn', guards: [], success: Array.from({ length: 1 + randomInteger(random, 2) }, (_, i) => put(random, view, `${prefix}events/c${view.client}-${randomInteger(random, 3)}-${i}`, lease)), failure: [] }
}

