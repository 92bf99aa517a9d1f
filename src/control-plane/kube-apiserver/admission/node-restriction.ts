// A kubelet touches only what is its own: its Node, pods bound to it, its lease, tokens for its pods.
// Upstream: plugin/pkg/admission/noderestriction
import type { Node, Pod } from '../../../lib/api/generated/types/core-v1.ts'
import type { TokenRequest } from '../../../lib/api/generated/types/authentication-v1.ts'
import { nodes, pods } from '../../../lib/client/resource-keys.ts'
import { deepEqual } from '../../../lib/apimachinery/equality.ts'
import { nodeNameOf } from '../authorization/node-authorizer.ts'
import { forbidden } from '../endpoints/api-errors.ts'
import type { ServedResource } from '../endpoints/served-resource.ts'
import { cachedKind } from '../endpoints/server-context.ts'
import type { AdmissionPlugin, AdmissionRequest } from './admission.ts'
import { asPod, isMirrorPod } from './pod-selection.ts'

const allowedLabels: ReadonlySet<string> = new Set([
  'kubernetes.io/hostname', 'kubernetes.io/arch', 'kubernetes.io/os', 'beta.kubernetes.io/arch', 'beta.kubernetes.io/os', 'beta.kubernetes.io/instance-type', 'node.kubernetes.io/instance-type',
  'topology.kubernetes.io/region', 'topology.kubernetes.io/zone', 'failure-domain.beta.kubernetes.io/region', 'failure-domain.beta.kubernetes.io/zone',
])
const allowedPrefixes = ['kubelet.kubernetes.io', 'node.kubernetes.io']

export function nodeRestriction(stored: ReadonlyMap<string, ServedResource>): AdmissionPlugin {
  const allPods = cachedKind(stored, pods)
  const allNodes = cachedKind(stored, nodes)

  const ownPod = (request: AdmissionRequest, node: string, refuse: (why: string) => Error): Pod => {
    const pod = (request.oldObject && request.info.resource === 'pods' ? asPod(request.oldObject) : undefined) ?? allPods.get(request.namespace, request.name)
    if (pod?.spec.nodeName !== node) throw refuse(`node ${JSON.stringify(node)} can only ${request.operation === 'DELETE' ? 'delete pods' : request.subresource === 'status' ? 'update pod status for pods' : 'evict pods'} with spec.nodeName set to itself`)
    return pod
  }

  const checkPod = (request: AdmissionRequest, node: string, refuse: (why: string) => Error): void => {
    if (request.subresource === 'status' && request.operation === 'UPDATE') {
      const pod = ownPod(request, node, refuse)
      if (request.object && !deepEqual(request.object.metadata.labels ?? {}, pod.metadata.labels ?? {})) throw refuse(`node ${JSON.stringify(node)} cannot update labels through pod status`)
      return
    }
    if (request.subresource === 'eviction') { ownPod(request, node, refuse); return }
    if (request.subresource !== '') throw refuse(`unexpected pod subresource ${JSON.stringify(request.subresource)}, only 'status' and 'eviction' are allowed`)
    if (request.operation === 'DELETE') { ownPod(request, node, refuse); return }
    if (request.operation !== 'CREATE' || !request.object) throw refuse(`unexpected operation ${JSON.stringify(request.operation)}, node ${JSON.stringify(node)} can only create and delete mirror pods`)
    const pod = asPod(request.object)
    if (!isMirrorPod(pod)) throw refuse(`pod does not have "kubernetes.io/config.mirror" annotation, node ${JSON.stringify(node)} can only create mirror pods`)
    if (pod.spec.nodeName !== node) throw refuse(`node ${JSON.stringify(node)} can only create pods with spec.nodeName set to itself`)
    const owners = pod.metadata.ownerReferences ?? []
    const [owner] = owners
    if (owners.length > 1) throw refuse(`node ${JSON.stringify(node)} can only create pods with a single owner reference set to itself`)
    if (!owner) throw refuse(`node ${JSON.stringify(node)} can only create pods with an owner reference set to itself`)
    if (owner.apiVersion !== 'v1' || owner.kind !== 'Node' || owner.name !== node) throw refuse(`node ${JSON.stringify(node)} can only create pods with an owner reference set to itself`)
    if (owner.controller !== true) throw refuse(`node ${JSON.stringify(node)} can only create pods with a controller owner reference set to itself`)
    if (owner.blockOwnerDeletion === true) throw refuse(`node ${JSON.stringify(node)} must not set blockOwnerDeletion on an owner reference`)
    const known = allNodes.get('', node)
    if (known && known.metadata.uid !== owner.uid) throw refuse(`node ${JSON.stringify(node)} UID mismatch: expected ${owner.uid} got ${known.metadata.uid}`)
    if ((pod.spec.serviceAccountName ?? '') !== '') throw refuse(`node ${JSON.stringify(node)} can not create pods that reference a service account`)
    for (const volume of pod.spec.volumes ?? []) if (volume.secret || volume.configMap || volume.persistentVolumeClaim || volume.projected?.sources?.some((s) => s.secret || s.configMap || s.serviceAccountToken)) throw refuse(`node ${JSON.stringify(node)} can not create pods that reference secrets, configmaps or persistentvolumeclaims`)
  }

  const checkNode = (request: AdmissionRequest, node: string, refuse: (why: string) => Error): void => {
    if (request.name !== node && request.object?.metadata.name !== node) throw refuse(`node ${JSON.stringify(node)} is not allowed to modify node ${JSON.stringify(request.name)}`)
    const next = request.object as Node | undefined // cast: the resource is nodes
    const old = request.oldObject as Node | undefined // cast: as above
    if (!next) return
    const changed = changedLabels(next.metadata.labels ?? {}, old?.metadata.labels ?? {})
    const wrong = changed.filter((label) => !mayChange(label))
    if (wrong.length > 0) throw refuse(`is not allowed to modify labels: ${wrong.sort().join(', ')}`)
    if (!old) return
    if (next.spec?.configSource && !deepEqual(next.spec.configSource, old.spec?.configSource)) throw refuse(`node ${JSON.stringify(node)} is not allowed to update configSource to a new non-nil configSource`)
    if (request.operation === 'UPDATE' && !deepEqual(next.spec?.taints ?? [], old.spec?.taints ?? [])) throw refuse(`node ${JSON.stringify(node)} is not allowed to modify taints`)
    if (!deepEqual(next.metadata.ownerReferences ?? [], old.metadata.ownerReferences ?? [])) throw refuse(`node ${JSON.stringify(node)} is not allowed to modify ownerReferences`)
  }

  const checkToken = (request: AdmissionRequest, node: string, refuse: (why: string) => Error): void => {
    const reference = (request.object as unknown as TokenRequest | undefined)?.spec.boundObjectRef // cast: the subresource's body
    if (reference?.apiVersion !== 'v1' || reference.kind !== 'Pod' || !reference.name) throw refuse('node requested token not bound to a pod')
    if (!reference.uid) throw refuse('node requested token with a pod binding without a uid')
    const pod = allPods.get(request.namespace, reference.name)
    if (!pod) throw refuse(`pods ${JSON.stringify(reference.name)} not found`)
    if (pod.metadata.uid !== reference.uid) throw refuse(`the UID in the bound object reference (${reference.uid}) does not match the UID in record (${pod.metadata.uid}). The object might have been deleted and then recreated`)
    if (pod.spec.nodeName !== node) throw refuse('node requested token bound to a pod scheduled on a different node')
  }

  return {
    name: 'NodeRestriction',
    handles: (request) => request.user.groups.includes('system:nodes'),
    validate(request) {
      const node = nodeNameOf(request.user)
      const refuse = (why: string): Error => forbidden({ group: request.info.group, resource: request.info.resource }, request.name, why)
      if (node === undefined) throw refuse('could not determine node from user')
      switch (`${request.info.group}/${request.info.resource}`) {
        case '/pods': checkPod(request, node, refuse); return
        case '/nodes': checkNode(request, node, refuse); return
        case '/serviceaccounts': if (request.subresource === 'token') checkToken(request, node, refuse); return
        case 'coordination.k8s.io/leases':
          if (request.namespace !== 'kube-node-lease') throw refuse('can only access leases in the "kube-node-lease" system namespace')
          if (request.name !== node && request.object?.metadata.name !== node) throw refuse('can only access node lease with the same name as the requesting node')
          return
        case 'storage.k8s.io/csinodes': if (request.name !== node && request.object?.metadata.name !== node) throw refuse('can only access CSINode with the same name as the requesting node')
      }
    },
  }
}

function changedLabels(next: { readonly [key: string]: string }, old: { readonly [key: string]: string }): string[] {
  return [...new Set([...Object.keys(next), ...Object.keys(old)])].filter((key) => next[key] !== old[key])
}

/** Labels of Kubernetes' own are the administrator's, but for those that describe the node. */
function mayChange(label: string): boolean {
  const slash = label.indexOf('/')
  if (slash < 0) return true
  const domain = label.slice(0, slash)
  if (domain === 'node-restriction.kubernetes.io' || domain.endsWith('.node-restriction.kubernetes.io')) return false
  const own = domain === 'kubernetes.io' || domain.endsWith('.kubernetes.io') || domain === 'k8s.io' || domain.endsWith('.k8s.io')
  return !own || allowedLabels.has(label) || allowedPrefixes.some((prefix) => domain === prefix || domain.endsWith(`.${prefix}`))
}
