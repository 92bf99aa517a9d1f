// The strategy's rules for Leases and LeaseCandidates. Upstream: pkg/registry/coordination, pkg/apis/coordination/validation/validation.go
import type { Draft } from '../../../../lib/base/json.ts'
import type { Lease, LeaseSpec } from '../../../../lib/api/generated/types/coordination-v1.ts'
import type { LeaseCandidate, LeaseCandidateSpec } from '../../../../lib/api/generated/types/coordination-v1beta1.ts'
import { fieldForbidden, fieldInvalid, fieldNotSupported, fieldRequired } from '../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../lib/apimachinery/field-error.ts'
import { isConfigMapKey, isQualifiedName } from '../../../../lib/apimachinery/validation.ts'
import type { KindRules } from '../generic-strategy.ts'
import { pushInvalid, validateImmutable } from '../validate-object-meta.ts'

const known = 'OldestEmulationVersion'

function validateStrategy(strategy: string, path: string, errors: FieldError[]): void {
  if (strategy.includes('/')) pushInvalid(errors, `${path}.strategy`, strategy, isQualifiedName)
  else if (strategy !== known) errors.push(fieldNotSupported(`${path}.strategy`, strategy, [known]))
}

function validateLease(spec: Draft<LeaseSpec>, errors: FieldError[]): void {
  const { leaseDurationSeconds: duration, leaseTransitions: transitions } = spec
  if (duration !== undefined && duration <= 0) errors.push(fieldInvalid('spec.leaseDurationSeconds', duration, 'must be greater than 0'))
  if (transitions !== undefined && transitions < 0) errors.push(fieldInvalid('spec.leaseTransitions', transitions, 'must be greater than or equal to 0'))
  if (spec.strategy !== undefined) validateStrategy(spec.strategy, 'spec.strategy', errors)
  if (spec.preferredHolder && !spec.strategy) errors.push(fieldForbidden('spec.preferredHolder', 'may only be specified if `strategy` is defined'))
}

export const leaseRules: KindRules<Lease> = { validate: (lease, errors) => validateLease(lease.spec ?? {}, errors) }

const versionExpression = /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?$/

/** Major, minor, patch; undefined when the text is no semantic version. */
function parseVersion(text: string): readonly number[] | undefined {
  return versionExpression.exec(text)?.slice(1, 4).map(Number)
}

function validateCandidate(spec: Draft<LeaseCandidateSpec>, errors: FieldError[]): void {
  if (!spec.leaseName) errors.push(fieldRequired('spec.leaseName'))
  const text = 'must be a valid semantic version'
  const emulation = spec.emulationVersion ? parseVersion(spec.emulationVersion) : undefined
  const binary = spec.binaryVersion ? parseVersion(spec.binaryVersion) : undefined
  if (spec.emulationVersion && !emulation) errors.push(fieldInvalid('spec.emulationVersion', spec.emulationVersion, text))
  if (!spec.binaryVersion) errors.push(fieldRequired('spec.binaryVersion'))
  else if (!binary) errors.push(fieldInvalid('spec.binaryVersion', spec.binaryVersion, text))
  if (emulation && binary) {
    const at = binary.findIndex((part, i) => part !== emulation[i])
    if (at >= 0 && (binary[at] ?? 0) < (emulation[at] ?? 0)) errors.push(fieldInvalid('spec.binaryVersion', spec.binaryVersion, 'must be greater than or equal to `emulationVersion`'))
  }
  if (!spec.strategy) { errors.push(fieldRequired('spec.strategy')); return }
  if (spec.strategy === known && !emulation) errors.push(fieldRequired('spec.emulationVersion', "must be specified when `strategy` is 'OldestEmulationVersion'"))
  validateStrategy(spec.strategy, 'spec.strategy', errors)
}

export const leaseCandidateRules: KindRules<LeaseCandidate> = {
  nameRule: (name) => isConfigMapKey(name),
  validate: (candidate, errors) => validateCandidate(candidate.spec ?? {}, errors),
  validateUpdate(candidate, old, errors) {
    validateCandidate(candidate.spec ?? {}, errors)
    validateImmutable(candidate.spec?.leaseName, old.spec?.leaseName, 'spec.leaseName', errors)
  },
}
