// What a kubelet is given: the world it lives in (clock, disk, network, runtime, API) and its settings (the original's KubeletConfiguration,
// in numbers). Defaults are the original's. Upstream: pkg/kubelet/apis/config/v1beta1/defaults.go
import type { Clock } from '../../lib/base/clock.ts'
import type { Random } from '../../lib/base/random.ts'
import type { ApiClient } from '../../lib/client/api-client.ts'
import type { InformerFactory } from '../../lib/client/informer-contract.ts'
import type { Logger } from '../../lib/component-base/log.ts'
import type { ImageService, RuntimeService } from '../../lib/cri-api/cri-services.ts'
import type { RuntimeStreams } from '../../lib/cri-api/streams.ts'
import type { Taint } from '../../lib/api/generated/types/core-v1.ts'
import type { CgroupManager } from './cgroup/cgroup-manager.ts'
import type { Disk } from './host/disk.ts'
import type { MachineFacts } from './node/machine-facts.ts'
import type { Mounter } from './host/mounter.ts'
import type { ProbeNetwork } from './probe/probe-network.ts'
import type { KubeletServerOptions } from './server/kubelet-server.ts'

export interface KubeletSettings {
  readonly clusterDns: readonly string[]
  readonly clusterDomain: string
  readonly maxPods: number
  readonly registerNode: boolean
  readonly registerWithTaints: readonly Taint[]
  readonly registerSchedulable: boolean
  readonly nodeLabels: { readonly [key: string]: string }
  /** Folder of manifests of static pods; empty for none. */
  readonly staticPodPath: string
  readonly fileCheckFrequencyMs: number
  readonly syncFrequencyMs: number
  readonly nodeStatusUpdateFrequencyMs: number
  readonly nodeStatusReportFrequencyMs: number
  readonly nodeLeaseDurationSeconds: number
  readonly serializeImagePulls: boolean
  readonly containerLogMaxBytes: number
  readonly containerLogMaxFiles: number
  readonly crashLoopInitialMs: number
  readonly crashLoopMaximumMs: number
  readonly imageGcHighThresholdPercent: number
  readonly imageGcLowThresholdPercent: number
  readonly imageMinimumGcAgeMs: number
  /** Signal → threshold: `100Mi` or `10%`. */
  readonly evictionHard: { readonly [signal: string]: string }
  readonly evictionSoft: { readonly [signal: string]: string }
  readonly evictionSoftGracePeriodMs: { readonly [signal: string]: number }
  readonly evictionPressureTransitionMs: number
  readonly kubeReserved: { readonly [resource: string]: string }
  readonly systemReserved: { readonly [resource: string]: string }
  readonly podPidsLimit: number
  readonly maxContainersPerPod: number
  readonly enableServer: boolean
  readonly streamingIdleTimeoutMs: number
  readonly cgroupsPerQos: boolean
  /** Group under which `kubepods` is made; empty for the root. */
  readonly cgroupRoot: string
  /** Where the node's own resolv.conf is; empty for none. */
  readonly resolvConf: string
  readonly podCidr: string
  readonly providerId: string
}

export const defaultKubeletSettings: KubeletSettings = {
  clusterDns: [], clusterDomain: 'cluster.local', maxPods: 110, registerNode: true, registerWithTaints: [], registerSchedulable: true, nodeLabels: {}, staticPodPath: '',
  fileCheckFrequencyMs: 20_000, syncFrequencyMs: 60_000, nodeStatusUpdateFrequencyMs: 10_000, nodeStatusReportFrequencyMs: 300_000, nodeLeaseDurationSeconds: 40,
  serializeImagePulls: true, containerLogMaxBytes: 10 * 2 ** 20, containerLogMaxFiles: 5, crashLoopInitialMs: 10_000, crashLoopMaximumMs: 300_000,
  imageGcHighThresholdPercent: 85, imageGcLowThresholdPercent: 80, imageMinimumGcAgeMs: 120_000,
  evictionHard: { 'memory.available': '100Mi', 'nodefs.available': '10%', 'nodefs.inodesFree': '5%', 'imagefs.available': '15%', 'imagefs.inodesFree': '5%' },
  evictionSoft: {}, evictionSoftGracePeriodMs: {}, evictionPressureTransitionMs: 300_000, kubeReserved: {}, systemReserved: {}, podPidsLimit: -1, maxContainersPerPod: 1,
  enableServer: true, streamingIdleTimeoutMs: 4 * 3_600_000, cgroupsPerQos: true, cgroupRoot: '', resolvConf: '/etc/resolv.conf', podCidr: '', providerId: '',
}

export interface KubeletOptions {
  readonly nodeName: string
  readonly hostname?: string
  /** Addresses of the node, the first one being the one pods and the API server use. */
  readonly nodeIps: readonly string[]
  /** Absent: standalone, with static pods only. With a client, informers are needed too. */
  readonly client?: ApiClient
  readonly informers?: InformerFactory
  readonly runtime: RuntimeService
  readonly images: ImageService
  /** Exec, attach and port-forward; absent: those are answered by 501. */
  readonly streams?: RuntimeStreams
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly settings?: Partial<KubeletSettings>
  /** Default `/var/lib/kubelet`. */
  readonly rootDir?: string
  /** Default `/var/log`: holds `pods/` and `containers/`. */
  readonly logsDir?: string
  /** The parts of the machine; defaults are the real ones. */
  readonly disk?: Disk
  readonly mounter?: Mounter
  readonly cgroups?: CgroupManager
  readonly probeNetwork?: ProbeNetwork
  readonly machine?: () => Promise<MachineFacts>
  /** The HTTPS server on 10250; absent: none is started. */
  readonly server?: KubeletServerOptions
  /** Told of every change of a pod's local state, for traces. */
  readonly onPodStep?: (step: { readonly uid: string; readonly name: string; readonly namespace: string; readonly step: string }) => void
}
