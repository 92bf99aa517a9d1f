// get, list and watch. Nothing is parsed or serialised here: answers refer to stored bytes.
// Upstream: apiserver/pkg/endpoints/handlers/{get,watch}.go, apiserver/pkg/storage/cacher
import { sleep } from '../../../lib/base/clock.ts'
import { randomInteger } from '../../../lib/base/random.ts'
import { encodeContinueToken } from '../storage/continue-token.ts'
import { Delivery } from '../storage/cache-event.ts'
import type { CacheEvent } from '../storage/cache-event.ts'
import { objectKey } from '../storage/storage-keys.ts'
import type { StoredObject } from '../storage/stored-object.ts'
import { asJson } from '../storage/stored-object.ts'
import { bookmarkObject } from '../storage/watch-cache.ts'
import type { Answer, ApiCall } from './api-call.ts'
import { badRequest, expired, internalError, notFound } from './api-errors.ts'
import type { ListOptions } from './list-options.ts'
import { parseListOptions, parseResourceVersion } from './list-options.ts'
import type { ServedResource } from './served-resource.ts'
import type { ServerContext } from './server-context.ts'

/** Objects looked at between two turns of the event loop when each must be parsed. */
const parsePiece = 64
const largestPage = 10_000
const maxQueuedBytes = 64 * 1024 * 1024

export async function getObject(resource: ServedResource, call: ApiCall, name: string): Promise<Answer> {
  if (call.query.get('export') !== null && call.query.get('export') !== 'false') throw badRequest('the export parameter, deprecated since v1.14, is no longer supported')
  const key = objectKey(resource.info.namespaced ? call.info.namespace : '', name)
  const version = parseResourceVersion(call.query.get('resourceVersion') ?? '')
  const object = version === undefined ? await resource.store.get(key, call.signal) : await resource.store.getCached(key, version, call.signal)
  if (!object) throw notFound(resource.store.resource, name)
  return { type: 'stored', status: 200, object, resource }
}

export async function listObjects(resource: ServedResource, call: ApiCall): Promise<Answer> {
  const options = parseListOptions(call.query, resource.strategy, false)
  const { objects, metadata } = await selectObjects(resource, call, options)
  return { type: 'list', resource, objects, metadata }
}

interface Selected {
  readonly objects: readonly StoredObject[]
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string; readonly remainingItemCount?: number }
}

/** The objects that a list's options name, a page of them where there is a limit. */
export async function selectObjects(resource: ServedResource, call: ApiCall, options: ListOptions): Promise<Selected> {
  const { store } = resource
  const namespace = resource.info.namespaced ? call.info.namespace || options.namespace || '' : ''
  const prefix = namespace === '' ? '' : `${namespace}/`
  let exact: number | undefined
  let { limit } = options
  const version = options.resourceVersion
  // Where the cache can't be brought to etcd's newest revision for certain, etcd itself is read.
  let source: 'cache' | 'etcd' = store.uncached ? 'etcd' : 'cache'
  const newest = async (): Promise<void> => { if (source === 'etcd') return; if (store.canCatchUp) await store.refresh(call.signal); else source = 'etcd' }
  if (options.continueToken) {
    if (options.continueToken.revision < 0) await newest()
  } else if (version === undefined) await newest()
  else if (version === 0) { if (!store.uncached) limit = 0 }
  else if (options.resourceVersionMatch === 'Exact' || (options.resourceVersionMatch === '' && limit > 0)) exact = version
  else await store.catchUp(version, call.signal)

  const { filter } = options
  // A selector may empty pages: read on, in larger pieces, until the page is full.
  const found: StoredObject[] = []
  let pageLimit = limit
  let token = options.continueToken
  for (;;) {
    const page = await store.list(prefix, pageLimit, token, exact, call.signal, source)
    let taken = 0
    for (const object of page.objects) {
      taken++
      if (filter && !object.isParsed && taken % parsePiece === 0) await new Promise<void>((resolve) => { setImmediate(resolve) })
      if (filter === undefined || filter(object)) {
        found.push(object)
        if (limit > 0 && found.length >= limit) break
      }
    }
    const last = page.objects[taken - 1]
    const more = page.remaining > 0 || taken < page.objects.length
    const full = limit > 0 && found.length >= limit
    if (!more || limit === 0 || full || !last) {
      const resourceVersion = String(page.revision)
      if (!more || !last || limit === 0) return { objects: found, metadata: { resourceVersion } }
      const next = encodeContinueToken({ revision: page.revision, start: `${last.key.slice(prefix.length)}\0` })
      return { objects: found, metadata: { resourceVersion, continue: next, ...(filter === undefined && { remainingItemCount: page.remaining }) } }
    }
    token = { revision: page.revision, start: `${last.key.slice(prefix.length)}\0` }
    exact = undefined
    pageLimit = Math.min(pageLimit * 2, largestPage)
  }
}

export async function watchObjects(server: ServerContext, resource: ServedResource, call: ApiCall, name?: string): Promise<Answer> {
  const options = parseListOptions(call.query, resource.strategy, true)
  const { store } = resource
  const { cache } = store
  const namespace = resource.info.namespaced ? call.info.namespace || options.namespace || '' : ''
  const keyPrefix = namespace === '' ? '' : `${namespace}/`
  const exactName = name ?? options.name
  const key = exactName !== undefined && (namespace !== '' || !resource.info.namespaced) ? objectKey(namespace, exactName) : undefined
  const timeoutMs = 1000 * (options.timeoutSeconds ?? server.minRequestTimeoutSeconds + randomInteger(server.random, server.minRequestTimeoutSeconds))
  const version = options.resourceVersion ?? 0
  const initialEvents = options.sendInitialEvents
  if (initialEvents !== undefined) {
    // In the original's words; clients fall back to a list.
    if (!store.canCatchUp) return { type: 'failedWatch', resource, status: asJson(internalError('a watch stream was requested by the client but the required storage feature RequestWatchProgress is disabled').status) }
    if (options.resourceVersion === undefined) await store.refresh(call.signal)
    else await store.catchUp(version, call.signal)
  }
  if (store.uncached && initialEvents === undefined && version === 0 && store.canCatchUp) await store.refresh(call.signal)
  let initial: readonly StoredObject[] = []
  let backlog: readonly CacheEvent[] = []
  let afterRevision = store.feedRevision
  const fromCache = initialEvents === true || (initialEvents === undefined && version === 0)
  if (fromCache) {
    const found = key === undefined ? undefined : cache.get(key)
    initial = key !== undefined ? (found ? [found] : []) : cache.list(keyPrefix)
  } else if (version > 0) {
    afterRevision = version
    let held = cache.since(version)
    if (held === undefined) {
      const older = await server.history.since(resource, version, call.signal)
      // Nothing may be awaited from here on: the cache goes on while one waits.
      const newer = older && cache.since(older.revision)
      if (older === undefined || newer === undefined) {
        const { status } = expired(`too old resource version: ${version} (${cache.oldestResumable})`)
        return { type: 'failedWatch', resource, status: asJson(status) }
      }
      held = [...older.events, ...newer]
    }
    backlog = held
  }
  const watcher = cache.watch({
    keyPrefix, bookmarks: options.allowWatchBookmarks, afterRevision, maxQueuedBytes,
    ...(key !== undefined && { key }), ...(options.nodeName !== undefined && { nodeName: options.nodeName }), ...(options.filter && { filter: options.filter }),
  }, initial, backlog)
  if (initialEvents === true && options.allowWatchBookmarks) {
    watcher.endInitialWith(new Delivery('BOOKMARK', bookmarkObject(cache.kind, resource.apiVersion, resource.info.kind, afterRevision, { 'k8s.io/initial-events-end': 'true' })))
  }
  if (call.signal.aborted) watcher[Symbol.dispose]()
  return { type: 'watch', resource, watcher, timeoutMs }
}

/** Ends a watch after its time. The end of the watch by other means is the caller's business: abort `signal` then. */
export async function endWatchAfter(server: ServerContext, answer: Extract<Answer, { type: 'watch' }>, signal: AbortSignal): Promise<void> {
  try {
    await sleep(server.clock, answer.timeoutMs, signal)
    answer.watcher.finish('closed')
  } catch { /* the watch was over first */ }
}
