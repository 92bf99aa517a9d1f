// kubectl describe pod. Upstream: kubectl/pkg/describe (describePod)
import { translateTimestampSince } from '../../../lib/apimachinery/duration.ts'
import type { Container, Pod } from '../../../lib/api/generated/types/core-v1.ts'
import { describeContainers, describeResources } from './containers.ts'
import { DescribeWriter, controllerText, formatLongTime } from './describe-writer.ts'
import type { DescribeWorld } from './describer.ts'
import { searchEvents, writeEvents } from './describer.ts'
import { describeSchedulingGroup, describeTolerations, describeTopologySpread } from './pod-template.ts'
import { describeVolumes } from './volumes.ts'

const mirrorAnnotation = 'kubernetes.io/config.mirror'

export async function describePod(world: DescribeWorld, pod: Pod): Promise<string> {
  const out = new DescribeWriter()
  writePod(out, pod, world.nowMs)
  if (world.showEvents) {
    // The kubelet reports about a static pod under the uid of its file.
    const uid = pod.metadata.annotations?.[mirrorAnnotation] ?? pod.metadata.uid
    writeEvents(out, await searchEvents(world, { kind: '', metadata: { ...pod.metadata, uid } }), world.nowMs)
  }
  return out.aligned()
}

function writePod(out: DescribeWriter, pod: Pod, nowMs: number): void {
  const { metadata, spec, status } = pod
  out.line(0, `Name:\t${metadata.name}`)
  out.line(0, `Namespace:\t${metadata.namespace ?? ''}`)
  if (spec.priority !== undefined) out.line(0, `Priority:\t${spec.priority}`)
  if (spec.priorityClassName) out.line(0, `Priority Class Name:\t${spec.priorityClassName}`)
  if (spec.runtimeClassName) out.line(0, `Runtime Class Name:\t${spec.runtimeClassName}`)
  if (spec.serviceAccountName) out.line(0, `Service Account:\t${spec.serviceAccountName}`)
  out.line(0, spec.nodeName ? `Node:\t${spec.nodeName}/${status.hostIP ?? ''}` : 'Node:\t<none>')
  if (status.startTime) out.line(0, `Start Time:\t${formatLongTime(status.startTime)}`)
  out.labels('Labels', metadata.labels)
  out.annotations('Annotations', metadata.annotations)
  if (metadata.deletionTimestamp && status.phase !== 'Failed' && status.phase !== 'Succeeded') {
    out.line(0, `Status:\tTerminating (lasts ${translateTimestampSince(metadata.deletionTimestamp, nowMs)})`)
    out.line(0, `Termination Grace Period:\t${metadata.deletionGracePeriodSeconds ?? 0}s`)
  } else out.line(0, `Status:\t${status.phase ?? ''}`)
  if (status.reason) out.line(0, `Reason:\t${status.reason}`)
  if (status.message) out.line(0, `Message:\t${status.message}`)
  const seccomp = spec.securityContext?.seccompProfile
  if (seccomp) {
    out.line(0, `SeccompProfile:\t${seccomp.type}`)
    if (seccomp.type === 'Localhost') out.line(0, `LocalhostProfile:\t${seccomp.localhostProfile ?? ''}`)
  }
  out.line(0, `IP:\t${status.podIP ?? ''}`)
  if (!status.podIPs || status.podIPs.length === 0) out.line(0, 'IPs:\t<none>')
  else {
    out.line(0, 'IPs:')
    for (const { ip } of status.podIPs) out.line(1, `IP:\t${ip}`)
  }
  const controller = controllerText(metadata)
  if (controller) out.line(0, `Controlled By:\t${controller}`)
  if (status.nominatedNodeName) out.line(0, `NominatedNodeName:\t${status.nominatedNodeName}`)
  if (spec.resources) {
    out.line(0, 'Resources:')
    describeResources(out, spec.resources, 1)
  }
  if (spec.initContainers && spec.initContainers.length > 0) describeContainers(out, 'Init Containers', spec.initContainers, status.initContainerStatuses ?? [], '', pod)
  describeContainers(out, 'Containers', spec.containers ?? [], status.containerStatuses ?? [], '', pod)
  if (spec.ephemeralContainers && spec.ephemeralContainers.length > 0) describeContainers(out, 'Ephemeral Containers', spec.ephemeralContainers as readonly Container[], status.ephemeralContainerStatuses ?? [], '', pod) // cast: the same fields and one more
  if (spec.readinessGates && spec.readinessGates.length > 0) {
    out.line(0, 'Readiness Gates:')
    out.line(1, 'Type\tStatus')
    for (const gate of spec.readinessGates) out.line(1, `${gate.conditionType} \t${status.conditions?.find((c) => c.type === gate.conditionType)?.status ?? '<none>'} `)
  }
  if (status.conditions && status.conditions.length > 0) {
    out.line(0, 'Conditions:')
    out.line(1, 'Type\tStatus')
    for (const condition of status.conditions) out.line(1, `${condition.type} \t${condition.status} `)
  }
  describeVolumes(out, spec.volumes ?? [], '')
  out.line(0, `QoS Class:\t${status.qosClass ?? 'BestEffort'}`)
  out.labels('Node-Selectors', spec.nodeSelector)
  describeTolerations(out, spec.tolerations ?? [])
  describeTopologySpread(out, spec.topologySpreadConstraints ?? [])
  if (spec.schedulingGroup) describeSchedulingGroup(out, spec.schedulingGroup)
}
