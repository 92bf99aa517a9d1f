// Numbers that may be given as a percentage of something. Upstream: pkg/apis/apps/validation/validation.go (ValidatePositiveIntOrPercent, IsNotMoreThan100Percent)
import { fieldInvalid } from '../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../lib/apimachinery/field-error.ts'
import { isValidPercent } from '../../../../lib/apimachinery/validation.ts'
import { pushInvalid, validateNonNegative } from '../validate-object-meta.ts'

export function validatePositiveIntOrPercent(value: number | string | undefined, path: string, errors: FieldError[]): void {
  if (typeof value === 'string') pushInvalid(errors, path, value, isValidPercent)
  else validateNonNegative(value ?? 0, path, errors)
}

export const percentOf = (value: number | string | undefined): number | undefined => typeof value === 'string' && /^[0-9]+%$/.test(value) ? Number(value.slice(0, -1)) : undefined

export function validateAtMostHundredPercent(value: number | string | undefined, path: string, errors: FieldError[]): void {
  if ((percentOf(value) ?? 0) > 100) errors.push(fieldInvalid(path, value, 'must not be greater than 100%'))
}

/** The number, or the percentage's: enough to see whether it is zero. */
export const magnitudeOf = (value: number | string | undefined): number => percentOf(value) ?? (typeof value === 'number' ? value : 0)
