// The strategy's rules for CertificateSigningRequests and ClusterTrustBundles. Who asks is taken from the request, never from the object.
// Upstream: pkg/registry/certificates, pkg/apis/certificates/validation/validation.go
import type { Draft } from '../../../../lib/base/json.ts'
import type { CertificateSigningRequest, CertificateSigningRequestCondition } from '../../../../lib/api/generated/types/certificates-v1.ts'
import type { ClusterTrustBundle } from '../../../../lib/api/generated/types/certificates-v1beta1.ts'
import { fieldDuplicate, fieldForbidden, fieldInvalid, fieldNotSupported, fieldRequired } from '../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../lib/apimachinery/field-error.ts'
import { mapChanged } from '../core/pod/default-pod-spec.ts'
import { resetMetaForStatus, statusOnly } from '../generic-strategy.ts'
import type { KindRules } from '../generic-strategy.ts'
import { nameIsAnything } from '../name-rules.ts'
import { semanticEqual } from '../semantic-equal.ts'
import { validateImmutable } from '../validate-object-meta.ts'
import { clusterTrustBundleNameErrors, validateSignerName } from './signer-name.ts'

const usages = new Set([
  'signing', 'digital signature', 'content commitment', 'key encipherment', 'key agreement', 'data encipherment', 'cert sign', 'crl sign', 'encipher only', 'decipher only', 'any',
  'server auth', 'client auth', 'code signing', 'email protection', 's/mime', 'ipsec end system', 'ipsec tunnel', 'ipsec user', 'timestamping', 'ocsp signing', 'microsoft sgc', 'netscape sgc',
])
const shortestSeconds = 600

function decode(base64: string): string {
  try {
    return atob(base64)
  } catch {
    return ''
  }
}

function validateSpec(request: Draft<CertificateSigningRequest>, errors: FieldError[]): void {
  const { spec = {} } = request
  const list = spec.usages ?? []
  if (!/-----BEGIN (NEW )?CERTIFICATE REQUEST-----[\s\S]+-----END (NEW )?CERTIFICATE REQUEST-----/.test(decode(spec.request ?? ''))) {
    errors.push(fieldInvalid('spec.request', spec.request ?? '', 'PEM block type must be CERTIFICATE REQUEST'))
  }
  if (list.length === 0) errors.push(fieldRequired('spec.usages', 'usages are required'))
  list.forEach((usage, i) => {
    if (!usages.has(usage)) errors.push(fieldNotSupported(`spec.usages[${i}]`, usage, [...usages].sort()))
    if (list.indexOf(usage) < i) errors.push(fieldDuplicate(`spec.usages[${i}]`, usage))
  })
  if (spec.signerName === 'kubernetes.io/legacy-unknown') errors.push(fieldInvalid('spec.signerName', spec.signerName, 'the legacy signerName is not allowed via this API version'))
  else validateSignerName(spec.signerName ?? '', 'spec.signerName', errors)
  const seconds = spec.expirationSeconds
  if (seconds !== undefined && seconds < shortestSeconds) errors.push(fieldInvalid('spec.expirationSeconds', seconds, 'may not specify a duration less than 600 seconds (10 minutes)'))
}

type Conditions = readonly Draft<CertificateSigningRequestCondition>[] | undefined

function validateConditions(conditions: Conditions, errors: FieldError[]): void {
  const types = new Set<string>()
  conditions?.forEach(({ type = '', status = '' }, i) => {
    const at = `status.conditions[${i}]`
    if (type === '') errors.push(fieldRequired(`${at}.type`))
    if (status === '') errors.push(fieldRequired(`${at}.status`))
    else if ((type === 'Approved' || type === 'Denied' || type === 'Failed') && status !== 'True') errors.push(fieldNotSupported(`${at}.status`, status, ['True']))
    else if (!['True', 'False', 'Unknown'].includes(status)) errors.push(fieldNotSupported(`${at}.status`, status, ['False', 'True', 'Unknown']))
    if (types.has(type)) errors.push(fieldDuplicate(`${at}.type`, type))
    types.add(type)
  })
  if (types.has('Approved') && types.has('Denied')) errors.push(fieldInvalid('status.conditions', 'Denied', 'Approved and Denied conditions are mutually exclusive'))
}

/** Decisions may only be made by /approval, and stay. */
function validateDecisions(now: Conditions, old: Conditions, mayApprove: boolean, errors: FieldError[]): void {
  for (const type of ['Approved', 'Denied', 'Failed']) {
    const of = (list: Conditions): Conditions => list?.filter((condition) => condition.type === type)
    const before = of(old) ?? []
    const after = of(now) ?? []
    const changed = !semanticEqual(before.map((condition) => condition.type), after.map((condition) => condition.type))
    if (!changed) continue
    if (before.length > after.length) errors.push(fieldForbidden('status.conditions', `updates may not remove a condition of type ${JSON.stringify(type)}`))
    else if (type !== 'Failed' && !mayApprove) errors.push(fieldForbidden('status.conditions', `updates may not add a condition of type ${JSON.stringify(type)}`))
  }
}

const timeText = (nowMs: number): string => new Date(nowMs).toISOString().replace(/\.\d+Z$/, 'Z')

function withTimes(request: CertificateSigningRequest, old: CertificateSigningRequest, nowMs: number): CertificateSigningRequest {
  const conditions = request.status?.conditions && mapChanged(request.status.conditions, (condition) => {
    if (condition.lastTransitionTime) return condition
    const before = old.status?.conditions?.find((other) => other.type === condition.type)
    return { ...condition, lastTransitionTime: before?.status === condition.status && before.lastTransitionTime ? before.lastTransitionTime : timeText(nowMs) }
  })
  return conditions === request.status?.conditions ? request : { ...request, status: { ...request.status, conditions } }
}

export const certificateSigningRequestRules: KindRules<CertificateSigningRequest> = {
  nameRule: nameIsAnything,
  prepareForCreate(request, { user }) {
    return {
      ...request, status: {},
      spec: {
        ...request.spec, username: user.name, uid: user.uid, groups: user.groups,
        extra: Object.keys(user.extra).length > 0 ? user.extra : undefined,
      },
    }
  },
  prepareForUpdate: (request, old) => ({ ...request, spec: old.spec, status: old.status }),
  validate: (request, errors) => validateSpec(request, errors),
  validateUpdate: () => undefined,
  prepareStatus(request, old, context) {
    const next = statusOnly(request, old)
    // Approval is another subresource; its conditions are kept as they were.
    const kept = (old.status?.conditions ?? []).filter((condition) => condition.type === 'Approved' || condition.type === 'Denied')
    const others = (next.status?.conditions ?? []).filter((condition) => condition.type !== 'Approved' && condition.type !== 'Denied')
    const conditions = [...kept, ...others]
    return withTimes({ ...next, metadata: resetMetaForStatus(next.metadata, old.metadata), status: { ...next.status, ...(conditions.length > 0 && { conditions }) } }, old, context.nowMs)
  },
  validateStatus(request, old, errors) {
    validateConditions(request.status?.conditions, errors)
    validateDecisions(request.status?.conditions, old.status?.conditions, false, errors)
    if (old.status?.certificate && !semanticEqual(request.status?.certificate, old.status.certificate)) errors.push(fieldForbidden('status.certificate', 'updates may not change or clear an already issued certificate'))
  },
  subresources: {
    approval: {
      prepareForUpdate: (request, old, context) => withTimes({
        ...old, metadata: resetMetaForStatus(request.metadata, old.metadata), status: { ...old.status, conditions: request.status?.conditions },
      }, old, context.nowMs),
      validateUpdate(request, old, errors) {
        validateConditions(request.status?.conditions, errors)
        validateDecisions(request.status?.conditions, old.status?.conditions, true, errors)
      },
    },
  },
  selectableFields: (request) => ({ 'spec.signerName': request.spec?.signerName ?? '' }),
}

export const clusterTrustBundleRules: KindRules<ClusterTrustBundle> = {
  nameRule: (name) => clusterTrustBundleNameErrors(name),
  validate({ metadata, spec }, errors) {
    const signer = spec?.signerName
    const prefix = `${(signer ?? '').replace('/', ':')}:`
    if (signer && !metadata.name?.startsWith(prefix)) errors.push(fieldInvalid('metadata.name', metadata.name, `ClusterTrustBundle for signerName ${signer} must be named with prefix ${prefix}`))
    if (!signer && metadata.name?.includes(':')) errors.push(fieldInvalid('metadata.name', metadata.name, 'ClusterTrustBundle without signer name must not have ":" in its name'))
    if (signer) validateSignerName(signer, 'spec.signerName', errors)
    if (!/-----BEGIN CERTIFICATE-----[\s\S]+-----END CERTIFICATE-----/.test(spec?.trustBundle ?? '')) errors.push(fieldInvalid('spec.trustBundle', '<value omitted>', 'at least one trust anchor must be provided'))
  },
  validateUpdate: (bundle, old, errors) => validateImmutable(bundle.spec?.signerName, old.spec?.signerName, 'spec.signerName', errors),
  selectableFields: (bundle) => ({ 'spec.signerName': bundle.spec?.signerName ?? '' }),
}
