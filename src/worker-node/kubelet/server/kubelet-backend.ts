// What the server's routes are given of the kubelet, and how they refuse.
import type { KubeletSettings } from '../kubelet-options.ts'
import type { Disk } from '../host/disk.ts'
import type { ProbeManager } from '../probe/probe-manager.ts'
import type { RuntimePod } from '../runtime/runtime-status.ts'
import type { StatsProvider } from '../stats/stats-provider.ts'
import type { Clock } from '../../../lib/base/clock.ts'
import type { Logger } from '../../../lib/component-base/log.ts'
import type { RuntimeService } from '../../../lib/cri-api/cri-services.ts'
import type { RuntimeStreams } from '../../../lib/cri-api/streams.ts'
import type { Pod } from '../../../lib/api/generated/types/core-v1.ts'

/** What the server shows of the kubelet. */
export interface KubeletBackend {
  readonly clock: Clock
  readonly logger: Logger
  readonly nodeName: string
  readonly streams: RuntimeStreams | undefined
  readonly runtime: RuntimeService
  readonly disk: Disk
  readonly logsDir: string
  readonly settings: KubeletSettings
  readonly stats: StatsProvider
  readonly probes: ProbeManager
  readonly pods: () => readonly Pod[]
  readonly runtimePod: (uid: string) => RuntimePod | undefined
  /** Why the kubelet isn't well. */
  readonly health: () => string | undefined
}

/** A failure that is answered as plain text. */
export class RequestError extends Error {
  override readonly name = 'RequestError'
  readonly code: number
  constructor(code: number, message: string) {
    super(message)
    this.code = code
  }
}
