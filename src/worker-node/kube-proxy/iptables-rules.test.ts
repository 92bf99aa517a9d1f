import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Service } from '../../lib/api/generated/types/core-v1.ts'
import type { EndpointSlice } from '../../lib/api/generated/types/discovery-v1.ts'
import { staleFlows } from './conntrack.ts'
import { computeRules, defaultRuleOptions } from './iptables-rules.ts'
import { restoreInput } from './restore-input.ts'
import { serviceInfos } from './service-ports.ts'

const meta = (name: string, labels: Record<string, string> = {}) => ({ name, namespace: 'default', uid: name, resourceVersion: '1', creationTimestamp: '2026-01-01T00:00:00Z', labels })
const service = (name: string, spec: Partial<Service['spec']>): Service => ({ metadata: meta(name), spec: { clusterIP: '10.96.0.10', ports: [{ name: 'http', port: 80, protocol: 'TCP', targetPort: 8080 }], ...spec }, status: { loadBalancer: {} } })
const slice = (name: string, endpoints: readonly { ip: string; ready?: boolean; serving?: boolean; terminating?: boolean; node?: string; zone?: string }[], protocol = 'TCP'): EndpointSlice => ({
  metadata: meta(`${name}-1`, { 'kubernetes.io/service-name': name }), addressType: 'IPv4', ports: [{ name: 'http', port: 8080, protocol }],
  endpoints: endpoints.map((e) => ({ addresses: [e.ip], conditions: { ready: e.ready ?? true, serving: e.serving ?? e.ready ?? true, terminating: e.terminating ?? false }, nodeName: e.node ?? 'a', ...(e.zone ? { hints: { forZones: [{ name: e.zone }] } } : {}) })),
})
const topology = { nodeName: 'a', zone: 'z1' }
const rulesOf = (services: Service[], slices: EndpointSlice[]) => computeRules(serviceInfos(services, slices, topology), { ...defaultRuleOptions, podCidr: '10.244.0.0/16' })
const chain = (rules: ReturnType<typeof rulesOf>, prefix: string): readonly string[] => [...rules.nat].find(([name]) => name.startsWith(prefix))?.[1] ?? []

test('a cluster IP spreads over its endpoints with equal chance and masquerades what comes from outside the pods', () => {
  const rules = rulesOf([service('web', {})], [slice('web', [{ ip: '10.244.0.2' }, { ip: '10.244.0.3' }, { ip: '10.244.0.4' }])])
  const svc = chain(rules, 'KUBE-SVC-')
  assert.match(svc[0] ?? '', /! -s 10\.244\.0\.0\/16 -d 10\.96\.0\.10\/32 --dport 80 -j KUBE-MARK-MASQ$/)
  assert.deepEqual(svc.slice(1).map((r) => /--probability (\S+)/.exec(r)?.[1]), ['0.3333333333', '0.5000000000', undefined])
  assert.match(rules.nat.get('KUBE-SERVICES')?.[0] ?? '', /default\/web:http cluster IP.*-j KUBE-SVC-/)
  assert.equal([...rules.nat.keys()].filter((c) => c.startsWith('KUBE-SEP-')).length, 3)
})

test('without endpoints traffic is refused, and the nat table has no rule for it', () => {
  const rules = rulesOf([service('web', { type: 'NodePort', ports: [{ name: 'http', port: 80, nodePort: 30080, protocol: 'TCP' }] })], [])
  assert.match(rules.filter.get('KUBE-SERVICES')?.[0] ?? '', /has no endpoints" -m tcp -p tcp -d 10\.96\.0\.10\/32 --dport 80 -j REJECT/)
  assert.match(rules.filter.get('KUBE-EXTERNAL-SERVICES')?.[0] ?? '', /--dport 30080 -j REJECT/)
  assert.deepEqual(rules.nat.get('KUBE-NODEPORTS'), [])
})

test('an endpoint that is not ready takes no traffic; one that serves while terminating does when no other is left', () => {
  const some = serviceInfos([service('web', {})], [slice('web', [{ ip: '10.244.0.2', ready: false }, { ip: '10.244.0.3' }])], topology)
  assert.deepEqual(some[0]?.clusterEndpoints.map((e) => e.address), ['10.244.0.3'])
  const last = serviceInfos([service('web', {})], [slice('web', [{ ip: '10.244.0.2', ready: false, serving: true, terminating: true }])], topology)
  assert.deepEqual(last[0]?.clusterEndpoints.map((e) => e.address), ['10.244.0.2'])
})

test('session affinity remembers the client in the endpoint chain', () => {
  const rules = rulesOf([service('web', { sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } } })], [slice('web', [{ ip: '10.244.0.2' }, { ip: '10.244.0.3' }])])
  assert.equal(chain(rules, 'KUBE-SVC-').filter((r) => /-m recent --name KUBE-SEP-\S+ --rcheck --seconds 60 --reap/.test(r)).length, 2)
  assert.match(chain(rules, 'KUBE-SEP-')[1] ?? '', /-m recent --name KUBE-SEP-\S+ --set .*-j DNAT --to-destination 10\.244\.0\.\d:8080/)
})

test('the Local policy keeps external traffic on this node and drops it where no endpoint is local', () => {
  const spec = { type: 'NodePort', externalTrafficPolicy: 'Local', ports: [{ name: 'http', port: 80, nodePort: 30080, protocol: 'TCP' }] } as const
  const here = rulesOf([service('web', spec)], [slice('web', [{ ip: '10.244.0.2' }, { ip: '10.244.1.2', node: 'b' }])])
  assert.equal(chain(here, 'KUBE-SVL-').length, 1)
  const elsewhere = rulesOf([service('web', spec)], [slice('web', [{ ip: '10.244.1.2', node: 'b' }])])
  assert.match(elsewhere.filter.get('KUBE-EXTERNAL-SERVICES')?.[0] ?? '', /has no local endpoints.*-j DROP/)
})

test('zone hints count only when every endpoint has one', () => {
  const all = serviceInfos([service('web', {})], [slice('web', [{ ip: '10.244.0.2', zone: 'z1' }, { ip: '10.244.0.3', zone: 'z2' }])], topology)
  assert.deepEqual(all[0]?.clusterEndpoints.map((e) => e.address), ['10.244.0.2'])
  const some = serviceInfos([service('web', {})], [slice('web', [{ ip: '10.244.0.2', zone: 'z1' }, { ip: '10.244.0.3' }])], topology)
  assert.equal(some[0]?.clusterEndpoints.length, 2)
})

test('only chains that changed are written, chains that went away are removed', () => {
  const before = rulesOf([service('web', {}), service('api', { clusterIP: '10.96.0.11' })], [slice('web', [{ ip: '10.244.0.2' }]), slice('api', [{ ip: '10.244.0.9' }])])
  const after = rulesOf([service('web', {}), service('api', { clusterIP: '10.96.0.11' })], [slice('web', [{ ip: '10.244.0.3' }]), slice('api', [{ ip: '10.244.0.9' }])])
  const input = restoreInput(before, after)
  assert.equal(restoreInput(after, after), '')
  assert.ok(!input.includes('10.244.0.9'))
  assert.equal(input.match(/^-X KUBE-SEP-/gm)?.length, 1)
  assert.ok(!input.includes('*filter'))
})

test('UDP flows to an endpoint that went away are forgotten', () => {
  const udp = (ip: string) => serviceInfos([service('dns', { ports: [{ name: 'http', port: 53, protocol: 'UDP' }] })], [slice('dns', [{ ip }], 'UDP')], topology)
  assert.deepEqual(staleFlows(udp('10.244.0.2'), udp('10.244.0.3')), [['-D', '-p', 'udp', '--orig-dst', '10.96.0.10', '--dst-nat', '10.244.0.2']])
  assert.deepEqual(staleFlows(udp('10.244.0.2'), udp('10.244.0.2')), [])
})

test('a TCP request on its way to an endpoint that went away may choose again; established connections are left alone', () => {
  const tcp = (ip: string) => serviceInfos([service('web', { type: 'NodePort', ports: [{ name: 'http', port: 80, nodePort: 30080, protocol: 'TCP' }] })], [slice('web', [{ ip }])], topology)
  assert.deepEqual(staleFlows(tcp('10.244.0.2'), tcp('10.244.0.3')), [
    ['-D', '-p', 'tcp', '--state', 'SYN_SENT', '--orig-dst', '10.96.0.10', '--dst-nat', '10.244.0.2'],
    ['-D', '-p', 'tcp', '--state', 'SYN_SENT', '--dport', '30080', '--dst-nat', '10.244.0.2'],
  ])
})
