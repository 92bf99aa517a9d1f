// Errors of the API server in kubectl's words. Upstream: kubectl/pkg/cmd/util/helpers.go (StandardErrorMessage, checkErr)
import type { ApiError } from '../../lib/client/api-error.ts'

/** `Error from server (NotFound): …`; an Unauthorized answer has words of its own. */
export function formatApiError(error: ApiError): string {
  if (error.reason === 'Unauthorized') return `error: You must be logged in to the server (${error.message})`
  if (error.reason === '') return `Error from server: ${error.message}`
  if (error.reason === 'Invalid') {
    const { details } = error.status
    const causes = [...new Set((details?.causes ?? []).map((c) => `${c.field ? `${c.field}: ` : ''}${c.message ?? ''}`))]
    const subject = details?.kind || details?.name ? `The ${details.kind ?? ''} ${JSON.stringify(details.name ?? '')} is invalid` : `The request is invalid${causes.length === 0 && error.message ? `: ${error.message}` : ''}`
    return causes.length === 0 ? subject : causes.length === 1 ? `${subject}: ${causes[0] ?? ''}` : `${subject}: \n${causes.map((c) => `* ${c}`).join('\n')}`
  }
  return `Error from server (${error.reason}): ${error.message}`
}
