// Every pod runs as a service account: `default` unless it names one, which must exist; its token is mounted where containers look for it, and its
// image pull secrets are the pod's.
// Upstream: plugin/pkg/admission/serviceaccount
import type { Container, ServiceAccount, Volume } from '../../../lib/api/generated/types/core-v1.ts'
import { serviceAccounts } from '../../../lib/client/resource-keys.ts'
import type { Random } from '../../../lib/base/random.ts'
import { randomName } from '../../../lib/base/random.ts'
import { forbidden } from '../endpoints/api-errors.ts'
import type { ServedResource } from '../endpoints/served-resource.ts'
import { cachedKind } from '../endpoints/server-context.ts'
import { objectKey } from '../storage/storage-keys.ts'
import type { AdmissionPlugin, AdmissionRequest } from './admission.ts'
import { asPod, isMirrorPod, isPodCreate, mapContainers, withPodSpec } from './pod-selection.ts'

const mountPath = '/var/run/secrets/kubernetes.io/serviceaccount'
/** Kubelets get an extended token for exactly this time. */
const tokenSeconds = 3607

export function serviceAccount(stored: ReadonlyMap<string, ServedResource>, random: Random): AdmissionPlugin {
  const refuse = (request: AdmissionRequest, why: string): Error => forbidden({ group: '', resource: 'pods' }, request.name, why)

  const find = async (request: AdmissionRequest, name: string): Promise<ServiceAccount> => {
    const cached = cachedKind(stored, serviceAccounts).get(request.namespace, name)
    if (cached) return cached
    const fresh = await stored.get('/serviceaccounts')?.store.get(objectKey(request.namespace, name), request.signal)
    if (!fresh) throw refuse(request, `error looking up service account ${request.namespace}/${name}: serviceaccount ${JSON.stringify(name)} not found`)
    return fresh.object as ServiceAccount // cast: the accounts' store
  }

  return {
    name: 'ServiceAccount',
    handles: isPodCreate,
    async mutate(request, object) {
      let pod = asPod(object)
      if (isMirrorPod(pod)) {
        if ((pod.spec.serviceAccountName ?? '') !== '') throw refuse(request, 'a mirror pod may not reference service accounts')
        if ((pod.spec.volumes ?? []).some((v) => v.secret || v.projected?.sources?.some((s) => s.serviceAccountToken))) throw refuse(request, 'a mirror pod may not reference secrets')
        return pod
      }
      const name = pod.spec.serviceAccountName || pod.spec.serviceAccount || 'default'
      const account = await find(request, name)
      if (pod.spec.serviceAccountName !== name || pod.spec.serviceAccount !== name) pod = withPodSpec(pod, { serviceAccountName: name, serviceAccount: name })
      const mounts = pod.spec.automountServiceAccountToken ?? account.automountServiceAccountToken ?? true
      if (mounts) pod = withToken(pod, random)
      if ((pod.spec.imagePullSecrets?.length ?? 0) === 0 && (account.imagePullSecrets?.length ?? 0) > 0) pod = withPodSpec(pod, { imagePullSecrets: account.imagePullSecrets ?? [] })
      return pod
    },
  }
}

function withToken(pod: ReturnType<typeof asPod>, random: Random): ReturnType<typeof asPod> {
  const existing = (pod.spec.volumes ?? []).find((v) => v.name.startsWith('kube-api-access-'))
  const name = existing?.name ?? `kube-api-access-${randomName(random, 5)}`
  let used = false
  const mounted = mapContainers(pod, (container: Container) => {
    if ((container.volumeMounts ?? []).some((mount) => mount.mountPath === mountPath)) return container
    used = true
    return { ...container, volumeMounts: [...(container.volumeMounts ?? []), { name, readOnly: true, mountPath }] }
  })
  if (!used || existing) return mounted
  const volume: Volume = {
    name,
    projected: {
      sources: [
        { serviceAccountToken: { expirationSeconds: tokenSeconds, path: 'token' } },
        { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
        { downwardAPI: { items: [{ path: 'namespace', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } }] } },
      ],
      defaultMode: 0o644,
    },
  }
  return withPodSpec(mounted, { volumes: [...(mounted.spec.volumes ?? []), volume] })
}
