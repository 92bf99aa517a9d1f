// `container-runtime`: the container runtime engine alone, serving CRI on a unix socket for crictl or for any kubelet.
//
//   k8ts container-runtime --socket /run/k8ts/cri.sock --pod-cidr 10.244.1.0/24
//   crictl --runtime-endpoint unix:///run/k8ts/cri.sock ps
import { runComponent } from './run-component.ts'
import { realClock } from '../lib/async/real-clock.ts'
import { realRandom } from '../lib/async/real-random.ts'
import type { FlagSpecs } from '../lib/component-base/flags.ts'
import { runtimeVersion, startContainerRuntime } from '../worker-node/container-runtime/container-runtime.ts'
import type { RegistrySettings } from '../worker-node/container-runtime/images/registry-client.ts'

const flags = {
  'root': { type: 'string', default: '/var/lib/k8ts/container-runtime', usage: 'Folder for images and container state; survives reboots' },
  'state': { type: 'string', default: '/run/k8ts/container-runtime', usage: 'Folder for namespaces, mounts and sockets' },
  'socket': { type: 'string', default: '/run/k8ts/cri.sock', usage: 'Unix socket on which CRI is served' },
  'pod-cidr': { type: 'string', usage: "The node's pod range; the kubelet may also set it" },
  'cluster-cidr': { type: 'strings', default: ['10.0.0.0/8'], usage: 'Ranges in which pods keep their own address' },
  'bridge': { type: 'string', default: 'cni0', usage: 'Name of the bridge of the built-in pod network' },
  'mtu': { type: 'int', default: 1500, usage: 'MTU of the built-in pod network' },
  'cni-conf-dir': { type: 'string', usage: 'Folder of CNI configurations; uses CNI plugins instead of the built-in network' },
  'cni-bin-dir': { type: 'strings', default: ['/opt/cni/bin', '/usr/lib/cni'], usage: 'Folders of CNI plugins' },
  'cgroup-parent': { type: 'string', default: '/k8ts-runtime', usage: 'Parent cgroup of pods whose configuration names none' },
  'pids-limit': { type: 'int', usage: 'Most processes in one container; 0 for no limit' },
  'insecure-registry': { type: 'strings', usage: 'Registries (host:port, or host) that are reached by plain HTTP' },
  'registry-mirror': { type: 'map', usage: 'URL to ask instead of a registry, as host=URL' },
  'stream-address': { type: 'string', default: '127.0.0.1', usage: 'Address of the streaming server behind exec, attach and port-forward' },
  'import': { type: 'strings', usage: 'Image archives (OCI layout or docker) to import at start' },
  'build-local-image': { type: 'bool', usage: 'Put the example images k8ts.local/web:1 and :2 together at start' },
  'tear-down': { type: 'bool', usage: 'Remove every pod, container and the network, then exit' },
} as const satisfies FlagSpecs

const description = 'The container runtime engine: starts, stops and shows containers from images, and serves CRI.'

export function run(args: readonly string[]): Promise<number> {
  return runComponent({
    name: 'container-runtime', description, flags, version: `container-runtime ${runtimeVersion}`,
    async main({ flags: given }, logger, signal) {
      const registries: Record<string, RegistrySettings> = Object.fromEntries(given['insecure-registry'].map((host) => [host, { plainHttp: true }]))
      for (const [host, endpoint] of Object.entries(given['registry-mirror'])) registries[host] = { ...registries[host], endpoint }
      await using engine = await startContainerRuntime({
        rootDir: given.root, runDir: given.state, clock: realClock, random: realRandom, logger, clusterCidrs: given['cluster-cidr'], bridgeName: given.bridge, mtu: given.mtu,
        cgroupParent: given['cgroup-parent'], pidsLimit: given['pids-limit'], registries, streamingAddress: given['stream-address'],
        ...(given['pod-cidr'] && { podCidr: given['pod-cidr'] }), ...(given['cni-conf-dir'] && { cni: { configDir: given['cni-conf-dir'], binDirs: given['cni-bin-dir'] } }),
      }, signal)
      if (given['tear-down']) { await engine.tearDown(signal); return 0 }
      if (given['build-local-image']) logger.info('images put together', { names: (await engine.images.buildLocalImage()).join(' ') })
      for (const path of given.import) logger.info('images imported', { names: (await engine.images.importArchive(path)).join(' ') })
      await engine.listen(given.socket)
      logger.info('serving CRI', { socket: given.socket })
      await new Promise<void>((resolve) => { if (signal.aborted) resolve(); else signal.addEventListener('abort', () => resolve(), { once: true }) })
      return 0
    },
  }, args)
}
