// The strategy's rules for webhook configurations. Upstream: pkg/apis/admissionregistration/{v1/defaults.go,validation/validation.go}
import type { Draft } from '../../../../lib/base/json.ts'
import type { MatchCondition, MutatingWebhook, MutatingWebhookConfiguration, Rule, RuleWithOperations, ValidatingWebhook, ValidatingWebhookConfiguration, WebhookClientConfig } from '../../../../lib/api/generated/types/admissionregistration-v1.ts'
import { fieldDuplicate, fieldInvalid, fieldNotSupported, fieldRequired, fieldTooMany } from '../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../lib/apimachinery/field-error.ts'
import { isDns1035Label, isDns1123Subdomain, isFullyQualifiedName, isQualifiedName } from '../../../../lib/apimachinery/validation.ts'
import { mapChanged } from '../core/pod/default-pod-spec.ts'
import { validatePortNumber } from '../core/pod/validate-handlers.ts'
import type { KindRules } from '../generic-strategy.ts'
import { semanticEqual } from '../semantic-equal.ts'
import { pushInvalid } from '../validate-object-meta.ts'
import { validateLabelSelector } from '../validation/label-selector.ts'

const httpsPort = 443
const defaultTimeoutSeconds = 10
const mostMatchConditions = 64
const reviewVersions = ['v1', 'v1beta1']
const operations = ['*', 'CONNECT', 'CREATE', 'DELETE', 'UPDATE']

export function defaultRule<R extends RuleWithOperations>(rule: R): R {
  return rule.scope === undefined ? { ...rule, scope: '*' } : rule
}

function defaultWebhook<W extends MutatingWebhook | ValidatingWebhook>(webhook: W): W {
  const rules = webhook.rules && mapChanged(webhook.rules, defaultRule)
  const service = webhook.clientConfig?.service
  const complete = webhook.failurePolicy !== undefined && webhook.matchPolicy !== undefined && webhook.namespaceSelector && webhook.objectSelector && webhook.timeoutSeconds !== undefined
  if (complete && rules === webhook.rules && (!service || service.port !== undefined)) return webhook
  return {
    ...webhook, ...(rules && { rules }), failurePolicy: webhook.failurePolicy ?? 'Fail', matchPolicy: webhook.matchPolicy ?? 'Equivalent',
    namespaceSelector: webhook.namespaceSelector ?? {}, objectSelector: webhook.objectSelector ?? {}, timeoutSeconds: webhook.timeoutSeconds ?? defaultTimeoutSeconds,
    ...(service && service.port === undefined && { clientConfig: { ...webhook.clientConfig, service: { ...service, port: httpsPort } } }),
  }
}

const defaultMutating = (webhook: MutatingWebhook): MutatingWebhook => {
  const next = defaultWebhook(webhook)
  return next.reinvocationPolicy === undefined ? { ...next, reinvocationPolicy: 'Never' } : next
}

function validateResources(resources: readonly string[], path: string, errors: FieldError[]): void {
  if (resources.length === 0) errors.push(fieldRequired(path))
  const allSubresources = new Set<string>()
  const anyResource = new Set<string>()
  let plain = false
  resources.forEach((resource, i) => {
    if (resource === '') { errors.push(fieldRequired(`${path}[${i}]`)); return }
    const slash = resource.indexOf('/')
    if (slash < 0) { plain = resource !== '*'; return }
    const name = resource.slice(0, slash)
    const sub = resource.slice(slash + 1)
    if (allSubresources.has(name)) errors.push(fieldInvalid(`${path}[${i}]`, resource, `if '${name}/*' is present, must not specify ${resource}`))
    if (anyResource.has(sub)) errors.push(fieldInvalid(`${path}[${i}]`, resource, `if '*/${sub}' is present, must not specify ${resource}`))
    if (sub === '*') allSubresources.add(name)
    if (name === '*') anyResource.add(sub)
  })
  if (resources.length > 1 && resources.includes('*/*')) errors.push(fieldInvalid(path, resources, "if '*/*' is present, must not specify other resources"))
  if (resources.includes('*') && plain) errors.push(fieldInvalid(path, resources, "if '*' is present, must not specify other resources without subresources"))
}

function validateRuleCore(rule: Draft<Rule>, path: string, errors: FieldError[]): void {
  const { apiGroups = [], apiVersions = [], resources = [], scope } = rule
  if (apiGroups.length === 0) errors.push(fieldRequired(`${path}.apiGroups`))
  if (apiGroups.length > 1 && apiGroups.includes('*')) errors.push(fieldInvalid(`${path}.apiGroups`, apiGroups, "if '*' is present, must not specify other API groups"))
  if (apiVersions.length === 0) errors.push(fieldRequired(`${path}.apiVersions`))
  if (apiVersions.length > 1 && apiVersions.includes('*')) errors.push(fieldInvalid(`${path}.apiVersions`, apiVersions, "if '*' is present, must not specify other API versions"))
  apiVersions.forEach((version, i) => { if (version === '') errors.push(fieldRequired(`${path}.apiVersions[${i}]`)) })
  validateResources(resources, `${path}.resources`, errors)
  if (scope !== undefined && !['*', 'Cluster', 'Namespaced'].includes(scope)) errors.push(fieldNotSupported(`${path}.scope`, scope, ['*', 'Cluster', 'Namespaced']))
}

export function validateRule(rule: Draft<RuleWithOperations>, path: string, errors: FieldError[]): void {
  const list = rule.operations ?? []
  if (list.length === 0) errors.push(fieldRequired(`${path}.operations`))
  if (list.length > 1 && list.includes('*')) errors.push(fieldInvalid(`${path}.operations`, list, "if '*' is present, must not specify other operations"))
  list.forEach((operation, i) => { if (!operations.includes(operation)) errors.push(fieldNotSupported(`${path}.operations[${i}]`, operation, operations)) })
  validateRuleCore(rule, path, errors)
}

function validateClient(config: Draft<WebhookClientConfig>, path: string, errors: FieldError[]): void {
  const { url, service } = config
  if ((url === undefined) === (service === undefined)) { errors.push(fieldRequired(path, 'exactly one of url or service is required')); return }
  if (url !== undefined) { validateUrl(url, `${path}.url`, errors); return }
  const at = `${path}.service`
  if (!service?.name) errors.push(fieldRequired(`${at}.name`, 'service name is required'))
  if (!service?.namespace) errors.push(fieldRequired(`${at}.namespace`, 'service namespace is required'))
  if (service?.port !== undefined && (service.port < 1 || service.port > 65535)) errors.push(fieldInvalid(`${at}.port`, service.port, 'port is not valid: must be between 1 and 65535, inclusive'))
  const urlPath = service?.path
  if (urlPath === undefined || urlPath === '/' || urlPath === '') return
  if (urlPath === '//') { errors.push(fieldInvalid(`${at}.path`, urlPath, 'segment[0] may not be empty')); return }
  if (!urlPath.startsWith('/')) errors.push(fieldInvalid(`${at}.path`, urlPath, `must start with a '/'`))
  const steps = urlPath.slice(1).replace(/\/$/, '').split('/')
  steps.forEach((step, i) => {
    if (step === '') errors.push(fieldInvalid(`${at}.path`, urlPath, `segment[${i}] may not be empty`))
    else for (const text of isDns1123Subdomain(step)) errors.push(fieldInvalid(`${at}.path`, urlPath, `segment[${i}]: ${text}`))
  })
}

function validateUrl(url: string, path: string, errors: FieldError[]): void {
  const form = '; desired format: https://host[/path]'
  let parsed: URL
  try {
    parsed = new URL(url)
  } catch (error) {
    errors.push(fieldRequired(path, `url must be a valid URL: ${error instanceof Error ? error.message : String(error)}${form}`))
    return
  }
  if (parsed.protocol !== 'https:') errors.push(fieldInvalid(path, parsed.protocol.replace(':', ''), `'https' is the only allowed URL scheme${form}`))
  if (parsed.host === '') errors.push(fieldInvalid(path, parsed.host, `host must be specified${form}`))
  if (parsed.username !== '') errors.push(fieldInvalid(path, parsed.username, 'user information is not permitted in the URL'))
  if (parsed.hash !== '') errors.push(fieldInvalid(path, parsed.hash.slice(1), 'fragments are not permitted in the URL'))
  if (parsed.search !== '') errors.push(fieldInvalid(path, parsed.search.slice(1), 'query parameters are not permitted in the URL'))
  if (parsed.port !== '') validatePortNumber(Number(parsed.port), path, errors)
}

/** Expressions are compiled by the admission plugin; here only their names and number are checked. */
export function validateMatchConditions(conditions: readonly Draft<MatchCondition>[] | undefined, path: string, errors: FieldError[]): void {
  if (conditions && conditions.length > mostMatchConditions) errors.push(fieldTooMany(path, conditions.length, mostMatchConditions))
  const names = new Set<string>()
  conditions?.forEach(({ name = '', expression = '' }, i) => {
    if (expression.trim() === '') errors.push(fieldRequired(`${path}[${i}].expression`))
    if (name === '') errors.push(fieldRequired(`${path}[${i}].name`))
    else {
      pushInvalid(errors, `${path}[${i}].name`, name, isQualifiedName)
      if (names.has(name)) errors.push(fieldDuplicate(`${path}[${i}].name`, name))
      names.add(name)
    }
  })
}

function validateWebhook(webhook: Draft<MutatingWebhook>, path: string, errors: FieldError[]): void {
  const { name = '', failurePolicy, matchPolicy, sideEffects, timeoutSeconds: timeout, reinvocationPolicy } = webhook
  if (name === '') errors.push(fieldRequired(`${path}.name`))
  else pushInvalid(errors, `${path}.name`, name, isFullyQualifiedName)
  webhook.rules?.forEach((rule, i) => validateRule(rule, `${path}.rules[${i}]`, errors))
  const oneOf = (value: string | undefined, allowed: readonly string[], field: string): void => {
    if (value !== undefined && !allowed.includes(value)) errors.push(fieldNotSupported(`${path}.${field}`, value, allowed))
  }
  oneOf(failurePolicy, ['Fail', 'Ignore'], 'failurePolicy')
  oneOf(matchPolicy, ['Equivalent', 'Exact'], 'matchPolicy')
  if (sideEffects === undefined) errors.push(fieldRequired(`${path}.sideEffects`, 'must specify one of None, NoneOnDryRun'))
  oneOf(sideEffects, ['None', 'NoneOnDryRun'], 'sideEffects')
  if (timeout !== undefined && (timeout > 30 || timeout < 1)) errors.push(fieldInvalid(`${path}.timeoutSeconds`, timeout, 'the timeout value must be between 1 and 30 seconds'))
  validateLabelSelector(webhook.namespaceSelector, `${path}.namespaceSelector`, errors)
  validateLabelSelector(webhook.objectSelector, `${path}.objectSelector`, errors)
  oneOf(reinvocationPolicy, ['IfNeeded', 'Never'], 'reinvocationPolicy')
  validateClient(webhook.clientConfig ?? {}, `${path}.clientConfig`, errors)
  validateMatchConditions(webhook.matchConditions, `${path}.matchConditions`, errors)
  validateReviewVersions(webhook.admissionReviewVersions ?? [], `${path}.admissionReviewVersions`, errors)
}

function validateReviewVersions(versions: readonly string[], path: string, errors: FieldError[]): void {
  if (versions.length === 0) { errors.push(fieldRequired(path, 'must specify one of v1, v1beta1')); return }
  versions.forEach((version, i) => {
    if (versions.indexOf(version) < i) errors.push(fieldInvalid(`${path}[${i}]`, version, 'duplicate version'))
    else pushInvalid(errors, `${path}[${i}]`, version, isDns1035Label)
  })
  if (!versions.some((version) => reviewVersions.includes(version))) errors.push(fieldInvalid(path, versions, 'must include at least one of v1, v1beta1'))
}

function validateWebhooks(webhooks: readonly Draft<MutatingWebhook>[] | undefined, errors: FieldError[]): void {
  const names = new Set<string>()
  webhooks?.forEach((webhook, i) => {
    validateWebhook(webhook, `webhooks[${i}]`, errors)
    if (!webhook.name) return
    if (names.has(webhook.name)) errors.push(fieldDuplicate(`webhooks[${i}].name`, webhook.name))
    names.add(webhook.name)
  })
}

export const mutatingWebhookRules: KindRules<MutatingWebhookConfiguration> = {
  applyDefaults(configuration) {
    const webhooks = configuration.webhooks && mapChanged(configuration.webhooks, defaultMutating)
    return webhooks === configuration.webhooks ? configuration : { ...configuration, webhooks }
  },
  validate: (configuration, errors) => validateWebhooks(configuration.webhooks, errors),
  desiredStateChanged: (configuration, old) => !semanticEqual(configuration.webhooks, old.webhooks),
}

export const validatingWebhookRules: KindRules<ValidatingWebhookConfiguration> = {
  applyDefaults(configuration) {
    const webhooks = configuration.webhooks && mapChanged(configuration.webhooks, defaultWebhook)
    return webhooks === configuration.webhooks ? configuration : { ...configuration, webhooks }
  },
  validate: (configuration, errors) => validateWebhooks(configuration.webhooks, errors),
  desiredStateChanged: (configuration, old) => !semanticEqual(configuration.webhooks, old.webhooks),
}

