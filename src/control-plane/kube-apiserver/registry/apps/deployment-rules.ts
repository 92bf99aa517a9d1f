// The strategy's rules for Deployments. Upstream: pkg/registry/apps/deployment/strategy.go, pkg/apis/apps/{v1/defaults.go,validation/validation.go}
import type { Deployment, DeploymentSpec, DeploymentStrategy } from '../../../../lib/api/generated/types/apps-v1.ts'
import type { Draft } from '../../../../lib/base/json.ts'
import { fieldForbidden, fieldInvalid, fieldRequired, fieldNotSupported } from '../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../lib/apimachinery/field-error.ts'
import { defaultPodTemplate } from '../core/pod/default-pod-spec.ts'
import { podWarnings } from '../core/pod/pod-warnings.ts'
import { goDeploymentStrategy, goSelector } from '../go-structs.ts'
import { statusOnly } from '../generic-strategy.ts'
import type { KindRules } from '../generic-strategy.ts'
import { semanticEqual } from '../semantic-equal.ts'
import { validateImmutable, validateNonNegative } from '../validate-object-meta.ts'
import { magnitudeOf, validateAtMostHundredPercent, validatePositiveIntOrPercent } from '../validation/int-or-percent.ts'
import { validateAtMost, validateCollisionCount, validateCounts } from './validate-replica-counts.ts'
import { validateReplicatedTemplate, validateSelector } from './validate-template.ts'

function defaultStrategy(strategy: DeploymentStrategy | undefined): DeploymentStrategy {
  const type = strategy?.type || 'RollingUpdate'
  if (type !== 'RollingUpdate') return strategy ?? { type }
  const rolling = strategy?.rollingUpdate
  if (strategy?.type && rolling?.maxUnavailable !== undefined && rolling.maxSurge !== undefined) return strategy
  return { ...strategy, type, rollingUpdate: { ...rolling, maxUnavailable: rolling?.maxUnavailable ?? '25%', maxSurge: rolling?.maxSurge ?? '25%' } }
}

function applyDefaults(deployment: Deployment): Deployment {
  // cast: a Deployment without a spec is refused by validation, not here
  const given = deployment.spec ?? {} as DeploymentSpec
  const template = defaultPodTemplate(given.template)
  const strategy = defaultStrategy(given.strategy)
  const complete = given.replicas !== undefined && given.revisionHistoryLimit !== undefined && given.progressDeadlineSeconds !== undefined
  if (complete && template === given.template && strategy === given.strategy) return deployment
  return {
    ...deployment,
    spec: {
      ...given, replicas: given.replicas ?? 1, template, strategy, revisionHistoryLimit: given.revisionHistoryLimit ?? 10,
      progressDeadlineSeconds: given.progressDeadlineSeconds ?? 600,
    },
  }
}

function validateStrategy(strategy: Draft<DeploymentStrategy> | undefined, path: string, errors: FieldError[]): void {
  const rolling = strategy?.rollingUpdate
  switch (strategy?.type) {
    case 'Recreate':
      if (rolling) errors.push(fieldForbidden(`${path}.rollingUpdate`, "may not be specified when strategy `type` is 'Recreate'"))
      return
    case 'RollingUpdate':
      if (!rolling) { errors.push(fieldRequired(`${path}.rollingUpdate`, 'this should be defaulted and never be nil')); return }
      validatePositiveIntOrPercent(rolling.maxUnavailable, `${path}.rollingUpdate.maxUnavailable`, errors)
      validatePositiveIntOrPercent(rolling.maxSurge, `${path}.rollingUpdate.maxSurge`, errors)
      if (magnitudeOf(rolling.maxUnavailable) === 0 && magnitudeOf(rolling.maxSurge) === 0) {
        errors.push(fieldInvalid(`${path}.rollingUpdate.maxUnavailable`, rolling.maxUnavailable ?? 0, 'may not be 0 when `maxSurge` is 0'))
      }
      validateAtMostHundredPercent(rolling.maxUnavailable, `${path}.rollingUpdate.maxUnavailable`, errors)
      return
    default: errors.push(fieldNotSupported(path, goDeploymentStrategy(strategy), ['Recreate', 'RollingUpdate']))
  }
}

function validateSpec(spec: Draft<DeploymentSpec>, old: Draft<DeploymentSpec> | undefined, errors: FieldError[]): void {
  validateNonNegative(spec.replicas, 'spec.replicas', errors)
  if (validateSelector(spec.selector, 'deployment', 'invalid label selector', errors)) validateReplicatedTemplate(spec.template ?? {}, old?.template, spec.selector, 'ReplicaSet', 'spec.template', errors)
  validateStrategy(spec.strategy, 'spec.strategy', errors)
  validateNonNegative(spec.minReadySeconds, 'spec.minReadySeconds', errors)
  validateNonNegative(spec.revisionHistoryLimit, 'spec.revisionHistoryLimit', errors)
  const deadline = spec.progressDeadlineSeconds
  if (deadline === undefined) return
  validateNonNegative(deadline, 'spec.progressDeadlineSeconds', errors)
  if (deadline <= (spec.minReadySeconds ?? 0)) errors.push(fieldInvalid('spec.progressDeadlineSeconds', deadline, 'must be greater than minReadySeconds'))
}

export const deploymentRules: KindRules<Deployment> = {
  applyDefaults,
  validate: (deployment, errors) => validateSpec(deployment.spec ?? {}, undefined, errors),
  validateUpdate(deployment, old, errors) {
    validateSpec(deployment.spec ?? {}, old.spec, errors)
    validateImmutable(goSelector(deployment.spec?.selector), goSelector(old.spec?.selector), 'spec.selector', errors)
  },
  prepareStatus(deployment, old) {
    const next = statusOnly(deployment, old)
    return { ...next, metadata: { ...next.metadata, labels: old.metadata.labels } }
  },
  validateStatus({ status }, old, errors) {
    validateCounts(status, ['observedGeneration', 'replicas', 'updatedReplicas', 'readyReplicas', 'availableReplicas', 'unavailableReplicas', 'terminatingReplicas', 'collisionCount'], errors)
    validateAtMost(status, ['updatedReplicas', 'readyReplicas', 'availableReplicas'], 'replicas', 'cannot be greater than status.replicas', errors)
    validateAtMost(status, ['availableReplicas'], 'readyReplicas', 'cannot be greater than readyReplicas', errors)
    validateCollisionCount(status?.collisionCount, old.status?.collisionCount, errors)
  },
  // Annotations are part of what is desired: a restart is asked for by one, and rollbacks once were.
  desiredStateChanged: (deployment, old) => !semanticEqual(deployment.spec, old.spec) || !semanticEqual(deployment.metadata.annotations, old.metadata.annotations),
  warnings: (deployment, old) => deployment.spec?.template && (!old || !semanticEqual(deployment.spec.template, old.spec?.template))
    ? podWarnings(deployment.spec.template.spec ?? {}, deployment.spec.template.metadata, 'spec.template') : [],
}
