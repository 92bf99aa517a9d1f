// Which subresources and which questions have handlers of their own.
import type { KubeletClientOptions } from '../server-options.ts'
import type { CustomHandlers } from './dispatch.ts'
import type { ReviewServices } from './reviews/reviews.ts'
import { reviewHandlers } from './reviews/reviews.ts'
import { bindPod } from './subresources/binding.ts'
import { componentStatuses } from './subresources/component-status.ts'
import { evictPod } from './subresources/eviction.ts'
import { kubeletHandlers } from './subresources/kubelet-streams.ts'
import { scaleWorkload } from './subresources/scale.ts'
import { tokenHandler } from './subresources/token.ts'

export interface CustomHandlerOptions extends ReviewServices { readonly kubeletClient: KubeletClientOptions }

export function customHandlers(options: CustomHandlerOptions): CustomHandlers {
  return new Map([
    ['/pods/binding', bindPod],
    ['/bindings', bindPod],
    ['/pods/eviction', evictPod],
    ['/serviceaccounts/token', tokenHandler(options.serviceAccounts)],
    ['/componentstatuses', componentStatuses],
    ...['/replicationcontrollers/scale', 'apps/deployments/scale', 'apps/replicasets/scale', 'apps/statefulsets/scale'].map((key) => [key, scaleWorkload] as const),
    ...reviewHandlers(options),
    ...kubeletHandlers(options.kubeletClient),
  ])
}
