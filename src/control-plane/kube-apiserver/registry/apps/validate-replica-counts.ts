// Counts in statuses: none negative, none above the whole. Upstream: pkg/apis/apps/validation/validation.go
import { fieldInvalid } from '../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../lib/apimachinery/field-error.ts'
import { validateNonNegative } from '../validate-object-meta.ts'

type Counts = { readonly [name: string]: unknown } | undefined

const numberAt = (counts: Counts, name: string): number => {
  const value = counts?.[name]
  return typeof value === 'number' ? value : 0
}

export function validateCounts(status: object | undefined, names: readonly string[], errors: FieldError[]): void {
  // cast: reads counts by name
  for (const name of names) validateNonNegative(numberAt(status as Counts, name), `status.${name}`, errors)
}

/** Each of `names` may be at most `status[whole]`. */
export function validateAtMost(status: object | undefined, names: readonly string[], whole: string, text: string, errors: FieldError[]): void {
  for (const name of names) {
    // cast: reads counts by name
    const value = numberAt(status as Counts, name)
    // cast: the same
    if (value > numberAt(status as Counts, whole)) errors.push(fieldInvalid(`status.${name}`, value, text))
  }
}

export function validateCollisionCount(now: number | undefined, old: number | undefined, errors: FieldError[]): void {
  if (old !== undefined && (now ?? -1) < old) errors.push(fieldInvalid('status.collisionCount', now ?? 0, 'cannot be decremented'))
}
