import assert from 'node:assert/strict'
import { test } from 'node:test'
import { computePodActions } from './pod-actions.ts'
import { containerHash } from './pod-facts.ts'
import type { ProbeResult } from './pod-actions.ts'
import type { RuntimeContainer, RuntimePod } from '../runtime/runtime-status.ts'
import type { Container, Pod } from '../../../lib/api/generated/types/core-v1.ts'

// One line per case: the spec, what the runtime shows, and the actions expected, in a small notation.
//   spec:     init/sidecar/app containers as `i:a s:b c`, then the restart policy
//   observed: sandbox `-` (none), `up`, `down`; containers `name=running`, `name=exit(code)`, `name=created`, `name=unknown`, probes `name!live`, `name!startup`, `name+startup`
//   actions:  `sandbox(n)`, `kill-pod`, `start name`, `init name`, `kill name`
const transcript: readonly (readonly [title: string, spec: string, observed: string, actions: string])[] = [
  ['a new pod', 'a b Always', '-', 'kill-pod sandbox(0) start a start b'],
  ['a new pod with init containers begins with the first', 'i:x i:y a Always', '-', 'kill-pod sandbox(0) init x'],
  ['nothing to do', 'a b Always', 'up a=running b=running', ''],
  ['a container that was never made', 'a b Always', 'up a=running', 'start b'],
  ['a crash is restarted', 'a b Always', 'up a=running b=exit(1)', 'start b'],
  ['success is restarted under Always', 'a Always', 'up a=exit(0)', 'start a'],
  ['success is left under OnFailure', 'a b OnFailure', 'up a=running b=exit(0)', ''],
  ['failure is restarted under OnFailure', 'a b OnFailure', 'up a=running b=exit(2)', 'start b'],
  ['failure is left under Never', 'a b Never', 'up a=running b=exit(2)', ''],
  ['all done: the pod is stopped', 'a b Never', 'up a=exit(0) b=exit(2)', 'kill-pod'],
  ['all succeeded under OnFailure: the pod is stopped', 'a OnFailure', 'up a=exit(0)', 'kill-pod'],
  ['a dead sandbox is replaced and everything started', 'a b Always', 'down a=exit(137) b=exit(0)', 'kill-pod sandbox(1) start a start b'],
  ['a dead sandbox of a pod that never restarts stays dead', 'a Never', 'down a=exit(137)', 'kill-pod'],
  ['a dead sandbox under OnFailure restarts what had not succeeded', 'a b OnFailure', 'down a=exit(0) b=exit(1)', 'kill-pod sandbox(1) start b'],
  ['a sandbox without an address is replaced', 'a Always', 'noip a=running', 'kill-pod sandbox(1) start a'],
  ['an unknown container is killed and started', 'a b Always', 'up a=running b=unknown', 'start b kill b'],
  ['liveness failure restarts', 'a b Always', 'up a=running b=running b!live', 'start b kill b'],
  ['liveness failure under Never only kills', 'a b Never', 'up a=running b=running b!live', 'kill b'],
  ['startup failure restarts', 'a Always', 'up a=running a!startup', 'start a kill a'],
  ['a changed image restarts even under Never', 'a b Never', 'up a=running b=running b!hash', 'start b kill b'],
  ['the first init container starts', 'i:x i:y a Always', 'up', 'init x'],
  ['a running init container is waited for', 'i:x i:y a Always', 'up x=running', ''],
  ['after the first, the second', 'i:x i:y a Always', 'up x=exit(0)', 'init y'],
  ['after the last, the app', 'i:x i:y a Always', 'up x=exit(0) y=exit(0)', 'start a'],
  ['a failed init container is retried', 'i:x a Always', 'up x=exit(1)', 'init x'],
  ['a failed init container under Never ends the pod', 'i:x a Never', 'up x=exit(1)', 'kill-pod'],
  ['a created init container is started again', 'i:x a Always', 'up x=created', 'init x'],
  ['init containers are over once an app container was made', 'i:x a Always', 'up a=running', ''],
  ['a running sidecar lets the next one go', 's:p i:x a Always', 'up p=running', 'init x'],
  ['a sidecar with a startup probe is waited for', 's:p~startup i:x a Always', 'up p=running', ''],
  ['a sidecar that has started lets the next one go', 's:p~startup i:x a Always', 'up p=running p+startup', 'init x'],
  ['a sidecar that fails to start is restarted', 's:p~startup i:x a Always', 'up p=running p!startup', 'init p kill p'],
  ['the last sidecar lets the app go', 'i:x s:p a Always', 'up x=exit(0) p=running', 'start a'],
  ['a dead sidecar is restarted beside the app', 's:p a Always', 'up p=exit(1) a=running', 'init p'],
  ['a dead sidecar is restarted even under Never', 's:p a Never', 'up p=exit(0) a=running', 'init p'],
  ['a lost sidecar is started again', 's:p a Always', 'up a=running', 'init p'],
  ['a sidecar does not keep a finished pod', 's:p a Never', 'up p=running a=exit(0)', 'kill-pod'],
  ['two dead sidecars start in order', 's:p s:q a Always', 'up p=exit(1) q=exit(1) a=running', 'init p init q'],
  ['an ephemeral container starts once', 'a e:dbg Always', 'up a=running', 'ephemeral dbg'],
  ['an ephemeral container that ended stays', 'a e:dbg Always', 'up a=running dbg=exit(1)', ''],
]

for (const [title, specText, observedText, expected] of transcript) {
  test(title, () => {
    const { pod, observed, probes } = build(specText, observedText)
    const actions = computePodActions(pod, observed, probes)
    const words = [
      ...(actions.killPod ? ['kill-pod'] : []), ...(actions.createSandbox ? [`sandbox(${actions.attempt})`] : []),
      ...actions.ephemeralContainersToStart.map((c) => `ephemeral ${c}`), ...actions.initContainersToStart.map((c) => `init ${c}`),
      ...actions.containersToStart.map((c) => `start ${c}`), ...actions.containersToKill.map((c) => `kill ${c.name}`),
    ]
    assert.equal(words.join(' '), expected)
  })
}

function build(specText: string, observedText: string): { pod: Pod; observed: RuntimePod; probes: { startup(id: string): ProbeResult | undefined; liveness(id: string): ProbeResult | undefined } } {
  const words = specText.split(' ')
  const restartPolicy = words.pop()
  const containers: Record<'i' | 'a' | 'e', Container[]> = { i: [], a: [], e: [] }
  for (const word of words) {
    const [, kind, name, probe] = /^(?:([ise]):)?(\w+)(~startup)?$/.exec(word) ?? []
    const container: Container = {
      name: name ?? '', image: 'img', resources: {}, livenessProbe: { periodSeconds: 1 }, ...(kind === 's' ? { restartPolicy: 'Always' } : {}),
      ...(probe || !kind ? { startupProbe: { periodSeconds: 1 } } : {}),
    }
    containers[kind === 'e' ? 'e' : kind ? 'i' : 'a'].push(container)
  }
  const pod: Pod = {
    metadata: { name: 'p', namespace: 'd', uid: 'u', resourceVersion: '1', creationTimestamp: '' },
    spec: { containers: containers.a, initContainers: containers.i, ephemeralContainers: containers.e, restartPolicy: restartPolicy ?? 'Always' },
    status: {},
  }
  const [sandbox, ...rest] = observedText.split(' ')
  const results = new Map<string, ProbeResult>()
  const observedContainers: RuntimeContainer[] = []
  for (const word of rest) {
    const [, name, state, code] = /^(\w+)=(\w+)(?:\((\d+)\))?$/.exec(word) ?? []
    if (name && state) {
      const placed = [...containers.i, ...containers.a, ...containers.e].find((c) => c.name === name)
      const changed = rest.includes(`${name}!hash`)
      observedContainers.push({
        id: `id-${name}`, name, sandboxId: 's', state: state === 'exit' ? 'exited' : state as RuntimeContainer['state'], restartCount: 0, // cast: the transcript uses state names
        hash: placed && !changed ? containerHash(placed) : 'other', createdAtMs: 1, startedAtMs: 1, finishedAtMs: 0, exitCode: Number(code ?? 0), reason: '', message: '', image: '', imageRef: '',
        annotations: {}, logPath: '', resources: undefined, user: undefined,
      })
    }
    const [, probed, sign, kind] = /^(\w+)([!+])(live|startup)$/.exec(word) ?? []
    if (probed) results.set(`${kind} id-${probed}`, sign === '!' ? 'failure' : 'success')
  }
  return {
    pod,
    observed: {
      uid: 'u', name: 'p', namespace: 'd', containers: observedContainers,
      sandboxes: sandbox === '-' ? [] : [{ id: 's', attempt: 0, ready: sandbox !== 'down', createdAtMs: 1, ips: sandbox === 'noip' ? [] : ['10.0.0.1'], hostNetwork: false }],
    },
    probes: { startup: (id) => results.get(`startup ${id}`), liveness: (id) => results.get(`live ${id}`) },
  }
}
