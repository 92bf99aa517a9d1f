// The ConfigMap that tells aggregated API servers and other components how this one knows its clients.
// Upstream: pkg/controlplane/controller/clusterauthenticationtrust
import type { ApiObject } from '../../../lib/client/api-client.ts'
import { hasReason } from '../../../lib/client/api-error.ts'
import { storeNew } from '../endpoints/create.ts'
import type { ServerContext } from '../endpoints/server-context.ts'
import { storeChange } from '../endpoints/update.ts'
import { asApiObject } from '../storage/stored-object.ts'
import { serverRequest } from './reconcile.ts'

const namespace = 'kube-system'
const name = 'extension-apiserver-authentication'

export interface TrustedAuthorities {
  readonly clientCa: string | undefined
  readonly requestHeaderClientCa: string | undefined
  readonly requestHeaderAllowedNames: readonly string[]
}

export async function publishAuthentication(server: ServerContext, trusted: TrustedAuthorities, signal: AbortSignal): Promise<void> {
  const resource = server.stored.get('/configmaps')
  if (!resource || (trusted.clientCa === undefined && trusted.requestHeaderClientCa === undefined)) return
  const data = {
    ...(trusted.clientCa !== undefined && { 'client-ca-file': trusted.clientCa }),
    ...(trusted.requestHeaderClientCa !== undefined && {
      'requestheader-allowed-names': JSON.stringify(trusted.requestHeaderAllowedNames), 'requestheader-client-ca-file': trusted.requestHeaderClientCa, 'requestheader-extra-headers-prefix': '["X-Remote-Extra-"]',
      'requestheader-group-headers': '["X-Remote-Group"]', 'requestheader-uid-headers': '["X-Remote-Uid"]', 'requestheader-username-headers': '["X-Remote-User"]',
    }),
  }
  const request = serverRequest(server, signal)
  const object = asApiObject({ kind: 'ConfigMap', apiVersion: 'v1', metadata: { name, namespace }, data })
  try { await storeNew(server, resource, object, namespace, request) } catch (error) {
    if (!hasReason(error, 'AlreadyExists')) throw error
    await storeChange(server, resource, namespace, name, '', (current): ApiObject => asApiObject({ ...current, data }), request, { createWhenMissing: undefined })
  }
}
