// kubectl describe of Deployments, ReplicaSets, ReplicationControllers, DaemonSets and StatefulSets. Upstream: kubectl/pkg/describe
import { formatLabelSelector, selectorFromLabels } from '../../../lib/apimachinery/label-selector.ts'
import type { DaemonSet, Deployment, ReplicaSet, StatefulSet } from '../../../lib/api/generated/types/apps-v1.ts'
import type { PersistentVolumeClaim, Pod, PodTemplateSpec, ReplicationController } from '../../../lib/api/generated/types/core-v1.ts'
import { formatLabels } from '../printers/table-printer.ts'
import { DescribeWriter, controllerText, formatLongTime, formatSelector, orNone } from './describe-writer.ts'
import type { DescribeWorld } from './describer.ts'
import { listAll, writeEventsOf } from './describer.ts'
import { writePodTemplate } from './pod-template.ts'

interface Owner { readonly metadata: { readonly namespace?: string; readonly uid: string } }

/** How many of a workload's own pods are in which phase. */
async function podCounts(world: DescribeWorld, owner: Owner, labelSelector: string): Promise<string> {
  const pods = await listAll<Pod>(world, `/api/v1/namespaces/${owner.metadata.namespace ?? ''}/pods`, { labelSelector })
  const own = pods.filter((p) => p.metadata.ownerReferences?.some((o) => o.controller && o.uid === owner.metadata.uid))
  const count = (phase: string): number => own.filter((p) => p.status.phase === phase).length
  return `${count('Running')} Running / ${count('Pending')} Waiting / ${count('Succeeded')} Succeeded / ${count('Failed')} Failed`
}

interface Condition { readonly type: string; readonly status: string; readonly reason?: string }

function writeConditions(out: DescribeWriter, conditions: readonly Condition[] | undefined): void {
  if (!conditions || conditions.length === 0) return
  out.line(0, 'Conditions:')
  out.line(1, 'Type\tStatus\tReason')
  out.line(1, '----\t------\t------')
  for (const c of conditions) out.line(1, `${c.type} \t${c.status}\t${c.reason ?? ''}`)
}

function startOf(object: { readonly metadata: { readonly name: string; readonly namespace?: string } }): DescribeWriter {
  const out = new DescribeWriter()
  out.line(0, `Name:\t${object.metadata.name}`)
  out.line(0, `Namespace:\t${object.metadata.namespace ?? ''}`)
  return out
}

export async function describeDeployment(world: DescribeWorld, deployment: Deployment): Promise<string> {
  const { metadata, spec, status } = deployment
  const out = startOf(deployment)
  const selector = formatSelector(spec.selector)
  out.line(0, `CreationTimestamp:\t${formatLongTime(metadata.creationTimestamp)}`)
  out.labels('Labels', metadata.labels)
  out.annotations('Annotations', metadata.annotations)
  out.line(0, `Selector:\t${selector}`)
  out.line(0, `Replicas:\t${spec.replicas ?? 0} desired | ${status.updatedReplicas ?? 0} updated | ${status.replicas ?? 0} total | ${status.availableReplicas ?? 0} available | ${status.unavailableReplicas ?? 0} unavailable`)
  out.line(0, `StrategyType:\t${spec.strategy?.type ?? ''}`)
  out.line(0, `MinReadySeconds:\t${spec.minReadySeconds ?? 0}`)
  const rolling = spec.strategy?.rollingUpdate
  if (rolling) out.line(0, `RollingUpdateStrategy:\t${String(rolling.maxUnavailable ?? '<nil>')} max unavailable, ${String(rolling.maxSurge ?? '<nil>')} max surge`)
  writePodTemplate(out, spec.template)
  writeConditions(out, status.conditions)
  const sets = (await listAll<ReplicaSet>(world, `/apis/apps/v1/namespaces/${metadata.namespace ?? ''}/replicasets`, { labelSelector: selector })).filter((r) => r.metadata.ownerReferences?.some((o) => o.controller && o.uid === metadata.uid))
  const current = newReplicaSet(deployment, sets)
  const old = sets.filter((r) => r !== current)
  if (old.length > 0 || current) {
    out.line(0, `OldReplicaSets:\t${replicaSetsText(old)}`)
    out.line(0, `NewReplicaSet:\t${replicaSetsText(current ? [current] : [])}`)
  }
  await writeEventsOf(out, world, 'Deployment', deployment)
  return out.aligned()
}

/** The oldest ReplicaSet with the deployment's template. */
function newReplicaSet(deployment: Deployment, sets: readonly ReplicaSet[]): ReplicaSet | undefined {
  const keyOf = (template: PodTemplateSpec | undefined): string => {
    const { 'pod-template-hash': _, ...labels } = template?.metadata?.labels ?? {}
    return stableText({ ...template, metadata: { ...template?.metadata, labels } })
  }
  const wanted = keyOf(deployment.spec.template)
  const time = (r: ReplicaSet): number => Date.parse(r.metadata.creationTimestamp ?? '')
  return [...sets].sort((a, b) => time(a) - time(b) || (a.metadata.name < b.metadata.name ? -1 : 1)).find((r) => keyOf(r.spec.template) === wanted)
}

/** JSON with sorted keys and without empty objects, to compare templates. */
function stableText(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(stableText).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? ''
  const entries = Object.entries(value).map(([k, v]) => [k, stableText(v)] as const).filter(([, v]) => v !== '' && v !== '{}' && v !== 'null').sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${entries.map(([k, v]) => `${k}:${v}`).join(',')}}`
}

const replicaSetsText = (sets: readonly ReplicaSet[]): string => orNone(sets.map((r) => `${r.metadata.name} (${r.status.replicas}/${r.spec.replicas ?? 0} replicas created)`).join(', '))

export async function describeReplicaSet(world: DescribeWorld, set: ReplicaSet): Promise<string> {
  const { metadata, spec, status } = set
  const out = startOf(set)
  const selector = formatSelector(spec.selector)
  out.line(0, `Selector:\t${orNone(selector)}`)
  out.labels('Labels', metadata.labels)
  out.annotations('Annotations', metadata.annotations)
  const controller = controllerText(metadata)
  if (controller) out.line(0, `Controlled By:\t${controller}`)
  out.line(0, `Replicas:\t${status.replicas} current / ${spec.replicas ?? 0} desired`)
  out.line(0, `Pods Status:\t${await podCounts(world, set, selector)}`)
  writePodTemplate(out, spec.template)
  writeConditions(out, status.conditions)
  await writeEventsOf(out, world, 'ReplicaSet', set)
  return out.aligned()
}

export async function describeReplicationController(world: DescribeWorld, controller: ReplicationController): Promise<string> {
  const { metadata, spec, status } = controller
  const out = startOf(controller)
  out.line(0, `Selector:\t${formatLabels(spec.selector)}`)
  out.labels('Labels', metadata.labels)
  out.annotations('Annotations', metadata.annotations)
  out.line(0, `Replicas:\t${status.replicas} current / ${spec.replicas ?? 0} desired`)
  out.line(0, `Pods Status:\t${await podCounts(world, controller, formatLabelSelector(selectorFromLabels(spec.selector ?? {})))}`)
  writePodTemplate(out, spec.template)
  writeConditions(out, status.conditions)
  await writeEventsOf(out, world, 'ReplicationController', controller)
  return out.aligned()
}

export async function describeDaemonSet(world: DescribeWorld, set: DaemonSet): Promise<string> {
  const { metadata, spec, status } = set
  const out = startOf(set)
  const selector = formatSelector(spec.selector)
  out.line(0, `Selector:\t${selector}`)
  out.line(0, `Node-Selector:\t${formatLabels(spec.template.spec?.nodeSelector)}`)
  out.labels('Labels', metadata.labels)
  out.annotations('Annotations', metadata.annotations)
  out.line(0, `Desired Number of Nodes Scheduled: ${status.desiredNumberScheduled}`)
  out.line(0, `Current Number of Nodes Scheduled: ${status.currentNumberScheduled}`)
  out.line(0, `Number of Nodes Scheduled with Up-to-date Pods: ${status.updatedNumberScheduled ?? 0}`)
  out.line(0, `Number of Nodes Scheduled with Available Pods: ${status.numberAvailable ?? 0}`)
  out.line(0, `Number of Nodes Misscheduled: ${status.numberMisscheduled}`)
  out.line(0, `Pods Status:\t${await podCounts(world, set, selector)}`)
  writePodTemplate(out, spec.template)
  await writeEventsOf(out, world, 'DaemonSet', set)
  return out.aligned()
}

export async function describeStatefulSet(world: DescribeWorld, set: StatefulSet): Promise<string> {
  const { metadata, spec, status } = set
  const out = startOf(set)
  const selector = formatSelector(spec.selector)
  out.line(0, `CreationTimestamp:\t${formatLongTime(metadata.creationTimestamp)}`)
  out.line(0, `Selector:\t${selector}`)
  out.labels('Labels', metadata.labels)
  out.annotations('Annotations', metadata.annotations)
  if (spec.serviceName) out.line(0, `Service Name:\t${spec.serviceName}`)
  if (spec.podManagementPolicy) out.line(0, `Pod Management Policy:\t${spec.podManagementPolicy}`)
  out.line(0, `Replicas:\t${spec.replicas ?? 0} desired | ${status.replicas} total`)
  out.line(0, `Update Strategy:\t${spec.updateStrategy?.type ?? ''}`)
  const rolling = spec.updateStrategy?.rollingUpdate
  if (rolling?.partition !== undefined) {
    out.line(1, `Partition:\t${rolling.partition}`)
    if (rolling.maxUnavailable !== undefined) out.line(1, `MaxUnavailable:\t${String(rolling.maxUnavailable)}`)
  }
  const retention = spec.persistentVolumeClaimRetentionPolicy
  if (retention) {
    out.line(0, 'Persistent Volume Claim Retention Policy:')
    out.line(1, `WhenDeleted:\t${retention.whenDeleted ?? ''}`)
    out.line(1, `WhenScaled:\t${retention.whenScaled ?? ''}`)
  }
  out.line(0, `Pods Status:\t${await podCounts(world, set, selector)}`)
  writePodTemplate(out, spec.template)
  writeClaimTemplates(out, spec.volumeClaimTemplates ?? [])
  await writeEventsOf(out, world, 'StatefulSet', set)
  return out.aligned()
}

function writeClaimTemplates(out: DescribeWriter, claims: readonly PersistentVolumeClaim[]): void {
  if (claims.length === 0) { out.line(0, 'Volume Claims:\t<none>'); return }
  out.line(0, 'Volume Claims:')
  for (const { metadata, spec } of claims) {
    out.line(1, `Name:\t${metadata.name}`)
    out.line(1, `StorageClass:\t${spec.storageClassName ?? ''}`)
    out.labels('Labels', metadata.labels, '  ')
    out.labels('Annotations', metadata.annotations, '  ')
    out.line(1, `Capacity:\t${spec.resources?.requests?.['storage'] ?? '<default>'}`)
    out.line(1, `Access Modes:\t[${(spec.accessModes ?? []).join(' ')}]`)
  }
}
