// The strategy's rules for FlowSchemas and PriorityLevelConfigurations. Upstream: pkg/apis/flowcontrol/{v1/defaults.go,validation/validation.go}
import type { FlowSchema, LimitedPriorityLevelConfiguration, PriorityLevelConfiguration } from '../../../../lib/api/generated/types/flowcontrol-v1.ts'
import { fieldForbidden, fieldInvalid, fieldNotSupported, fieldRequired } from '../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../lib/apimachinery/field-error.ts'
import { isDns1123Subdomain } from '../../../../lib/apimachinery/validation.ts'
import type { KindRules } from '../generic-strategy.ts'
import { pushInvalid } from '../validate-object-meta.ts'
import { validatePolicyRules } from './validate-policy-rules.ts'

const lowestPrecedence = 10000
const mostQueues = 10000000

export const flowSchemaRules: KindRules<FlowSchema> = {
  applyDefaults: (schema) => schema.spec?.matchingPrecedence ? schema : { ...schema, spec: { ...schema.spec, matchingPrecedence: 1000 } },
  validate({ metadata, spec }, errors) {
    const precedence = spec?.matchingPrecedence ?? 0
    if (precedence <= 0) errors.push(fieldInvalid('spec.matchingPrecedence', precedence, 'must be a positive value'))
    if (precedence > lowestPrecedence) errors.push(fieldInvalid('spec.matchingPrecedence', precedence, `must not be greater than ${lowestPrecedence}`))
    if (precedence === 1 && metadata.name !== 'exempt') errors.push(fieldInvalid('spec.matchingPrecedence', precedence, "only the schema named 'exempt' may have matchingPrecedence 1"))
    const method = spec?.distinguisherMethod?.type
    if (spec?.distinguisherMethod && method !== 'ByNamespace' && method !== 'ByUser') errors.push(fieldNotSupported('spec.distinguisherMethod.type', { Type: method ?? '' }, ['ByNamespace', 'ByUser']))
    const level = spec?.priorityLevelConfiguration?.name ?? ''
    if (level === '') errors.push(fieldRequired('spec.priorityLevelConfiguration.name', 'must reference a priority level'))
    else pushInvalid(errors, 'spec.priorityLevelConfiguration.name', level, isDns1123Subdomain)
    spec?.rules?.forEach((rule, i) => validatePolicyRules(rule, `spec.rules[${i}]`, errors))
  },
}

function defaultLimited(limited: LimitedPriorityLevelConfiguration): LimitedPriorityLevelConfiguration {
  const queuing = limited.limitResponse?.queuing
  const queued = queuing && !(queuing.handSize && queuing.queues && queuing.queueLengthLimit)
    ? { handSize: queuing.handSize || 8, queues: queuing.queues || 64, queueLengthLimit: queuing.queueLengthLimit || 50 } : queuing
  if (limited.nominalConcurrencyShares !== undefined && limited.lendablePercent !== undefined && queued === queuing) return limited
  return {
    ...limited, nominalConcurrencyShares: limited.nominalConcurrencyShares ?? 30, lendablePercent: limited.lendablePercent ?? 0,
    limitResponse: { ...limited.limitResponse, ...(queued && { queuing: queued }) },
  }
}

function validateLimited(limited: LimitedPriorityLevelConfiguration, errors: FieldError[]): void {
  const at = 'spec.limited'
  const { nominalConcurrencyShares: shares = 0, lendablePercent: lendable, borrowingLimitPercent: borrowing, limitResponse } = limited
  if (shares < 0) errors.push(fieldInvalid(`${at}.nominalConcurrencyShares`, shares, 'must be a non-negative integer'))
  if (lendable !== undefined && (lendable < 0 || lendable > 100)) errors.push(fieldInvalid(`${at}.lendablePercent`, lendable, 'must be between 0 and 100, inclusive'))
  if (borrowing !== undefined && borrowing < 0) errors.push(fieldInvalid(`${at}.borrowingLimitPercent`, borrowing, 'if specified, must be a non-negative integer'))
  const path = `${at}.limitResponse`
  const queuing = limitResponse?.queuing
  switch (limitResponse?.type) {
    case 'Reject':
      if (queuing) errors.push(fieldForbidden(`${path}.queuing`, "must be nil if limited.limitResponse.type is not Limited"))
      return
    case 'Queue':
      if (!queuing) { errors.push(fieldRequired(`${path}.queuing`, "must not be empty if limited.limitResponse.type is Limited")); return }
      if (queuing.queueLengthLimit <= 0) errors.push(fieldInvalid(`${path}.queuing.queueLengthLimit`, queuing.queueLengthLimit, 'must be positive'))
      if (queuing.queues <= 0) errors.push(fieldInvalid(`${path}.queuing.queues`, queuing.queues, 'must be positive'))
      else if (queuing.queues > mostQueues) errors.push(fieldInvalid(`${path}.queuing.queues`, queuing.queues, `must not be greater than ${mostQueues}`))
      if (queuing.handSize <= 0) errors.push(fieldInvalid(`${path}.queuing.handSize`, queuing.handSize, 'must be positive'))
      else if (queuing.handSize > queuing.queues) errors.push(fieldInvalid(`${path}.queuing.handSize`, queuing.handSize, `should not be greater than queues (${queuing.queues})`))
      return
    default: errors.push(fieldNotSupported(`${path}.type`, limitResponse?.type ?? '', ['Queue', 'Reject']))
  }
}

export const priorityLevelConfigurationRules: KindRules<PriorityLevelConfiguration> = {
  applyDefaults(level) {
    const { spec } = level
    if (spec?.type === 'Exempt') {
      const exempt = spec.exempt
      if (exempt?.nominalConcurrencyShares !== undefined && exempt.lendablePercent !== undefined) return level
      return { ...level, spec: { ...spec, exempt: { nominalConcurrencyShares: exempt?.nominalConcurrencyShares ?? 0, lendablePercent: exempt?.lendablePercent ?? 0 } } }
    }
    if (!spec?.limited) return level
    const limited = defaultLimited(spec.limited)
    return limited === spec.limited ? level : { ...level, spec: { ...spec, limited } }
  },
  validate({ metadata, spec }, errors) {
    if ((metadata.name === 'exempt') !== (spec?.type === 'Exempt')) errors.push(fieldInvalid('spec.type', spec?.type ?? '', "type must be 'Exempt' if and only if name is 'exempt'"))
    switch (spec?.type) {
      case 'Exempt':
        if (spec.limited) errors.push(fieldForbidden('spec.limited', 'must be nil if the type is not Limited'))
        return
      case 'Limited':
        if (spec.exempt) errors.push(fieldForbidden('spec.exempt', 'must be nil if the type is Limited'))
        if (spec.limited) validateLimited(spec.limited, errors)
        else errors.push(fieldRequired('spec.limited', 'must not be empty when type is Limited'))
        return
      default: errors.push(fieldNotSupported('spec.type', spec?.type ?? '', ['Exempt', 'Limited']))
    }
  },
}
