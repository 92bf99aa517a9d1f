// The strategy's rules for APIServices. Upstream: kube-aggregator/pkg/apis/apiregistration/{v1/defaults.go,validation/validation.go}
import type { APIService } from '../../../../lib/api/generated/types/apiregistration-v1.ts'
import { fieldInvalid, fieldRequired } from '../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../lib/apimachinery/field-error.ts'
import { isDns1035Label, isDns1123Subdomain } from '../../../../lib/apimachinery/validation.ts'
import type { KindRules } from '../generic-strategy.ts'
import { nameIsAnything } from '../name-rules.ts'
import { pushInvalid } from '../validate-object-meta.ts'

function validate(service: APIService, errors: FieldError[]): void {
  const { spec, metadata } = service
  const { group = '', version = '', groupPriorityMinimum: groupPriority = 0, versionPriority = 0, caBundle = '' } = spec ?? {}
  const name = `${version}.${group}`
  if (metadata.name && metadata.name !== name) errors.push(fieldInvalid('metadata.name', metadata.name, `must be \`spec.version+"."+spec.group\`: ${JSON.stringify(name)}`))
  if (group === '') {
    if (version !== 'v1') errors.push(fieldRequired('spec.group', 'only v1 may have an empty group and it better be legacy kube'))
  } else {
    pushInvalid(errors, 'spec.group', group, isDns1123Subdomain)
  }
  pushInvalid(errors, 'spec.version', version, isDns1035Label)
  if (groupPriority <= 0 || groupPriority > 20000) errors.push(fieldInvalid('spec.groupPriorityMinimum', groupPriority, 'must be positive and less than 20000'))
  if (versionPriority <= 0 || versionPriority > 1000) errors.push(fieldInvalid('spec.versionPriority', versionPriority, 'must be positive and less than 1000'))
  if (!spec?.service) {
    if (caBundle !== '') errors.push(fieldInvalid('spec.caBundle', `${caBundle.length} bytes`, 'local APIServices may not have a caBundle'))
    if (spec?.insecureSkipTLSVerify) errors.push(fieldInvalid('spec.insecureSkipTLSVerify', true, 'local APIServices may not have insecureSkipTLSVerify'))
    return
  }
  if (!spec.service.namespace) errors.push(fieldRequired('spec.service.namespace'))
  if (!spec.service.name) errors.push(fieldRequired('spec.service.name'))
  const { port } = spec.service
  if (port !== undefined && (port < 1 || port > 65535)) errors.push(fieldInvalid('spec.service.port', port, 'port is not valid: must be between 1 and 65535, inclusive'))
  if (spec.insecureSkipTLSVerify && caBundle !== '') errors.push(fieldInvalid('spec.insecureSkipTLSVerify', true, 'may not be true if caBundle is present'))
}

export const apiServiceRules: KindRules<APIService> = {
  nameRule: nameIsAnything,
  applyDefaults(service) {
    const target = service.spec?.service
    return !target || target.port !== undefined ? service : { ...service, spec: { ...service.spec, service: { ...target, port: 443 } } }
  },
  validate,
}
