// kube-apiserver: the one door to the cluster's state. `startApiServer(options, signal)`; then `transport(user)` for callers in the process and
// `listen()` for everybody else. Runs on any etcd, under any clock.
//
// The way of a request: authentication (sockets), impersonation, limits in flight, authorization, then the handler: decode, admission, validation,
// one etcd transaction, answer. Upstream: cmd/kube-apiserver/app/server.go
import { sleep } from '../../lib/base/clock.ts'
import type { ApiTransport } from '../../lib/client/transport.ts'
import { AdmissionChain } from './admission/admission.ts'
import { admissionPlugins } from './admission/plugins.ts'
import { ServiceAllocator } from './allocation/service-allocator.ts'
import { Authenticator } from './authentication/authenticator.ts'
import { bootstrapTokens } from './authentication/bootstrap-tokens.ts'
import { frontProxy } from './authentication/front-proxy.ts'
import { signingKey, verificationKeys } from './authentication/jwt.ts'
import { ServiceAccountTokens } from './authentication/service-account-tokens.ts'
import { alwaysAllow, alwaysDeny, unionAuthorizer } from './authorization/authorizer.ts'
import type { Authorizer } from './authorization/authorizer.ts'
import { NodeAuthorizer } from './authorization/node-authorizer.ts'
import { RbacAuthorizer } from './authorization/rbac.ts'
import { publishAuthentication } from './bootstrap/authentication-config.ts'
import { reconcileEndpoints, type EndpointReconciler } from './bootstrap/endpoint-reconciler.ts'
import { ensureKubernetesService } from './bootstrap/kubernetes-service.ts'
import { ensureServiceCidr } from './bootstrap/service-cidr.ts'
import { createBootstrapObjects } from './bootstrap/reconcile.ts'
import { systemObjects } from './bootstrap/system-objects.ts'
import { buildResources } from './endpoints/build-resources.ts'
import type { BuiltResources } from './endpoints/build-resources.ts'
import type { Dispatcher } from './endpoints/dispatch.ts'
import { endWatchAfter } from './endpoints/read.ts'
import type { ServerContext } from './endpoints/server-context.ts'
import { customHandlers } from './endpoints/custom-handlers.ts'
import { RequestMetrics } from './endpoints/metrics.ts'
import { nonResourcePaths } from './endpoints/non-resource-paths.ts'
import { FlowSchemas } from './filters/flow-schemas.ts'
import { requestHandler } from './filters/request-handler.ts'
import { MaxInFlight } from './filters/max-in-flight.ts'
import { startHttpsServer } from './http/https-server.ts'
import type { ListenOptions, Listening } from './http/https-server.ts'
import { inProcessTransport } from './in-process-transport.ts'
import { createStrategies } from './registry/strategies.ts'
import type { UserInfo } from './registry/strategy.ts'
import type { ApiServerOptions } from './server-options.ts'
import { compactRegularly } from './storage/compactor.ts'
import { etcdHealth } from './storage/etcd-health.ts'
import { EventLease } from './storage/event-lease.ts'
import { pollStorageSizes } from './storage/storage-sizes.ts'
import { StoredValues } from './storage/stored-values.ts'
import { bookmarkObject } from './storage/watch-cache.ts'
import { WatchHistory } from './storage/watch-history.ts'

export type { ApiServerOptions, AuthorizationMode } from './server-options.ts'
export type { ListenOptions, Listening } from './http/https-server.ts'

export interface ApiServer extends AsyncDisposable {
  /** A way in for callers in the process, as this user: same authorization, admission and validation, no bytes. */
  transport(user: UserInfo): ApiTransport
  /** Serves HTTPS, HTTP/1.1 and HTTP/2 on one port, and publishes the address in default/kubernetes. Needs `tls`. */
  listen(options: ListenOptions): Promise<Listening>
  /** How far its caches are. */
  readonly revision: number
}

const defaultIssuer = 'https://kubernetes.default.svc.cluster.local'
const defaultClusterIpRange = '10.0.0.0/24'
const bookmarkIntervalMs = 30_000
const namespaceCheckMs = 60_000
const etcdCheckMs = 2000

/** Loads the caches, creates what a new cluster lacks, and is then ready. `signal` ends it, as disposing does. */
export async function startApiServer(options: ApiServerOptions, signal: AbortSignal): Promise<ApiServer> {
  const { etcd, clock, random, logger } = options
  const stop = new AbortController()
  const ended = AbortSignal.any([signal, stop.signal])
  const root = options.etcdPrefix ?? '/registry'
  const storageForm = { ...(options.storageMediaType && { storageMediaType: options.storageMediaType }), ...(options.encryption && { encryption: options.encryption }) }
  const built = buildResources({ etcd, clock, logger, root, strategies: options.strategies ?? createStrategies(), freezeObjects: options.freezeObjects ?? false, ...storageForm, ...(options.uncached && { uncached: options.uncached }), ...(options.etcdOverrides && { etcdOverrides: options.etcdOverrides }) })
  const { feeds } = built
  await Promise.all(feeds.map((feed) => feed.start(ended)))
  // With other keys, what could not be read may be readable.
  options.encryption?.onChange(() => { for (const feed of feeds) feed.reloadUnreadable() })
  const masterLeases = {
    root, values: new StoredValues({
      kind: 'Endpoints', apiVersion: 'v1', type: 'io.k8s.api.core.v1.Endpoints', ...(options.storageMediaType && { mediaType: options.storageMediaType }), ...(options.encryption && { transformer: options.encryption.transformerFor('', 'apiServerIPInfo') }),
    }),
  }
  const etcds = [...new Set([etcd, ...(options.etcdOverrides?.values() ?? [])])]

  const serviceAccounts = createTokens(options, built)
  const authenticator = new Authenticator({
    clock, staticTokens: options.tokens ?? [], serviceAccounts, bootstrapToken: bootstrapTokens(built.stored, clock), anonymous: options.anonymousAuth ?? true,
    ...(options.requestHeaderClientCa !== undefined && { frontProxy: frontProxy(options.requestHeaderClientCa, options.requestHeaderAllowedNames ?? [], clock) }),
  })
  const rbac = new RbacAuthorizer(built.stored)
  const modes = options.authorizationModes ?? ['Node', 'RBAC']
  const authorizer = unionAuthorizer(modes.map((mode): Authorizer => {
    switch (mode) {
      case 'Node': return new NodeAuthorizer(built.stored)
      case 'RBAC': return rbac
      case 'AlwaysAllow': return alwaysAllow
      case 'AlwaysDeny': return alwaysDeny
    }
  }))
  const services = built.stored.get('/services')
  if (!services) throw new Error('the API server has no Services')
  const allocator = new ServiceAllocator({
    clusterIpRange: options.serviceClusterIpRange ?? defaultClusterIpRange, nodePortRange: options.nodePortRange ?? { first: 30_000, last: 32_767 }, random, clock, services,
    ipAddresses: built.stored.get('networking.k8s.io/ipaddresses'),
  })
  const server: ServerContext = {
    etcd, clock, random, logger, resources: built.resources, stored: built.stored, authorizer, history: new WatchHistory(clock), services: allocator,
    admission: new AdmissionChain(admissionPlugins({ stored: built.stored, random, clock, authorizer, rbac: modes.includes('RBAC') ? rbac : undefined, enable: options.enableAdmissionPlugins ?? [], disable: options.disableAdmissionPlugins ?? [] })),
    eventLease: new EventLease(built.stored.get('/events')?.store.etcd ?? etcd, clock, options.eventTtlSeconds ?? 3600, ended, options.leaseReuseSeconds), minRequestTimeoutSeconds: options.minRequestTimeoutSeconds ?? 1800,
    garbageCollection: options.garbageCollection ?? true, deleteCollectionWorkers: options.deleteCollectionWorkers ?? 16,
  }
  const limits = new MaxInFlight(options.maxRequestsInFlight ?? 400, options.maxMutatingRequestsInFlight ?? 200)
  const metrics = new RequestMetrics()
  const flowSchemas = new FlowSchemas(built.stored)
  const address = { address: options.advertiseAddress ?? '127.0.0.1', port: options.securePort ?? 6443 }
  const storageSizes = new Map<string, number>()
  const etcdChecks = {
    health: etcds.map((one) => etcdHealth({ etcd: one, clock, root, timeoutMs: options.etcdHealthcheckTimeoutMs ?? etcdCheckMs })),
    readiness: etcds.map((one) => etcdHealth({ etcd: one, clock, root, timeoutMs: options.etcdReadycheckTimeoutMs ?? etcdCheckMs })),
  }
  const dispatcher: Dispatcher = {
    server,
    custom: customHandlers({ authorizer, rbac, authenticator, serviceAccounts, kubeletClient: options.kubeletClient ?? {} }),
    nonResource: nonResourcePaths({ server, address: () => address, serviceAccounts, limits, metrics, etcdChecks, ...(options.encryption?.check && { kmsCheck: options.encryption.check }), storageSizes, countMetric: options.countMetric ?? true, synced: () => feeds.every((feed) => feed.healthy), ready: () => ready }),
  }
  const handle = requestHandler({ dispatcher, limits, metrics })
  let ready = false

  await createBootstrapObjects(server, ended)
  await ensureKubernetesService(server, allocator.addresses.firstAddress, options.securePort ?? 6443, ended)
  await ensureServiceCidr(server, options.serviceClusterIpRange ?? defaultClusterIpRange, ended)
  await publishAuthentication(server, { clientCa: options.clientCa, requestHeaderClientCa: options.requestHeaderClientCa, requestHeaderAllowedNames: options.requestHeaderAllowedNames ?? [] }, ended)
  ready = true
  const background = [
    ...etcds.map((one) => (options.compactionIntervalMs === 0 ? undefined : compactRegularly(one, clock, logger.named('compact'), options.compactionIntervalMs ?? 300_000, ended))),
    options.dbMetricPollIntervalMs === 0 ? undefined : pollStorageSizes(etcds, storageSizes, clock, options.dbMetricPollIntervalMs ?? 30_000, ended),
    sendBookmarks(built, server, ended),
    keepSystemObjects(server, ended),
  ]
  const listeners: Listening[] = []
  const published: EndpointReconciler[] = []

  return {
    get revision() { return feeds[0]?.revision ?? 0 },
    transport: (user) => inProcessTransport({
      handle, now: () => clock.now(), limitWatch: (answer, over) => { void endWatchAfter(server, answer, AbortSignal.any([over, ended])) },
    }, user),
    async listen(listen) {
      if (!options.tls) throw new Error('listen() needs a certificate in options.tls')
      const listening = await startHttpsServer({
        server, handle, authenticator, tls: options.tls, ended, ...(options.clientCa !== undefined && { clientCa: options.clientCa }), ...(options.requestHeaderClientCa !== undefined && { requestHeaderCa: options.requestHeaderClientCa }), requestTimeoutMs: options.requestTimeoutMs ?? 60_000,
        callHeaders: (call) => flowSchemas.headers(call.user, call.info),
      }, listen)
      listeners.push(listening)
      address.port = listening.port
      const reconciler = options.endpointReconciler === 'none' ? undefined : await reconcileEndpoints(server, masterLeases, { ...address }, ended)
      if (reconciler) published.push(reconciler)
      return listening
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(published.map((p) => p[Symbol.asyncDispose]()))
      stop.abort()
      for (const resource of built.resources.values()) resource.store.cache.closeWatchers()
      await Promise.all(listeners.map((l) => l[Symbol.asyncDispose]()))
      await Promise.all(background)
    },
  }
}

function createTokens(options: ApiServerOptions, built: BuiltResources): ServiceAccountTokens {
  const { issuers = [defaultIssuer], signingKey: pem, verificationKeys: more = [], audiences } = options.serviceAccounts ?? {}
  return new ServiceAccountTokens({
    issuers, signingKey: pem === undefined ? undefined : signingKey(pem), verificationKeys: [...(pem === undefined ? [] : [pem]), ...more].flatMap((text) => [...verificationKeys(text)]),
    apiAudiences: audiences ?? issuers, clock: options.clock, random: options.random, stored: built.stored,
  })
}

/** Tells watchers twice a minute how far they are, so that a resume asks for little. */
async function sendBookmarks({ resources }: BuiltResources, server: ServerContext, signal: AbortSignal): Promise<void> {
  for (;;) {
    try { await sleep(server.clock, bookmarkIntervalMs, signal) } catch { return }
    for (const { store, info, apiVersion, conversion } of resources.values()) {
      if (!conversion) store.cache.sendBookmarks(store.feedRevision, (at) => bookmarkObject(store.cache.kind, apiVersion, info.kind, at))
    }
  }
}

/** Brings back system namespaces and priority classes that somebody has deleted. */
async function keepSystemObjects(server: ServerContext, signal: AbortSignal): Promise<void> {
  for (;;) {
    try { await sleep(server.clock, namespaceCheckMs, signal) } catch { return }
    try { await createBootstrapObjects(server, signal, systemObjects) } catch (error) { if (!signal.aborted) server.logger.error('Creating system objects failed', error) }
  }
}
