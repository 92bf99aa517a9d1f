// One thing that is wrong with one field: what validation returns, and what becomes a cause of a Status of reason Invalid.
// The texts are what clients see, so they are the original's. Upstream: apimachinery/pkg/util/validation/field

export type FieldErrorType = 'Required' | 'Invalid' | 'Duplicate' | 'NotFound' | 'NotSupported' | 'Forbidden' | 'TooLong' | 'TooMany' | 'TypeInvalid' | 'InternalError'

export interface FieldError {
  readonly type: FieldErrorType
  /** `spec.containers[0].name`; keys of maps in brackets: `metadata.labels[a/b]`. */
  readonly field: string
  /** The whole line without the field: `Invalid value: "x": must be no more than 63 characters`. */
  readonly body: string
}

/** Prints a value as Go's errors print it: strings quoted, objects as JSON, numbers plain, absent as null. */
export function formatFieldValue(value: unknown): string {
  if (value === undefined || value === null) return 'null'
  if (typeof value === 'string') return JSON.stringify(value)
  if (typeof value === 'object') return JSON.stringify(value)
  return String(value)
}

export const fieldRequired = (field: string, detail = ''): FieldError => ({ type: 'Required', field, body: `Required value${detail && `: ${detail}`}` })
export const fieldInvalid = (field: string, value: unknown, detail: string): FieldError => ({ type: 'Invalid', field, body: `Invalid value: ${formatFieldValue(value)}${detail && `: ${detail}`}` })
export const fieldTypeInvalid = (field: string, value: unknown, detail: string): FieldError => ({ type: 'TypeInvalid', field, body: `Invalid value: ${formatFieldValue(value)}${detail && `: ${detail}`}` })
export const fieldDuplicate = (field: string, value: unknown): FieldError => ({ type: 'Duplicate', field, body: `Duplicate value: ${formatFieldValue(value)}` })
export const fieldNotFound = (field: string, value: unknown): FieldError => ({ type: 'NotFound', field, body: `Not found: ${formatFieldValue(value)}` })
export const fieldForbidden = (field: string, detail: string): FieldError => ({ type: 'Forbidden', field, body: `Forbidden${detail && `: ${detail}`}` })
export const fieldTooLong = (field: string, maxLength: number): FieldError => ({ type: 'TooLong', field, body: `Too long: may not be more than ${maxLength} bytes` })
export const fieldTooMany = (field: string, actual: number, max: number): FieldError => ({ type: 'TooMany', field, body: `Too many: ${actual}: must have at most ${max} items` })
export const fieldInternal = (field: string, detail: string): FieldError => ({ type: 'InternalError', field, body: `Internal error: ${detail}` })

/** `supported` in the order in which they are to be printed. */
export function fieldNotSupported(field: string, value: unknown, supported: readonly string[]): FieldError {
  return { type: 'NotSupported', field, body: `Unsupported value: ${formatFieldValue(value)}${supported.length > 0 ? `: supported values: ${supported.map((s) => JSON.stringify(s)).join(', ')}` : ''}` }
}

/** The cause's reason in a Status: `FieldValueRequired`, …; TypeInvalid and InternalError keep their own forms. */
export function causeReason(error: FieldError): string {
  switch (error.type) {
    case 'InternalError': return 'InternalError'
    default: return `FieldValue${error.type}`
  }
}
