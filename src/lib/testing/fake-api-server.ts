// A small API server in memory, for tests of components: create, read, update, patch, delete, watch, selectors, the subresources status, scale,
// binding, eviction, finalize, approval and token, graceful deletion, finalizers, discovery. No authentication, no validation, no RBAC.
//
// For tests it can also misbehave: hold watches back, cut them, forget history (410), refuse chosen requests.
import { servedResources } from '../api/generated/resources.ts'
import type { ResourceInfo } from '../api/resource-info.ts'
import { formatTime } from '../base/clock.ts'
import type { Clock } from '../base/clock.ts'
import { isJsonObject } from '../base/json.ts'
import type { Draft, JsonObject, JsonValue } from '../base/json.ts'
import { randomName, randomUuid, seededRandom } from '../base/random.ts'
import type { Random } from '../base/random.ts'
import type { ApiObject, ResourceKey } from '../client/api-client.ts'
import { TransportError } from '../client/transport.ts'
import type { ApiRequest, ApiResponse, ApiTransport } from '../client/transport.ts'
import type { WatchEvent } from '../client/watch-event.ts'
import { withDefaults } from './fake-defaults.ts'
import { jsonPatch, mergePatch, strategicPatch } from './fake-patches.ts'
import { matchesFields, matchesLabels } from './fake-selectors.ts'
import { FakeStore, deepFreeze, metadataOf } from './fake-store.ts'

export interface FakeApiServerOptions {
  readonly clock: Clock
  readonly random?: Random
  /** Without a scheduler: gives new pods to this node at once. */
  readonly bindPodsTo?: (pod: JsonObject) => string | undefined
}

interface Route {
  readonly info: ResourceInfo
  readonly resource: string
  readonly namespace: string
  readonly name: string | undefined
  readonly subresource: string | undefined
  readonly query: URLSearchParams
}

/** A refusal, thrown inside and answered as a Status. */
class Refusal extends Error {
  readonly code: number
  readonly reason: string
  constructor(code: number, reason: string, message: string, cause?: string) { super(message, { cause }); this.code = code; this.reason = reason }
}

const generationTracked = new Set(['pods', 'replicationcontrollers', 'deployments', 'replicasets', 'statefulsets', 'daemonsets', 'jobs', 'cronjobs', 'poddisruptionbudgets'])
const orphanByDefault = new Set(['batch/jobs', '/replicationcontrollers'])

function part(value: JsonValue | undefined): JsonObject { return isJsonObject(value) ? value : {} }
function strings(value: JsonValue | undefined): readonly string[] { return Array.isArray(value) ? value.map(String) : [] }

export class FakeApiServer implements ApiTransport {
  readonly store = new FakeStore()
  /** Every request so far, as `POST /api/v1/namespaces/default/pods`; watches as `WATCH …`. */
  readonly requests: string[] = []
  /** Refuses a request when it returns a status code; 0 breaks the connection. */
  intercept: (request: ApiRequest) => number | undefined = () => undefined
  readonly #options: FakeApiServerOptions
  readonly #random: Random
  /** Watches whose resource is in here get nothing until they are released. */
  readonly #held = new Set<string>()
  #cut = new AbortController()
  #ordinal = 0

  constructor(options: FakeApiServerOptions) {
    this.#options = options
    this.#random = options.random ?? seededRandom(1)
    for (const name of ['default', 'kube-system', 'kube-public', 'kube-node-lease']) this.#create(this.#routeFor('', 'namespaces', '', undefined), { metadata: { name } })
  }

  /** Stores an object as it is, status included, with the defaults; returns it as stored. */
  seed<T extends ApiObject>(key: ResourceKey<T>, object: Draft<T>): T {
    const json = object as unknown as JsonObject // cast: API objects are JSON-shaped
    const namespace = String(metadataOf(json)['namespace'] ?? '')
    return this.#create(this.#routeFor(key.group, key.resource, namespace, undefined), json, true) as unknown as T // cast: as the caller typed it
  }

  /** Changes a stored object behind everybody's back; status included. */
  change<T extends ApiObject>(key: ResourceKey<T>, namespace: string, name: string, change: (object: T) => T): void {
    const resource = `${key.group}/${key.resource}`
    const stored = this.store.get(resource, `${namespace}/${name}`)
    if (!stored) throw new Error(`no ${key.resource} ${namespace}/${name}`)
    const changed = change(stored as unknown as T) as unknown as JsonObject // cast: as the caller typed it
    this.store.put(resource, `${namespace}/${name}`, changed)
  }

  get<T extends ApiObject>(key: ResourceKey<T>, namespace: string, name: string): T | undefined {
    return this.store.get(`${key.group}/${key.resource}`, `${namespace}/${name}`) as unknown as T | undefined // cast: stored under this key
  }

  list<T extends ApiObject>(key: ResourceKey<T>, namespace?: string): readonly T[] {
    return this.store.list(`${key.group}/${key.resource}`).map(([, object]) => object as unknown as T) // cast: stored under this key
      .filter((object) => namespace === undefined || object.metadata.namespace === namespace)
  }

  /** Takes an object away at once, whatever its finalizers. */
  remove<T extends ApiObject>(key: ResourceKey<T>, namespace: string, name: string): void { this.store.delete(`${key.group}/${key.resource}`, `${namespace}/${name}`) }

  /** Watches of these resources (`pods`) lag until `releaseWatches`. */
  holdWatches(...keys: readonly ResourceKey[]): void { for (const key of keys) this.#held.add(`${key.group}/${key.resource}`) }
  releaseWatches(): void { this.#held.clear(); this.store.notify() }
  /** Breaks every open watch. */
  cutWatches(): void { this.#cut.abort(); this.#cut = new AbortController() }

  async request(request: ApiRequest): Promise<ApiResponse> {
    const watching = request.path.includes('watch=true')
    this.requests.push(`${watching ? 'WATCH' : request.method} ${request.path}`)
    await Promise.resolve()
    if (request.signal.aborted) throw new TransportError('Unknown', 'aborted', { cause: request.signal.reason })
    try {
      const code = this.intercept(request)
      if (code === 0) throw new TransportError('ConnectionReset', 'the test broke the connection')
      if (code !== undefined) throw new Refusal(code, code === 409 ? 'Conflict' : code === 403 ? 'Forbidden' : code === 429 ? 'TooManyRequests' : 'InternalError', `refused by the test with ${code}`)
      const discovery = request.method === 'GET' ? discover(request.path) : undefined
      if (discovery) return answer(200, discovery)
      return this.#serve(request, this.#route(request.path))
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      const details = error.cause === undefined ? {} : { details: { causes: [{ reason: String(error.cause), message: error.message }] } }
      return answer(error.code, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message: error.message, reason: error.reason, code: error.code, ...details })
    }
  }

  #route(path: string): Route {
    const [pathname = '', search = ''] = path.split('?')
    const parts = pathname.split('/').filter((p) => p !== '').map(decodeURIComponent)
    const group = parts[0] === 'api' ? '' : parts[1] ?? ''
    const rest = parts.slice(parts[0] === 'api' ? 2 : 3)
    const query = new URLSearchParams(search)
    const nested = rest[0] === 'namespaces' && rest.length > 2 && rest[2] !== 'finalize' && rest[2] !== 'status'
    const [resource = '', name, subresource] = nested ? rest.slice(2) : rest
    return { ...this.#routeFor(group, resource, nested ? rest[1] ?? '' : '', name), subresource, query }
  }

  #routeFor(group: string, resource: string, namespace: string, name: string | undefined): Route {
    const info = servedResources.find((r) => r.group === group && r.resource === resource)
    if (!info) throw new Refusal(404, 'NotFound', 'the server could not find the requested resource')
    return { info, resource: `${group}/${resource}`, namespace, name, subresource: undefined, query: new URLSearchParams() }
  }

  #serve(request: ApiRequest, route: Route): ApiResponse {
    const { info, name, subresource, query } = route
    const body = bodyOf(request)
    const plain = isJsonObject(body) ? body : {}
    if (query.get('watch') === 'true') return { status: 200, headers: {}, body: { kind: 'events', events: this.#watch(route, request.signal) } }
    if (name === undefined) {
      switch (request.method) {
        case 'GET': return this.#list(route)
        case 'POST': return answer(201, this.#create(route, plain))
        case 'DELETE':
          for (const object of this.#select(route)) this.#delete({ ...route, namespace: String(metadataOf(object)['namespace'] ?? ''), name: String(metadataOf(object)['name']) }, plain)
          return answer(200, { kind: `${info.kind}List`, apiVersion: apiVersionOf(info), metadata: { resourceVersion: String(this.store.revision) }, items: [] })
        default: throw new Refusal(405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource')
      }
    }
    if (subresource === 'scale') return this.#scale(request, route, plain)
    switch (request.method) {
      case 'GET': case 'HEAD': return answer(200, this.#find(route))
      case 'POST': return this.#postSubresource(route, plain)
      case 'PUT': return answer(200, this.#update(route, plain))
      case 'PATCH': {
        const old = this.store.get(route.resource, keyOf(route))
        const type = request.headers?.['content-type'] ?? ''
        if (!old && type.startsWith('application/apply')) return answer(201, this.#create(route, { ...plain, metadata: { ...metadataOf(plain), name } }))
        const current = this.#find(route)
        const patched = type.startsWith('application/json-patch') ? jsonPatch(current, Array.isArray(body) ? body as readonly JsonValue[] : []) // cast: isArray narrows to any[]
          : type.startsWith('application/strategic') ? strategicPatch(current, plain, info.type) : mergePatch(current, plain)
        if (!isJsonObject(patched)) throw new Refusal(422, 'Invalid', 'the server rejected our request due to an error in our request')
        const given = metadataOf(plain)
        const wantedUid = given['uid']
        if (wantedUid !== undefined && wantedUid !== metadataOf(current)['uid']) throw new Refusal(409, 'Conflict', 'uid mismatch')
        const loose = given['resourceVersion'] === undefined && !type.startsWith('application/json-patch')
        return answer(200, this.#update(route, loose ? { ...patched, metadata: { ...metadataOf(patched), resourceVersion: undefined } } : patched))
      }
      case 'DELETE': return answer(200, this.#delete(route, plain))
    }
  }

  #find(route: Route): JsonObject {
    const found = this.store.get(route.resource, keyOf(route))
    if (!found) throw new Refusal(404, 'NotFound', `${route.info.resource}${route.info.group && `.${route.info.group}`} "${route.name ?? ''}" not found`)
    return found
  }

  #select(route: Route): readonly JsonObject[] {
    return this.store.list(route.resource).map(([, object]) => object).filter((object) => this.#selected(route, object))
  }

  #selected(route: Route, object: JsonObject): boolean {
    const metadata = metadataOf(object)
    if (route.namespace !== '' && metadata['namespace'] !== route.namespace) return false
    const labelSelector = route.query.get('labelSelector')
    const fieldSelector = route.query.get('fieldSelector')
    return (!labelSelector || matchesLabels(labelSelector, part(metadata['labels']))) && (!fieldSelector || matchesFields(fieldSelector, object))
  }

  #list(route: Route): ApiResponse {
    const all = this.#select(route)
    const from = Number(route.query.get('continue') ?? 0)
    const limit = Number(route.query.get('limit') ?? 0)
    const page = limit > 0 ? all.slice(from, from + limit) : all
    const more = from + page.length < all.length
    // Items of a list carry neither kind nor apiVersion, as on the real server.
    const items = page.map(({ kind: _kind, apiVersion: _version, ...item }) => deepFreeze(item))
    return answer(200, {
      kind: `${route.info.kind}List`, apiVersion: apiVersionOf(route.info),
      metadata: { resourceVersion: String(this.store.revision), ...(more ? { continue: String(from + page.length), remainingItemCount: all.length - from - page.length } : {}) }, items,
    })
  }

  #create(route: Route, sent: JsonObject, keepStatus = false): JsonObject {
    const { info, resource } = route
    const given = metadataOf(sent)
    const name = given['name'] ? String(given['name']) : `${String(given['generateName'] ?? '')}${randomName(this.#random, 5)}`
    const namespace = info.namespaced ? route.namespace || String(given['namespace'] ?? 'default') : ''
    const key = `${namespace}/${name}`
    if (this.store.get(resource, key)) throw new Refusal(409, 'AlreadyExists', `${info.resource}${info.group && `.${info.group}`} "${name}" already exists`)
    const home = namespace === '' ? undefined : this.store.get('/namespaces', `/${namespace}`)
    if (home && metadataOf(home)['deletionTimestamp'] !== undefined) throw new Refusal(403, 'Forbidden', `unable to create new content in namespace ${namespace} because it is being terminated`, 'NamespaceTerminating')
    const metadata: JsonObject = {
      ...given, name, ...(namespace === '' ? {} : { namespace }), uid: keepStatus && given['uid'] ? given['uid'] : randomUuid(this.#random),
      creationTimestamp: keepStatus && given['creationTimestamp'] ? given['creationTimestamp'] : formatTime(this.#options.clock.now()),
      ...(generationTracked.has(info.resource) ? { generation: 1 } : {}),
    }
    const { status, ...rest } = sent
    const hasStatus = info.subresources.some((s) => s.name === 'status')
    const object = withDefaults(info.resource, { ...rest, apiVersion: apiVersionOf(info), kind: info.kind, metadata, ...(status !== undefined && (keepStatus || !hasStatus) ? { status } : {}) }, this.#ordinal++)
    const node = info.resource === 'pods' ? this.#options.bindPodsTo?.(object) : undefined
    return this.store.put(resource, key, node === undefined ? object : { ...object, spec: { ...part(object['spec']), nodeName: node } })
  }

  #update(route: Route, sent: JsonObject): JsonObject {
    const current = this.store.get(route.resource, keyOf(route))
    if (!current && ['leases', 'endpoints', 'services', 'events'].includes(route.info.resource)) return this.#create(route, sent)
    const old = current ?? this.#find(route)
    const oldMeta = metadataOf(old)
    const newMeta = metadataOf(sent)
    if (newMeta['uid'] && newMeta['uid'] !== oldMeta['uid']) throw new Refusal(409, 'Conflict', 'Precondition failed: UID in precondition')
    if (newMeta['resourceVersion'] && newMeta['resourceVersion'] !== oldMeta['resourceVersion']) {
      throw new Refusal(409, 'Conflict', `Operation cannot be fulfilled on ${route.info.resource} "${route.name ?? ''}": the object has been modified; please apply your changes to the latest version and try again`)
    }
    const kept = {
      name: oldMeta['name'], namespace: oldMeta['namespace'], uid: oldMeta['uid'], creationTimestamp: oldMeta['creationTimestamp'],
      deletionTimestamp: oldMeta['deletionTimestamp'], deletionGracePeriodSeconds: oldMeta['deletionGracePeriodSeconds'], generation: oldMeta['generation'],
    }
    const hasStatus = route.info.subresources.some((s) => s.name === 'status')
    let next: JsonObject
    switch (route.subresource) {
      case 'status': next = { ...old, status: sent['status'], metadata: { ...oldMeta, ...(newMeta['annotations'] === undefined ? {} : { annotations: newMeta['annotations'] }) } }; break
      case 'finalize': next = { ...old, spec: { ...part(old['spec']), finalizers: part(sent['spec'])['finalizers'] ?? [] } }; break
      case 'approval': next = { ...old, status: { ...part(old['status']), conditions: part(sent['status'])['conditions'] } }; break
      default: {
        next = { ...old, ...sent, ...(hasStatus ? { status: old['status'] } : {}), metadata: stripUndefined({ ...newMeta, ...kept, resourceVersion: oldMeta['resourceVersion'] }) }
        if (generationTracked.has(route.info.resource) && JSON.stringify(next['spec']) !== JSON.stringify(old['spec'])) {
          next = { ...next, metadata: { ...metadataOf(next), generation: Number(oldMeta['generation'] ?? 0) + 1 } }
        }
      }
    }
    return this.#store(route, old, next)
  }

  /** Stores `next`, or nothing when it equals `old`, or takes the object away when its last finalizer is gone. */
  #store(route: Route, old: JsonObject, next: JsonObject): JsonObject {
    const metadata = metadataOf(next)
    const leaving = metadata['deletionTimestamp'] !== undefined && !metadata['deletionGracePeriodSeconds']
    const keptBySpec = route.resource === '/namespaces' && strings(part(next['spec'])['finalizers']).length > 0
    if (leaving && strings(metadata['finalizers']).length === 0 && !keptBySpec) return this.store.delete(route.resource, keyOf(route)) ?? next
    if (sameJson(next, old)) return old
    return this.store.put(route.resource, keyOf(route), next)
  }

  #delete(route: Route, options: JsonObject): JsonObject {
    const old = this.#find(route)
    const metadata = metadataOf(old)
    const preconditions = part(options['preconditions'])
    for (const field of ['uid', 'resourceVersion']) {
      if (preconditions[field] !== undefined && preconditions[field] !== metadata[field]) throw new Refusal(409, 'Conflict', `Precondition failed: ${field}`)
    }
    if (options['dryRun'] !== undefined) return old
    const policy = options['propagationPolicy']
    let finalizers = strings(metadata['finalizers'])
    if (policy !== undefined) finalizers = finalizers.filter((f) => f !== 'orphan' && f !== 'foregroundDeletion')
    const orphan = policy === 'Orphan' || (policy === undefined && orphanByDefault.has(route.resource) && !finalizers.includes('foregroundDeletion'))
    if (orphan) finalizers = [...finalizers.filter((f) => f !== 'orphan'), 'orphan']
    if (policy === 'Foreground') finalizers = [...finalizers, 'foregroundDeletion']
    const graceSeconds = route.resource === '/pods' ? this.#podGraceSeconds(old, options) : 0
    const spared = graceSeconds > 0 || finalizers.length > 0 || (route.resource === '/namespaces' && strings(part(old['spec'])['finalizers']).length > 0)
    if (!spared) return this.store.delete(route.resource, keyOf(route)) ?? old
    const earlier = metadata['deletionTimestamp'] !== undefined
    if (earlier && graceSeconds >= Number(metadata['deletionGracePeriodSeconds'] ?? 0) && sameJson(finalizers, metadata['finalizers'] ?? [])) return old
    const next: JsonObject = {
      ...old,
      metadata: stripUndefined({
        ...metadata, finalizers: finalizers.length > 0 ? finalizers : undefined,
        deletionTimestamp: earlier && graceSeconds === 0 ? metadata['deletionTimestamp'] : formatTime(this.#options.clock.now() + graceSeconds * 1000), deletionGracePeriodSeconds: graceSeconds,
      }),
      ...(route.resource === '/namespaces' ? { status: { ...part(old['status']), phase: 'Terminating' } } : {}),
    }
    return this.store.put(route.resource, keyOf(route), next)
  }

  #podGraceSeconds(pod: JsonObject, options: JsonObject): number {
    const spec = part(pod['spec'])
    const phase = part(pod['status'])['phase']
    if (options['gracePeriodSeconds'] === undefined && (!spec['nodeName'] || phase === 'Failed' || phase === 'Succeeded')) return 0
    return !spec['nodeName'] ? 0 : Number(options['gracePeriodSeconds'] ?? spec['terminationGracePeriodSeconds'] ?? 30)
  }

  #scale(request: ApiRequest, route: Route, body: JsonObject): ApiResponse {
    const object = this.#find(route)
    const asScale = (o: JsonObject): JsonObject => ({
      kind: 'Scale', apiVersion: 'autoscaling/v1', metadata: metadataOf(o), spec: { replicas: part(o['spec'])['replicas'] ?? 0 }, status: { replicas: part(o['status'])['replicas'] ?? 0, selector: selectorText(o) },
    })
    if (request.method === 'GET') return answer(200, asScale(object))
    const replicas = part(body['spec'])['replicas'] ?? 0
    const next = this.#update({ ...route, subresource: undefined }, { ...object, metadata: { ...metadataOf(object), resourceVersion: metadataOf(body)['resourceVersion'] }, spec: { ...part(object['spec']), replicas } })
    return answer(200, asScale(next))
  }

  #postSubresource(route: Route, body: JsonObject): ApiResponse {
    switch (route.subresource) {
      case 'binding': {
        const pod = this.#find(route)
        const spec = part(pod['spec'])
        if (spec['nodeName']) throw new Refusal(409, 'Conflict', `pod ${route.name ?? ''} is already assigned to node "${String(spec['nodeName'])}"`)
        if (metadataOf(pod)['deletionTimestamp'] !== undefined) throw new Refusal(409, 'Conflict', `pod ${route.name ?? ''} is being deleted, cannot be assigned to a host`)
        const status = part(pod['status'])
        const conditions = [...(Array.isArray(status['conditions']) ? status['conditions'] as readonly JsonValue[] : []).filter((c) => part(c)['type'] !== 'PodScheduled'), // cast: isArray narrows to any[]
          { type: 'PodScheduled', status: 'True', lastProbeTime: null, lastTransitionTime: formatTime(this.#options.clock.now()) }]
        this.store.put(route.resource, keyOf(route), { ...pod, spec: { ...spec, nodeName: part(body['target'])['name'] }, status: { ...status, conditions } })
        return answer(201, success)
      }
      case 'eviction': this.#delete(route, part(body['deleteOptions'])); return answer(201, success)
      case 'token': return answer(201, {
        ...body, kind: 'TokenRequest', apiVersion: 'authentication.k8s.io/v1',
        status: { token: `fake-token-${++this.#ordinal}`, expirationTimestamp: formatTime(this.#options.clock.now() + Number(part(body['spec'])['expirationSeconds'] ?? 3600) * 1000) },
      })
      default: throw new Refusal(404, 'NotFound', 'the server could not find the requested resource')
    }
  }

  async *#watch(route: Route, signal: AbortSignal): AsyncIterable<readonly WatchEvent[]> {
    const asked = route.query.get('resourceVersion') ?? ''
    const bookmarks = route.query.get('allowWatchBookmarks') === 'true'
    let revision = Number(asked)
    if (asked === '' || asked === '0') {
      revision = this.store.revision
      const initial = this.#select(route).map((object): WatchEvent => ({ type: 'ADDED', object }))
      if (initial.length > 0) yield initial
    }
    const cut = this.#cut.signal
    let wake: () => void = () => {}
    using _listener = this.store.onChange(() => wake())
    const stop = (): void => wake()
    signal.addEventListener('abort', stop)
    cut.addEventListener('abort', stop)
    try {
      for (;;) {
        if (signal.aborted) return
        if (cut.aborted) throw new TransportError('ConnectionReset', 'the test broke the watch')
        if (revision < this.store.compactedRevision) {
          yield [{ type: 'ERROR', object: { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', code: 410, reason: 'Expired', message: `too old resource version: ${revision} (${this.store.compactedRevision})` } }]
          return
        }
        const held = this.#held.has(route.resource)
        const events = held ? [] : this.#eventsSince(route, revision)
        if (!held) revision = this.store.revision
        if (events.length > 0) { yield events; continue }
        const woken = new Promise<void>((resolve) => { wake = resolve })
        // Bookmarks once a minute, so that a quiet watch can be resumed.
        using _timer = bookmarks && !held ? this.#options.clock.setTimer(60_000, () => wake()) : undefined
        const before = revision
        await woken
        if (bookmarks && !held && this.store.revision === before && !signal.aborted && !cut.aborted) {
          yield [{ type: 'BOOKMARK', object: { kind: route.info.kind, apiVersion: apiVersionOf(route.info), metadata: { resourceVersion: String(revision) } } }]
        }
      }
    } finally {
      signal.removeEventListener('abort', stop)
      cut.removeEventListener('abort', stop)
    }
  }

  /** Selectors are judged before and after: an object that comes to match is added, one that no longer does is deleted. */
  #eventsSince(route: Route, revision: number): readonly WatchEvent[] {
    return this.store.changesSince(route.resource, revision).flatMap((change): readonly WatchEvent[] => {
      const before = change.previous !== undefined && this.#selected(route, change.previous)
      const after = change.type !== 'DELETED' && this.#selected(route, change.object)
      if (after) return [{ type: before ? 'MODIFIED' : 'ADDED', object: change.object }]
      if (!before || change.previous === undefined) return []
      return [{ type: 'DELETED', object: deepFreeze({ ...change.previous, metadata: { ...metadataOf(change.previous), resourceVersion: String(change.revision) } }) }]
    })
  }
}

const success: JsonObject = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 }

function answer(status: number, object: JsonObject): ApiResponse { return { status, headers: {}, body: { kind: 'object', object } } }

function keyOf(route: Route): string { return `${route.namespace}/${route.name ?? ''}` }

function apiVersionOf(info: Pick<ResourceInfo, 'group' | 'version'>): string { return info.group === '' ? info.version : `${info.group}/${info.version}` }

/** The selector of a workload as a scale shows it. */
function selectorText(object: JsonObject): string {
  const selector = part(part(object['spec'])['selector'])
  const labels = isJsonObject(selector['matchLabels']) ? selector['matchLabels'] : selector
  return Object.entries(labels).map(([key, value]) => `${key}=${String(value)}`).join(',')
}

function stripUndefined(object: JsonObject): JsonObject { return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) }

/** Equal as JSON, whatever the order of keys. */
function sameJson(a: JsonValue | undefined, b: JsonValue | undefined): boolean {
  if (a === b) return true
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((item: JsonValue, i) => sameJson(item, b[i] as JsonValue)) // cast: isArray narrows to any[]
  if (!isJsonObject(a) || !isJsonObject(b)) return false
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].every((key) => sameJson(a[key], b[key]))
}

function bodyOf(request: ApiRequest): JsonValue {
  if (request.body === undefined) return {}
  if (request.body instanceof Uint8Array) return JSON.parse(new TextDecoder().decode(request.body)) as JsonValue // cast: JSON
  // A request's object may be shared with its sender; a copy keeps later changes of theirs out.
  return structuredClone(request.body)
}

function discover(path: string): JsonObject | undefined {
  const [pathname = ''] = path.split('?')
  const groups = [...new Set(servedResources.map((r) => r.group).filter((g) => g !== ''))]
  switch (pathname) {
    case '/healthz': case '/livez': case '/readyz': return { text: 'ok' }
    case '/version': return { major: '1', minor: '37', gitVersion: 'v1.37.0' }
    case '/api': return { kind: 'APIVersions', versions: ['v1'] }
    case '/apis': return {
      kind: 'APIGroupList', apiVersion: 'v1',
      groups: groups.map((name) => {
        const versions = [...new Set(servedResources.filter((r) => r.group === name).map((r) => r.version))].map((version) => ({ groupVersion: `${name}/${version}`, version }))
        return { name, versions, preferredVersion: versions[0] }
      }),
    }
    default: {
      const match = /^\/(?:api\/(v1)|apis\/([^/]+)\/([^/]+))$/.exec(pathname)
      if (!match) return undefined
      const [, core, group = '', version = core ?? ''] = match
      const served = servedResources.filter((r) => r.group === group && r.version === version)
      if (served.length === 0) return undefined
      return {
        kind: 'APIResourceList', apiVersion: 'v1', groupVersion: group === '' ? version : `${group}/${version}`,
        resources: served.flatMap((r) => [{ name: r.resource, singularName: r.singular, namespaced: r.namespaced, kind: r.kind, verbs: r.verbs },
          ...r.subresources.map((s) => ({ name: `${r.resource}/${s.name}`, singularName: '', namespaced: r.namespaced, kind: s.kind, verbs: s.verbs }))]),
      }
    }
  }
}
