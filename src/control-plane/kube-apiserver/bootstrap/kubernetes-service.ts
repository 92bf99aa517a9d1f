// The Service default/kubernetes: how pods reach the API server. Its endpoints are the addresses of the API servers that are alive.
// Upstream: pkg/controlplane/controller/kubernetesservice, pkg/controlplane/reconcilers
import { decodeJson } from '../../../lib/api/json-codec.ts'
import type { JsonObject } from '../../../lib/base/json.ts'
import { hasReason } from '../../../lib/client/api-error.ts'
import { deepEqual } from '../../../lib/apimachinery/equality.ts'
import { storeNew } from '../endpoints/create.ts'
import type { ServerContext } from '../endpoints/server-context.ts'
import { storeChange } from '../endpoints/update.ts'
import { asApiObject } from '../storage/stored-object.ts'
import { serverRequest } from './reconcile.ts'

export interface ApiServerAddress { readonly address: string; readonly port: number }

const name = 'kubernetes'
const namespace = 'default'

/** Creates the Service, with the first address of the range. */
export async function ensureKubernetesService(server: ServerContext, clusterIp: string, targetPort: number, signal: AbortSignal): Promise<void> {
  await ensure(server, '/services', {
    metadata: { name, namespace, labels: { component: 'apiserver', provider: name } },
    spec: { type: 'ClusterIP', clusterIP: clusterIp, clusterIPs: [clusterIp], ipFamilies: [clusterIp.includes(':') ? 'IPv6' : 'IPv4'], ipFamilyPolicy: 'SingleStack', sessionAffinity: 'None', ports: [{ name: 'https', protocol: 'TCP', port: 443, targetPort }] },
  }, undefined, signal)
}

/** Makes the endpoints say where the API servers listen. */
export async function publishEndpoints(server: ServerContext, addresses: readonly string[], port: number, signal: AbortSignal): Promise<void> {
  if (addresses.length === 0) return
  const addressType = addresses[0]?.includes(':') ? 'IPv6' : 'IPv4'
  await ensure(server, '/endpoints', {
    metadata: { name, namespace, labels: { 'endpointslice.kubernetes.io/skip-mirror': 'true' } },
    subsets: [{ addresses: addresses.map((ip) => ({ ip })), ports: [{ name: 'https', port, protocol: 'TCP' }] }],
  }, ['subsets'], signal)
  await ensure(server, 'discovery.k8s.io/endpointslices', {
    metadata: { name, namespace, labels: { 'kubernetes.io/service-name': name } },
    addressType, endpoints: addresses.map((address) => ({ addresses: [address], conditions: { ready: true } })), ports: [{ name: 'https', port, protocol: 'TCP' }],
  }, ['endpoints', 'ports'], signal)
}

async function ensure(server: ServerContext, key: string, wanted: JsonObject, fields: readonly string[] | undefined, signal: AbortSignal): Promise<void> {
  const resource = server.stored.get(key)
  if (!resource) return
  const request = serverRequest(server, signal)
  const decoded = decodeJson(resource.info.type, { ...wanted, kind: resource.info.kind, apiVersion: resource.apiVersion })
  if (!decoded.ok) throw new Error(decoded.error)
  const object = asApiObject({ ...decoded.object, kind: resource.info.kind, apiVersion: resource.apiVersion })
  try {
    if (!resource.store.cache.get(`${namespace}/${name}`)) { await storeNew(server, resource, object, namespace, request); return }
  } catch (error) { if (!hasReason(error, 'AlreadyExists')) throw error }
  if (!fields) return
  const picked = Object.fromEntries(fields.map((field) => [field, decoded.object[field]]))
  await storeChange(server, resource, namespace, name, '', (current) => {
    const have = Object.fromEntries(fields.map((field) => [field, (current as unknown as JsonObject)[field]])) // cast: API objects are JSON
    return deepEqual(have, picked) ? current : asApiObject({ ...current, ...picked })
  }, request, { createWhenMissing: undefined })
}
