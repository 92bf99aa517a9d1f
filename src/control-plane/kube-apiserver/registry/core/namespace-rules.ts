// The strategy's rules for Namespaces and ServiceAccounts. Upstream: pkg/registry/core/{namespace,serviceaccount}/strategy.go
import type { Namespace, ServiceAccount } from '../../../../lib/api/generated/types/core-v1.ts'
import { fieldInvalid } from '../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../lib/apimachinery/field-error.ts'
import { isQualifiedName } from '../../../../lib/apimachinery/validation.ts'
import type { KindRules } from '../generic-strategy.ts'
import { nameIsDnsLabel } from '../name-rules.ts'
import { pushInvalid } from '../validate-object-meta.ts'

const nameLabel = 'kubernetes.io/metadata.name'

function withNameLabel(namespace: Namespace): Namespace {
  const { name, labels } = namespace.metadata
  if (!name || labels?.[nameLabel] === name) return namespace
  return { ...namespace, metadata: { ...namespace.metadata, labels: { ...labels, [nameLabel]: name } } }
}

function validateSpecFinalizers(namespace: Namespace, path: (index: number) => string, errors: FieldError[]): void {
  namespace.spec?.finalizers?.forEach((finalizer, i) => {
    pushInvalid(errors, path(i), finalizer, isQualifiedName)
    if (!finalizer.includes('/') && finalizer !== 'kubernetes' && finalizer !== 'orphan' && finalizer !== 'foregroundDeletion') {
      errors.push(fieldInvalid(path(i), finalizer, 'name is neither a standard finalizer name nor is it fully qualified'))
    }
  })
}

export const namespaceRules: KindRules<Namespace> = {
  nameRule: nameIsDnsLabel,
  applyDefaults(namespace) {
    const labelled = withNameLabel(namespace)
    return labelled.status?.phase ? labelled : { ...labelled, status: { ...labelled.status, phase: 'Active' } }
  },
  prepareForCreate(namespace) {
    const finalizers = namespace.spec?.finalizers ?? []
    return {
      ...withNameLabel(namespace), status: { phase: 'Active' },
      spec: { ...namespace.spec, finalizers: finalizers.includes('kubernetes') ? finalizers : [...finalizers, 'kubernetes'] },
    }
  },
  prepareForUpdate: (namespace, old) => withNameLabel({ ...namespace, spec: { ...namespace.spec, finalizers: old.spec?.finalizers }, status: old.status }),
  validate: (namespace, errors) => validateSpecFinalizers(namespace, () => 'spec.finalizers', errors),
  validateUpdate: () => undefined,
  validateStatus(namespace, _old, errors) {
    const phase = namespace.status?.phase ?? ''
    if (!namespace.metadata.deletionTimestamp) {
      if (phase !== 'Active') errors.push(fieldInvalid('status.Phase', phase, "may only be 'Active' if `deletionTimestamp` is empty"))
    } else if (phase !== 'Terminating') {
      errors.push(fieldInvalid('status.Phase', phase, "may only be 'Terminating' if `deletionTimestamp` is not empty"))
    }
  },
  subresources: {
    finalize: {
      prepareForUpdate: (namespace, old) => ({ ...namespace, status: old.status }),
      validateUpdate: (namespace, _old, errors) => validateSpecFinalizers(namespace, (i) => `spec.finalizers[${i}]`, errors),
    },
  },
  warnings: (namespace, old) => !old && namespace.metadata.name?.startsWith('kube-')
    ? [`metadata.name: ${JSON.stringify(namespace.metadata.name)}: namespaces with the "kube-" prefix are reserved for Kubernetes system use`] : [],
  selectableFields: (namespace) => ({ name: namespace.metadata.name, 'status.phase': namespace.status?.phase ?? '' }),
}

export const serviceAccountRules: KindRules<ServiceAccount> = {
  // Of references to secrets only the name counts; tokens are no longer made as secrets.
  prepareForCreate(account) {
    if (!account.secrets?.some((reference) => Object.keys(reference).some((key) => key !== 'name'))) return account
    return { ...account, secrets: account.secrets.map(({ name }) => name === undefined ? {} : { name }) }
  },
  warnings: (account) => account.metadata.annotations?.['kubernetes.io/enforce-mountable-secrets'] !== undefined
    ? ['metadata.annotations[kubernetes.io/enforce-mountable-secrets]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets'] : [],
}
