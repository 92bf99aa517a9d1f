// etcdserverpb.Cluster of the proxy: clients that ask for the members get the proxies, so that they stay with them: those that are registered under the
// resolver's prefix, or this one. What changes the membership goes to the members.
// Upstream: etcd/server/proxy/grpcproxy/cluster.go, register.go, etcd/client/v3/naming/endpoints
import { sleep } from '../../../lib/base/clock.ts'
import { encodeProto3 } from '../../../lib/base/protobuf/proto3.ts'
import { describeError, type Logger } from '../../../lib/component-base/log.ts'
import { etcdTable } from '../../../lib/etcd-api/generated/table.ts'
import type { Member, MemberListResponse } from '../../../lib/etcd-api/generated/types.ts'
import type { EtcdClient } from '../../../lib/etcd-client/etcd-client.ts'
import type { GrpcHandler } from '../../../lib/net/grpc/grpc-server.ts'
import { prefixEnd } from '../recipes/caller-client.ts'
import type { KeyNamespace } from './key-namespace.ts'
import { passUnary, type Upstream } from './upstream.ts'

export interface ClusterProxyOptions {
  readonly upstream: Upstream
  /** The proxy's own, for its registration. */
  readonly client: EtcdClient
  readonly namespace: KeyNamespace
  readonly hostname: string
  /** Empty: the members are told as they are. */
  readonly advertiseClientUrl: string
  /** Empty: nobody is registered. */
  readonly resolverPrefix: string
  readonly resolverTtlSeconds: number
  readonly logger: Logger
}

const service = '/etcdserverpb.Cluster'
const retryMs = 1000

/** How an endpoint is written down. */
interface Registration { readonly Op?: number; readonly Addr?: string; readonly Metadata?: unknown }

export class ClusterProxy implements Disposable {
  readonly #options: ClusterProxyOptions
  readonly #ended = new AbortController()
  readonly #registered = new Map<string, Member>()

  constructor(options: ClusterProxyOptions) {
    this.#options = options
    if (options.resolverPrefix === '') return
    void this.#repeatedly('failed to create a session', () => this.#register())
    if (options.advertiseClientUrl !== '') void this.#repeatedly('failed to establish endpoint watch', () => this.#follow())
  }

  handlers(): readonly (readonly [path: string, handler: GrpcHandler])[] {
    const { upstream } = this.#options
    return [
      ...['MemberAdd', 'MemberRemove', 'MemberUpdate', 'MemberPromote'].map((method): [string, GrpcHandler] => [`${service}/${method}`, passUnary(upstream, false)]),
      [`${service}/MemberList`, this.#options.advertiseClientUrl === '' ? passUnary(upstream, true) : { unary: () => encodeProto3(etcdTable, 'MemberListResponse', this.#list()) }],
    ]
  }

  #list(): MemberListResponse {
    const { hostname, advertiseClientUrl } = this.#options
    return { members: this.#registered.size > 0 ? [...this.#registered.values()] : [{ name: hostname, clientURLs: [advertiseClientUrl] }] }
  }

  async #repeatedly(what: string, run: () => Promise<void>): Promise<void> {
    const { upstream, logger } = this.#options
    const { signal } = this.#ended
    while (!signal.aborted) {
      try {
        await run()
      } catch (error) {
        if (!signal.aborted) logger.warn(what, { why: describeError(error) })
      }
      await sleep(upstream.clock, retryMs, signal).catch(() => {})
    }
  }

  /** Until the lease is lost. */
  async #register(): Promise<void> {
    const { client, upstream, namespace, hostname, advertiseClientUrl, resolverPrefix, resolverTtlSeconds, logger } = this.#options
    const { signal } = this.#ended
    const { id } = await client.leaseGrant(resolverTtlSeconds, signal)
    const registration: Registration = { Op: 0, Addr: advertiseClientUrl, Metadata: JSON.stringify({ name: hostname }) }
    const key = namespace.add(Buffer.from(`${resolverPrefix}/${advertiseClientUrl}`))
    await client.txn({ compare: [], success: [{ type: 'put', key, value: Buffer.from(JSON.stringify(registration)), lease: id }], failure: [] }, signal)
    logger.info('registered session with lease', { addr: advertiseClientUrl, 'lease-ttl': resolverTtlSeconds })
    for (;;) {
      await sleep(upstream.clock, resolverTtlSeconds * 1000 / 3, signal)
      const { ttlSeconds } = await client.leaseKeepAlive(id, signal)
      if (ttlSeconds > 0) continue
      logger.warn('session expired; possible network partition or server restart')
      return
    }
  }

  /** Until the watch ends. */
  async #follow(): Promise<void> {
    const { client, namespace, resolverPrefix } = this.#options
    const { signal } = this.#ended
    const key = namespace.add(Buffer.from(`${resolverPrefix}/`))
    const rangeEnd = prefixEnd(key)
    const { kvs, revision } = await client.range({ key, rangeEnd }, signal)
    this.#registered.clear()
    for (const kv of kvs) this.#set(kv.key, kv.value)
    await new Promise<void>((ended) => {
      const watch = client.watch({ key, rangeEnd, startRevision: revision + 1 }, {
        events: (events) => {
          for (const { type, kv } of events) {
            if (type === 'DELETE') this.#registered.delete(Buffer.from(kv.key).toString())
            else this.#set(kv.key, kv.value)
          }
        },
        closed: () => ended(),
      })
      signal.addEventListener('abort', () => watch[Symbol.dispose](), { once: true })
    })
  }

  /** What can't be read is not there. */
  #set(key: Uint8Array, value: Uint8Array): void {
    try {
      const { Addr = '', Metadata } = JSON.parse(Buffer.from(value).toString()) as Registration // cast: its parts are looked at before they are used
      const { name } = JSON.parse(String(Metadata)) as { readonly name?: unknown } // cast: as above
      if (typeof Addr === 'string') this.#registered.set(Buffer.from(key).toString(), { name: String(name ?? ''), clientURLs: [Addr] })
    } catch {
      this.#options.logger.warn('an endpoint under the resolver prefix cannot be read', { key: Buffer.from(key).toString() })
    }
  }

  [Symbol.dispose](): void { this.#ended.abort(new Error('the proxy ends')) }
}
