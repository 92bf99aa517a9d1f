// What a kubelet may do: its own node, its lease, its pods, and of secrets, config maps, claims and the like only what its pods refer to.
// Upstream: plugin/pkg/auth/authorizer/node
import type { Pod, PersistentVolume, PersistentVolumeClaim } from '../../../lib/api/generated/types/core-v1.ts'
import { persistentVolumeClaims, persistentVolumes, pods } from '../../../lib/client/resource-keys.ts'
import type { ServedResource } from '../endpoints/served-resource.ts'
import { cachedKind } from '../endpoints/server-context.ts'
import type { UserInfo } from '../registry/strategy.ts'
import type { AuthorizationAttributes, Authorizer, Decision } from './authorizer.ts'
import { noOpinion } from './authorizer.ts'

const prefix = 'system:node:'

/** The node that a user is, when it is one. */
export function nodeNameOf(user: UserInfo): string | undefined {
  return user.groups.includes('system:nodes') && user.name.startsWith(prefix) ? user.name.slice(prefix.length) : undefined
}

const allow: Decision = { decision: 'allow', reason: '' }
const refuse = (reason: string): Decision => ({ decision: 'noOpinion', reason })

/** Rules that need no look at objects: verbs by `group/resource`. */
const fixedRules: { readonly [resource: string]: readonly string[] } = {
  'authentication.k8s.io/tokenreviews': ['create'],
  'authorization.k8s.io/subjectaccessreviews': ['create'],
  'authorization.k8s.io/localsubjectaccessreviews': ['create'],
  '/services': ['get', 'list', 'watch'],
  '/nodes': ['create', 'update', 'patch'],
  '/nodes/status': ['update', 'patch'],
  '/events': ['create', 'update', 'patch'],
  'events.k8s.io/events': ['create', 'update', 'patch'],
  '/pods': ['create', 'delete'],
  '/pods/status': ['update', 'patch'],
  '/pods/eviction': ['create'],
  'certificates.k8s.io/certificatesigningrequests': ['create', 'get', 'list', 'watch'],
  'node.k8s.io/runtimeclasses': ['get', 'list', 'watch'],
  'storage.k8s.io/csidrivers': ['get', 'list', 'watch'],
  '/persistentvolumeclaims/status': ['get', 'update', 'patch'],
  'resource.k8s.io/resourceclaims': [],
}

/** What the pods of a node refer to, by kind; made anew when pods or volumes have changed. */
interface NodeReferences {
  readonly pods: ReadonlySet<string>
  readonly secrets: ReadonlySet<string>
  readonly configmaps: ReadonlySet<string>
  readonly persistentvolumeclaims: ReadonlySet<string>
  readonly persistentvolumes: ReadonlySet<string>
  readonly serviceaccounts: ReadonlySet<string>
}

export class NodeAuthorizer implements Authorizer {
  readonly #stored: ReadonlyMap<string, ServedResource>
  readonly #podsOf = new Map<string, Set<string>>()
  readonly #references = new Map<string, NodeReferences>()

  constructor(stored: ReadonlyMap<string, ServedResource>) {
    this.#stored = stored
    const cache = stored.get('/pods')?.store.cache
    const nodeOf = (pod: unknown): string => (pod as Pod | undefined)?.spec.nodeName ?? '' // cast: the pods' cache
    const add = (node: string, key: string): void => {
      let set = this.#podsOf.get(node)
      if (!set) this.#podsOf.set(node, set = new Set())
      set.add(key)
      this.#references.delete(node)
    }
    for (const stored of cache?.list('') ?? []) add(nodeOf(stored.object), stored.key)
    cache?.listen(({ current, previous }) => {
      const before = previous && nodeOf(previous.object)
      const now = current && nodeOf(current.object)
      if (before !== undefined && before !== now && previous) { this.#podsOf.get(before)?.delete(previous.key); this.#references.delete(before) }
      if (now !== undefined && current) add(now, current.key)
    })
    for (const resource of ['/persistentvolumeclaims', '/persistentvolumes']) stored.get(resource)?.store.cache.listen(() => { this.#references.clear() })
  }

  authorize(a: AuthorizationAttributes): Decision {
    const node = nodeNameOf(a.user)
    if (node === undefined || !a.isResource) return noOpinion
    const key = `${a.group}/${a.resource}${a.subresource === '' ? '' : `/${a.subresource}`}`
    switch (key) {
      case '/secrets': case '/configmaps': return this.#reading(node, a, a.resource === 'secrets' ? 'secrets' : 'configmaps')
      case '/persistentvolumeclaims': return a.verb === 'get' && this.#refers(node, 'persistentvolumeclaims', a) ? allow : refuse(`no relationship found between node '${node}' and this object`)
      case '/persistentvolumes': return a.verb === 'get' && this.#refers(node, 'persistentvolumes', a) ? allow : refuse(`no relationship found between node '${node}' and this object`)
      case '/serviceaccounts': return a.verb === 'get' && this.#refers(node, 'serviceaccounts', a) ? allow : refuse(`no relationship found between node '${node}' and this object`)
      case '/serviceaccounts/token': return a.verb === 'create' && this.#refers(node, 'serviceaccounts', a) ? allow : refuse(`no relationship found between node '${node}' and this object`)
      case 'coordination.k8s.io/leases':
        if (!['get', 'create', 'update', 'patch', 'delete'].includes(a.verb)) return refuse('can only get, create, update, patch, or delete a node lease')
        if (a.namespace !== 'kube-node-lease') return refuse("can only access leases in the \"kube-node-lease\" system namespace")
        return a.verb === 'create' || a.name === node ? allow : refuse('can only access node lease with the same name as the requesting node')
      case 'storage.k8s.io/csinodes':
        return ['get', 'create', 'update', 'patch', 'delete'].includes(a.verb) && (a.verb === 'create' || a.name === node) ? allow : refuse('can only access CSINode with the same name as the requesting node')
      case '/nodes':
        if (['get', 'list', 'watch'].includes(a.verb)) return a.name === node ? allow : refuse(`node '${node}' cannot read all nodes, only its own Node object`)
        return (fixedRules[key] ?? []).includes(a.verb) ? allow : refuse('')
      case '/pods':
        if (a.verb === 'list' || a.verb === 'watch') return selects(a.fieldSelector, 'spec.nodeName', node) ? allow : refuse("can only list/watch pods with spec.nodeName field selector")
        if (a.verb === 'get') return this.#refers(node, 'pods', a) ? allow : refuse(`no relationship found between node '${node}' and this object`)
        return (fixedRules[key] ?? []).includes(a.verb) ? allow : refuse('')
      case 'storage.k8s.io/volumeattachments': return a.verb === 'get' ? allow : refuse('')
      default: return (fixedRules[key] ?? []).includes(a.verb) ? allow : noOpinion
    }
  }

  #reading(node: string, a: AuthorizationAttributes, kind: 'secrets' | 'configmaps'): Decision {
    if (!['get', 'list', 'watch'].includes(a.verb)) return refuse(`can only read resources of this type`)
    if (a.name === '') return refuse('No Object name found')
    return this.#refers(node, kind, a) ? allow : refuse(`no relationship found between node '${node}' and this object`)
  }

  #refers(node: string, kind: keyof NodeReferences, a: AuthorizationAttributes): boolean {
    return this.#referencesOf(node)[kind].has(kind === 'persistentvolumes' ? a.name : `${a.namespace}/${a.name}`)
  }

  #referencesOf(node: string): NodeReferences {
    const known = this.#references.get(node)
    if (known) return known
    const keys = this.#podsOf.get(node) ?? new Set<string>()
    const found = { pods: new Set(keys), secrets: new Set<string>(), configmaps: new Set<string>(), persistentvolumeclaims: new Set<string>(), persistentvolumes: new Set<string>(), serviceaccounts: new Set<string>() }
    const allPods = cachedKind(this.#stored, pods)
    const claims = cachedKind(this.#stored, persistentVolumeClaims)
    const volumes = cachedKind(this.#stored, persistentVolumes)
    for (const key of keys) {
      const slash = key.indexOf('/')
      const namespace = key.slice(0, slash)
      const pod = allPods.get(namespace, key.slice(slash + 1))
      if (!pod || isMirror(pod)) continue
      collectPod(pod, namespace, found)
    }
    for (const key of found.persistentvolumeclaims) {
      const slash = key.indexOf('/')
      const claim: PersistentVolumeClaim | undefined = claims.get(key.slice(0, slash), key.slice(slash + 1))
      const volume = claim?.spec?.volumeName ?? ''
      if (volume === '') continue
      found.persistentvolumes.add(volume)
      collectVolume(volumes.get('', volume), claim?.metadata.namespace ?? '', found.secrets)
    }
    this.#references.set(node, found)
    return found
  }
}

const isMirror = (pod: Pod): boolean => pod.metadata.annotations?.['kubernetes.io/config.mirror'] !== undefined

type Collected = { readonly [K in 'secrets' | 'configmaps' | 'persistentvolumeclaims' | 'serviceaccounts']: Set<string> }

/** Everything that a pod names. Pure. */
function collectPod(pod: Pod, namespace: string, out: Collected): void {
  const add = (set: Set<string>, name: string | undefined): void => { if (name !== undefined && name !== '') set.add(`${namespace}/${name}`) }
  const { spec } = pod
  add(out.serviceaccounts, spec.serviceAccountName)
  for (const reference of spec.imagePullSecrets ?? []) add(out.secrets, reference.name)
  for (const container of [...(spec.initContainers ?? []), ...(spec.containers ?? []), ...(spec.ephemeralContainers ?? [])]) {
    for (const source of container.envFrom ?? []) { add(out.secrets, source.secretRef?.name); add(out.configmaps, source.configMapRef?.name) }
    for (const variable of container.env ?? []) { add(out.secrets, variable.valueFrom?.secretKeyRef?.name); add(out.configmaps, variable.valueFrom?.configMapKeyRef?.name) }
  }
  for (const volume of spec.volumes ?? []) {
    add(out.secrets, volume.secret?.secretName)
    add(out.configmaps, volume.configMap?.name)
    add(out.persistentvolumeclaims, volume.persistentVolumeClaim?.claimName)
    if (volume.ephemeral) add(out.persistentvolumeclaims, `${pod.metadata.name}-${volume.name}`)
    for (const source of volume.projected?.sources ?? []) { add(out.secrets, source.secret?.name); add(out.configmaps, source.configMap?.name) }
    for (const reference of [volume.csi?.nodePublishSecretRef, volume.cephfs?.secretRef, volume.flexVolume?.secretRef, volume.iscsi?.secretRef, volume.rbd?.secretRef, volume.scaleIO?.secretRef, volume.storageos?.secretRef]) add(out.secrets, reference?.name)
    add(out.secrets, volume.azureFile?.secretName)
  }
}

function collectVolume(volume: PersistentVolume | undefined, claimNamespace: string, secrets: Set<string>): void {
  const { csi, iscsi, rbd, cephfs, azureFile } = volume?.spec ?? {}
  for (const reference of [csi?.nodePublishSecretRef, csi?.nodeStageSecretRef, csi?.nodeExpandSecretRef, iscsi?.secretRef, rbd?.secretRef, cephfs?.secretRef]) {
    if (reference?.name) secrets.add(`${reference.namespace ?? claimNamespace}/${reference.name}`)
  }
  if (azureFile?.secretName) secrets.add(`${azureFile.secretNamespace ?? claimNamespace}/${azureFile.secretName}`)
}

function selects(selector: string | undefined, field: string, value: string): boolean {
  return (selector ?? '').split(',').some((term) => term === `${field}=${value}` || term === `${field}==${value}`)
}
