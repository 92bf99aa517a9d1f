// The strategy's rules for Events, of the core group and of events.k8s.io: one kind in two dresses, with stricter rules in the newer one.
// Upstream: pkg/registry/core/event/strategy.go, pkg/apis/core/validation/events.go
import type { Event } from '../../../../lib/api/generated/types/core-v1.ts'
import type { Event as NewEvent } from '../../../../lib/api/generated/types/events-v1.ts'
import { fieldInvalid, fieldRequired } from '../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../lib/apimachinery/field-error.ts'
import { isDns1123Subdomain, isQualifiedName } from '../../../../lib/apimachinery/validation.ts'
import { byteLength } from '../byte-length.ts'
import type { KindRules } from '../generic-strategy.ts'
import { nameIsDnsSubdomain, nameIsPathSegment } from '../name-rules.ts'
import { semanticEqual } from '../semantic-equal.ts'
import { pushInvalid, validateImmutable } from '../validate-object-meta.ts'

/** The core form of an event of the newer group. */
function toCore(event: NewEvent): Event {
  const { regarding, note, deprecatedSource, deprecatedFirstTimestamp, deprecatedLastTimestamp, deprecatedCount, reportingController, reportingInstance, eventTime, reason, action, type, related, series } = event
  return {
    metadata: event.metadata, involvedObject: regarding ?? {}, source: deprecatedSource ?? {}, reportingComponent: reportingController ?? '', reportingInstance: reportingInstance ?? '',
    ...(note !== undefined && { message: note }), ...(deprecatedFirstTimestamp && { firstTimestamp: deprecatedFirstTimestamp }),
    ...(deprecatedLastTimestamp && { lastTimestamp: deprecatedLastTimestamp }), ...(deprecatedCount && { count: deprecatedCount }), ...(eventTime && { eventTime }),
    ...(reason !== undefined && { reason }), ...(action !== undefined && { action }), ...(type !== undefined && { type }), ...(related && { related }), ...(series && { series }),
  }
}

function validateLegacy(event: Event, errors: FieldError[]): void {
  const namespace = event.metadata.namespace ?? ''
  const about = event.involvedObject?.namespace ?? ''
  const mismatch = (): void => { errors.push(fieldInvalid('involvedObject.namespace', about, 'does not match event.namespace')) }
  if (!event.eventTime) {
    if (about === '' ? namespace !== '' && namespace !== 'default' : namespace !== about) mismatch()
  } else {
    if (about === '' && namespace !== 'default' && namespace !== 'kube-system') mismatch()
    const component = event.reportingComponent ?? ''
    if (component === '') errors.push(fieldRequired('reportingController'))
    pushInvalid(errors, 'reportingController', component, isQualifiedName)
    validateText(event.reportingInstance, 'reportingInstance', 128, errors)
    validateText(event.action, 'action', 128, errors)
    validateText(event.reason, 'reason', 128, errors)
    if (byteLength(event.message ?? '') > 1024) errors.push(fieldInvalid('message', '', 'can have at most 1024 characters'))
  }
  for (const text of isDns1123Subdomain(namespace)) errors.push(fieldInvalid('namespace', namespace, text))
}

function validateText(text: string | undefined, path: string, limit: number, errors: FieldError[]): void {
  if (!text) errors.push(fieldRequired(path))
  else if (byteLength(text) > limit) errors.push(fieldInvalid(path, '', `can have at most ${limit} characters`))
}

function validateSeries(event: Event, errors: FieldError[]): void {
  if (!event.series) return
  if ((event.series.count ?? 0) < 2) errors.push(fieldInvalid('series.count', '', 'should be at least 2'))
  if (!event.series.lastObservedTime) errors.push(fieldRequired('series.lastObservedTime'))
}

function validateStrict(event: Event, errors: FieldError[]): void {
  validateSeries(event, errors)
  if (!event.eventTime) errors.push(fieldRequired('eventTime'))
  if (event.type !== 'Normal' && event.type !== 'Warning') errors.push(fieldInvalid('type', '', `has invalid value: ${event.type ?? ''}`))
  const mustBeUnset = (set: boolean, path: string): void => { if (set) errors.push(fieldInvalid(path, '', 'needs to be unset')) }
  mustBeUnset(event.firstTimestamp !== undefined, 'firstTimestamp')
  mustBeUnset(event.lastTimestamp !== undefined, 'lastTimestamp')
  mustBeUnset((event.count ?? 0) !== 0, 'count')
  mustBeUnset(Boolean(event.source?.component) || Boolean(event.source?.host), 'source')
}

const fixedFields = ['involvedObject', 'reason', 'message', 'source', 'firstTimestamp', 'lastTimestamp', 'count', 'type', 'eventTime', 'action', 'related'] as const

function fieldsOf(event: Event): { readonly [field: string]: string } {
  const about = event.involvedObject ?? {}
  return {
    'involvedObject.kind': about.kind ?? '', 'involvedObject.namespace': about.namespace ?? '', 'involvedObject.name': about.name ?? '', 'involvedObject.uid': about.uid ?? '',
    'involvedObject.apiVersion': about.apiVersion ?? '', 'involvedObject.resourceVersion': about.resourceVersion ?? '', 'involvedObject.fieldPath': about.fieldPath ?? '',
    reason: event.reason ?? '', reportingComponent: event.reportingComponent ?? '', source: event.source?.component || (event.reportingComponent ?? ''), type: event.type ?? '',
  }
}

export const eventRules: KindRules<Event> = {
  nameRule: nameIsPathSegment,
  validate: validateLegacy,
  selectableFields: fieldsOf,
}

export const newEventRules: KindRules<NewEvent> = {
  nameRule: nameIsDnsSubdomain,
  validate(event, errors) {
    const core = toCore(event)
    validateLegacy(core, errors)
    validateStrict(core, errors)
  },
  validateUpdate(event, old, errors) {
    const core = toCore(event)
    const oldCore = toCore(old)
    validateLegacy(core, errors)
    if (!semanticEqual(core.series, oldCore.series)) validateSeries(core, errors)
    for (const field of fixedFields) validateImmutable(core[field], oldCore[field], field, errors)
    validateImmutable(core.reportingComponent, oldCore.reportingComponent, 'reportingController', errors)
    validateImmutable(core.reportingInstance, oldCore.reportingInstance, 'reportingInstance', errors)
  },
  selectableFields(event) {
    const fields: { [field: string]: string } = { ...fieldsOf(toCore(event)), reportingController: event.reportingController ?? '' }
    for (const key of Object.keys(fields)) if (key.startsWith('involvedObject.')) fields[key.replace('involvedObject.', 'regarding.')] = fields[key] ?? ''
    return fields
  },
}
