// The API server said no. The reason is what programs test (IsNotFound and its kin); the message is for people.
// Upstream: apimachinery/pkg/api/errors
import type { Status } from '../api/generated/types/meta-v1.ts'

export class ApiError extends Error {
  override readonly name = 'ApiError'
  /** HTTP status code. */
  readonly code: number
  /** Status.reason: NotFound, AlreadyExists, Conflict, Invalid, Forbidden, Expired, …; empty when the server gave none. */
  readonly reason: string
  readonly status: Status
  constructor(status: Status) {
    super(status.message ?? status.reason ?? `HTTP ${status.code ?? 0}`)
    this.status = status
    this.code = status.code ?? 500
    this.reason = status.reason ?? ''
  }
}

/** True when `error` is the API server's refusal for one of these reasons. */
export function hasReason(error: unknown, ...reasons: readonly string[]): error is ApiError {
  return error instanceof ApiError && reasons.includes(error.reason)
}
