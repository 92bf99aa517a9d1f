// The query parameters of list, watch and deletecollection, checked by the original's rules, with selectors compiled to filters. Pure.
// Upstream: apimachinery/pkg/apis/meta/internalversion/validation
import type { FieldError } from '../../../lib/apimachinery/field-error.ts'
import { fieldForbidden, fieldNotSupported } from '../../../lib/apimachinery/field-error.ts'
import { fieldNotSupportedError, fieldsMatch, parseFieldSelector, requiredFieldValue } from '../../../lib/apimachinery/field-selector.ts'
import { matches, parseLabelSelector, selectsEverything } from '../../../lib/apimachinery/label-selector.ts'
import type { ResourceStrategy } from '../registry/strategy.ts'
import type { ContinueToken } from '../storage/continue-token.ts'
import { decodeContinueToken } from '../storage/continue-token.ts'
import type { ObjectFilter } from '../storage/cache-event.ts'
import { asApiObject } from '../storage/stored-object.ts'
import { badRequest, invalid } from './api-errors.ts'
import { parseBoolean, parseInteger } from './write-options.ts'

export interface ListOptions {
  /** undefined: every object passes. */
  readonly filter: ObjectFilter | undefined
  /** metadata.name and metadata.namespace that the selector demands. */
  readonly name: string | undefined
  readonly namespace: string | undefined
  /** spec.nodeName that the selector demands. */
  readonly nodeName: string | undefined
  /** 0: everything. */
  readonly limit: number
  readonly continueToken: ContinueToken | undefined
  /** undefined: not given; 0: whichever. */
  readonly resourceVersion: number | undefined
  readonly resourceVersionMatch: '' | 'Exact' | 'NotOlderThan'
  readonly allowWatchBookmarks: boolean
  readonly sendInitialEvents: boolean | undefined
  readonly timeoutSeconds: number | undefined
}

/** @throws ApiError 400 for what can't be read, 422 for what contradicts itself */
export function parseListOptions(query: URLSearchParams, strategy: ResourceStrategy, isWatch: boolean): ListOptions {
  const resourceVersion = parseResourceVersion(query.get('resourceVersion') ?? '')
  const match = query.get('resourceVersionMatch') ?? ''
  const token = query.get('continue') ?? ''
  const limit = parseInteger(query, 'limit') ?? 0
  const sendInitialEvents = parseBoolean(query, 'sendInitialEvents')
  checkVersionMatch(isWatch, match, resourceVersion, token, sendInitialEvents)
  if (!isWatch && token !== '' && resourceVersion !== undefined && resourceVersion !== 0) throw badRequest('specifying resource version is not allowed when using continue')
  let continueToken: ContinueToken | undefined
  if (token !== '') {
    const decoded = decodeContinueToken(token)
    if (typeof decoded === 'string') throw badRequest(`invalid continue token: ${decoded}`)
    continueToken = decoded
  }
  return {
    ...parseSelectors(query, strategy),
    limit: Math.max(0, limit), continueToken, resourceVersion,
    resourceVersionMatch: match === 'Exact' || match === 'NotOlderThan' ? match : '',
    allowWatchBookmarks: parseBoolean(query, 'allowWatchBookmarks') ?? false,
    sendInitialEvents,
    timeoutSeconds: parseInteger(query, 'timeoutSeconds'),
  }
}

/** @throws ApiError 400 */
export function parseResourceVersion(text: string): number | undefined {
  if (text === '') return undefined
  const refuse = (why: string): Error => badRequest(`invalid resource version: resourceVersion: Invalid value: ${JSON.stringify(text)}: strconv.ParseUint: parsing ${JSON.stringify(text)}: ${why}`)
  if (!/^\d+$/.test(text)) throw refuse('invalid syntax')
  if (BigInt(text) >= 1n << 64n) throw refuse('value out of range')
  // Beyond what a number holds there is nothing: too large, whatever it is.
  return Math.min(Number(text), Number.MAX_SAFE_INTEGER)
}

function checkVersionMatch(isWatch: boolean, match: string, version: number | undefined, token: string, sendInitialEvents: boolean | undefined): void {
  const errors: FieldError[] = []
  if (isWatch) {
    if (sendInitialEvents !== undefined) {
      if (match === '') errors.push(fieldForbidden('resourceVersionMatch', 'sendInitialEvents requires setting resourceVersionMatch to NotOlderThan'))
      else if (match !== 'NotOlderThan') errors.push(fieldNotSupported('resourceVersionMatch', match, ['NotOlderThan']))
      if (token !== '') errors.push(fieldForbidden('continue', 'continue is forbidden for watch'))
    } else if (match !== '') errors.push(fieldForbidden('resourceVersionMatch', 'resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided'))
  } else {
    if (match !== '') {
      if (version === undefined) errors.push(fieldForbidden('resourceVersionMatch', 'resourceVersionMatch is forbidden unless resourceVersion is provided'))
      if (token !== '') errors.push(fieldForbidden('resourceVersionMatch', 'resourceVersionMatch is forbidden when continue is provided'))
      if (match !== 'Exact' && match !== 'NotOlderThan') errors.push(fieldNotSupported('resourceVersionMatch', match, ['Exact', 'NotOlderThan', '']))
      if (match === 'Exact' && version === 0) errors.push(fieldForbidden('resourceVersionMatch', 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'))
    }
    if (sendInitialEvents !== undefined) errors.push(fieldForbidden('sendInitialEvents', 'sendInitialEvents is forbidden for list'))
  }
  if (errors.length > 0) throw invalid('meta.k8s.io', 'ListOptions', '', errors)
}

function parseSelectors(query: URLSearchParams, strategy: ResourceStrategy): Pick<ListOptions, 'filter' | 'name' | 'namespace' | 'nodeName'> {
  const labelText = query.get('labelSelector') ?? ''
  const fieldText = query.get('fieldSelector') ?? ''
  const labels = parseLabelSelector(labelText)
  if (!labels.ok) throw badRequest(labels.error)
  const fields = parseFieldSelector(fieldText)
  if (!fields.ok) throw badRequest(fields.error)
  const { selector } = fields
  if (selector.requirements.length > 0) {
    // What a kind can be selected by doesn't depend on the object.
    const known = strategy.selectableFields(asApiObject({ metadata: { name: '', namespace: '' }, spec: {}, status: {} }))
    for (const { field } of selector.requirements) if (!Object.hasOwn(known, field)) throw badRequest(fieldNotSupportedError(field))
  }
  const byLabels = labels.selector
  const noLabels = selectsEverything(byLabels)
  const noFields = selector.requirements.length === 0
  return {
    name: requiredFieldValue(selector, 'metadata.name'),
    namespace: requiredFieldValue(selector, 'metadata.namespace'),
    nodeName: requiredFieldValue(selector, 'spec.nodeName'),
    filter: noLabels && noFields ? undefined : (object) => {
      const { labels: have, fields: values } = object.selection
      return (noLabels || matches(byLabels, have)) && (noFields || fieldsMatch(selector, values))
    },
  }
}
