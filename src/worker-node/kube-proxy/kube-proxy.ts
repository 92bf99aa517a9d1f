// kube-proxy: watches Services and EndpointSlices and keeps this node's packet rules in step with them.
//
// The decisions are in service-ports.ts (which endpoints), iptables-rules.ts (which rules) and restore-input.ts (which changes); this shell
// holds the informers, the schedule and the last rules written. Upstream: cmd/kube-proxy, pkg/proxy/iptables
import { createServer } from 'node:http'
import type { Server, ServerResponse } from 'node:http'
import type { Clock } from '../../lib/base/clock.ts'
import { formatTime } from '../../lib/base/clock.ts'
import type { Logger } from '../../lib/component-base/log.ts'
import type { InformerFactory } from '../../lib/client/informer-contract.ts'
import { endpointSlices, nodes, services } from '../../lib/client/resource-keys.ts'
import { staleFlows } from './conntrack.ts'
import { createHealthCheckServers } from './health-check-ports.ts'
import type { RuleOptions, RuleSet } from './iptables-rules.ts'
import { baseJumps, computeRules, defaultRuleOptions } from './iptables-rules.ts'
import type { IptablesRunner } from './iptables-runner.ts'
import { restoreInput, staleChains } from './restore-input.ts'
import type { ServicePortInfo } from './service-ports.ts'
import { serviceInfos } from './service-ports.ts'
import { SyncSchedule } from './sync-schedule.ts'

export interface KubeProxyOptions {
  readonly informers: InformerFactory
  readonly clock: Clock
  readonly logger: Logger
  readonly runner: IptablesRunner
  readonly nodeName: string
  /** Pods of the cluster: traffic from elsewhere to a cluster IP is masqueraded. */
  readonly clusterCidr: string
  readonly rules?: Partial<RuleOptions>
  readonly minSyncPeriodMs?: number
  readonly syncPeriodMs?: number
  /** `address:port` of /healthz and /livez; undefined: not served. */
  readonly healthAddress?: { readonly host: string; readonly port: number }
  /** The same of /metrics and /proxyMode. */
  readonly metricsAddress?: { readonly host: string; readonly port: number }
  /** Writes a kernel setting; absent: none are written. */
  readonly writeSysctl?: (name: string, value: string) => void
}

export interface KubeProxy extends AsyncDisposable {
  /** Resolves when the rules of the first complete look at the cluster are written. */
  readonly ready: Promise<void>
  /** Number of times rules were written. */
  readonly syncCount: number
}

export async function startKubeProxy(options: KubeProxyOptions, signal: AbortSignal): Promise<KubeProxy> {
  const { clock, logger, runner } = options
  const rules: RuleOptions = { ...defaultRuleOptions, podCidr: options.clusterCidr, ...options.rules }
  const serviceInformer = options.informers.informer(services)
  const sliceInformer = options.informers.informer(endpointSlices, { labelSelector: '!service.kubernetes.io/headless,!service.kubernetes.io/service-proxy-name' })
  const nodeInformer = options.informers.informer(nodes, { fieldSelector: `metadata.name=${options.nodeName}` })
  using resources = new DisposableStack()
  let written: RuleSet | undefined
  let infos: readonly ServicePortInfo[] = []
  let lastWrittenMs = clock.now()
  let failing = false
  let syncCount = 0
  let lastSyncSeconds = 0
  const ready = Promise.withResolvers<void>()
  const healthChecks = createHealthCheckServers({ logger, isHealthy: () => !failing })

  const ensureBaseChains = async (): Promise<string | undefined> => {
    const names = { filter: new Set<string>(), nat: new Set<string>() }
    for (const jump of baseJumps) names[jump.table].add(jump.to)
    // Chains must exist before the kernel's own can jump to them; naming one here would flush it, so they are made with -N.
    for (const table of ['filter', 'nat'] as const) for (const chain of names[table]) await runner.iptables(['-t', table, '-N', chain])
    for (const jump of [...baseJumps].reverse()) {
      const match = splitMatch(jump.match)
      if (await runner.iptables(['-t', jump.table, '-C', jump.from, ...match, '-j', jump.to]) === 0) continue
      const code = await runner.iptables(['-t', jump.table, '-I', jump.from, ...match, '-j', jump.to])
      if (code !== 0) return `cannot insert the jump from ${jump.from} to ${jump.to} in table ${jump.table}: iptables ended with ${code}`
    }
    return undefined
  }

  const sync = async (full: boolean): Promise<boolean> => {
    if (signal.aborted || !serviceInformer.hasSynced || !sliceInformer.hasSynced) return true
    const startedMs = clock.monotonic()
    const zone = nodeInformer.get('', options.nodeName)?.metadata.labels?.['topology.kubernetes.io/zone'] ?? ''
    const nextInfos = serviceInfos(serviceInformer.list(), sliceInformer.list(), { nodeName: options.nodeName, zone })
    const next = computeRules(nextInfos, rules)
    const baseError = full ? await ensureBaseChains() : undefined
    let base = full ? undefined : written
    if (full && written === undefined) {
      const stale = staleChains(await runner.save(), next)
      base = undefined
      if (stale.nat.length + stale.filter.length > 0) written = { nat: new Map(stale.nat.map((c) => [c, ['']])), filter: new Map(stale.filter.map((c) => [c, ['']])) }
    }
    const gone = base === undefined && written !== undefined ? withoutKept(written, next) : base
    const input = restoreInput(gone, next)
    const error = baseError ?? (input === '' ? undefined : await runner.restore(input))
    if (error !== undefined) {
      failing = true
      logger.error('Failed to write packet rules', new Error(error))
      return false
    }
    for (const deletion of staleFlows(infos, nextInfos)) await runner.conntrack(deletion)
    written = next
    infos = nextInfos
    failing = false
    lastWrittenMs = clock.now()
    lastSyncSeconds = (clock.monotonic() - startedMs) / 1000
    syncCount++
    healthChecks.update(nextInfos)
    ready.resolve()
    logger.info('Wrote packet rules', { services: nextInfos.length, full, milliseconds: Math.round(lastSyncSeconds * 1000) }, 2)
    return true
  }

  const schedule = resources.use(new SyncSchedule({ clock, minSyncPeriodMs: options.minSyncPeriodMs ?? 1000, syncPeriodMs: options.syncPeriodMs ?? 30_000, sync }))
  const changed = { added: () => schedule.request(), updated: () => schedule.request(), deleted: () => schedule.request() }
  serviceInformer.addHandler(changed)
  sliceInformer.addHandler(changed)

  options.writeSysctl?.('net/ipv4/conf/all/route_localnet', rules.localhostNodePorts ? '1' : '0')
  options.writeSysctl?.('net/ipv4/ip_forward', '1')
  const answer = (response: ServerResponse, status: number, body: string, type: string): void => {
    response.writeHead(status, { 'content-type': type, 'x-content-type-options': 'nosniff' }).end(body)
  }
  const servers: Server[] = []
  const serve = async (address: { readonly host: string; readonly port: number } | undefined, handle: (path: string, response: ServerResponse) => void): Promise<void> => {
    if (!address) return
    const server = createServer((request, response) => handle((request.url ?? '/').split('?')[0] ?? '/', response))
    servers.push(server)
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(address.port, address.host, resolve))
    server.on('error', (error) => logger.error('Health server failed', error))
  }
  const eligible = (): boolean => {
    const node = nodeInformer.get('', options.nodeName)
    return node === undefined || (node.metadata.deletionTimestamp === undefined && !(node.spec.taints ?? []).some((t) => t.key === 'ToBeDeletedByClusterAutoscaler'))
  }
  await serve(options.healthAddress, (path, response) => {
    if (path !== '/healthz' && path !== '/livez') { answer(response, 404, '404 page not found\n', 'text/plain; charset=utf-8'); return }
    const healthy = !failing && (path === '/livez' || eligible())
    const body = { lastUpdated: formatTime(lastWrittenMs), currentTime: formatTime(clock.now()), healthy, nodeEligible: eligible(), status: { IPv4: { lastUpdated: formatTime(lastWrittenMs), healthy: !failing } } }
    answer(response, healthy ? 200 : 503, JSON.stringify(body), 'application/json')
  })
  await serve(options.metricsAddress, (path, response) => {
    switch (path) {
      case '/proxyMode': answer(response, 200, 'iptables', 'text/plain; charset=utf-8'); return
      case '/healthz': answer(response, 200, 'ok', 'text/plain; charset=utf-8'); return
      case '/metrics': answer(response, 200, formatMetrics(), 'text/plain; version=0.0.4; charset=utf-8'); return
      default: answer(response, 404, '404 page not found\n', 'text/plain; charset=utf-8')
    }
  })
  const formatMetrics = (): string => [
    '# TYPE kubeproxy_sync_proxy_rules_last_timestamp_seconds gauge', `kubeproxy_sync_proxy_rules_last_timestamp_seconds ${lastWrittenMs / 1000}`,
    '# TYPE kubeproxy_sync_proxy_rules_iptables_total gauge',
    ...(['filter', 'nat'] as const).map((table) => `kubeproxy_sync_proxy_rules_iptables_total{table="${table}"} ${[...(written?.[table].values() ?? [])].reduce((sum, r) => sum + r.length, 0)}`),
    '# TYPE kubeproxy_sync_proxy_rules_last_duration_seconds gauge', `kubeproxy_sync_proxy_rules_last_duration_seconds ${lastSyncSeconds}`, '',
  ].join('\n')

  options.informers.start(signal)
  await options.informers.waitForSync(signal)
  schedule.request(true)
  const kept = resources.move()
  const stop = async (): Promise<void> => {
    kept.dispose()
    healthChecks[Symbol.dispose]()
    await Promise.all(servers.map((server) => new Promise<void>((resolve) => { server.close(() => resolve()); server.closeAllConnections() })))
  }
  signal.addEventListener('abort', () => { void stop() }, { once: true })
  return { ready: ready.promise, get syncCount() { return syncCount }, [Symbol.asyncDispose]: stop }
}

/** Takes every rule and chain of a kube-proxy away, whoever wrote it: what `kube-proxy --cleanup` does. */
export async function removeRules(runner: IptablesRunner): Promise<void> {
  for (const jump of baseJumps) while (await runner.iptables(['-t', jump.table, '-D', jump.from, ...splitMatch(jump.match), '-j', jump.to]) === 0) continue
  const nothing: RuleSet = { filter: new Map(), nat: new Map() }
  const stale = staleChains(await runner.save(), nothing)
  const own = (table: 'filter' | 'nat'): Map<string, readonly string[]> => {
    const base = new Set(baseJumps.filter((j) => j.table === table).map((j) => j.to))
    if (table === 'nat') base.add('KUBE-NODEPORTS').add('KUBE-MARK-MASQ')
    return new Map([...base, ...stale[table]].map((chain) => [chain, ['']]))
  }
  await runner.restore(restoreInput({ filter: own('filter'), nat: own('nat') }, nothing))
}

/** Of chains that stand, those that `next` no longer has: everything else is to be written again. */
function withoutKept(standing: RuleSet, next: RuleSet): RuleSet {
  const only = (table: 'filter' | 'nat'): Map<string, readonly string[]> => new Map([...standing[table]].filter(([chain]) => !next[table].has(chain)))
  return { filter: only('filter'), nat: only('nat') }
}

/** Splits a rule's match into arguments: quotes hold a comment together. */
function splitMatch(match: string): readonly string[] {
  return [...match.matchAll(/"([^"]*)"|(\S+)/g)].map((m) => m[1] ?? m[2] ?? '')
}
