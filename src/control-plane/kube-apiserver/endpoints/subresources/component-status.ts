// componentstatuses: deprecated long ago, still asked for by `kubectl get cs`. The only part this server can speak for is the store.
import { formatTime } from '../../../../lib/base/clock.ts'
import type { JsonObject } from '../../../../lib/base/json.ts'
import type { Answer, ApiCall } from '../api-call.ts'
import { objectAnswer } from '../api-call.ts'
import { notFound } from '../api-errors.ts'
import type { ServedResource } from '../served-resource.ts'
import type { ServerContext } from '../server-context.ts'

export async function componentStatuses(server: ServerContext, resource: ServedResource | undefined, call: ApiCall): Promise<Answer> {
  let message = 'ok'
  let healthy = true
  try { await server.etcd.status(call.signal) } catch (error) { healthy = false; message = error instanceof Error ? error.message : String(error) }
  const item: JsonObject = {
    kind: 'ComponentStatus', apiVersion: 'v1', metadata: { name: 'etcd-0', creationTimestamp: formatTime(call.nowMs) }, conditions: [{ type: 'Healthy', status: healthy ? 'True' : 'False', message }],
  }
  const type = 'io.k8s.api.core.v1.ComponentStatus'
  if (call.info.verb === 'get') {
    if (call.info.parts[1] !== 'etcd-0') throw notFound({ group: '', resource: 'componentstatuses' }, call.info.parts[1] ?? '')
    return objectAnswer(200, item, type, resource)
  }
  call.warnings.push('v1 ComponentStatus is deprecated in v1.19+')
  return objectAnswer(200, { kind: 'ComponentStatusList', apiVersion: 'v1', metadata: {}, items: [item] }, `${type}List`)
}
