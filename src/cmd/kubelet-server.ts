// The settings of a kubelet's HTTPS server as both the worker node of `k8ts cluster` and the stand-alone kubelet want them: client certificates of
// the cluster, tokens and permissions asked of the API server.
import { realClock } from '../lib/async/real-clock.ts'
import type { ApiClient } from '../lib/client/api-client.ts'
import type { KubeletServerOptions } from '../worker-node/kubelet/server/kubelet-server.ts'
import { createWebhookAccess } from '../worker-node/kubelet/server/webhook-access.ts'

export interface KubeletServerSettings {
  readonly client: ApiClient
  /** PEM. */
  readonly certificate: { readonly certificate: string; readonly key: string }
  readonly clientCa: string
  readonly address: string
  readonly port: number
  /** Named in the permission checks; any node when absent. */
  readonly nodeName?: string
}

export function kubeletServer(settings: KubeletServerSettings): KubeletServerOptions {
  return {
    port: settings.port, address: settings.address, tls: { cert: settings.certificate.certificate, key: settings.certificate.key }, clientCa: settings.clientCa,
    ...createWebhookAccess({ client: settings.client, nodeName: settings.nodeName ?? '', clock: realClock }),
  }
}
