// The query parameters of writes: dryRun, fieldManager, fieldValidation, force. Pure.
// Upstream: apimachinery/pkg/apis/meta/v1/validation
import type { FieldError } from '../../../lib/apimachinery/field-error.ts'
import { fieldInvalid, fieldNotSupported } from '../../../lib/apimachinery/field-error.ts'
import { badRequest, invalid } from './api-errors.ts'

export type FieldValidation = 'Ignore' | 'Warn' | 'Strict'

export interface WriteOptions {
  readonly dryRun: boolean
  readonly fieldManager: string
  readonly fieldValidation: FieldValidation
  readonly force: boolean | undefined
}

const validations: readonly FieldValidation[] = ['Ignore', 'Warn', 'Strict']
const isValidation = (text: string): text is FieldValidation => (validations as readonly string[]).includes(text) // cast: widening for includes

/** @param kind CreateOptions, UpdateOptions or PatchOptions, for the error. @throws ApiError 422 */
export function parseWriteOptions(query: URLSearchParams, headers: { readonly [name: string]: string }, kind: string): WriteOptions {
  const errors: FieldError[] = []
  const dryRun = query.getAll('dryRun')
  const wrong = dryRun.filter((value) => value !== 'All')
  if (wrong.length > 0) errors.push(fieldNotSupported('dryRun', wrong.length === 1 ? wrong : dryRun, ['All']))
  const manager = query.get('fieldManager') ?? ''
  if (manager.length > 128) errors.push({ type: 'TooLong', field: 'fieldManager', body: 'Too long: may not be more than 128 bytes' })
  for (const character of manager) {
    if (!/[\p{L}\p{M}\p{N}\p{P}\p{S} ]/u.test(character)) { errors.push(fieldInvalid('fieldManager', manager, 'should only contain printable characters')); break }
  }
  const validation = query.get('fieldValidation') ?? ''
  if (validation !== '' && !isValidation(validation)) errors.push(fieldNotSupported('fieldValidation', validation, ['', ...validations]))
  if (errors.length > 0) throw invalid('meta.k8s.io', kind, '', errors)
  return {
    dryRun: dryRun.length > 0,
    fieldManager: manager !== '' ? manager : (headers['user-agent'] ?? '').split('/')[0]?.slice(0, 128) || 'unknown',
    fieldValidation: isValidation(validation) ? validation : 'Warn',
    force: parseBoolean(query, 'force'),
  }
}

/** @throws ApiError 400 */
export function parseBoolean(query: URLSearchParams, name: string): boolean | undefined {
  const text = query.get(name)
  if (text === null) return undefined
  // As the original's query decoder: everything that isn't a known no is a yes.
  return !['false', '0'].includes(text.toLowerCase())
}

/** @throws ApiError 400 */
export function parseInteger(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name)
  if (text === null || text === '') return undefined
  if (!/^[+-]?\d{1,18}$/.test(text)) throw badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`)
  return Number(text)
}
