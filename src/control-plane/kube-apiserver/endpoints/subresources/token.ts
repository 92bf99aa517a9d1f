// serviceaccounts/token: a fresh token for an account, for an audience and a time, bound to an object where one is named.
// Upstream: pkg/registry/core/serviceaccount/storage/token.go
import { formatTime } from '../../../../lib/base/clock.ts'
import { fieldInvalid, fieldNotSupported } from '../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../lib/apimachinery/field-error.ts'
import type { TokenRequest } from '../../../../lib/api/generated/types/authentication-v1.ts'
import type { Pod, ServiceAccount } from '../../../../lib/api/generated/types/core-v1.ts'
import type { ApiObject } from '../../../../lib/client/api-client.ts'
import type { BoundObject, ServiceAccountTokens } from '../../authentication/service-account-tokens.ts'
import { asApiObject, asJson } from '../../storage/stored-object.ts'
import { objectKey } from '../../storage/storage-keys.ts'
import type { Answer } from '../api-call.ts'
import { objectAnswer } from '../api-call.ts'
import { badRequest, conflict, invalid, notFound } from '../api-errors.ts'
import { admissionRequest, inNamespaceOf, writeRequest } from '../create.ts'
import { decodeAs } from '../decode-body.ts'
import type { CustomHandler } from '../dispatch.ts'
import type { ServerContext } from '../server-context.ts'
import { parseWriteOptions } from '../write-options.ts'

const requestType = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', type: 'io.k8s.api.authentication.v1.TokenRequest' }
const minSeconds = 600
const maxSeconds = 2 ** 32
const defaultSeconds = 3600
/** What kubelets ask for in projected volumes; such tokens last a year, and their use after this time is noted. */
const projectedSeconds = 3607
const extendedSeconds = 365 * 24 * 3600

export function tokenHandler(tokens: ServiceAccountTokens): CustomHandler {
  return async (server, resource, call): Promise<Answer> => {
    if (!resource) throw notFound({ group: '', resource: 'serviceaccounts' }, '')
    const name = call.info.parts[1] ?? ''
    const { namespace } = call.info
    const options = parseWriteOptions(call.query, call.headers, 'CreateOptions')
    const body = asApiObject(await decodeAs(requestType, call, await call.readBody(), options.fieldValidation))
    const request = inNamespaceOf(resource, body, namespace) as ApiObject & TokenRequest // cast: decoded by the schema
    if ((request.metadata.name ?? '') !== '' && request.metadata.name !== name) throw badRequest(`name in URL (${name}) does not match name in TokenRequest (${request.metadata.name})`)
    const spec = { ...request.spec, audiences: (request.spec.audiences?.length ?? 0) > 0 ? request.spec.audiences ?? [] : tokens.options.apiAudiences, expirationSeconds: request.spec.expirationSeconds ?? defaultSeconds }
    const errors = validate(spec.expirationSeconds, request)
    if (errors.length > 0) throw invalid('authentication.k8s.io', 'TokenRequest', name, errors)
    await server.admission.validate(admissionRequest(resource, writeRequest(call, options), 'CREATE', namespace, name, { ...request, spec } as ApiObject, undefined, 'token')) // cast: a TokenRequest
    const found = await resource.store.get(objectKey(namespace, name), call.signal)
    if (!found) throw notFound(resource.store.resource, name)
    const account = found.object as ServiceAccount // cast: the accounts' store
    const { bound, node } = await findBound(server, request, namespace, name, call.signal)
    const forApi = spec.audiences.every((audience) => tokens.options.apiAudiences.includes(audience))
    const extend = spec.expirationSeconds === projectedSeconds && bound?.kind === 'Pod' && forApi
    if (!tokens.options.signingKey) throw badRequest('the API server has no key to sign tokens with')
    const token = tokens.issue({
      namespace, name, uid: account.metadata.uid, audiences: spec.audiences, expirationSeconds: extend ? extendedSeconds : spec.expirationSeconds,
      ...(bound && { bound }), ...(node && { node }), ...(extend && { warnAfterSeconds: projectedSeconds }),
    })
    const { resourceVersion: _rv, ...metadata } = request.metadata
    return objectAnswer(201, asJson({
      kind: 'TokenRequest', apiVersion: 'authentication.k8s.io/v1', metadata: { ...metadata, name, namespace, creationTimestamp: formatTime(call.nowMs) }, spec,
      status: { token, expirationTimestamp: formatTime(call.nowMs + spec.expirationSeconds * 1000) },
    }), requestType.type)
  }
}

function validate(seconds: number, request: TokenRequest): FieldError[] {
  const errors: FieldError[] = []
  if (seconds < minSeconds) errors.push(fieldInvalid('spec.expirationSeconds', seconds, 'may not specify a duration less than 10 minutes'))
  if (seconds > maxSeconds) errors.push(fieldInvalid('spec.expirationSeconds', seconds, 'may not specify a duration larger than 2^32 seconds'))
  const kind = request.spec.boundObjectRef?.kind
  if (request.spec.boundObjectRef && !['Pod', 'Secret', 'Node'].includes(kind ?? '')) errors.push(fieldNotSupported('spec.boundObjectRef.kind', kind, ['Node', 'Pod', 'Secret']))
  return errors
}

async function findBound(server: ServerContext, request: TokenRequest, namespace: string, account: string, signal: AbortSignal): Promise<{ readonly bound?: BoundObject; readonly node?: { readonly name: string; readonly uid: string } }> {
  const reference = request.spec.boundObjectRef
  if (!reference) return {}
  const kind = reference.kind === 'Secret' || reference.kind === 'Node' ? reference.kind : 'Pod'
  const resource = server.stored.get(kind === 'Pod' ? '/pods' : kind === 'Secret' ? '/secrets' : '/nodes')
  const name = reference.name ?? ''
  const found = await resource?.store.get(objectKey(kind === 'Node' ? '' : namespace, name), signal)
  if (!resource || !found) throw notFound({ group: '', resource: `${kind.toLowerCase()}s` }, name)
  const { object } = found
  if (reference.uid && reference.uid !== object.metadata.uid) {
    throw conflict(resource.store.resource, name, `the UID in the bound object reference (${reference.uid}) does not match the UID in record. The object might have been deleted and then recreated`)
  }
  const bound: BoundObject = { kind, name, uid: object.metadata.uid }
  if (kind !== 'Pod') return { bound }
  const pod = object as Pod // cast: the pods' store
  if ((pod.spec.serviceAccountName ?? '') !== account) throw badRequest(`cannot bind token for serviceaccount ${JSON.stringify(account)} to pod running with different serviceaccount name.`)
  const nodeName = pod.spec.nodeName ?? ''
  if (nodeName === '') return { bound }
  const node = server.stored.get('/nodes')?.store.cache.get(nodeName)
  return { bound, node: { name: nodeName, uid: node?.object.metadata.uid ?? '' } }
}
