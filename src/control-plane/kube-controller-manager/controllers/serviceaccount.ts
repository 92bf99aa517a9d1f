// serviceaccount-controller: every namespace has a ServiceAccount "default". Upstream: kubernetes/pkg/controller/serviceaccount/serviceaccounts_controller.go
import type { Namespace } from '../../../lib/api/generated/types/core-v1.ts'
import { namespaces, serviceAccounts } from '../../../lib/client/resource-keys.ts'
import { create, inOrder, watch } from './shared/controller.ts'
import type { Controller, Plan } from './shared/controller.ts'

export interface ObservedNamespace { readonly namespace: Namespace, readonly present: boolean }

export function syncServiceAccount({ namespace, present }: ObservedNamespace): Plan {
  if (present || namespace.status?.phase !== 'Active' || namespace.metadata.deletionTimestamp !== undefined) return {}
  const { name } = namespace.metadata
  return { steps: inOrder(create(serviceAccounts, name, { metadata: { name: 'default', namespace: name } }, { tolerates: ['AlreadyExists', 'Forbidden', 'NotFound'] })) }
}

export function createServiceAccountController(): Controller<ObservedNamespace> {
  return {
    name: 'serviceaccount-controller',
    watches: [
      watch({ resource: namespaces, keysOf: (namespace) => [namespace.metadata.name] }),
      watch({ resource: serviceAccounts, keysOf: (account) => (account.metadata.name === 'default' ? [account.metadata.namespace ?? ''] : []) }),
    ],
    observe(key, view) {
      const namespace = view.get(namespaces, '', key)
      return namespace && { namespace, present: view.get(serviceAccounts, key, 'default') !== undefined }
    },
    sync: syncServiceAccount,
  }
}
