// One kubelet on the fake API server and the simulated runtime, on a disk in memory and a clock that the test moves.
import assert from 'node:assert/strict'
import { createInformerFactory } from '../../src/lib/client/informer.ts'
import { createApiClient } from '../../src/lib/client/resource-client.ts'
import { events, namespaces, nodes, pods } from '../../src/lib/client/resource-keys.ts'
import { seededRandom } from '../../src/lib/base/random.ts'
import { silentLogger } from '../../src/lib/component-base/log.ts'
import { FakeApiServer } from '../../src/lib/testing/fake-api-server.ts'
import { SimulatedClock } from '../../src/lib/testing/simulated-clock.ts'
import { createSimulatedRuntime } from '../../src/worker-node/container-runtime/simulated/simulated-runtime.ts'
import { createMemoryDisk } from '../../src/worker-node/kubelet/host/memory-disk.ts'
import { simulatedMachine } from '../../src/worker-node/kubelet/node/machine-facts.ts'
import { createSimulatedProbeNetwork } from '../../src/worker-node/kubelet/probe/probe-network.ts'
import { startKubelet } from '../../src/worker-node/kubelet/kubelet.ts'
import type { Draft } from '../../src/lib/base/json.ts'
import type { ApiClient } from '../../src/lib/client/api-client.ts'
import type { ContainerStatus, Event, Node, Pod } from '../../src/lib/api/generated/types/core-v1.ts'
import type { Disk } from '../../src/worker-node/kubelet/host/disk.ts'
import type { Kubelet, KubeletOptions } from '../../src/worker-node/kubelet/kubelet.ts'
import type { SimulatedRuntime, SimulatedRuntimeOptions } from '../../src/worker-node/container-runtime/simulated/simulated-runtime.ts'

export interface TestNode extends AsyncDisposable {
  readonly clock: SimulatedClock
  readonly api: FakeApiServer
  readonly client: ApiClient
  readonly simulated: SimulatedRuntime
  readonly disk: Disk
  kubelet: Kubelet
  /** Moves the clock in steps until `condition` holds; fails when it doesn't within `forMs`. */
  until(what: string, condition: () => boolean | Promise<boolean>, forMs?: number): Promise<void>
  pod(name: string): Promise<Pod>
  tryPod(name: string): Promise<Pod | undefined>
  node(): Promise<Node>
  createPod(pod: Draft<Pod>): Promise<Pod>
  status(name: string, container?: string): Promise<ContainerStatus>
  events(podName: string): Promise<readonly Event[]>
  restart(): Promise<void>
}

export const nodeName = 'node-1'
const never = new AbortController().signal

export async function startTestNode(runtimeOptions: Partial<SimulatedRuntimeOptions> = {}, kubeletOptions: Partial<KubeletOptions> = {}): Promise<TestNode> {
  const clock = new SimulatedClock()
  const api = new FakeApiServer({ clock, random: seededRandom(2) })
  const client = createApiClient(api, { userAgent: 'kubelet/test' })
  const simulated = createSimulatedRuntime({ clock, random: seededRandom(3), ...runtimeOptions })
  const disk = kubeletOptions.disk ?? createMemoryDisk({ now: () => clock.now() })
  let stop = new AbortController()
  const start = (): Promise<Kubelet> => {
    stop = new AbortController()
    const random = seededRandom(4)
    const informers = createInformerFactory({ client, clock, random, logger: silentLogger })
    return startKubelet({
      nodeName, nodeIps: ['192.0.2.1'], client, informers, runtime: simulated.runtime, images: simulated.images, streams: simulated.streams, clock, random,
      logger: process.env['KUBELET_TEST_LOG'] ? { ...silentLogger, named: () => stderrLogger, info: stderrLogger.info, warn: stderrLogger.warn, error: stderrLogger.error } : silentLogger, disk, machine: simulatedMachine(4, 8 * 2 ** 30),
      probeNetwork: createSimulatedProbeNetwork((t) => simulated.isReady(t.podName, t.containerName)), settings: { clusterDns: ['10.96.0.10'] }, ...kubeletOptions,
    }, stop.signal)
  }
  const started = start()
  await clock.advance(100)
  const node: TestNode = {
    clock, api, client, simulated, disk, kubelet: await started,
    async until(what, condition, forMs = 30_000) {
      for (let elapsed = 0; ; elapsed += 50) {
        if (await condition()) return
        assert.ok(elapsed < forMs, `not within ${forMs} ms: ${what}`)
        await clock.advance(50)
      }
    },
    pod: (name) => client.resource(pods).get('default', name, never),
    tryPod: (name) => client.resource(pods).get('default', name, never).catch(() => undefined),
    node: () => client.resource(nodes).get('', nodeName, never),
    createPod: (pod) => client.resource(pods).create('default', { ...pod, spec: { nodeName, ...pod.spec } }, never),
    async status(name, container) {
      const { status } = await client.resource(pods).get('default', name, never)
      const all = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? []), ...(status?.ephemeralContainerStatuses ?? [])]
      const found = all.find((s) => container === undefined || s.name === container)
      assert.ok(found, `pod ${name} has a status of container ${container}`)
      return found
    },
    async events(podName) { return (await client.resource(events).list('default', {}, never)).items.filter((e) => e.involvedObject.name === podName) },
    async restart() {
      stop.abort(new Error('killed'))
      await clock.advance(10)
      const again = start()
      await clock.advance(100)
      node.kubelet = await again
    },
    async [Symbol.asyncDispose]() {
      const closing = node.kubelet.close()
      await clock.advance(100)
      await closing
    },
  }
  return node
}

const stderrLogger = {
  info: (message: string, values?: object) => { process.stderr.write(`I ${message} ${JSON.stringify(values ?? {})}\n`) },
  warn: (message: string, values?: object) => { process.stderr.write(`W ${message} ${JSON.stringify(values ?? {})}\n`) },
  error: (message: string, error: unknown, values?: object) => { process.stderr.write(`E ${message} ${error instanceof Error ? error.stack : String(error)} ${JSON.stringify(values ?? {})}\n`) },
  named: () => silentLogger,
}

export function webPod(name: string, spec: Draft<Pod['spec']> = {}): Draft<Pod> {
  return { metadata: { name, namespace: 'default', labels: { app: name } }, spec: { containers: [{ name: 'web', image: 'example/web:1', resources: {} }], terminationGracePeriodSeconds: 30, restartPolicy: 'Always', ...spec } }
}

export function condition(pod: Pod, type: string): string | undefined { return pod.status?.conditions?.find((c) => c.type === type)?.status }
export { namespaces }
