import { test } from 'node:test'
import assert from 'node:assert/strict'
import { createSimulatedRuntime } from './simulated-runtime.ts'
import { seededRandom } from '../../../lib/base/random.ts'
import { SimulatedClock } from '../../../lib/testing/simulated-clock.ts'
import { CriError } from '../../../lib/cri-api/cri-services.ts'

const signal = new AbortController().signal
const sandboxConfig = { metadata: { name: 'web', namespace: 'default', uid: 'u1' }, logDirectory: '/var/log/pods/x' }

test('a container runs until it is stopped, and keeps its exit code and times', async () => {
  const clock = new SimulatedClock()
  const simulated = createSimulatedRuntime({ clock, random: seededRandom(1) })
  const { runtime } = simulated
  const { podSandboxId } = await runtime.runPodSandbox({ config: sandboxConfig }, signal)
  const { containerId = '' } = await runtime.createContainer({ podSandboxId, config: { metadata: { name: 'c' }, image: { image: 'nginx' } } }, signal)
  await runtime.startContainer({ containerId }, signal)
  await clock.advance(5000)
  assert.equal((await runtime.containerStatus({ containerId }, signal)).status?.state, 'CONTAINER_RUNNING')
  simulated.exit(containerId, 3)
  const { status } = await runtime.containerStatus({ containerId }, signal)
  assert.deepEqual([status?.state, status?.exitCode, status?.reason, (status?.finishedAt ?? 0n) - (status?.startedAt ?? 0n)], ['CONTAINER_EXITED', 3, 'Error', 5_000_000_000n])
  await runtime.removePodSandbox({ podSandboxId }, signal)
  assert.deepEqual((await runtime.listContainers({}, signal)).containers, [])
  await assert.rejects(runtime.containerStatus({ containerId }, signal), (error) => error instanceof CriError && error.code === 'NotFound')
})

test('a container that ignores SIGTERM is killed when its grace is over', async () => {
  const clock = new SimulatedClock()
  const { runtime } = createSimulatedRuntime({ clock, random: seededRandom(1), behave: () => ({ ignoresStop: true }) })
  const { podSandboxId } = await runtime.runPodSandbox({ config: sandboxConfig }, signal)
  const { containerId } = await runtime.createContainer({ podSandboxId, config: { metadata: { name: 'c' }, image: { image: 'nginx' } } }, signal)
  await runtime.startContainer({ containerId }, signal)
  const stopped = runtime.stopContainer({ containerId, timeout: 30 }, signal)
  await clock.advance(29_000)
  assert.equal((await runtime.containerStatus({ containerId }, signal)).status?.state, 'CONTAINER_RUNNING')
  await clock.advance(1000)
  await stopped
  assert.equal((await runtime.containerStatus({ containerId }, signal)).status?.exitCode, 137)
})

test('events come in order to every subscriber', async () => {
  const { runtime } = createSimulatedRuntime({ clock: new SimulatedClock(), random: seededRandom(1) })
  const stop = new AbortController()
  const seen: string[] = []
  const reading = (async () => { for await (const event of runtime.getContainerEvents({}, stop.signal)) seen.push(event.containerEventType ?? '') })()
  await new Promise(setImmediate)
  const { podSandboxId } = await runtime.runPodSandbox({ config: sandboxConfig }, signal)
  await runtime.stopPodSandbox({ podSandboxId }, signal)
  await new Promise(setImmediate)
  stop.abort()
  await reading
  assert.deepEqual(seen, ['CONTAINER_CREATED_EVENT', 'CONTAINER_STARTED_EVENT', 'CONTAINER_STOPPED_EVENT'])
})
