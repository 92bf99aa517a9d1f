// Which API servers are alive, as they tell each other through etcd: each keeps a key under masterleases/ with its address, on a lease that ends
// 15 seconds after its last renewal. The layout is the original's, so that both may serve one cluster.
// Upstream: pkg/controlplane/reconcilers/lease.go
import { EtcdError, type EtcdClient } from '../../../lib/etcd-client/etcd-client.ts'
import { isJsonObject, type JsonObject } from '../../../lib/base/json.ts'
import { prefixEnd } from './storage-keys.ts'
import { asApiObject } from './stored-object.ts'
import { UnreadableValueError, type StoredValues } from './stored-values.ts'

const ttlSeconds = 15
const maxAttempts = 8

export class MasterLeases {
  readonly #etcd: EtcdClient
  readonly #prefix: string
  readonly #values: StoredValues

  /** @param root `/registry` @param values how Endpoints are kept there */
  constructor(etcd: EtcdClient, root: string, values: StoredValues) {
    this.#etcd = etcd
    this.#values = values
    this.#prefix = `${root}/masterleases/`
  }

  /** Says that the API server at `address` is alive. Each time on a lease of its own; the one before goes by itself. */
  async renew(address: string, signal: AbortSignal): Promise<void> {
    const key = Buffer.from(this.#prefix + address)
    for (let attempt = 0; attempt < maxAttempts; attempt++) {
      const found = (await this.#etcd.range({ key }, signal)).kvs[0]
      // Writing needs a change to write: the generation counts the renewals.
      const generation = await this.#generationOf(key, found?.value) + 1
      const endpoints = { kind: 'Endpoints', apiVersion: 'v1', metadata: { generation }, subsets: [{ addresses: [{ ip: address }] }] }
      const value = this.#values.seal(key, Buffer.from(JSON.stringify(endpoints)), asApiObject(endpoints))
      const lease = await this.#etcd.leaseGrant(ttlSeconds, signal)
      const result = await this.#etcd.txn({ compare: [{ key, target: 'MOD', result: 'EQUAL', number: found?.modRevision ?? 0 }], success: [{ type: 'put', key, value, lease: lease.id }], failure: [] }, signal)
      if (result.succeeded) return
    }
    throw new EtcdError('Unavailable', `somebody else keeps writing ${this.#prefix}${address}: two API servers advertise the same address`)
  }

  /** Addresses of the API servers that are alive, in order. */
  async list(signal: AbortSignal): Promise<readonly string[]> {
    const { kvs } = await this.#etcd.range({ key: Buffer.from(this.#prefix), rangeEnd: Buffer.from(prefixEnd(this.#prefix)), keysOnly: true }, signal)
    return kvs.map((kv) => Buffer.from(kv.key).toString().slice(this.#prefix.length)).filter((address) => address !== '').sort()
  }

  async remove(address: string, signal: AbortSignal): Promise<void> {
    await this.#etcd.txn({ compare: [], success: [{ type: 'deleteRange', key: Buffer.from(this.#prefix + address) }], failure: [] }, signal)
  }

  /** What can't be read begins anew. */
  async #generationOf(key: Uint8Array, value: Uint8Array | undefined): Promise<number> {
    if (!value) return 0
    await this.#values.prepare(value)
    try { return metadataGeneration(this.#values.peek(key, value)) } catch (error) {
      if (error instanceof UnreadableValueError) return 0
      throw error
    }
  }
}

function metadataGeneration({ metadata }: JsonObject): number {
  const generation = isJsonObject(metadata) ? metadata['generation'] : undefined
  return typeof generation === 'number' ? generation : 0
}
