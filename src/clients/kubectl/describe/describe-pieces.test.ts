import { test } from 'node:test'
import assert from 'node:assert/strict'
import type { EndpointSlice } from '../../../lib/api/generated/types/discovery-v1.ts'
import type { Event, Pod } from '../../../lib/api/generated/types/core-v1.ts'
import { formatProbe } from './containers.ts'
import { parseCertificateRequest } from './certificate-request.ts'
import { DescribeWriter } from './describe-writer.ts'
import { writeEvents } from './describer.ts'
import { labelOf } from './generic.ts'
import { podAmounts } from './pod-resources.ts'
import { describePodTemplate } from './pod-template.ts'
import { compactRules } from './rbac.ts'
import { formatEndpoints } from './services.ts'

const slice = (addresses: readonly string[], options: { readonly ready?: boolean; readonly port?: number; readonly name?: string } = {}): EndpointSlice => ({
  metadata: { name: 's', uid: 'u' }, addressType: 'IPv4', endpoints: addresses.map((a) => ({ addresses: [a], conditions: options.ready === undefined ? {} : { ready: options.ready } })), ports: options.port === undefined ? [] : [{ name: options.name ?? '', port: options.port }],
} as unknown as EndpointSlice) // cast: the fields that are looked at

test('endpoints: three are shown, the rest counted; those not ready are left out', () => {
  assert.equal(formatEndpoints([slice(['1.1.1.1', '1.1.1.2'], { port: 80 }), slice(['1.1.1.3', '1.1.1.4', '1.1.1.5'], { port: 80 })], ''), '1.1.1.1:80,1.1.1.2:80,1.1.1.3:80 + 2 more...')
  assert.equal(formatEndpoints([slice(['1.1.1.1'], { port: 80, ready: false })], ''), '')
  assert.equal(formatEndpoints([slice(['fd00::1'], { port: 80, name: 'http' })], 'http'), '[fd00::1]:80')
  assert.equal(formatEndpoints([slice(['1.1.1.1'])], ''), '1.1.1.1')
  assert.equal(formatEndpoints([], ''), '<none>')
})

test('rules are taken apart and put together by resource; rules for URLs stay apart', () => {
  const rules = compactRules([
    { apiGroups: ['', 'apps'], resources: ['pods'], verbs: ['get', 'list'] }, { apiGroups: [''], resources: ['pods'], verbs: ['get', 'watch'] },
    { apiGroups: [''], resources: ['pods'], resourceNames: ['a'], verbs: ['delete'] }, { nonResourceURLs: ['/healthz'], verbs: ['get'] },
  ])
  assert.deepEqual(rules.map((r) => [r.group, r.resource, r.resourceNames.join(), r.nonResourceUrls.join(), r.verbs.join()]), [
    ['', 'pods', 'a', '', 'delete'], ['', 'pods', '', '', 'get,list,watch'], ['apps', 'pods', '', '', 'get,list'], [undefined, '', '', '/healthz', 'get'],
  ])
})

test('a pod needs the sum of its containers, or its largest init container beside the sidecars before it, and its overhead', () => {
  const container = (cpu: string, more: object = {}): object => ({ name: 'c', resources: { requests: { cpu } }, ...more })
  const pod = (spec: object): Pod => ({ metadata: { name: 'p', uid: 'u' }, spec, status: {} } as unknown as Pod) // cast: the fields that are looked at
  const cpuOf = (spec: object): number => Number(podAmounts(pod(spec), 'requests').get('cpu')?.nano ?? 0n) / 1e6
  assert.equal(cpuOf({ containers: [container('100m'), container('200m')] }), 300)
  assert.equal(cpuOf({ containers: [container('100m')], initContainers: [container('1')] }), 1000)
  assert.equal(cpuOf({ containers: [container('100m')], initContainers: [container('50m', { restartPolicy: 'Always' }), container('1')] }), 1050)
  assert.equal(cpuOf({ containers: [container('100m')], overhead: { cpu: '10m' } }), 110)
  assert.equal(cpuOf({ containers: [container('100m')], resources: { requests: { cpu: '2' } } }), 2000)
})

test('field names become words', () => {
  for (const [field, words] of [['creationTimestamp', 'Creation Timestamp'], ['apiVersion', 'API Version'], ['uid', 'UID'], ['apiURL', 'API URL'], ['clusterIPs', 'Cluster I Ps'], ['podCIDRs', 'Pod CIDRs'], ['a.b', 'a.b'], ['lastHTTPGet', 'Last HTTPGet']] as const) {
    assert.equal(labelOf(field), words)
  }
})

test('probes', () => {
  assert.equal(formatProbe({ httpGet: { path: 'x', port: 80, scheme: 'HTTP' }, periodSeconds: 10 }), 'http-get http://:80/x delay=0s timeout=0s period=10s successThreshold=0 failureThreshold=0')
  assert.match(formatProbe({ exec: { command: ['a', 'b'] } }), /^exec \[a b\] /)
  assert.match(formatProbe({ tcpSocket: { port: 'db' } }), /^tcp-socket :db /)
})

test('a pod template: labels, containers, volumes, with tabs', () => {
  const text = describePodTemplate({ metadata: { labels: { app: 'web', zone: 'a' } }, spec: { containers: [{ name: 'main', image: 'nginx' }] } })
  assert.equal(text, 'Pod Template:\n  Labels:\tapp=web\n\tzone=a\n  Containers:\n   main:\n    Image:\tnginx\n    Port:\t<none>\n    Host Port:\t<none>\n    Environment:\t<none>\n    Mounts:\t<none>\n  Volumes:\t<none>\n  Node-Selectors:\t<none>\n  Tolerations:\t<none>\n')
})

test('events: oldest first, with how often they came; their columns are their own', () => {
  const out = new DescribeWriter()
  out.line(0, 'A very long title indeed:\tx')
  const event = { metadata: { name: 'e', uid: 'u' }, involvedObject: { fieldPath: 'spec.containers{main}' }, type: 'Normal', reason: 'Pulled', message: ' pulled \n', source: { component: 'kubelet' }, count: 3, firstTimestamp: '2026-01-01T00:00:00Z', lastTimestamp: '2026-01-01T00:01:00Z' } as unknown as Event // cast: the fields that are looked at
  writeEvents(out, [event], Date.parse('2026-01-01T00:02:00Z'))
  assert.equal(out.aligned(), 'A very long title indeed:  x\nEvents:\n  Type    Reason  Age               From     Message\n  ----    ------  ----              ----     -------\n  Normal  Pulled  60s (x3 over 2m)  kubelet  spec.containers{main}: pulled\n')
})

test('annotations: the one of apply is hidden, long ones are broken and cut', () => {
  const out = new DescribeWriter()
  out.annotations('Annotations', { b: 'x'.repeat(150), a: '1', 'kubectl.kubernetes.io/last-applied-configuration': '{}' })
  assert.equal(out.aligned(), `Annotations:  a: 1\n              b:\n                ${'x'.repeat(138)}...\n`)
})

test('what is no certificate request is said so', () => {
  assert.throws(() => parseCertificateRequest('nonsense'), /PEM block type must be CERTIFICATE REQUEST/)
})
