// The refusals of the API server as errors to throw: the Status objects of lib/apimachinery, wrapped in the ApiError that every client knows.
// Upstream: apimachinery/pkg/api/errors/errors.go
import type { FieldError } from '../../../lib/apimachinery/field-error.ts'
import * as statuses from '../../../lib/apimachinery/status.ts'
import type { GroupResource, Status, StatusCause } from '../../../lib/apimachinery/status.ts'
import { ApiError } from '../../../lib/client/api-error.ts'

export type { GroupResource } from '../../../lib/apimachinery/status.ts'

export const refuse = (status: Status): ApiError => new ApiError(status)

export const badRequest = (message: string): ApiError => refuse(statuses.newBadRequest(message))
export const unauthorized = (): ApiError => refuse(statuses.newUnauthorized())
export const notFound = (resource: GroupResource, name: string): ApiError => refuse(statuses.newNotFound(resource, name))
export const alreadyExists = (resource: GroupResource, name: string): ApiError => refuse(statuses.newAlreadyExists(resource, name))
export const nameNotGenerated = (resource: GroupResource, name: string): ApiError => refuse(statuses.newGenerateNameConflict(resource, name))
export const beingDeleted = (resource: GroupResource, name: string): ApiError => refuse(statuses.newAlreadyExistsBeingDeleted(resource, name))
/** For paths that nothing serves. */
export const pathNotFound = (): ApiError => refuse(statuses.newPathNotFound())
export const conflict = (resource: GroupResource, name: string, why: string): ApiError => refuse(statuses.newConflict(resource, name, why))
export const modified = (resource: GroupResource, name: string): ApiError => refuse(statuses.newConflict(resource, name))
export const forbiddenPath = (why: string): ApiError => refuse(statuses.newForbidden({ group: '', resource: '' }, '', why))
export const methodNotSupported = (resource: GroupResource, verb: string): ApiError => refuse(statuses.newMethodNotSupported(resource, verb))
export const methodNotAllowed = (): ApiError => refuse(statuses.newMethodNotAllowed())
export const notAcceptable = (accepted: readonly string[]): ApiError => refuse(statuses.newNotAcceptable(accepted))
export const unsupportedMediaType = (accepted: readonly string[]): ApiError => refuse(statuses.newUnsupportedMediaType(accepted))
export const entityTooLarge = (why: string): ApiError => refuse(statuses.newRequestEntityTooLarge(why))
export const gone = (message: string): ApiError => refuse(statuses.newGone(message))
export const expired = (message: string, continueToken?: string): ApiError => refuse(statuses.newResourceExpired(message, continueToken))
export const tooManyRequests = (message: string, retryAfterSeconds: number, causes: readonly StatusCause[] = []): ApiError => refuse(statuses.newTooManyRequests(message, retryAfterSeconds, causes))
export const internalError = (message: string): ApiError => refuse(statuses.newInternalError(message))
/** The store could not be asked, so nothing has happened: the client may try again. */
export const serverTimeout = (resource: GroupResource, operation: string, retryAfterSeconds: number): ApiError => refuse(statuses.newServerTimeout(resource, operation, retryAfterSeconds))
/** The store's own words; without a reason, as the original passes on what it doesn't know. */
export const storageFailure = (message: string): ApiError => refuse({ kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, code: 500 })
/** Objects that etcd has and this server can't read: a list without them would be a lie. */
export const storeReadError = (resource: GroupResource, unreadable: readonly { readonly key: string; readonly why: string }[]): ApiError => refuse(statuses.newStoreReadError(resource, unreadable))
export const serviceUnavailable = (message: string): ApiError => refuse(statuses.newServiceUnavailable(message))
export const timedOut = (message: string): ApiError => refuse(statuses.newTimeout(message))
/** A patch that can't be applied to the object as it is. */
export const unprocessable = (): ApiError => refuse(statuses.newGenericInvalid())
export const resourceVersionTooLarge = (wanted: number, current: number): ApiError => refuse(statuses.newTooLargeResourceVersion(wanted, current))

/** `causes` lets programs tell one refusal from another (NamespaceTerminating). */
export function forbidden(resource: GroupResource, name: string, why: string, causes?: readonly StatusCause[]): ApiError {
  const status = statuses.newForbidden(resource, name, why)
  return refuse(causes ? { ...status, details: { ...status.details, causes } } : status)
}

/** `kind` is the Kind, not the resource; `name` may be empty. */
export const invalid = (group: string, kind: string, name: string, errors: readonly FieldError[]): ApiError => refuse(statuses.newInvalid(kind, group, name, errors))
