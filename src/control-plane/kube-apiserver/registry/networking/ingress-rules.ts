// The strategy's rules for Ingresses and IngressClasses. Upstream: pkg/registry/networking/ingress/strategy.go, pkg/apis/networking/validation/validation.go
import type { Draft } from '../../../../lib/base/json.ts'
import type { TypedLocalObjectReference } from '../../../../lib/api/generated/types/core-v1.ts'
import type { HTTPIngressPath, Ingress, IngressBackend, IngressClass, IngressClassParametersReference, IngressRule, IngressSpec } from '../../../../lib/api/generated/types/networking-v1.ts'
import { fieldForbidden, fieldInvalid, fieldNotSupported, fieldRequired, fieldTooLong } from '../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../lib/apimachinery/field-error.ts'
import { parseIpSloppy } from '../../../../lib/apimachinery/ip-address.ts'
import { isDns1035Label, isDns1123Label, isDns1123Subdomain, isDomainPrefixedPath, isPathSegmentName, isValidPortName, isWildcardDns1123Subdomain } from '../../../../lib/apimachinery/validation.ts'
import { byteLength } from '../byte-length.ts'
import { validatePortNumber } from '../core/pod/validate-handlers.ts'
import type { KindRules } from '../generic-strategy.ts'
import { pushInvalid, validateImmutable } from '../validate-object-meta.ts'
import { validateLegacyIp } from '../validation/addresses.ts'

const classAnnotation = 'kubernetes.io/ingress.class'
const badSequences = ['//', '/./', '/../', '%2f', '%2F']
const badEndings = ['/..', '/.']

const validateHost = (host: string, path: string, errors: FieldError[]): void => pushInvalid(errors, path, host, host.includes('*') ? isWildcardDns1123Subdomain : isDns1123Subdomain)

function validateReference(reference: Draft<TypedLocalObjectReference>, path: string, errors: FieldError[]): void {
  if (reference.apiGroup !== undefined) pushInvalid(errors, `${path}.apiGroup`, reference.apiGroup, isDns1123Subdomain)
  for (const field of ['kind', 'name'] as const) {
    if (!reference[field]) errors.push(fieldRequired(`${path}.${field}`, `${field} is required`))
    else pushInvalid(errors, `${path}.${field}`, reference[field], isPathSegmentName)
  }
}

function validateBackend(backend: Draft<IngressBackend>, path: string, errors: FieldError[]): void {
  const { resource, service } = backend
  if (resource && service) { errors.push(fieldInvalid(path, '', 'cannot set both resource and service backends')); return }
  if (resource) { validateReference(resource, `${path}.resource`, errors); return }
  if (!service) { errors.push(fieldInvalid(path, '', 'resource or service backend is required')); return }
  if (!service.name) errors.push(fieldRequired(`${path}.service.name`))
  else pushInvalid(errors, `${path}.service.name`, service.name, isDns1035Label)
  const { name, number } = service.port ?? {}
  if (name && number) errors.push(fieldInvalid(path, '', 'cannot set both port name & port number'))
  else if (name) pushInvalid(errors, `${path}.service.port.name`, name, isValidPortName)
  else if (number) validatePortNumber(number, `${path}.service.port.number`, errors)
  else errors.push(fieldRequired(path, 'port name or number is required'))
}

function validatePath(item: Draft<HTTPIngressPath>, path: string, errors: FieldError[]): void {
  const text = item.path ?? ''
  switch (item.pathType) {
    case undefined: errors.push(fieldRequired(`${path}.pathType`, 'pathType must be specified')); return
    case 'Exact': case 'Prefix':
      if (!text.startsWith('/')) errors.push(fieldInvalid(`${path}.path`, text, 'must be an absolute path'))
      for (const bad of badSequences) if (text.includes(bad)) errors.push(fieldInvalid(`${path}.path`, text, `must not contain '${bad}'`))
      for (const bad of badEndings) if (text.endsWith(bad)) errors.push(fieldInvalid(`${path}.path`, text, `cannot end with '${bad}'`))
      break
    case 'ImplementationSpecific':
      if (text !== '' && !text.startsWith('/')) errors.push(fieldInvalid(`${path}.path`, text, 'must be an absolute path'))
      break
    default: errors.push(fieldNotSupported(`${path}.pathType`, item.pathType, ['Exact', 'ImplementationSpecific', 'Prefix']))
  }
  validateBackend(item.backend ?? {}, `${path}.backend`, errors)
}

interface Tolerated {
  readonly secretNames: boolean
  readonly wildcardRules: boolean
}

/** What is wrong in what is stored may stay. */
function toleratedIn(old: Draft<IngressSpec> | undefined): Tolerated {
  const rulesErrors: FieldError[] = []
  old?.rules?.forEach((rule) => { if (rule.host?.includes('*')) validatePaths(rule, '', rulesErrors) })
  return { secretNames: old?.tls?.some(({ secretName }) => secretName && isDns1123Subdomain(secretName).length > 0) === true, wildcardRules: rulesErrors.length > 0 }
}

function validatePaths(rule: Draft<IngressRule>, path: string, errors: FieldError[]): void {
  if (!rule.http) return
  if ((rule.http.paths?.length ?? 0) === 0) errors.push(fieldRequired(`${path}.http.paths`))
  rule.http.paths?.forEach((item, i) => validatePath(item, `${path}.http.paths[${i}]`, errors))
}

function validateSpec(spec: Draft<IngressSpec>, errors: FieldError[], tolerated: Tolerated = { secretNames: false, wildcardRules: false }): void {
  const { rules = [], defaultBackend, tls = [], ingressClassName } = spec
  if (rules.length === 0 && !defaultBackend) errors.push(fieldInvalid('spec', spec.rules, 'either `defaultBackend` or `rules` must be specified'))
  if (defaultBackend) validateBackend(defaultBackend, 'spec.defaultBackend', errors)
  rules.forEach((rule, i) => {
    const at = `spec.rules[${i}]`
    if (rule.host) {
      if (parseIpSloppy(rule.host)) errors.push(fieldInvalid(`${at}.host`, rule.host, 'must be a DNS name, not an IP address'))
      validateHost(rule.host, `${at}.host`, errors)
    }
    if (!tolerated.wildcardRules || !rule.host?.includes('*')) validatePaths(rule, at, errors)
  })
  tls.forEach((entry, i) => {
    entry.hosts?.forEach((host, j) => validateHost(host, `spec.tls[${i}].hosts[${j}]`, errors))
    if (entry.secretName && !tolerated.secretNames) pushInvalid(errors, `spec.tls[${i}].secretName`, entry.secretName, isDns1123Subdomain)
  })
  if (ingressClassName !== undefined) pushInvalid(errors, 'spec.ingressClassName', ingressClassName, isDns1123Subdomain)
}

export const ingressRules: KindRules<Ingress> = {
  prepareForCreate: (ingress) => ({ ...ingress, status: { loadBalancer: {} } }),
  validate(ingress, errors) {
    validateSpec(ingress.spec ?? {}, errors)
    const annotation = ingress.metadata.annotations?.[classAnnotation]
    const name = ingress.spec?.ingressClassName
    if (annotation !== undefined && name !== undefined && annotation !== name) errors.push(fieldInvalid(`annotations.${classAnnotation}`, annotation, 'must match `ingressClassName` when both are specified'))
  },
  validateUpdate: (ingress, old, errors) => validateSpec(ingress.spec ?? {}, errors, toleratedIn(old.spec)),
  validateStatus(ingress, _old, errors) {
    ingress.status?.loadBalancer?.ingress?.forEach(({ ip, hostname }, i) => {
      const at = `status.loadBalancer.ingress[${i}]`
      if (ip) validateLegacyIp(ip, `${at}.ip`, errors)
      if (!hostname) return
      pushInvalid(errors, `${at}.hostname`, hostname, isDns1123Subdomain)
      if (parseIpSloppy(hostname)) errors.push(fieldInvalid(`${at}.hostname`, hostname, 'must be a DNS name, not an IP address'))
    })
  },
  warnings: (ingress) => ingress.metadata.annotations?.[classAnnotation] !== undefined && ingress.spec?.ingressClassName === undefined
    ? [`annotation ${JSON.stringify(classAnnotation)} is deprecated, please use 'spec.ingressClassName' instead`] : [],
}

function validateParameters(parameters: Draft<IngressClassParametersReference>, errors: FieldError[]): void {
  const path = 'spec.parameters'
  validateReference(parameters, path, errors)
  const { scope, namespace } = parameters
  if (scope === undefined) errors.push(fieldRequired(`${path}.scope`))
  else if (scope === 'Namespace') {
    if (namespace === undefined) errors.push(fieldRequired(`${path}.namespace`, "`parameters.scope` is set to 'Namespace'"))
    else pushInvalid(errors, `${path}.namespace`, namespace, isDns1123Label)
  } else if (scope !== 'Cluster') errors.push(fieldNotSupported(`${path}.scope`, scope, ['Cluster', 'Namespace']))
  else if (namespace !== undefined) errors.push(fieldForbidden(`${path}.namespace`, "`parameters.scope` is set to 'Cluster'"))
}

function validateClass(ingressClass: IngressClass, errors: FieldError[]): void {
  const controller = ingressClass.spec?.controller ?? ''
  if (controller === '') errors.push(fieldRequired('spec.controller'))
  else {
    if (byteLength(controller) > 250) errors.push(fieldTooLong('spec.controller', 250))
    pushInvalid(errors, 'spec.controller', controller, isDomainPrefixedPath)
  }
  if (ingressClass.spec?.parameters) validateParameters(ingressClass.spec.parameters, errors)
}

export const ingressClassRules: KindRules<IngressClass> = {
  applyDefaults(ingressClass) {
    const parameters = ingressClass.spec?.parameters
    return !parameters || parameters.scope !== undefined ? ingressClass : { ...ingressClass, spec: { ...ingressClass.spec, parameters: { ...parameters, scope: 'Cluster' } } }
  },
  validate: validateClass,
  validateUpdate(ingressClass, old, errors) {
    validateImmutable(ingressClass.spec?.controller, old.spec?.controller, 'spec.controller', errors)
    validateClass(ingressClass, errors)
  },
}
