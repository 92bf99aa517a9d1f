// Discovery by a service: an etcd that runs elsewhere knows how large the new cluster is to be (`/_etcd/registry/TOKEN/_config/size`), and every
// member registers there and waits until all have (`/_etcd/registry/TOKEN/members/ID`, value `name=url,name=url`). Who comes too late is refused.
// Upstream: etcd/server/etcdserver/api/v3discovery/discovery.go
import { sleep, type Clock } from '../../../lib/base/clock.ts'
import { describeError, type Logger } from '../../../lib/component-base/log.ts'
import type { EtcdClient, EtcdRangeRequest, EtcdRangeResponse } from '../../../lib/etcd-client/etcd-client.ts'
import { BootstrapError } from '../membership/plan-bootstrap.ts'

export interface ServiceDiscovery {
  readonly client: EtcdClient
  readonly token: string
  readonly memberId: bigint
  /** `name=url`, comma-separated. */
  readonly ownUrls: string
  readonly requestTimeoutMs: number
  readonly clock: Clock
  readonly logger: Logger
}

const prefix = '/_etcd/registry'
const pollMs = 1000
const longestRetryMs = 256_000

/** What `--initial-cluster` would say, once everybody has registered. @throws BootstrapError */
export async function discoverByService(options: ServiceDiscovery, signal: AbortSignal): Promise<string> {
  const ownKey = `${prefix}/${options.token}/members/${options.memberId.toString(16)}`
  const size = await readSize(options, signal)
  checkPlace(await readMembers(options, signal), ownKey, size)
  await patiently(options, signal, 'register member itself', (limit) => options.client.txn({ compare: [], success: [{ type: 'put', key: bytes(ownKey), value: bytes(options.ownUrls) }], failure: [] }, limit))
  options.logger.info('registered with the discovery service', { key: ownKey, urls: options.ownUrls })
  for (;;) {
    const members = await readMembers(options, signal)
    checkPlace(members, ownKey, size)
    if (members.length >= size) return members.slice(0, size).map((member) => member.urls).join(',')
    options.logger.info('waiting for peers from discovery service', { size, found: members.length }, 2)
    await sleep(options.clock, pollMs, signal)
  }
}

interface Registered {
  readonly key: string
  readonly urls: string
}

/** The first `size` that registered are the cluster. */
function checkPlace(members: readonly Registered[], ownKey: string, size: number): void {
  const place = members.findIndex((member) => member.key === ownKey)
  if (place >= size || (place < 0 && members.length >= size)) throw new BootstrapError('failed to join discovery cluster (discovery: cluster is full)')
}

async function readSize(options: ServiceDiscovery, signal: AbortSignal): Promise<number> {
  const { kvs } = await read(options, { key: bytes(`${prefix}/${options.token}/_config/size`) }, signal)
  const text = kvs[0] ? Buffer.from(kvs[0].value).toString('utf8') : undefined
  if (text === undefined) throw new BootstrapError('failed to join discovery cluster (discovery: size key not found)')
  if (!/^\+?\d+$/.test(text) || Number(text) === 0) throw new BootstrapError('failed to join discovery cluster (discovery: size key is bad)')
  return Number(text)
}

/** In the order in which they came. */
async function readMembers(options: ServiceDiscovery, signal: AbortSignal): Promise<readonly Registered[]> {
  const key = bytes(`${prefix}/${options.token}/members/`)
  const end = Buffer.from(key)
  end[end.length - 1] = '/'.charCodeAt(0) + 1
  const { kvs } = await read(options, { key, rangeEnd: end }, signal)
  return [...kvs].sort((a, b) => a.createRevision - b.createRevision).flatMap((kv) => {
    const urls = Buffer.from(kv.value).toString('utf8').trim()
    return /^[^=]+=/.test(urls) ? [{ key: Buffer.from(kv.key).toString('utf8'), urls }] : []
  })
}

function read(options: ServiceDiscovery, request: EtcdRangeRequest, signal: AbortSignal): Promise<EtcdRangeResponse> {
  return patiently(options, signal, 'cluster status check', (limit) => options.client.range(request, limit))
}

/** Tries again and again, ever more slowly: the service may come later than its users. */
async function patiently<T>(options: ServiceDiscovery, signal: AbortSignal, what: string, ask: (limit: AbortSignal) => Promise<T>): Promise<T> {
  for (let retryMs = 2000; ; retryMs = Math.min(longestRetryMs, retryMs * 2)) {
    const limit = new AbortController()
    const timer = options.clock.setTimer(options.requestTimeoutMs, () => limit.abort(new BootstrapError('no answer in time')), { keepAlive: true })
    try {
      return await ask(AbortSignal.any([signal, limit.signal]))
    } catch (error) {
      if (signal.aborted) throw signal.reason
      options.logger.warn(`retry connecting to discovery service: ${what}`, { why: describeError(error), afterMs: retryMs })
    } finally {
      timer[Symbol.dispose]()
    }
    await sleep(options.clock, retryMs, signal)
  }
}

function bytes(text: string): Buffer { return Buffer.from(text, 'utf8') }
