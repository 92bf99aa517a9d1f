// Paths that end up on nodes: none may lead out of where it belongs. Upstream: pkg/apis/core/validation/validation.go
import { fieldInvalid } from '../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../lib/apimachinery/field-error.ts'

export const hasBacksteps = (path: string): boolean => path.includes('..') && path.split('/').includes('..')

export function validateNoBacksteps(target: string, path: string, errors: FieldError[]): void {
  if (hasBacksteps(target)) errors.push(fieldInvalid(path, target, "must not contain '..'"))
}

/** Relative, and never upwards. */
export function validateLocalDescendingPath(target: string, path: string, errors: FieldError[]): void {
  if (target.startsWith('/')) errors.push(fieldInvalid(path, target, 'must be a relative path'))
  validateNoBacksteps(target, path, errors)
}

/** The same, and not one of the names that atomic writers use for themselves. */
export function validateLocalNonReservedPath(target: string, path: string, errors: FieldError[]): void {
  validateLocalDescendingPath(target, path, errors)
  if (target.startsWith('..') && !target.startsWith('../')) errors.push(fieldInvalid(path, target, "must not start with '..'"))
}

/** File modes are octal 0 to 0777. */
export function validateFileMode(mode: number | undefined, path: string, errors: FieldError[]): void {
  if (mode !== undefined && (mode > 0o777 || mode < 0)) errors.push(fieldInvalid(path, mode, 'must be a number between 0 and 0777 (octal), both inclusive'))
}
