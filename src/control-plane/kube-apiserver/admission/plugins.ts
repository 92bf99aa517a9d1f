// The admission plugins, in the original's order, and which of them are on.
// Upstream: pkg/kubeapiserver/options/plugins.go
import type { Clock } from '../../../lib/base/clock.ts'
import type { Random } from '../../../lib/base/random.ts'
import type { Authorizer } from '../authorization/authorizer.ts'
import type { RbacAuthorizer } from '../authorization/rbac.ts'
import type { ServedResource } from '../endpoints/served-resource.ts'
import type { AdmissionPlugin } from './admission.ts'
import { certificatePlugins } from './certificates.ts'
import { defaultIngressClass } from './default-ingress-class.ts'
import { defaultStorageClass } from './default-storage-class.ts'
import { defaultTolerationSeconds } from './default-toleration-seconds.ts'
import { limitRanger } from './limit-ranger.ts'
import { namespaceLifecycle } from './namespace-lifecycle.ts'
import { nodeRestriction } from './node-restriction.ts'
import { priority } from './priority.ts'
import { rbacEscalation } from './rbac-escalation.ts'
import { resourceQuota } from './resource-quota.ts'
import { runtimeClass } from './runtime-class.ts'
import { serviceAccount } from './service-account.ts'
import { storageObjectInUseProtection } from './storage-object-in-use-protection.ts'
import { taintNodesByCondition } from './taint-nodes-by-condition.ts'

export interface AdmissionOptions {
  readonly stored: ReadonlyMap<string, ServedResource>
  readonly random: Random
  readonly clock: Clock
  readonly authorizer: Authorizer
  /** Absent when RBAC is off. */
  readonly rbac: RbacAuthorizer | undefined
  readonly enable: readonly string[]
  readonly disable: readonly string[]
}

/** Off unless asked for. */
const offByDefault: ReadonlySet<string> = new Set(['NodeRestriction'])

/** Names that the original knows and this server doesn't (yet): accepted on the command line, without effect. */
export const unbuiltPlugins: readonly string[] = [
  'AlwaysAdmit', 'AlwaysDeny', 'AlwaysPullImages', 'ClusterTrustBundleAttest', 'DenyServiceExternalIPs', 'EventRateLimit', 'ExtendedResourceToleration', 'ImagePolicyWebhook', 'LimitPodHardAntiAffinityTopology',
  'MutatingAdmissionPolicy', 'MutatingAdmissionWebhook', 'NamespaceAutoProvision', 'NamespaceExists', 'OwnerReferencesPermissionEnforcement', 'PersistentVolumeClaimResize', 'PodNodeSelector', 'PodSecurity',
  'PodTolerationRestriction', 'PodTopologyLabels', 'ValidatingAdmissionPolicy', 'ValidatingAdmissionWebhook', 'NodeDeclaredFeatureValidator', 'PodResizeValidator',
]

export function admissionPlugins(options: AdmissionOptions): readonly AdmissionPlugin[] {
  const { stored, random, authorizer, rbac, enable, disable } = options
  const [approval, signing, subject] = certificatePlugins(authorizer)
  const all: readonly (AdmissionPlugin | undefined)[] = [
    namespaceLifecycle(stored), limitRanger(stored), serviceAccount(stored, random), nodeRestriction(stored), taintNodesByCondition, priority(stored), defaultTolerationSeconds,
    defaultStorageClass(stored), storageObjectInUseProtection, runtimeClass(stored), approval, signing, subject, defaultIngressClass(stored), resourceQuota(stored),
  ]
  const on = all.filter((plugin) => plugin !== undefined).filter((plugin) => !disable.includes(plugin.name) && (!offByDefault.has(plugin.name) || enable.includes(plugin.name)))
  // Not a plugin in the original but part of storage, so it can't be turned off.
  return rbac ? [rbacEscalation(authorizer, rbac), ...on] : on
}
