import assert from 'node:assert/strict'
import { test } from 'node:test'
import { limitFiles, parseCgroupLayout, sharesToWeight } from './cgroup/linux-cgroups.ts'
import { planContainerGc } from './gc/container-gc.ts'
import { planImageGc } from './gc/image-gc.ts'
import { applyDefaultTag, defaultPullPolicy } from './images/image-manager.ts'
import { matchCredentials, parseDockerConfig, repositoryOf } from './images/pull-credentials.ts'
import { ConfigurationError, parseTaint, readKubeletFile } from './kubelet-configuration.ts'
import { BackOff, formatGoDuration } from './pod/back-off.ts'
import { applyLifeEvent, beginLife } from './pod/pod-lifecycle.ts'
import { computeOomScore, computeQosClass, milliToQuota, milliToShares, podRequests } from './pod/pod-resources.ts'
import { statusPatch } from './status/status-manager.ts'
import type { RuntimeContainer } from './runtime/runtime-status.ts'
import type { Container, Pod, ResourceRequirements } from '../../lib/api/generated/types/core-v1.ts'

const pod = (containers: readonly Partial<Container>[], more: object = {}): Pod => ({
  metadata: { name: 'p', namespace: 'd', uid: 'u', resourceVersion: '', creationTimestamp: '' }, spec: { containers: containers.map((c, i) => ({ name: `c${i}`, resources: {}, ...c })), ...more }, status: {},
})
const uses = (requests?: Record<string, string>, limits?: Record<string, string>): { resources: ResourceRequirements } => ({ resources: { ...(requests ? { requests } : {}), ...(limits ? { limits } : {}) } })

test('quality of service and what follows from it', () => {
  assert.equal(computeQosClass(pod([{}])), 'BestEffort')
  assert.equal(computeQosClass(pod([uses({ cpu: '1' })])), 'Burstable')
  assert.equal(computeQosClass(pod([uses({ cpu: '1', memory: '1Gi' }, { cpu: '1000m', memory: '1024Mi' })])), 'Guaranteed')
  assert.equal(computeQosClass(pod([uses(undefined, { cpu: '1', memory: '1Gi' })])), 'Guaranteed')
  assert.equal(computeQosClass(pod([uses({ cpu: '1', memory: '1Gi' }, { cpu: '1', memory: '1Gi' }), {}])), 'Burstable')
  assert.equal(computeOomScore(pod([{}]), { name: 'c', resources: {} }, 8e9), 1000)
  const half = uses({ memory: '4000000000' })
  assert.equal(computeOomScore(pod([half]), { name: 'c', ...half }, 8e9), 500)
  assert.deepEqual([milliToShares(0), milliToShares(1), milliToShares(500), milliToQuota(0), milliToQuota(1), milliToQuota(500)], [2, 2, 512, 0, 1000, 50_000])
})

test('requests: init containers one by one, sidecars beside everything, overhead on top', () => {
  const p = pod([uses({ cpu: '100m' }), uses({ cpu: '200m', memory: '1Ki' })], {
    initContainers: [{ name: 'i', ...uses({ cpu: '900m' }) }, { name: 's', restartPolicy: 'Always', ...uses({ cpu: '50m' }) }, { name: 'j', ...uses({ cpu: '700m' }) }], overhead: { cpu: '10m' },
  })
  assert.deepEqual(podRequests(p), { cpu: 910, memory: 1024 })
})

test('back-off doubles to its maximum and is forgotten after quiet', () => {
  const backOff = new BackOff(10_000, 300_000)
  const delays: number[] = []
  let now = 0
  for (let i = 0; i < 7; i++) {
    assert.equal(backOff.remaining('k', now, now), i === 0 ? 0 : backOff.get('k'))
    now += backOff.remaining('k', now, now)
    backOff.next('k', now, now)
    delays.push(backOff.get('k'))
  }
  assert.deepEqual(delays, [10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000])
  assert.equal(backOff.remaining('k', now + 600_001, now + 600_001), 0)
  backOff.next('k', now + 600_001, now + 600_001)
  assert.equal(backOff.get('k'), 10_000)
  assert.deepEqual([10_000, 80_000, 300_000, 1500, 12.5, 3_600_000].map(formatGoDuration), ['10s', '1m20s', '5m0s', '1.5s', '12.5ms', '1h0m0s'])
})

test('a life never goes back, and its grace only gets shorter', () => {
  let life = beginLife(pod([{}]))
  assert.equal(life.stage, 'syncing')
  life = applyLifeEvent(life, { type: 'kill', graceSeconds: 30 })
  life = applyLifeEvent(life, { type: 'kill', graceSeconds: 5 })
  life = applyLifeEvent(life, { type: 'kill', graceSeconds: 60 })
  assert.deepEqual([life.stage, life.graceOverrideSeconds], ['terminating', 5])
  life = applyLifeEvent(life, { type: 'update', pod: pod([{}]) })
  assert.equal(life.stage, 'terminating')
  life = applyLifeEvent(applyLifeEvent(life, { type: 'stopped' }), { type: 'cleaned' })
  assert.equal(life.stage, 'finished')
  assert.equal(applyLifeEvent(life, { type: 'removed' }).removed, true)
})

test('images: names, default tags and policies, credentials', () => {
  for (const [name, expected] of [['nginx', 'nginx:latest'], ['nginx:1', 'nginx:1'], ['localhost:5000/a/b', 'localhost:5000/a/b:latest'], ['a@sha256:' + '0'.repeat(64), 'a@sha256:' + '0'.repeat(64)], ['NGINX', undefined], ['a b', undefined], ['', undefined]] as const) assert.equal(applyDefaultTag(name), expected, name)
  assert.deepEqual([defaultPullPolicy('a'), defaultPullPolicy('a:latest'), defaultPullPolicy('a:1')], ['Always', 'Always', 'IfNotPresent'])
  assert.deepEqual(['nginx', 'me/x:1', 'r.io:5000/x@sha256:1', 'localhost/x'].map(repositoryOf), ['docker.io/library/nginx', 'docker.io/me/x', 'r.io:5000/x', 'localhost/x'])
  const credentials = parseDockerConfig(JSON.stringify({ auths: { 'https://index.docker.io/v1/': { auth: btoa('u:p:w') }, 'r.io/team': { username: 'team', password: 'x' }, 'r.io': { username: 'all', password: 'x' }, '*.example.com': { username: 'star', password: '' } } }))
  const names = (image: string): unknown => matchCredentials(image, credentials).map((a) => `${a.username}/${a.password}`)
  assert.deepEqual(names('nginx'), ['u/p:w'])
  assert.deepEqual(names('r.io/team/app:1'), ['team/x', 'all/x'])
  assert.deepEqual(names('r.io/other'), ['all/x'])
  assert.deepEqual(names('a.example.com/x'), ['star/'])
  assert.deepEqual(names('a.b.example.com/x'), [])
  assert.deepEqual(parseDockerConfig('{bad'), [])
})

test('control groups: the layout from the mounts, limits by version', () => {
  const hybrid = parseCgroupLayout('30 25 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n31 25 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n32 25 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw')
  assert.deepEqual([...hybrid.v1], [['memory', '/sys/fs/cgroup/memory'], ['cpu', '/sys/fs/cgroup/cpu,cpuacct'], ['cpuacct', '/sys/fs/cgroup/cpu,cpuacct']])
  const limits = { cpuShares: 512, cpuQuota: 50_000, memoryLimitBytes: 1024 }
  assert.deepEqual(limitFiles(hybrid, limits).map(([, f, v]) => `${f}=${v}`), ['cpu.shares=512', 'cpu.cfs_period_us=100000', 'cpu.cfs_quota_us=50000', 'memory.limit_in_bytes=1024'])
  const pure = parseCgroupLayout('30 25 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw')
  assert.deepEqual(limitFiles(pure, { ...limits, cpuQuota: 0 }).map(([, f, v]) => `${f}=${v}`), ['cpu.weight=20', 'cpu.max=max 100000', 'memory.max=1024'])
  assert.deepEqual([2, 1024, 262_144].map(sharesToWeight), [1, 39, 10_000])
})

test('garbage: one dead attempt beside the newest stays, images go oldest first', () => {
  const attempt = (name: string, n: number, state: RuntimeContainer['state']): RuntimeContainer => ({
    id: `${name}${n}`, name, sandboxId: n > 1 ? 's1' : 's0', state, restartCount: n, hash: '', createdAtMs: n, startedAtMs: 0, finishedAtMs: 0, exitCode: 0, reason: '', message: '', image: '', imageRef: '', annotations: {}, logPath: '', resources: undefined, user: undefined,
  })
  const runtimePod = {
    uid: 'u', name: 'p', namespace: 'd', containers: [attempt('a', 3, 'running'), attempt('a', 2, 'exited'), attempt('a', 1, 'exited'), attempt('a', 0, 'exited'), attempt('b', 0, 'exited')],
    sandboxes: [{ id: 's1', attempt: 1, ready: true, createdAtMs: 1, ips: [], hostNetwork: false }, { id: 's0', attempt: 0, ready: false, createdAtMs: 0, ips: [], hostNetwork: false }],
  }
  const input = { pods: [runtimePod], keepPerContainer: 1, nowMs: 100, minimumAgeMs: 0 }
  assert.deepEqual(planContainerGc({ ...input, isKnown: () => true }), { containers: ['a1', 'a0'], sandboxes: [] })
  assert.deepEqual(planContainerGc({ ...input, isKnown: () => false }), { containers: ['a2', 'a1', 'a0', 'b0'], sandboxes: ['s0'] })
  const image = (id: string, lastUsedAtMs: number, inUse = false): Parameters<typeof planImageGc>[0]['images'][number] => ({ id, sizeBytes: 10, firstDetectedAtMs: 0, lastUsedAtMs, inUse, pinned: false })
  const gc = (availableBytes: number): unknown => planImageGc({ images: [image('new', 9), image('old', 1), image('used', 0, true), image('mid', 5)], capacityBytes: 100, availableBytes, highThresholdPercent: 85, lowThresholdPercent: 80, minimumAgeMs: 10, nowMs: 1000 }).remove.map((i) => i.id)
  assert.deepEqual(gc(16), [])
  assert.deepEqual(gc(5), ['old', 'mid'])
})

test('a status patch has what changed and no more', () => {
  assert.equal(statusPatch({ phase: 'Running' }, { phase: 'Running' }), undefined)
  assert.deepEqual(statusPatch(
    { phase: 'Pending', message: 'm', podIPs: [{ ip: '1' }], conditions: [{ type: 'Ready', status: 'False' }, { type: 'x', status: 'True' }], nominatedNodeName: 'n' },
    { phase: 'Running', podIPs: [{ ip: '2' }], conditions: [{ type: 'Ready', status: 'True' }, { type: 'x', status: 'True' }] },
  ), { phase: 'Running', message: null, podIPs: [{ ip: '2' }, { $patch: 'delete', ip: '1' }], conditions: [{ type: 'Ready', status: 'True' }] })
})

test('configuration files', () => {
  const file = readKubeletFile({ apiVersion: 'kubelet.config.k8s.io/v1beta1', kind: 'KubeletConfiguration', staticPodPath: '/m', syncFrequency: '30s', clusterDNS: ['10.0.0.10'], evictionHard: { 'memory.available': '5%' }, containerLogMaxSize: '5Mi', authentication: { x509: { clientCAFile: '/ca' }, anonymous: { enabled: false } }, topologyManagerPolicy: 'none' })
  assert.deepEqual(file.settings, { staticPodPath: '/m', syncFrequencyMs: 30_000, clusterDns: ['10.0.0.10'], evictionHard: { 'memory.available': '5%' }, containerLogMaxBytes: 5 * 2 ** 20 })
  assert.deepEqual([file.clientCaFile, file.anonymousAuth, file.ignored], ['/ca', false, ['topologyManagerPolicy']])
  assert.throws(() => readKubeletFile({ apiVersion: 'kubelet.config.k8s.io/v1beta1', kind: 'KubeletConfiguration', syncFrequency: 'soon' }), ConfigurationError)
  assert.throws(() => readKubeletFile({ kind: 'Pod' }), ConfigurationError)
  assert.deepEqual(parseTaint('a=b:NoSchedule'), { key: 'a', value: 'b', effect: 'NoSchedule' })
  assert.throws(() => parseTaint('a=b'), ConfigurationError)
})
