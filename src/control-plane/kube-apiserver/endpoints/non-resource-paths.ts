// Paths that aren't resources: discovery, health, version, OpenAPI, metrics, the keys of service accounts.
// Upstream: apiserver/pkg/server/routes
import type { ServiceAccountTokens } from '../authentication/service-account-tokens.ts'
import { jwks } from '../authentication/jwt.ts'
import type { MaxInFlight } from '../filters/max-in-flight.ts'
import type { Answer, ApiCall } from './api-call.ts'
import { jsonAnswer, objectAnswer } from './api-call.ts'
import { methodNotAllowed } from './api-errors.ts'
import { discoveryDocuments } from './discovery.ts'
import type { AggregatedDocument, DiscoveryDocuments } from './discovery.ts'
import { notFoundPage } from './dispatch.ts'
import { healthAnswer } from './health.ts'
import type { HealthCheck } from './health.ts'
import type { RequestMetrics, StorageSizes } from './metrics.ts'
import { openApiPaths } from './openapi.ts'
import type { OpenApiPaths } from './openapi.ts'
import type { ServerContext } from './server-context.ts'
import { kubernetesVersion } from './version.ts'

/** What asks each etcd; the second and following ones are those of `--etcd-servers-overrides`. */
export interface EtcdChecks {
  readonly health: readonly ((signal: AbortSignal) => Promise<string | undefined>)[]
  readonly readiness: readonly ((signal: AbortSignal) => Promise<string | undefined>)[]
}

export interface NonResourceOptions {
  readonly server: ServerContext
  readonly serviceAccounts: ServiceAccountTokens
  readonly limits: MaxInFlight
  readonly metrics: RequestMetrics
  address(): { readonly address: string; readonly port: number }
  readonly etcdChecks: EtcdChecks
  /** The plugins that hold the keys of encryption at rest. */
  readonly kmsCheck?: () => string | undefined
  readonly storageSizes: StorageSizes
  readonly countMetric: boolean
  /** The caches follow etcd. */
  synced(): boolean
  ready(): boolean
}

const metaTypes = 'io.k8s.apimachinery.pkg.apis.meta.v1'
const postStartHooks = [
  'start-apiserver-admission-initializer', 'priority-and-fairness-config-consumer', 'storage-object-count-tracker-hook', 'start-system-namespaces-controller', 'start-kubernetes-service-cidr-controller', 'bootstrap-controller',
  'rbac/bootstrap-roles', 'scheduling/bootstrap-system-priority-classes', 'priority-and-fairness-config-producer',
]

export function nonResourcePaths(options: NonResourceOptions): (call: ApiCall) => Answer | Promise<Answer> {
  let documents: DiscoveryDocuments | undefined
  let openApi: OpenApiPaths | undefined
  const discovery = (): DiscoveryDocuments => (documents ??= discoveryDocuments(options.server.resources.values()))
  const openApiOf = (): OpenApiPaths => (openApi ??= openApiPaths(new Set([...options.server.resources.values()].flatMap(({ info }) => (info.group === '' ? [`api/${info.version}`] : [`apis/${info.group}`, `apis/${info.group}/${info.version}`])))))
  const checks = healthChecks(options)
  const serverAddress = (): string => `${options.address().address}:${options.address().port}`
  const paths = [
    '/.well-known/openid-configuration', '/api', '/api/v1', '/apis', '/healthz', '/livez', '/metrics', '/openapi/v2', '/openapi/v3', '/openid/v1/jwks', '/readyz', '/version',
  ]

  return (call) => {
    const path = call.info.path.length > 1 && call.info.path.endsWith('/') ? call.info.path.slice(0, -1) : call.info.path
    const health = /^\/(healthz|livez|readyz)(?:\/(.+))?$/.exec(path)
    if (health) {
      const endpoint = health[1] === 'livez' ? 'livez' : health[1] === 'readyz' ? 'readyz' : 'healthz'
      return healthAnswer(endpoint, health[2] ?? '', checks(endpoint), call)
    }
    if (call.method !== 'GET' && call.method !== 'HEAD') {
      if (path.startsWith('/api') || path === '/version') throw methodNotAllowed()
      return notFoundPage()
    }
    switch (path) {
      case '/': case '/index.html': return jsonPage({ paths: [...paths, ...discovery().groups.flatMap((g) => (g === '' ? [] : [`/apis/${g}`, ...versionsOf(discovery(), g).map((v) => `/apis/${v}`)]))].sort() })
      case '/version': return jsonPage(kubernetesVersion)
      case '/metrics': return { type: 'bytes', status: 200, contentType: 'text/plain; version=0.0.4; charset=utf-8', bytes: Buffer.from(options.metrics.print({ resources: [...options.server.resources.values()], limits: options.limits, version: kubernetesVersion, countObjects: options.countMetric, storageSizes: options.storageSizes })) }
      case '/api': {
        if (wantsAggregated(call)) return aggregatedAnswer(discovery().aggregatedCore, call)
        return objectAnswer(200, { kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs: [{ clientCIDR: '0.0.0.0/0', serverAddress: serverAddress() }] }, `${metaTypes}.APIVersions`)
      }
      case '/apis': return wantsAggregated(call) ? aggregatedAnswer(discovery().aggregatedGroups, call) : objectAnswer(200, discovery().groupList, `${metaTypes}.APIGroupList`)
      case '/openapi/v2': return openApiOf().v2(call)
      case '/openapi/v3': return openApiOf().v3Index(call)
      case '/.well-known/openid-configuration': return openIdConfiguration(options)
      case '/openid/v1/jwks': return { ...jsonAnswer(200, jwks(options.serviceAccounts.options.verificationKeys), { 'cache-control': 'public, max-age=3600' }), contentType: 'application/jwk-set+json' } as Answer // cast: still a bytes answer
    }
    if (path.startsWith('/openapi/v3/')) return openApiOf().v3(path.slice('/openapi/v3/'.length), call) ?? notFoundPage()
    const core = /^\/api\/([^/]+)$/.exec(path)
    const group = /^\/apis\/([^/]+)$/.exec(path)
    const version = /^\/apis\/([^/]+)\/([^/]+)$/.exec(path)
    const found = core ? discovery().resourceList('', core[1] ?? '') : version ? discovery().resourceList(version[1] ?? '', version[2] ?? '') : group ? discovery().group(group[1] ?? '') : undefined
    return found ? objectAnswer(200, found, `${metaTypes}.${group ? 'APIGroup' : 'APIResourceList'}`) : notFoundPage()
  }
}

const versionsOf = (documents: DiscoveryDocuments, group: string): readonly string[] => {
  // cast: discovery's own document
  const { versions } = (documents.group(group) ?? {}) as { readonly versions?: readonly { readonly groupVersion: string }[] }
  return (versions ?? []).map((v) => v.groupVersion)
}

/** The first clause of Accept that this server knows decides between the two forms. */
function wantsAggregated(call: ApiCall): boolean {
  for (const clause of (call.headers['accept'] ?? '').split(',')) {
    const [type, ...parameters] = clause.split(';').map((part) => part.trim())
    const has = (parameter: string): boolean => parameters.includes(parameter)
    if (type === 'application/json' && has('g=apidiscovery.k8s.io') && has('as=APIGroupDiscoveryList')) { if (has('v=v2')) return true; continue }
    if (type === 'application/json' || type === '*/*' || type === 'application/*' || type === 'application/yaml') return false
  }
  return false
}

function aggregatedAnswer(document: AggregatedDocument, call: ApiCall): Answer {
  const headers = { etag: document.etag, vary: 'Accept', 'cache-control': 'public' }
  if (call.headers['if-none-match'] === document.etag) return { type: 'bytes', status: 304, contentType: '', bytes: new Uint8Array(), headers }
  return { type: 'bytes', status: 200, contentType: 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList', bytes: document.bytes, headers }
}

const jsonPage = (value: unknown): Answer => ({ type: 'bytes', status: 200, contentType: 'application/json', bytes: Buffer.from(JSON.stringify(value, null, 2)) })

function openIdConfiguration(options: NonResourceOptions): Answer {
  const { issuers, verificationKeys } = options.serviceAccounts.options
  const { address, port } = options.address()
  return jsonAnswer(200, {
    issuer: issuers[0], jwks_uri: `https://${address}:${port}/openid/v1/jwks`, response_types_supported: ['id_token'], subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: [...new Set(verificationKeys.map((key) => key.algorithm))],
  }, { 'cache-control': 'public, max-age=3600' })
}

function healthChecks(options: NonResourceOptions): (endpoint: 'healthz' | 'livez' | 'readyz') => readonly HealthCheck[] {
  const always = (name: string): HealthCheck => ({ name, check: () => undefined })
  const { health, readiness } = options.etcdChecks
  const etcd = health.map((check, i): HealthCheck => ({ name: i === 0 ? 'etcd' : `etcd-override-${i - 1}`, check }))
  const etcdReadiness = readiness.map((check, i): HealthCheck => ({ name: i === 0 ? 'etcd-readiness' : `etcd-override-readiness-${i - 1}`, check }))
  const hooks = postStartHooks.map((hook): HealthCheck => ({ name: `poststarthook/${hook}`, check: () => (options.ready() ? undefined : 'not finished') }))
  const kms = options.kmsCheck ? [{ name: 'kms-providers', check: options.kmsCheck }] : []
  const common = [always('ping'), always('log'), ...etcd, ...kms]
  return (endpoint) => {
    switch (endpoint) {
      case 'healthz': return [...common, ...hooks]
      case 'livez': return [...common, ...hooks.map((hook) => always(hook.name))]
      case 'readyz': return [...common, ...etcdReadiness, { name: 'informer-sync', check: () => (options.ready() && options.synced() ? undefined : 'not synced') }, ...hooks, always('shutdown')]
    }
  }
}
