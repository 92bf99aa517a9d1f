// The ServiceCIDR object that says which addresses Services get.
// Upstream: pkg/controlplane/controller/defaultservicecidr
import { formatTime } from '../../../lib/base/clock.ts'
import { hasReason } from '../../../lib/client/api-error.ts'
import { storeNew } from '../endpoints/create.ts'
import type { ServerContext } from '../endpoints/server-context.ts'
import { storeChange } from '../endpoints/update.ts'
import { asApiObject } from '../storage/stored-object.ts'
import { serverRequest } from './reconcile.ts'

const name = 'kubernetes'

export async function ensureServiceCidr(server: ServerContext, cidr: string, signal: AbortSignal): Promise<void> {
  const resource = server.stored.get('networking.k8s.io/servicecidrs')
  if (!resource || resource.store.cache.get(name)) return
  const request = serverRequest(server, signal)
  try { await storeNew(server, resource, asApiObject({ kind: 'ServiceCIDR', apiVersion: 'networking.k8s.io/v1', metadata: { name }, spec: { cidrs: [cidr] } }), '', request) } catch (error) {
    if (!hasReason(error, 'AlreadyExists')) throw error
    return
  }
  const status = { conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: formatTime(request.nowMs), reason: '', message: 'Kubernetes default Service CIDR is ready' }] }
  await storeChange(server, resource, '', name, 'status', (current) => asApiObject({ ...current, status }), request, { createWhenMissing: undefined })
}
