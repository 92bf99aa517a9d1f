// root-ca-certificate-publisher-controller: every namespace has a ConfigMap "kube-root-ca.crt" with the certificate that proves the API server's, so that
// pods can trust it. Upstream: kubernetes/pkg/controller/certificates/rootcacertpublisher
import type { ConfigMap, Namespace } from '../../../lib/api/generated/types/core-v1.ts'
import { semanticEqual } from '../../../lib/apimachinery/equality.ts'
import { configMaps, namespaces } from '../../../lib/client/resource-keys.ts'
import { create, inOrder, update, watch } from './shared/controller.ts'
import type { Controller, Plan } from './shared/controller.ts'

export interface ObservedRootCa { readonly namespace: Namespace, readonly configMap: ConfigMap | undefined, readonly rootCa: string }

const configMapName = 'kube-root-ca.crt'
const annotation = 'kubernetes.io/description'
const description = 'Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. '
  + 'No other usage is guaranteed across distributions of Kubernetes clusters.'

export function syncRootCa({ namespace, configMap, rootCa }: ObservedRootCa): Plan {
  if (namespace.status?.phase === 'Terminating' || namespace.metadata.deletionTimestamp !== undefined) return {}
  const data = { 'ca.crt': rootCa }
  const { name } = namespace.metadata
  if (!configMap) {
    return { steps: inOrder(create(configMaps, name, { metadata: { name: configMapName, namespace: name, annotations: { [annotation]: description } }, data }, { tolerates: ['AlreadyExists', 'Forbidden', 'NotFound'] })) }
  }
  if (semanticEqual(configMap.data, data) && configMap.metadata.annotations?.[annotation] === description) return {}
  return { steps: inOrder(update(configMaps, { ...configMap, metadata: { ...configMap.metadata, annotations: { ...configMap.metadata.annotations, [annotation]: description } }, data })) }
}

export function createRootCaPublisher(settings: { readonly rootCa: string }): Controller<ObservedRootCa> | undefined {
  if (settings.rootCa === '') return undefined
  return {
    name: 'root-ca-certificate-publisher-controller',
    watches: [
      watch({ resource: namespaces, keysOf: (namespace) => [namespace.metadata.name] }),
      watch({ resource: configMaps, keysOf: (map) => (map.metadata.name === configMapName ? [map.metadata.namespace ?? ''] : []) }),
    ],
    observe(key, view) {
      const namespace = view.get(namespaces, '', key)
      return namespace && { namespace, configMap: view.get(configMaps, key, configMapName), rootCa: settings.rootCa }
    },
    sync: syncRootCa,
  }
}
