// A worker node whose pods exist only in memory: a real kubelet on a simulated runtime. For machines without root, for tests under a simulated
// clock, and for clusters of many nodes.
import type { Clock } from '../../lib/base/clock.ts'
import type { Random } from '../../lib/base/random.ts'
import type { ApiClient, ApiObject } from '../../lib/client/api-client.ts'
import { createInformerFactory } from '../../lib/client/informer.ts'
import type { Logger } from '../../lib/component-base/log.ts'
import { createSimulatedRuntime } from '../../worker-node/container-runtime/simulated/simulated-runtime.ts'
import type { SimulatedRuntime } from '../../worker-node/container-runtime/simulated/simulated-runtime.ts'
import { createMemoryDisk } from '../../worker-node/kubelet/host/memory-disk.ts'
import { startKubelet } from '../../worker-node/kubelet/kubelet.ts'
import type { Kubelet } from '../../worker-node/kubelet/kubelet.ts'
import { simulatedMachine } from '../../worker-node/kubelet/node/machine-facts.ts'
import { createSimulatedProbeNetwork } from '../../worker-node/kubelet/probe/probe-network.ts'

export interface SimulatedNodeOptions {
  readonly name: string
  readonly index: number
  readonly client: ApiClient
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly cpus?: number
  readonly memoryBytes?: number
  readonly labels?: { readonly [key: string]: string }
  readonly onStore?: (object: ApiObject) => void
}

export interface SimulatedNode extends AsyncDisposable {
  readonly kubelet: Kubelet
  readonly runtime: SimulatedRuntime
}

export async function startSimulatedNode(options: SimulatedNodeOptions, signal: AbortSignal): Promise<SimulatedNode> {
  const { name, index, client, clock, random, logger } = options
  const runtime = createSimulatedRuntime({ clock, random, podAddressPrefix: `10.${88 + (index % 64)}` })
  const kubelet = await startKubelet({
    nodeName: name, nodeIps: [`192.0.2.${(index % 250) + 10}`], client, clock, random, logger, runtime: runtime.runtime, images: runtime.images, streams: runtime.streams,
    informers: createInformerFactory({ client, clock, random, logger, ...(options.onStore ? { onStore: options.onStore } : {}) }),
    disk: createMemoryDisk({ now: () => clock.now() }), machine: simulatedMachine(options.cpus ?? 8, options.memoryBytes ?? 32 * 2 ** 30),
    probeNetwork: createSimulatedProbeNetwork(({ podName, containerName }) => runtime.isReady(podName, containerName)),
    settings: { nodeLabels: options.labels ?? {}, resolvConf: '' },
  }, signal)
  return { kubelet, runtime, [Symbol.asyncDispose]: () => kubelet.close() }
}
