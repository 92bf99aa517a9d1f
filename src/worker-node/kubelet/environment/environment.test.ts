import assert from 'node:assert/strict'
import { test } from 'node:test'
import { makeEnvironment } from './container-environment.ts'
import { expandReferences } from './expansion.ts'
import { fieldValue } from './field-values.ts'
import { serviceEnvironment } from './service-environment.ts'
import { podDnsConfig, parseResolvConf } from '../network/resolv-conf.ts'
import { podHostname, podHostsFile } from '../network/hosts-file.ts'
import type { Container, Pod, Service } from '../../../lib/api/generated/types/core-v1.ts'

const meta = (name: string): Pod['metadata'] => ({ name, namespace: 'ns', uid: 'u', resourceVersion: '', creationTimestamp: '' })
const addresses = { podIps: ['10.0.0.1', 'fd00::1'], hostIps: ['192.0.2.1'], nodeName: 'n', allocatable: { cpuMilli: 4000, memoryBytes: 2 ** 30, storageBytes: 0 } }
const pod: Pod = { metadata: { ...meta('p'), labels: { app: 'a "b"' } }, spec: { containers: [{ name: 'c', resources: {} }], serviceAccountName: 'sa' }, status: {} }
const env = (container: Partial<Container>, services = {}): ReturnType<typeof makeEnvironment> => makeEnvironment(pod, { name: 'c', resources: {}, ...container }, addresses, services, {
  configMap: (name) => (name === 'cm' ? { metadata: meta('cm'), data: { A: '1', B: '$(X)', '1-x': 'ok', 'a=b': 'bad' } } : undefined), secret: (name) => (name === 's' ? { metadata: meta('s'), data: { K: Buffer.from('ß').toString('base64') } } : undefined),
})

test('references', () => {
  const lookup = (name: string): string | undefined => ({ A: '1', B: '' })[name]
  for (const [text, expected] of [['$(A)', '1'], ['x$(A)y$(B)z', 'x1yz'], ['$(C)', '$(C)'], ['$$(A)', '$(A)'], ['$$$(A)', '$1'], ['$A', '$A'], ['$(A', '$(A'], ['$', '$'], ['a$', 'a$']] as const) assert.equal(expandReferences(text, lookup), expected, text)
})

test('an environment from all sources', () => {
  const result = env({
    envFrom: [{ prefix: 'P_', configMapRef: { name: 'cm' } }, { configMapRef: { name: 'none', optional: true } }],
    env: [{ name: 'X', value: 'x' }, { name: 'Y', value: '$(X)-$(P_A)-$(SVC)-$(LATER)' }, { name: 'LATER', value: 'l' }, { name: 'K', valueFrom: { secretKeyRef: { name: 's', key: 'K' } } },
      { name: 'OPT', valueFrom: { configMapKeyRef: { name: 'cm', key: 'zzz', optional: true } } }, { name: 'CPU', valueFrom: { resourceFieldRef: { resource: 'limits.cpu' } } },
      { name: 'MEM', valueFrom: { resourceFieldRef: { resource: 'requests.memory', divisor: '1Mi' } } }],
  }, { SVC: 'svc' })
  assert.ok(result.ok)
  assert.deepEqual(Object.fromEntries(result.variables), { 'P_1-x': 'ok', P_A: '1', P_B: '$(X)', X: 'x', Y: 'x-1-svc-$(LATER)', LATER: 'l', K: 'ß', CPU: '4', MEM: '0', SVC: 'svc' })
  assert.deepEqual(result.skipped, [{ kind: 'ConfigMap', name: 'cm', keys: ['a=b'] }])
})

test('what is missing is told', () => {
  assert.deepEqual(env({ envFrom: [{ secretRef: { name: 'none' } }] }), { ok: false, message: 'secret "none" not found' })
  assert.deepEqual(env({ env: [{ name: 'A', valueFrom: { configMapKeyRef: { name: 'cm', key: 'zzz' } } }] }), { ok: false, message: "couldn't find key zzz in ConfigMap ns/cm" })
})

test('fields', () => {
  assert.equal(fieldValue(pod, addresses, 'metadata.labels'), 'app="a \\"b\\""')
  assert.equal(fieldValue(pod, addresses, "metadata.labels['app']"), 'a "b"')
  assert.equal(fieldValue(pod, addresses, 'status.podIPs'), '10.0.0.1,fd00::1')
  assert.equal(fieldValue(pod, addresses, 'spec.nodeName'), 'n')
  assert.equal(fieldValue(pod, addresses, 'spec.serviceAccountName'), 'sa')
  assert.equal(fieldValue(pod, addresses, 'spec.bad'), undefined)
})

test('variables of Services', () => {
  const service = (name: string, namespace: string, clusterIP: string): Service => ({ metadata: { ...meta(name), namespace }, spec: { clusterIP, ports: [{ name: 'http-x', port: 80, protocol: 'TCP' }, { port: 53, protocol: 'UDP' }] }, status: { loadBalancer: {} } })
  const all = [service('my-db', 'ns', '10.1.1.1'), service('kubernetes', 'default', '10.1.0.1'), service('other', 'elsewhere', '10.1.1.9'), service('headless', 'ns', 'None')]
  const linked = serviceEnvironment(all, 'ns', true)
  assert.equal(linked['MY_DB_SERVICE_HOST'], '10.1.1.1')
  assert.equal(linked['MY_DB_SERVICE_PORT'], '80')
  assert.equal(linked['MY_DB_SERVICE_PORT_HTTP_X'], '80')
  assert.equal(linked['MY_DB_PORT_53_UDP'], 'udp://10.1.1.1:53')
  assert.equal(linked['KUBERNETES_SERVICE_HOST'], '10.1.0.1')
  assert.ok(!('OTHER_SERVICE_HOST' in linked) && !('HEADLESS_SERVICE_HOST' in linked))
  assert.deepEqual(Object.keys(serviceEnvironment(all, 'ns', false)).filter((k) => k.endsWith('_HOST')), ['KUBERNETES_SERVICE_HOST'])
})

test('resolv.conf by policy', () => {
  const host = parseResolvConf('# x\nnameserver 1.1.1.1\nsearch corp.example. .\noptions timeout:1\n')
  const settings = { clusterDns: ['10.96.0.10'], clusterDomain: 'cluster.local' }
  const dns = (spec: object): unknown => podDnsConfig({ ...pod, spec: { containers: [], ...spec } }, host, settings)
  assert.deepEqual(dns({ dnsPolicy: 'ClusterFirst' }), { servers: ['10.96.0.10'], searches: ['ns.svc.cluster.local', 'svc.cluster.local', 'cluster.local', 'corp.example', '.'], options: ['ndots:5'] })
  assert.deepEqual(dns({ dnsPolicy: 'Default' }), { servers: ['1.1.1.1'], searches: ['corp.example', '.'], options: ['timeout:1'] })
  assert.deepEqual(dns({ dnsPolicy: 'ClusterFirst', hostNetwork: true }), { servers: ['1.1.1.1'], searches: ['corp.example', '.'], options: ['timeout:1'] })
  assert.deepEqual(dns({ dnsPolicy: 'None', dnsConfig: { nameservers: ['9.9.9.9'], searches: ['a'], options: [{ name: 'ndots', value: '2' }, { name: 'edns0' }] } }), { servers: ['9.9.9.9'], searches: ['a'], options: ['ndots:2', 'edns0'] })
})

test('host names and /etc/hosts', () => {
  assert.deepEqual(podHostname({ ...pod, spec: { containers: [], hostname: 'h', subdomain: 'sub' } }, 'cluster.local'), { hostname: 'h', domain: 'sub.ns.svc.cluster.local' })
  assert.equal(podHostname({ ...pod, metadata: meta(`${'x'.repeat(62)}-y`) }, 'c').hostname, 'x'.repeat(62))
  assert.match(podHostsFile(['10.0.0.1'], 'h', 'd', [{ ip: '1.2.3.4', hostnames: ['a', 'b'] }]), /^10\.0\.0\.1\th\.d\th$[^]*^1\.2\.3\.4\ta\tb$/m)
})
