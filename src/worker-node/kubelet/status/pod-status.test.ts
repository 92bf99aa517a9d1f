import assert from 'node:assert/strict'
import { test } from 'node:test'
import { computePodStatus } from './pod-status.ts'
import type { RuntimeContainer, RuntimePod } from '../runtime/runtime-status.ts'
import type { Container, Pod, PodStatus } from '../../../lib/api/generated/types/core-v1.ts'

// spec: like in pod-actions.test.ts; observed: `name=running|exit(code)|none`, older attempts after `/`; `-name` not ready, `?name` not started, `!name:Reason` can't start
// expected: phase, then conditions Initialized Ready as T or F with the reason, then each container as name:state
const table: readonly (readonly [title: string, spec: string, observed: string, expected: string])[] = [
  ['nothing yet', 'a b Always', '', 'Pending I=T R=F/ContainersNotReady a:ContainerCreating b:ContainerCreating'],
  ['one of two runs', 'a b Always', 'a=running', 'Pending I=T R=F/ContainersNotReady a:running b:ContainerCreating'],
  ['both run', 'a b Always', 'a=running b=running', 'Running I=T R=T a:running b:running'],
  ['a readiness probe fails', 'a b Always', 'a=running b=running -b', 'Running I=T R=F/ContainersNotReady a:running b:running'],
  ['a crash before its restart', 'a Always', 'a=exit(1)', 'Running I=T R=F/ContainersNotReady a:exit(1)'],
  ['waiting in back-off', 'a Always', 'a=exit(1) !a:CrashLoopBackOff', 'Running I=T R=F/ContainersNotReady a:CrashLoopBackOff/1'],
  ['an image that can not be pulled', 'a Always', '!a:ErrImagePull', 'Pending I=T R=F/ContainersNotReady a:ErrImagePull'],
  ['success under OnFailure', 'a OnFailure', 'a=exit(0)', 'Succeeded I=T R=F/PodCompleted a:exit(0)'],
  ['failure under OnFailure', 'a OnFailure', 'a=exit(2)', 'Running I=T R=F/ContainersNotReady a:exit(2)'],
  ['one ended, one runs, under Never', 'a b Never', 'a=exit(2) b=running', 'Running I=T R=F/ContainersNotReady a:exit(2) b:running'],
  ['one failed under Never', 'a b Never', 'a=exit(2) b=exit(0)', 'Failed I=T R=F/PodFailed a:exit(2) b:exit(0)'],
  ['initialising', 'i:x a Always', 'x=running', 'Pending I=F/ContainersNotInitialized R=F/ContainersNotReady x:running a:PodInitializing'],
  ['an init container failed under Never', 'i:x a Never', 'x=exit(1)', 'Failed I=F/ContainersNotInitialized R=F/PodFailed x:exit(1) a:PodInitializing'],
  ['an init container failed and is retried', 'i:x a Always', 'x=exit(1) !x:CrashLoopBackOff', 'Pending I=F/ContainersNotInitialized R=F/ContainersNotReady x:CrashLoopBackOff/1 a:PodInitializing'],
  ['initialised', 'i:x a Always', 'x=exit(0) a=running', 'Running I=T R=T x:exit(0) a:running'],
  ['an init container that the runtime forgot', 'i:x a Always', 'a=running', 'Running I=T R=T x:exit(0) a:running'],
  ['a sidecar that has not started', 's:p a Always', 'p=running ?p', 'Pending I=F/ContainersNotInitialized R=F/ContainersNotReady p:running a:PodInitializing'],
  ['a sidecar and the app', 's:p a Always', 'p=running a=running', 'Running I=T R=T p:running a:running'],
  ['a sidecar that is not ready', 's:p a Always', 'p=running a=running -p', 'Running I=T R=F/ContainersNotReady p:running a:running'],
  ['after a restart', 'a Always', 'a=running/exit(137)', 'Running I=T R=T a:running/137'],
]

for (const [title, specText, observedText, expected] of table) test(title, () => assert.equal(describeStatus(build(specText, observedText)), expected))

function build(specText: string, observedText: string, previous: PodStatus = {}): PodStatus {
  const words = specText.split(' ')
  const restartPolicy = words.pop() ?? 'Always'
  const containers: Record<'i' | 'a', Container[]> = { i: [], a: [] }
  for (const word of words) {
    const [, kind, name = ''] = /^(?:([is]):)?(\w+)$/.exec(word) ?? []
    containers[kind ? 'i' : 'a'].push({ name, image: 'img', resources: {}, ...(kind === 's' ? { restartPolicy: 'Always' } : {}) })
  }
  const pod: Pod = { metadata: { name: 'p', namespace: 'd', uid: 'u', resourceVersion: '1', creationTimestamp: '', generation: 3 }, spec: { containers: containers.a, initContainers: containers.i, restartPolicy }, status: {} }
  const observedContainers: RuntimeContainer[] = []
  const reasons = new Map<string, string>()
  const notReady = new Set<string>()
  const notStarted = new Set<string>()
  for (const word of observedText.split(' ')) {
    if (word.startsWith('-')) notReady.add(word.slice(1))
    if (word.startsWith('?')) notStarted.add(word.slice(1))
    const [, failed, reason] = /^!(\w+):(\w+)$/.exec(word) ?? []
    if (failed && reason) reasons.set(failed, reason)
    const [, name, states] = /^(\w+)=(.*)$/.exec(word) ?? []
    states?.split('/').forEach((state, i, all) => observedContainers.push({
      id: `${name}-${i}`, name: name ?? '', sandboxId: 's', state: state.startsWith('exit') ? 'exited' : 'running', restartCount: all.length - 1 - i, hash: '', createdAtMs: 1000 - i, startedAtMs: 1000, finishedAtMs: 2000,
      exitCode: Number(/\((\d+)\)/.exec(state)?.[1] ?? 0), reason: '', message: '', image: 'img:1', imageRef: 'sha256:1', annotations: {}, logPath: '', resources: undefined, user: undefined,
    }))
  }
  const observed: RuntimePod = { uid: 'u', name: 'p', namespace: 'd', containers: observedContainers, sandboxes: [{ id: 's', attempt: 0, ready: true, createdAtMs: 1, ips: ['10.0.0.9'], hostNetwork: false }] }
  return computePodStatus({
    pod, observed, previous, runtimeName: 'r', nowMs: 5000, hostIps: ['192.0.2.1'], isTerminal: false,
    waitingReason: (name) => { const reason = reasons.get(name); return reason === undefined ? undefined : { reason, message: 'm' } },
    readiness: { isStarted: (_pod, c) => !notStarted.has(c.name), isReady: (_pod, c) => !notReady.has(c.name) },
  })
}

function describeStatus(status: PodStatus): string {
  const condition = (type: string): string => { const c = status.conditions?.find((x) => x.type === type); return `${c?.status === 'True' ? 'T' : 'F'}${c?.reason ? `/${c.reason}` : ''}` }
  const containers = [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])].map((c) => {
    const state = c.state.running ? 'running' : c.state.terminated ? `exit(${c.state.terminated.exitCode})` : c.state.waiting?.reason ?? ''
    return `${c.name}:${state}${c.lastState.terminated ? `/${c.lastState.terminated.exitCode}` : ''}`
  })
  return [status.phase, `I=${condition('Initialized')}`, `R=${condition('Ready')}`, ...containers].join(' ')
}

test('conditions: transition times stay with the status, those of others are kept, generations are told', () => {
  const previous: PodStatus = {
    phase: 'Pending', startTime: '2020-01-01T00:00:00Z',
    conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: '2020-01-01T00:00:00Z' }, { type: 'Initialized', status: 'False', lastTransitionTime: '2020-01-01T00:00:00Z' }, { type: 'example.com/gate', status: 'True' }],
  }
  const status = build('a Always', 'a=running', previous)
  const find = (type: string): string | undefined => status.conditions?.find((c) => c.type === type)?.lastTransitionTime
  assert.equal(find('Ready'), '2020-01-01T00:00:00Z')
  assert.equal(find('Initialized'), '1970-01-01T00:00:05Z')
  assert.ok(status.conditions?.some((c) => c.type === 'example.com/gate'))
  assert.equal(status.observedGeneration, 3)
  assert.equal(status.startTime, '2020-01-01T00:00:00Z')
  assert.equal(status.podIP, '10.0.0.9')
})

test('a terminal phase is never left', () => {
  assert.equal(build('a Always', 'a=running', { phase: 'Failed', reason: 'Evicted' }).phase, 'Failed')
  assert.equal(build('a Always', 'a=running', { phase: 'Failed', reason: 'Evicted' }).reason, 'Evicted')
})
