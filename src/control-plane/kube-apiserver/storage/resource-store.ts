// Reads and writes of one resource: linearizable reads from etcd with the cache's bytes, lists from the cache once it has caught up, writes as
// optimistic transactions.
//
// Rules it keeps: a write happens only if the object still is what the decision was made on (mod revision compared in the transaction); a decision
// made on cached state that fails is made once more on fresh state before the failure counts; an update that changes no byte writes nothing.
import { deepEqual } from '../../../lib/apimachinery/equality.ts'
import { ApiError } from '../../../lib/client/api-error.ts'
import type { ApiObject } from '../../../lib/client/api-client.ts'
import { EtcdError, wasNotSent } from '../../../lib/etcd-client/etcd-client.ts'
import type { EtcdClient, EtcdCompare, EtcdKeyValue, EtcdOperation } from '../../../lib/etcd-client/etcd-client.ts'
import { alreadyExists, conflict, expired, internalError, notFound, resourceVersionTooLarge, serverTimeout, storageFailure, storeReadError, timedOut } from '../endpoints/api-errors.ts'
import type { GroupResource } from '../endpoints/api-errors.ts'
import { encodeContinueToken } from './continue-token.ts'
import type { ContinueToken } from './continue-token.ts'
import type { EtcdFeed, FeedTarget } from './etcd-feed.ts'
import { prefixEnd } from './storage-keys.ts'
import { StoredObject, encodeForStorage, withResourceVersion } from './stored-object.ts'
import { TransformError } from './encryption/value-transformer.ts'
import { UnreadableValueError } from './stored-values.ts'
import type { ExpectedWrite, WatchCache } from './watch-cache.ts'

/** Writes that go with an object's own: a Service's IPAddress. */
export interface ExtraOperations {
  readonly compare: readonly EtcdCompare[]
  readonly success: readonly EtcdOperation[]
}

export interface StorePage {
  readonly objects: readonly StoredObject[]
  readonly revision: number
  readonly continue?: string
  /** Keys under the prefix after the last of `objects`. */
  readonly remaining: number
}

/** What an update makes of the current object: new content, removal, or nothing. */
export type UpdateOutcome =
  | { readonly type: 'put'; readonly object: ApiObject; readonly extra?: ExtraOperations; readonly lease?: bigint }
  | { readonly type: 'delete'; readonly extra?: ExtraOperations; /** The last state, told to the client and to watchers. */ readonly last?: ApiObject }
  | { readonly type: 'keep' }

export interface UpdateResult {
  /** For a deletion: the last state, with the revision of the deletion. */
  readonly object: StoredObject
  readonly outcome: 'created' | 'updated' | 'unchanged' | 'deleted'
}

/** Longest wait for the cache to catch up. */
const cacheWaitMs = 3000

export class ResourceStore {
  readonly resource: GroupResource
  readonly target: FeedTarget
  readonly #etcd: EtcdClient
  readonly #feed: EtcdFeed
  /** Gets and lists are answered from etcd, however old an answer they would take (`--watch-cache=false`). The cache is there all the same, for watches and for this server's own needs. */
  readonly uncached: boolean

  constructor(resource: GroupResource, target: FeedTarget, etcd: EtcdClient, feed: EtcdFeed, uncached = false) {
    this.uncached = uncached
    this.resource = resource
    this.target = target
    this.#etcd = etcd
    this.#feed = feed
  }

  get cache(): WatchCache { return this.target.cache }
  get etcd(): EtcdClient { return this.#etcd }
  get feedRevision(): number { return this.#feed.revision }
  /** Lists that must be up to date may come from the cache, and watches begin with what is there. */
  get canCatchUp(): boolean { return this.#feed.canCatchUp }

  etcdKey(key: string): Uint8Array { return Buffer.from(`${this.target.prefix}${key}`) }

  /** The newest state, asked of etcd. */
  async get(key: string, signal: AbortSignal): Promise<StoredObject | undefined> {
    const { kvs } = await this.#range({ key: this.etcdKey(key) }, signal)
    return kvs[0] && await this.#fromEtcd(key, kvs[0])
  }

  /** The newest state, and whether a write would give etcd other bytes though nothing of the object changes. */
  async #getFresh(key: string, signal: AbortSignal): Promise<{ readonly object: StoredObject | undefined; readonly outdated: boolean }> {
    const { kvs: [kv] } = await this.#range({ key: this.etcdKey(key) }, signal)
    if (!kv) return { object: undefined, outdated: false }
    const object = await this.#fromEtcd(key, kv)
    return { object, outdated: this.target.values.isOutdated(this.etcdKey(key), kv.value) }
  }

  /** The write of an object, for a transaction with others. Nothing is checked. */
  putOperation(key: string, object: ApiObject): EtcdOperation {
    return { type: 'put', key: this.etcdKey(key), value: this.#encode(this.etcdKey(key), object).sealed }
  }

  #encode(etcdKey: Uint8Array, object: ApiObject): ExpectedWrite {
    const layout = encodeForStorage(object)
    let sealed
    try { sealed = this.target.values.seal(etcdKey, layout.value, object) } catch (error) {
      if (error instanceof TransformError) throw internalError(error.message)
      throw error
    }
    return { sealed, layout, isPlain: sealed === layout.value, object }
  }

  /** The cached state, at least as new as `revision` (0: whatever is there). */
  async getCached(key: string, revision: number, signal: AbortSignal): Promise<StoredObject | undefined> {
    if (this.uncached) {
      const { kvs: [kv], revision: newest } = await this.#range({ key: this.etcdKey(key) }, signal)
      if (newest < revision) throw resourceVersionTooLarge(revision, newest)
      return kv && await this.#fromEtcd(key, kv)
    }
    await this.catchUp(revision, signal)
    return this.cache.get(key)
  }

  /** Waits until the cache holds everything up to `revision`. @throws ApiError ResourceVersionTooLarge */
  async catchUp(revision: number, signal: AbortSignal): Promise<void> {
    if (!(await this.#feed.waitFor(revision, cacheWaitMs, signal))) {
      if (signal.aborted) throw timedOut('request did not complete within the allotted timeout')
      throw resourceVersionTooLarge(revision, this.#feed.revision)
    }
  }

  /** Brings the cache to the newest state and says which revision that is. */
  async refresh(signal: AbortSignal): Promise<number> {
    const { revision } = await this.#range({ key: Buffer.from(this.target.prefix), countOnly: true }, signal)
    await this.catchUp(revision, signal)
    return this.#feed.revision
  }

  /** A page of the state at `token.revision`, or as it is now in the cache (`from` 'etcd': as it is now in etcd). `limit` 0: everything. */
  async list(prefix: string, limit: number, token: ContinueToken | undefined, exactRevision: number | undefined, signal: AbortSignal, source: 'cache' | 'etcd' = 'cache'): Promise<StorePage> {
    const at = exactRevision ?? (token && token.revision > 0 ? token.revision : undefined)
    const start = token ? prefix + token.start : prefix
    if (at !== undefined && at > this.#feed.revision && this.canCatchUp) await this.catchUp(at, signal)
    const unreadable = this.cache.unreadableUnder(prefix)
    // A list that leaves something out without saying so would have its readers delete what belongs to it.
    if (unreadable.length > 0 && source === 'cache') throw storeReadError(this.resource, unreadable.map(([key, why]) => ({ key: `${this.target.prefix}${key}`, why })))
    // Nothing of this resource has changed since: the cache still shows that revision.
    if (at === undefined ? source === 'cache' : !this.uncached && at <= this.#feed.revision && this.cache.changedAt <= at) return this.#pageOf(prefix, this.cache.list(prefix, start, limit === 0 ? Infinity : limit), limit, at ?? this.#feed.revision)
    const from = `${this.target.prefix}${start}`
    const end = prefixEnd(`${this.target.prefix}${prefix}`)
    let page
    try {
      page = await this.#etcd.range({ key: Buffer.from(from), rangeEnd: Buffer.from(end), ...(at !== undefined && { revision: at }), ...(limit > 0 && { limit }) }, signal)
    } catch (error) {
      if (error instanceof EtcdError && error.reason === 'OutOfRange') throw resourceVersionTooLarge(at ?? 0, this.#feed.revision)
      if (error instanceof EtcdError && error.reason === 'Compacted') {
        if (token) {
          throw expired('The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.',
            encodeContinueToken({ revision: -1, start: token.start }))
        }
        throw expired(`The resourceVersion for the provided list is too old.`)
      }
      throw this.#storageError(error, 'list')
    }
    const objects = await Promise.all(page.kvs.map((kv) => this.#fromEtcd(Buffer.from(kv.key).toString('latin1').slice(this.target.prefix.length), kv)))
    const last = objects.at(-1)
    const remaining = Math.max(0, page.count - page.kvs.length)
    const revision = at ?? page.revision
    return { objects, revision, remaining, ...(page.more && last && { continue: encodeContinueToken({ revision, start: `${last.key.slice(prefix.length)}\0` }) }) }
  }

  #pageOf(prefix: string, objects: readonly StoredObject[], limit: number, revision: number): StorePage {
    const last = objects.at(-1)
    if (limit === 0 || objects.length < limit || !last) return { objects, revision, remaining: 0 }
    const remaining = this.cache.countAfter(prefix, last.key)
    if (remaining === 0) return { objects, revision, remaining }
    return { objects, revision, remaining, continue: encodeContinueToken({ revision, start: `${last.key.slice(prefix.length)}\0` }) }
  }

  /** @throws ApiError AlreadyExists */
  async create(key: string, object: ApiObject, signal: AbortSignal, extra?: ExtraOperations, lease?: bigint): Promise<StoredObject> {
    const etcdKey = this.etcdKey(key)
    const write = this.#encode(etcdKey, object)
    using _expected = this.cache.expect(key, write)
    const { succeeded, revision } = await this.#txn({
      compare: [{ key: etcdKey, target: 'MOD', result: 'EQUAL', number: 0 }, ...(extra?.compare ?? [])],
      success: [{ type: 'put', key: etcdKey, value: write.sealed, ...(lease !== undefined && { lease }) }, ...(extra?.success ?? [])],
      failure: [],
    }, signal, 'create')
    if (!succeeded) throw alreadyExists(this.resource, object.metadata.name)
    return this.#written(key, write, revision)
  }

  /**
   * Applies `decide` to the current object until the result is stored. `decide` may be called several times and gets undefined where there is no object.
   * @param precondition when false, a concurrent change is a Conflict instead of another attempt
   */
  async update(key: string, name: string, decide: (current: StoredObject | undefined) => Promise<UpdateOutcome> | UpdateOutcome, signal: AbortSignal): Promise<UpdateResult> {
    let current = this.cache.get(key)
    // Absence in the cache proves nothing.
    let fresh = false
    /** With `fresh`: what etcd holds is in an old form. */
    let outdated = false
    const refresh = async (): Promise<StoredObject | undefined> => {
      const newest = await this.#getFresh(key, signal)
      fresh = true
      outdated = newest.outdated
      return newest.object
    }
    const etcdKey = this.etcdKey(key)
    if (!current) current = await refresh()
    // Somebody's write succeeds in every round, so this ends, or the request's time does.
    for (;;) {
      if (signal.aborted) throw timedOut('request did not complete within the allotted timeout')
      let decision: UpdateOutcome
      try {
        decision = await decide(current)
      } catch (error) {
        if (fresh || !(error instanceof ApiError)) throw error
        const newest = await refresh()
        if (newest?.revision === current?.revision) throw error
        current = newest
        continue
      }
      const unchanged = decision.type === 'keep'
      const write = decision.type === 'put' ? this.#encode(etcdKey, decision.object) : undefined
      if (unchanged || (current && write && isSame(write.layout.value, write.object, current))) {
        if (!current) throw notFound(this.resource, name)
        if (!fresh) {
          const newest = await refresh()
          if (newest?.revision !== current.revision) { current = newest; continue }
        }
        // The same object is written again only to bring its bytes up to date: that is how encryption reaches what is there already.
        if (unchanged || !outdated) return { object: current, outcome: 'unchanged' }
      }
      const extra = decision.type === 'keep' ? undefined : decision.extra
      const operation: EtcdOperation = write
        ? { type: 'put', key: etcdKey, value: write.sealed, ...(decision.type === 'put' && decision.lease !== undefined && { lease: decision.lease }) }
        : { type: 'deleteRange', key: etcdKey }
      using _expected = write && this.cache.expect(key, write)
      const result = await this.#txn({
        compare: [{ key: etcdKey, target: 'MOD', result: 'EQUAL', number: current?.revision ?? 0 }, ...(extra?.compare ?? [])],
        success: [operation, ...(extra?.success ?? [])],
        failure: [{ type: 'range', key: etcdKey }],
      }, signal, write ? 'update' : 'delete')
      if (result.succeeded) {
        if (write) return { object: this.#written(key, write, result.revision), outcome: current ? 'updated' : 'created' }
        if (!current) throw notFound(this.resource, name)
        const last = decision.type === 'delete' && decision.last ? encodeForStorage(decision.last) : { value: current.value, insertAt: current.insertAt }
        return { object: new StoredObject(this.cache.kind, key, last.value, result.revision, last.insertAt), outcome: 'deleted' }
      }
      const range = result.results[0]
      const kv = range?.type === 'range' ? range.kvs[0] : undefined
      current = kv && await this.#fromEtcd(key, kv)
      fresh = true
      outdated = kv !== undefined && this.target.values.isOutdated(etcdKey, kv.value)
    }
  }

  /** Removes what nobody can read. @throws ApiError NotFound, Conflict when it can be read */
  async removeUnreadable(key: string, name: string, dryRun: boolean, signal: AbortSignal): Promise<void> {
    const etcdKey = this.etcdKey(key)
    const { values } = this.target
    for (;;) {
      const { kvs: [kv] } = await this.#range({ key: etcdKey }, signal)
      if (!kv) throw notFound(this.resource, name)
      if (values.mayWait) await values.prepare(kv.value)
      if (values.canRead(etcdKey, kv.value)) throw conflict(this.resource, name, 'it can be read: delete it without ignoreStoreReadErrorWithClusterBreakingPotential')
      if (dryRun) return
      const { succeeded } = await this.#txn({ compare: [{ key: etcdKey, target: 'MOD', result: 'EQUAL', number: kv.modRevision }], success: [{ type: 'deleteRange', key: etcdKey }], failure: [] }, signal, 'delete')
      if (succeeded) return
    }
  }

  /** A stored object for what this process has just written. */
  #written(key: string, { layout, object }: ExpectedWrite, revision: number): StoredObject {
    const cached = this.cache.get(key)
    return cached?.revision === revision ? cached : new StoredObject(this.cache.kind, key, layout.value, revision, layout.insertAt, withResourceVersion(object, String(revision)))
  }

  /** @throws ApiError when it can't be read */
  async #fromEtcd(key: string, kv: EtcdKeyValue): Promise<StoredObject> {
    const cached = this.cache.get(key)
    if (cached?.revision === kv.modRevision) return cached
    const { values } = this.target
    const { value } = kv
    if (values.mayWait) await values.prepare(value)
    try {
      const layout = values.open(this.etcdKey(key), value)
      return new StoredObject(this.cache.kind, key, layout.value, kv.modRevision, layout.insertAt)
    } catch (error) {
      if (error instanceof UnreadableValueError) throw internalError(error.describe(`${this.target.prefix}${key}`, kv.modRevision))
      throw error
    }
  }

  async #range(request: Parameters<EtcdClient['range']>[0], signal: AbortSignal): ReturnType<EtcdClient['range']> {
    try { return await this.#etcd.range(request, signal) } catch (error) { throw this.#storageError(error, 'get') }
  }

  async #txn(request: Parameters<EtcdClient['txn']>[0], signal: AbortSignal, operation: string): ReturnType<EtcdClient['txn']> {
    try { return await this.#etcd.txn(request, signal) } catch (error) { throw this.#storageError(error, operation) }
  }

  /** What a client is told: to try again where that is safe, else what etcd said, since whether a change was made is not known. */
  #storageError(error: unknown, operation: string): unknown {
    if (!(error instanceof EtcdError)) return error
    if (error.reason === 'DeadlineExceeded') return timedOut('request did not complete within the allotted timeout')
    if (error.reason === 'Unavailable' && (operation === 'get' || operation === 'list' || wasNotSent(error))) return serverTimeout(this.resource, operation, retryAfterSeconds)
    return storageFailure(error.message === '' ? `etcd failed to ${operation}` : error.message)
  }
}

/** When clients that were told to try again should do so. */
const retryAfterSeconds = 2

/** Nothing would change: the same bytes, or the same values with their keys in another order. */
function isSame(bytes: Uint8Array, object: ApiObject, current: StoredObject): boolean {
  if (bytes.length !== current.value.length) return false
  if (Buffer.compare(bytes, current.value) === 0) return true
  const bare = (of: ApiObject): unknown => ({ ...of, metadata: { ...of.metadata, resourceVersion: undefined } })
  return deepEqual(bare(object), bare(current.object))
}
