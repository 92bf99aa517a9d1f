import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CriError } from '../../src/lib/cri-api/cri-services.ts'
import { configMaps, leases, pods, secrets } from '../../src/lib/client/resource-keys.ts'
import { condition, nodeName, startTestNode, webPod } from './kubelet-node.ts'

const never = new AbortController().signal

test('the node registers, is ready and renews its lease', async () => {
  await using t = await startTestNode()
  await t.kubelet.started
  const node = await t.node()
  assert.equal(node.metadata.labels?.['kubernetes.io/hostname'], nodeName)
  assert.equal(node.status?.capacity?.['cpu'], '4')
  assert.equal(node.status?.capacity?.['memory'], '8Gi')
  assert.equal(node.status?.allocatable?.['memory'], '8092Mi')
  assert.equal(node.status?.allocatable?.['pods'], '110')
  assert.deepEqual(node.status?.conditions?.map((c) => `${c.type}=${c.status} ${c.reason}`), [
    'MemoryPressure=False KubeletHasSufficientMemory', 'DiskPressure=False KubeletHasNoDiskPressure', 'PIDPressure=False KubeletHasSufficientPID', 'Ready=True KubeletReady',
  ])
  const lease = await t.client.resource(leases).get('kube-node-lease', nodeName, never)
  assert.equal(lease.spec.holderIdentity, nodeName)
  await t.clock.advance(25_000)
  const renewed = await t.client.resource(leases).get('kube-node-lease', nodeName, never)
  assert.equal(Date.parse(renewed.spec.renewTime ?? '') - Date.parse(lease.spec.renewTime ?? ''), 20_000)
  const writes = t.api.requests.filter((r) => r.startsWith('PATCH /api/v1/nodes/')).length
  await t.clock.advance(240_000)
  assert.ok(t.api.requests.filter((r) => r.startsWith('PATCH /api/v1/nodes/')).length - writes <= 1, 'an unchanged status is not written every 10 s')
})

test('a pod runs, is reported and is removed', async () => {
  await using t = await startTestNode()
  await t.createPod(webPod('a'))
  await t.until('pod is ready', async () => condition(await t.pod('a'), 'Ready') === 'True')
  const pod = await t.pod('a')
  assert.equal(pod.status?.phase, 'Running')
  assert.equal(pod.status?.podIP, '10.88.0.1')
  assert.equal(pod.status?.hostIP, '192.0.2.1')
  assert.equal(pod.status?.qosClass, 'BestEffort')
  const status = await t.status('a')
  assert.match(status.containerID ?? '', /^k8ts-simulated:\/\/[0-9a-f]{64}$/)
  assert.equal(status.ready, true)
  assert.equal(status.started, true)
  assert.deepEqual((await t.events('a')).map((e) => e.reason), ['Pulled', 'Created', 'Started'])

  await t.client.resource(pods).delete('default', 'a', {}, never)
  await t.until('pod is gone', async () => (await t.tryPod('a')) === undefined)
  await t.until('nothing is left in the runtime', () => t.simulated.containers().length === 0)
  assert.equal(await t.disk.lstat(`/var/lib/kubelet/pods/${pod.metadata.uid}`), undefined)
  assert.ok((await t.events('a')).some((e) => e.reason === 'Killing' && e.message === 'Stopping container web'))
})

test('a crash is restarted at once, the next after 10 s, then 20 s', async () => {
  await using t = await startTestNode({ behave: () => ({ exit: { code: 3, afterMs: 1000 } }) })
  await t.createPod(webPod('a'))
  await t.until('first restart', async () => (await t.pod('a')).status !== undefined && (await t.status('a')).restartCount === 1)
  await t.until('back-off', async () => (await t.status('a')).state.waiting?.reason === 'CrashLoopBackOff')
  const waiting = await t.status('a')
  assert.match(waiting.state.waiting?.message ?? '', /^back-off 10s restarting failed container=web pod=a_default\([0-9a-f-]+\)$/)
  assert.equal(waiting.lastState.terminated?.exitCode, 3)
  assert.equal(waiting.lastState.terminated?.reason, 'Error')
  assert.equal((await t.pod('a')).status?.phase, 'Running')
  const start = t.clock.now()
  await t.until('second restart', async () => (await t.status('a')).restartCount === 2)
  assert.ok(Math.abs(t.clock.now() - start - 10_000) < 1500, `waited ${t.clock.now() - start} ms`)
  await t.until('back-off again', async () => (await t.status('a')).state.waiting?.message?.startsWith('back-off 20s') === true)
})

test('a pod with restartPolicy Never succeeds or fails', async () => {
  await using t = await startTestNode({ behave: (c) => ({ exit: { code: c.podName === 'good' ? 0 : 5, afterMs: 500 } }) })
  await t.createPod(webPod('good', { restartPolicy: 'Never' }))
  await t.createPod(webPod('bad', { restartPolicy: 'Never' }))
  await t.until('both are over', async () => (await t.pod('good')).status?.phase === 'Succeeded' && (await t.pod('bad')).status?.phase === 'Failed')
  assert.equal((await t.status('bad')).state.terminated?.exitCode, 5)
  const good = await t.pod('good')
  assert.equal(good.status?.conditions?.find((c) => c.type === 'Ready')?.reason, 'PodCompleted')
  assert.equal(condition(good, 'PodReadyToStartContainers'), 'False')
})

test('init containers go one after the other, a sidecar stays', async () => {
  const order: string[] = []
  await using t = await startTestNode({ behave: (c) => { order.push(c.config.metadata?.name ?? ''); return c.config.metadata?.name?.startsWith('init') ? { exit: { code: 0, afterMs: 300 } } : undefined } })
  await t.createPod(webPod('a', {
    initContainers: [{ name: 'init-1', image: 'i', resources: {} }, { name: 'side', image: 'i', resources: {}, restartPolicy: 'Always' }, { name: 'init-2', image: 'i', resources: {} }],
  }))
  await t.until('initialising', async () => ((await t.pod('a')).status?.initContainerStatuses?.length ?? 0) === 3)
  assert.equal((await t.status('a', 'web')).state.waiting?.reason, 'PodInitializing')
  await t.until('pod is ready', async () => condition(await t.pod('a'), 'Ready') === 'True')
  assert.deepEqual(order, ['init-1', 'side', 'init-2', 'web'])
  const pod = await t.pod('a')
  assert.equal(condition(pod, 'Initialized'), 'True')
  assert.deepEqual(pod.status?.initContainerStatuses?.map((s) => `${s.name} ${s.ready} ${Object.keys(s.state)[0]}`), ['init-1 true terminated', 'side true running', 'init-2 true terminated'])
})

test('environment and volumes come from ConfigMaps and Secrets', async () => {
  await using t = await startTestNode()
  t.api.seed(configMaps, { metadata: { name: 'settings', namespace: 'default' }, data: { colour: 'red', 'app.conf': 'x=1\n' } })
  t.api.seed(secrets, { metadata: { name: 'hidden', namespace: 'default' }, data: { password: btoa('pa55') } })
  await t.createPod(webPod('a', {
    containers: [{
      name: 'web', image: 'example/web:1', resources: {}, command: ['sh', '-c', 'echo $(COLOUR) $(MISSING) $$(COLOUR)'],
      env: [{ name: 'COLOUR', valueFrom: { configMapKeyRef: { name: 'settings', key: 'colour' } } }, { name: 'TOKEN', valueFrom: { secretKeyRef: { name: 'hidden', key: 'password' } } },
        { name: 'WHO', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }, { name: 'IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } }],
      volumeMounts: [{ name: 'conf', mountPath: '/etc/app' }, { name: 'scratch', mountPath: '/tmp/x' }],
    }],
    volumes: [{ name: 'conf', projected: { sources: [{ configMap: { name: 'settings', items: [{ key: 'app.conf', path: 'sub/app.conf' }] } }, { secret: { name: 'hidden' } }] } }, { name: 'scratch', emptyDir: {} }],
  }))
  await t.until('pod is ready', async () => condition(await t.pod('a'), 'Ready') === 'True')
  const container = t.simulated.find('a', 'web')
  const env = Object.fromEntries((container?.config.envs ?? []).map((e) => [e.key ?? '', new TextDecoder().decode(e.value)]))
  assert.equal(env['COLOUR'], 'red')
  assert.equal(env['TOKEN'], 'pa55')
  assert.equal(env['WHO'], 'a')
  assert.equal(env['IP'], '10.88.0.1')
  assert.deepEqual(container?.config.command, ['sh', '-c', 'echo red $(MISSING) $(COLOUR)'])
  const volume = container?.config.mounts?.find((m) => m.containerPath === '/etc/app')?.hostPath ?? ''
  assert.equal(new TextDecoder().decode(await t.disk.readFile(`${volume}/sub/app.conf`)), 'x=1\n')
  assert.equal(new TextDecoder().decode(await t.disk.readFile(`${volume}/password`)), 'pa55')
  assert.match(await t.disk.readlink(`${volume}/..data`), /^\.\.2026_01_01_/)

  t.api.change(configMaps, 'default', 'settings', (c) => ({ ...c, data: { ...c.data, 'app.conf': 'x=2\n' } }))
  await t.until('the change arrives', async () => new TextDecoder().decode(await t.disk.readFile(`${volume}/sub/app.conf`)) === 'x=2\n', 200_000)
})

test('a missing ConfigMap keeps the container waiting until it comes', async () => {
  await using t = await startTestNode()
  await t.createPod(webPod('a', { containers: [{ name: 'web', image: 'w', resources: {}, envFrom: [{ configMapRef: { name: 'later' } }] }] }))
  await t.until('waiting with a reason', async () => (await t.pod('a')).status?.containerStatuses?.[0]?.state.waiting?.reason === 'CreateContainerConfigError')
  assert.equal((await t.status('a')).state.waiting?.message, 'configmap "later" not found')
  t.api.seed(configMaps, { metadata: { name: 'later', namespace: 'default' }, data: { A: '1' } })
  await t.until('running', async () => (await t.pod('a')).status?.phase === 'Running')
})

test('readiness, liveness and startup probes', async () => {
  await using t = await startTestNode()
  t.simulated.setReady('a', 'web', false)
  await t.createPod(webPod('a', { containers: [{ name: 'web', image: 'w', resources: {}, readinessProbe: { httpGet: { path: '/', port: 80 }, periodSeconds: 1 } }] }))
  await t.until('running', async () => (await t.pod('a')).status?.phase === 'Running')
  await t.clock.advance(3000)
  assert.equal(condition(await t.pod('a'), 'Ready'), 'False')
  assert.ok((await t.events('a')).some((e) => e.reason === 'Unhealthy' && e.message === 'Readiness probe failed: HTTP probe failed with statuscode: 503'))
  t.simulated.setReady('a', 'web', true)
  await t.until('ready', async () => condition(await t.pod('a'), 'Ready') === 'True', 3000)

  await t.createPod(webPod('b', { containers: [{ name: 'web', image: 'w', resources: {}, livenessProbe: { httpGet: { path: '/', port: 80 }, periodSeconds: 1, failureThreshold: 2 } }] }))
  await t.until('running', async () => (await t.pod('b')).status?.phase === 'Running')
  t.simulated.setReady('b', 'web', false)
  await t.until('restarted', async () => (await t.status('b')).restartCount === 1, 10_000)
  assert.ok((await t.events('b')).some((e) => e.reason === 'Killing' && e.message === 'Container web failed liveness probe, will be restarted'))

  t.simulated.setReady('c', 'web', false)
  await t.createPod(webPod('c', { containers: [{ name: 'web', image: 'w', resources: {}, startupProbe: { httpGet: { path: '/', port: 80 }, periodSeconds: 1, failureThreshold: 30 }, readinessProbe: { httpGet: { path: '/', port: 80 }, periodSeconds: 1 } }] }))
  await t.until('running', async () => (await t.pod('c')).status?.phase === 'Running')
  assert.equal((await t.status('c')).started, false)
  t.simulated.setReady('c', 'web', true)
  await t.until('started and ready', async () => { const s = await t.status('c'); return s.started === true && s.ready }, 5000)
})

test('graceful stop: the grace of the pod, then the kill; a force delete is quick', async () => {
  await using t = await startTestNode({ behave: () => ({ ignoresStop: true }) })
  await t.createPod(webPod('a', { terminationGracePeriodSeconds: 7 }))
  await t.until('running', async () => (await t.pod('a')).status?.phase === 'Running')
  const start = t.clock.now()
  await t.client.resource(pods).delete('default', 'a', {}, never)
  await t.until('gone', async () => (await t.tryPod('a')) === undefined)
  assert.ok(t.clock.now() - start >= 7000 && t.clock.now() - start < 9000, `took ${t.clock.now() - start}`)
})

test('a restarted kubelet takes over: containers go on, counts stay, orphans go', async () => {
  await using t = await startTestNode()
  await t.createPod(webPod('a'))
  await t.createPod(webPod('gone'))
  await t.until('both run', async () => condition(await t.pod('a'), 'Ready') === 'True' && condition(await t.pod('gone'), 'Ready') === 'True')
  const id = t.simulated.find('a', 'web')?.id ?? ''
  t.simulated.exit(id, 1)
  await t.until('restarted once', async () => (await t.status('a')).restartCount === 1 && (await t.status('a')).ready)
  const running = t.simulated.find('a', 'web')?.id
  const before = await t.status('a')
  t.kubelet.close().catch(() => {})
  await t.clock.advance(10)
  await t.client.resource(pods).delete('default', 'gone', { gracePeriodSeconds: 0 }, never)
  await t.restart()
  await t.clock.advance(5000)
  assert.equal(t.simulated.find('a', 'web')?.id, running)
  assert.deepEqual(await t.status('a'), before)
  await t.until('the orphan is stopped', () => t.simulated.find('gone', 'web') === undefined)
})

test('a pod that does not fit is refused', async () => {
  await using t = await startTestNode()
  await t.kubelet.started
  await t.createPod(webPod('big', { containers: [{ name: 'web', image: 'w', resources: { requests: { cpu: '5' } } }] }))
  await t.until('refused', async () => (await t.pod('big')).status?.phase === 'Failed')
  const { status } = await t.pod('big')
  assert.equal(status?.reason, 'OutOfcpu')
  assert.equal(status?.message, "Node didn't have enough resource: cpu, requested: 5000, used: 0, capacity: 4000")
  await t.createPod(webPod('picky', { nodeSelector: { disk: 'ssd' } }))
  await t.until('refused', async () => (await t.pod('picky')).status?.reason === 'NodeAffinity')
})

test('an active deadline ends the pod', async () => {
  await using t = await startTestNode()
  await t.createPod(webPod('a', { activeDeadlineSeconds: 20 }))
  await t.until('running', async () => (await t.pod('a')).status?.phase === 'Running')
  await t.until('over', async () => (await t.pod('a')).status?.reason === 'DeadlineExceeded', 60_000)
  assert.equal((await t.pod('a')).status?.phase, 'Failed')
})

test('a broken sandbox is replaced', async () => {
  await using t = await startTestNode()
  await t.createPod(webPod('a'))
  await t.until('ready', async () => condition(await t.pod('a'), 'Ready') === 'True')
  t.simulated.breakSandbox(t.simulated.find('a', 'web')?.podSandboxId ?? '')
  await t.until('new address', async () => (await t.pod('a')).status?.podIP === '10.88.0.2' && condition(await t.pod('a'), 'Ready') === 'True', 60_000)
  assert.equal((await t.status('a')).restartCount, 1)
})

test('a failed pull waits, backs off and is retried', async () => {
  await using t = await startTestNode({ imagesPresent: false })
  t.simulated.images.failPull('example/web:1', new CriError('NotFound', 'no such image'))
  await t.createPod(webPod('a'))
  await t.until('ErrImagePull or back-off', async () => ['ErrImagePull', 'ImagePullBackOff'].includes((await t.pod('a')).status?.containerStatuses?.[0]?.state.waiting?.reason ?? ''))
  assert.equal((await t.pod('a')).status?.phase, 'Pending')
})

test('resources change in place, or with a restart where the container asks for it, or wait for room', async () => {
  await using t = await startTestNode()
  const container = { name: 'web', image: 'w', resources: { requests: { cpu: '100m' }, limits: { cpu: '200m', memory: '64Mi' } } }
  await t.createPod(webPod('a', { containers: [container] }))
  await t.createPod(webPod('b', { containers: [{ ...container, resizePolicy: [{ resourceName: 'memory', restartPolicy: 'RestartContainer' }] }] }))
  await t.until('ready', async () => condition(await t.pod('a'), 'Ready') === 'True' && condition(await t.pod('b'), 'Ready') === 'True')
  const resize = (name: string, limits: { readonly [key: string]: string }, cpu = '100m'): void =>
    t.api.change(pods, 'default', name, (p) => ({ ...p, metadata: { ...p.metadata, generation: (p.metadata.generation ?? 1) + 1 }, spec: { ...p.spec, containers: p.spec?.containers?.map((c) => ({ ...c, resources: { requests: { cpu }, limits } })) ?? [] } }))
  const before = t.simulated.find('a', 'web')
  resize('a', { cpu: '300m', memory: '128Mi' })
  await t.until('changed in place', () => t.simulated.find('a', 'web')?.status.resources?.linux?.memoryLimitInBytes === 128 * 2 ** 20)
  assert.equal(t.simulated.find('a', 'web')?.id, before?.id)
  assert.equal(t.simulated.find('a', 'web')?.status.resources?.linux?.cpuQuota, 30_000)
  await t.until('told', async () => (await t.status('a')).resources?.limits?.['memory'] === '128Mi')
  resize('b', { cpu: '200m', memory: '128Mi' })
  await t.until('restarted', async () => (await t.status('b')).restartCount === 1)
  resize('a', { cpu: '9', memory: '128Mi' }, '9')
  await t.until('refused', async () => (await t.pod('a')).status?.conditions?.find((c) => c.type === 'PodResizePending')?.reason === 'Infeasible')
  assert.equal(t.simulated.find('a', 'web')?.status.resources?.linux?.cpuQuota, 30_000)
})

test('an ephemeral container starts beside the others and sees their processes', async () => {
  await using t = await startTestNode()
  await t.createPod(webPod('a'))
  await t.until('ready', async () => condition(await t.pod('a'), 'Ready') === 'True')
  t.api.change(pods, 'default', 'a', (p) => ({ ...p, spec: { ...p.spec, ephemeralContainers: [{ name: 'debug', image: 'busybox', resources: {}, targetContainerName: 'web' }] } }))
  await t.until('runs', async () => (await t.pod('a')).status?.ephemeralContainerStatuses?.[0]?.state.running !== undefined)
  const options = t.simulated.find('a', 'debug')?.config.linux?.securityContext?.namespaceOptions
  assert.deepEqual([options?.pid, options?.targetId], ['TARGET', t.simulated.find('a', 'web')?.id])
})

test('stopping: preStop hooks first, then the main containers, then sidecars in reverse', async () => {
  const order: string[] = []
  await using t = await startTestNode({ exec: (c, command) => { order.push(`${c.config.metadata?.name} ${command.join(' ')}`); return { exitCode: 0 } } })
  const sidecar = (name: string): object => ({ name, image: 'i', resources: {}, restartPolicy: 'Always' })
  await t.createPod(webPod('a', {
    terminationGracePeriodSeconds: 10, initContainers: [sidecar('one'), sidecar('two')] as never, // cast: complete enough for the test
    containers: [{ name: 'web', image: 'w', resources: {}, lifecycle: { preStop: { exec: { command: ['bye'] } } } }],
  }))
  await t.until('ready', async () => condition(await t.pod('a'), 'Ready') === 'True')
  const ended: string[] = []
  const { runtime } = t.simulated
  const stop = runtime.stopContainer.bind(runtime)
  runtime.stopContainer = async (request, signal) => {
    const name = t.simulated.containers().find((c) => c.id === request.containerId)?.config.metadata?.name
    const answer = await stop(request, signal)
    ended.push(name ?? '')
    return answer
  }
  await t.client.resource(pods).delete('default', 'a', {}, never)
  await t.until('gone', async () => (await t.tryPod('a')) === undefined)
  assert.deepEqual(order, ['web bye'])
  assert.deepEqual(ended, ['web', 'two', 'one'])
})

test('while the runtime is away the node is not ready; when it is back, all goes on', async () => {
  await using t = await startTestNode()
  await t.createPod(webPod('a'))
  await t.until('ready', async () => condition(await t.pod('a'), 'Ready') === 'True')
  const id = t.simulated.find('a', 'web')?.id
  t.simulated.setAvailable(false)
  await t.until('not ready', async () => (await t.node()).status?.conditions?.find((c) => c.type === 'Ready')?.status === 'False', 120_000)
  t.simulated.setAvailable(true)
  await t.until('ready again', async () => (await t.node()).status?.conditions?.find((c) => c.type === 'Ready')?.status === 'True', 60_000)
  assert.equal(t.simulated.find('a', 'web')?.id, id)
  assert.equal((await t.status('a')).restartCount, 0)
})
