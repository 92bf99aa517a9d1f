// Status objects: what the API server answers when it says no (and for deletions, yes). One builder per reason, with the original's message, because
// clients test the reason and people read the message. Upstream: apimachinery/pkg/api/errors
import { causeReason, type FieldError } from './field-error.ts'

export interface StatusCause {
  readonly reason?: string
  readonly message?: string
  readonly field?: string
}

export interface StatusDetails {
  readonly name?: string
  readonly group?: string
  readonly kind?: string
  readonly uid?: string
  readonly causes?: readonly StatusCause[]
  readonly retryAfterSeconds?: number
}

export type StatusReason =
  | 'BadRequest' | 'Unauthorized' | 'Forbidden' | 'NotFound' | 'MethodNotAllowed' | 'NotAcceptable' | 'UnsupportedMediaType' | 'RequestEntityTooLarge' | 'AlreadyExists'
  | 'Conflict' | 'Gone' | 'Expired' | 'Invalid' | 'TooManyRequests' | 'InternalError' | 'ServerTimeout' | 'StoreReadError' | 'ServiceUnavailable' | 'Timeout'

export interface Status {
  readonly kind: 'Status'
  readonly apiVersion: 'v1'
  readonly metadata: { readonly resourceVersion?: string; readonly continue?: string; readonly remainingItemCount?: number }
  readonly status: 'Failure' | 'Success'
  readonly message?: string
  readonly reason?: StatusReason
  readonly details?: StatusDetails
  readonly code: number
}

/** What a message and details name: `{group: 'apps', resource: 'deployments'}` prints as `deployments.apps`. */
export interface GroupResource { readonly group: string; readonly resource: string }
export interface GroupKind { readonly group: string; readonly kind: string }

const qualified = (group: string, name: string): string => (group === '' ? name : `${name}.${group}`)
export const formatGroupResource = ({ group, resource }: GroupResource): string => qualified(group, resource)

/** Texts in Go's quotes. */
const quoted = (text: string): string => JSON.stringify(text)

function failure(code: number, reason: StatusReason | undefined, message: string, details?: StatusDetails): Status {
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, ...(reason === undefined ? {} : { reason }), ...(details === undefined ? {} : { details }), code }
}

/** Leaves out what is empty, as the wire does. */
function detailsOf(resource: GroupResource, name: string, more: StatusDetails = {}): StatusDetails {
  return { ...(name === '' ? {} : { name }), ...(resource.group === '' ? {} : { group: resource.group }), ...(resource.resource === '' ? {} : { kind: resource.resource }), ...more }
}

const retryAfter = (seconds: number): StatusDetails => (seconds > 0 ? { retryAfterSeconds: seconds } : {})

export const newBadRequest = (message: string): Status => failure(400, 'BadRequest', message)

export const newUnauthorized = (message = 'Unauthorized'): Status => failure(401, 'Unauthorized', message)

/** `pods "x" is forbidden: why`. With an empty resource: `forbidden: why`. */
export function newForbidden(resource: GroupResource, name: string, why: string): Status {
  const what = resource.group === '' && resource.resource === '' ? 'forbidden' : `${formatGroupResource(resource)}${name === '' ? '' : ` ${quoted(name)}`} is forbidden`
  return failure(403, 'Forbidden', `${what}: ${why}`, detailsOf(resource, name))
}

export const newNotFound = (resource: GroupResource, name: string): Status => failure(404, 'NotFound', `${formatGroupResource(resource)} ${quoted(name)} not found`, detailsOf(resource, name))

/** For paths that nothing serves. */
export const newPathNotFound = (): Status => failure(404, 'NotFound', 'the server could not find the requested resource', {})

export function newMethodNotSupported(resource: GroupResource, action: string): Status {
  return failure(405, 'MethodNotAllowed', `${action} is not supported on resources of kind ${quoted(formatGroupResource(resource))}`, detailsOf(resource, ''))
}

export const newMethodNotAllowed = (): Status => failure(405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource', {})

export const newNotAcceptable = (mediaTypes: readonly string[]): Status => failure(406, 'NotAcceptable', `only the following media types are accepted: ${mediaTypes.join(', ')}`)

export function newUnsupportedMediaType(mediaTypes: readonly string[]): Status {
  return failure(415, 'UnsupportedMediaType', `the body of the request was in an unknown format - accepted media types include: ${mediaTypes.join(', ')}`)
}

export const newRequestEntityTooLarge = (why: string): Status => failure(413, 'RequestEntityTooLarge', `Request entity too large: ${why}`)

export function newAlreadyExists(resource: GroupResource, name: string): Status {
  return failure(409, 'AlreadyExists', `${formatGroupResource(resource)} ${quoted(name)} already exists`, detailsOf(resource, name))
}

/** The object that has this name is on its way out. */
export function newAlreadyExistsBeingDeleted(resource: GroupResource, name: string): Status {
  return failure(409, 'AlreadyExists', `object is being deleted: ${formatGroupResource(resource)} ${quoted(name)} already exists`, detailsOf(resource, name))
}

export function newGenerateNameConflict(resource: GroupResource, name: string, retryAfterSeconds = 1): Status {
  return failure(409, 'AlreadyExists', `${formatGroupResource(resource)} ${quoted(name)} already exists, the server was not able to generate a unique name for the object`, detailsOf(resource, name, retryAfter(retryAfterSeconds)))
}

/** What a writer with an old resourceVersion is told. */
export const objectModified = 'the object has been modified; please apply your changes to the latest version and try again'

export function newConflict(resource: GroupResource, name: string, why: string = objectModified): Status {
  return failure(409, 'Conflict', `Operation cannot be fulfilled on ${formatGroupResource(resource)} ${quoted(name)}: ${why}`, detailsOf(resource, name))
}

/** Server-side apply: fields that belong to others. */
export const newApplyConflict = (causes: readonly StatusCause[], message: string): Status => failure(409, 'Conflict', message, { causes })

export const newGone = (message: string): Status => failure(410, 'Gone', message)

/** The resourceVersion or continue token is too old: list again. `continueToken` goes on without consistency. */
export function newResourceExpired(message: string, continueToken = ''): Status {
  const status = failure(410, 'Expired', message)
  return continueToken === '' ? status : { ...status, metadata: { continue: continueToken } }
}

/** `Pod "x" is invalid: spec.containers: Required value`, with one cause per field error. */
export function newInvalid(kind: string, group: string, name: string, errors: readonly FieldError[]): Status {
  const texts = [...new Set(errors.map((error) => `${error.field}: ${error.body}`))]
  const why = texts.length === 0 ? '' : texts.length === 1 ? `: ${texts[0]}` : `: [${texts.join(', ')}]`
  return failure(422, 'Invalid', `${qualified(group, kind)} ${quoted(name)} is invalid${why}`, {
    ...(name === '' ? {} : { name }), ...(group === '' ? {} : { group }), ...(kind === '' ? {} : { kind }),
    ...(errors.length === 0 ? {} : { causes: errors.map((error) => ({ reason: causeReason(error), message: error.body, field: error.field })) }),
  })
}

/** A patch that can't be carried out: what a failing `test` operation gives. The original says no more than this, and clients print it. */
export const newGenericInvalid = (): Status => failure(422, 'Invalid', 'the server rejected our request due to an error in our request', {})

export function newTooManyRequests(message: string, retryAfterSeconds: number, causes: readonly StatusCause[] = []): Status {
  return failure(429, 'TooManyRequests', message, { ...(causes.length > 0 ? { causes } : {}), ...retryAfter(retryAfterSeconds) })
}

export const newInternalError = (why: string): Status => failure(500, 'InternalError', `Internal error occurred: ${why}`, { causes: [{ message: why }] })

/** The operation could not be completed in time; `operation` is the verb. Code 500, as the original's. */
export function newServerTimeout(resource: GroupResource, operation: string, retryAfterSeconds = 0): Status {
  return failure(500, 'ServerTimeout', `The ${operation} operation against ${formatGroupResource(resource)} could not be completed at this time, please try again.`, detailsOf(resource, operation, retryAfter(retryAfterSeconds)))
}

export function newStoreReadError(resource: GroupResource, unreadable: readonly { readonly key: string; readonly why: string }[]): Status {
  const more = unreadable.length > 1 ? ` (and ${unreadable.length - 1} more)` : ''
  return failure(500, 'StoreReadError', `failed to read one or more ${formatGroupResource(resource)} from the storage: ${unreadable[0]?.why ?? ''}${more}`, {
    ...(resource.group === '' ? {} : { group: resource.group }), kind: resource.resource, name: 'list', causes: unreadable.slice(0, mostCauses).map(({ key, why }) => ({ reason: 'UnexpectedServerResponse', message: why, field: key })),
  })
}
const mostCauses = 100

export const newServiceUnavailable = (message: string): Status => failure(503, 'ServiceUnavailable', message)

export const newTimeout = (why: string, retryAfterSeconds = 0): Status => failure(504, 'Timeout', `Timeout: ${why}`, retryAfter(retryAfterSeconds))

/** The client asks for a resourceVersion that the server hasn't reached. */
export function newTooLargeResourceVersion(requested: string | number | bigint, current: string | number | bigint, retryAfterSeconds = 1): Status {
  return failure(504, 'Timeout', `Timeout: Too large resource version: ${requested}, current: ${current}`, {
    causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }], ...retryAfter(retryAfterSeconds),
  })
}

/** Any code, without a reason of its own. */
export const newGenericFailure = (code: number, message: string, reason?: StatusReason): Status => failure(code, reason, message)

/** What a deletion answers; `details.kind` is the resource's plural. It carries no code. */
export function newDeleteSuccess(resource: GroupResource, name: string, uid: string): Omit<Status, 'code'> {
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details: detailsOf(resource, name, uid === '' ? {} : { uid }) }
}
