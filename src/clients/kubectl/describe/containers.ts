// Containers of a pod or template, as `kubectl describe` shows them. Upstream: kubectl/pkg/describe (describeContainers)
import type { Container, ContainerState, ContainerStatus, EnvVar, Pod, Probe, ResourceRequirements } from '../../../lib/api/generated/types/core-v1.ts'
import type { DescribeWriter } from './describe-writer.ts'
import { formatLongTime, printBool } from './describe-writer.ts'
import { milliOfText, unitsOfText } from '../../../lib/apimachinery/quantity.ts'

/** @param indent of the heading: '' for pods, two spaces inside templates. @param pod gives the values of field references */
export function describeContainers(out: DescribeWriter, title: string, containers: readonly Container[], statuses: readonly ContainerStatus[], indent: string, pod: Pod | undefined): void {
  out.line(0, `${indent}${title}:${containers.length === 0 ? ' <none>' : ''}`)
  const extra = indent === '' ? '' : ' '
  for (const container of containers) {
    const status = statuses.find((s) => s.name === container.name)
    out.line(1, `${extra}${container.name}:`)
    if (status) out.line(2, `Container ID:\t${status.containerID ?? ''}`)
    out.line(2, `Image:\t${container.image ?? ''}`)
    if (status) out.line(2, `Image ID:\t${status.imageID ?? ''}`)
    describePorts(out, container)
    const profile = container.securityContext?.seccompProfile
    if (profile) {
      out.line(2, `SeccompProfile:\t${profile.type}`)
      if (profile.type === 'Localhost') out.line(3, `LocalhostProfile:\t${profile.localhostProfile ?? ''}`)
    }
    describeWords(out, 'Command', container.command)
    describeWords(out, 'Args', container.args)
    if (status) {
      describeState(out, 'State', status.state)
      if (status.lastState?.terminated) describeState(out, 'Last State', status.lastState)
      out.line(2, `Ready:\t${printBool(status.ready)}`)
      out.line(2, `Restart Count:\t${status.restartCount}`)
    }
    describeResources(out, container.resources, 2)
    for (const [name, probe] of [['Liveness', container.livenessProbe], ['Readiness', container.readinessProbe], ['Startup', container.startupProbe]] as const) if (probe) out.line(2, `${name}:\t${formatProbe(probe)}`)
    describeEnvironment(out, container, pod)
    describeMounts(out, container)
  }
}

function describePorts(out: DescribeWriter, container: Container): void {
  const format = (numberOf: (port: NonNullable<Container['ports']>[number]) => number): string => (container.ports ?? []).map((p) => `${numberOf(p)}/${p.protocol ?? 'TCP'}${p.name ? ` (${p.name})` : ''}`).join(', ')
  const [ports, hostPorts] = [format((p) => p.containerPort), format((p) => p.hostPort ?? 0)]
  out.line(2, ports.includes(',') ? `Ports:\t${ports}` : `Port:\t${ports || '<none>'}`)
  out.line(2, hostPorts.includes(',') ? `Host Ports:\t${hostPorts}` : `Host Port:\t${hostPorts || '<none>'}`)
}

function describeWords(out: DescribeWriter, title: string, words: readonly string[] | undefined): void {
  if (!words || words.length === 0) return
  out.line(2, `${title}:`)
  for (const word of words) for (const line of word.split('\n')) out.line(3, line)
}

function describeState(out: DescribeWriter, title: string, state: ContainerState | undefined): void {
  if (state?.running) {
    out.line(2, `${title}:\tRunning`)
    out.line(3, `Started:\t${formatLongTime(state.running.startedAt)}`)
  } else if (state?.terminated) {
    const { reason, message, exitCode, signal, startedAt, finishedAt } = state.terminated
    out.line(2, `${title}:\tTerminated`)
    if (reason) out.line(3, `Reason:\t${reason}`)
    if (message) out.line(3, `Message:\t${message}`)
    out.line(3, `Exit Code:\t${exitCode}`)
    if (signal) out.line(3, `Signal:\t${signal}`)
    out.line(3, `Started:\t${formatLongTime(startedAt)}`)
    out.line(3, `Finished:\t${formatLongTime(finishedAt)}`)
  } else {
    out.line(2, `${title}:\tWaiting`)
    if (state?.waiting?.reason) out.line(3, `Reason:\t${state.waiting.reason}`)
  }
}

export function describeResources(out: DescribeWriter, resources: ResourceRequirements | undefined, level: number): void {
  for (const [title, list] of [['Limits', resources?.limits], ['Requests', resources?.requests]] as const) {
    const names = Object.keys(list ?? {}).sort()
    if (names.length === 0) continue
    out.line(level, `${title}:`)
    for (const name of names) out.line(level + 1, `${name}:\t${list?.[name] ?? ''}`)
  }
}

export function formatProbe(probe: Probe): string {
  const numbers = `delay=${probe.initialDelaySeconds ?? 0}s timeout=${probe.timeoutSeconds ?? 0}s period=${probe.periodSeconds ?? 0}s successThreshold=${probe.successThreshold ?? 0} failureThreshold=${probe.failureThreshold ?? 0}`
  if (probe.exec) return `exec [${(probe.exec.command ?? []).join(' ')}] ${numbers}`
  if (probe.httpGet) {
    const { scheme = '', host = '', port, path = '' } = probe.httpGet
    const name = host.includes(':') ? `[${host}]` : host
    return `http-get ${scheme.toLowerCase()}://${name}:${String(port)}${path.startsWith('/') || path === '' ? path : `/${path}`} ${numbers}`
  }
  if (probe.tcpSocket) return `tcp-socket ${probe.tcpSocket.host ?? ''}:${String(probe.tcpSocket.port)} ${numbers}`
  if (probe.grpc) return `grpc <pod>:${probe.grpc.port} ${probe.grpc.service ?? ''} ${numbers}`
  return `unknown ${numbers}`
}

function describeEnvironment(out: DescribeWriter, container: Container, pod: Pod | undefined): void {
  if (container.envFrom && container.envFrom.length > 0) {
    out.line(2, 'Environment Variables from:')
    for (const source of container.envFrom) {
      const [from, reference] = source.configMapRef ? ['ConfigMap', source.configMapRef] as const : ['Secret', source.secretRef] as const
      out.line(3, `${reference?.name ?? ''}\t${from}${source.prefix ? ` with prefix '${source.prefix}'` : ''}\tOptional: ${String(reference?.optional ?? false)}`)
    }
  }
  out.line(2, `Environment:${container.env && container.env.length > 0 ? '' : '\t<none>'}`)
  for (const entry of container.env ?? []) describeVariable(out, entry, container, pod)
}

function describeVariable(out: DescribeWriter, entry: EnvVar, container: Container, pod: Pod | undefined): void {
  const from = entry.valueFrom
  if (!from) {
    (entry.value ?? '').split('\n').forEach((line, i) => out.line(3, i === 0 ? `${entry.name}:\t${line}` : `\t${line}`))
  } else if (from.fieldRef) out.line(3, `${entry.name}:\t${pod ? fieldValue(pod, from.fieldRef.fieldPath) : ''} (${from.fieldRef.apiVersion ?? 'v1'}:${from.fieldRef.fieldPath})`)
  else if (from.resourceFieldRef) {
    const value = resourceValue(container, from.resourceFieldRef)
    const { resource } = from.resourceFieldRef
    out.line(3, `${entry.name}:\t${value === '0' && (resource === 'limits.cpu' || resource === 'limits.memory') ? 'node allocatable' : value} (${resource})`)
  } else if (from.secretKeyRef) out.line(3, `${entry.name}:\t<set to the key '${from.secretKeyRef.key}' in secret '${from.secretKeyRef.name ?? ''}'>\tOptional: ${String(from.secretKeyRef.optional ?? false)}`)
  else if (from.configMapKeyRef) out.line(3, `${entry.name}:\t<set to the key '${from.configMapKeyRef.key}' of config map '${from.configMapKeyRef.name ?? ''}'>\tOptional: ${String(from.configMapKeyRef.optional ?? false)}`)
}

/** The value of a resource field, divided and rounded up as the kubelet does. */
function resourceValue(container: Container, field: NonNullable<NonNullable<EnvVar['valueFrom']>['resourceFieldRef']>): string {
  const at = field.resource.indexOf('.')
  const [list, name] = [field.resource.slice(0, at), field.resource.slice(at + 1)]
  const text = (list === 'limits' ? container.resources?.limits : container.resources?.requests)?.[name]
  const count = name === 'cpu' ? milliOfText : unitsOfText
  const divisor = field.divisor && field.divisor !== '0' ? field.divisor : '1'
  return String(Math.ceil(count(text) / count(divisor)))
}

function fieldValue(pod: Pod, path: string): string {
  const subscript = /^metadata\.(labels|annotations)\['(.*)'\]$/.exec(path)
  if (subscript) return (subscript[1] === 'labels' ? pod.metadata.labels : pod.metadata.annotations)?.[subscript[2] ?? ''] ?? ''
  switch (path) {
    case 'metadata.name': return pod.metadata.name
    case 'metadata.namespace': return pod.metadata.namespace ?? ''
    case 'metadata.uid': return pod.metadata.uid
    case 'spec.nodeName': return pod.spec.nodeName ?? ''
    case 'spec.serviceAccountName': return pod.spec.serviceAccountName ?? ''
    case 'status.podIP': return pod.status.podIP ?? ''
    case 'status.hostIP': return pod.status.hostIP ?? ''
    default: return ''
  }
}

function describeMounts(out: DescribeWriter, container: Container): void {
  const mounts = [...(container.volumeMounts ?? [])].sort((a, b) => (a.mountPath < b.mountPath ? -1 : 1))
  out.line(2, `Mounts:${mounts.length === 0 ? '\t<none>' : ''}`)
  for (const mount of mounts) out.line(3, `${mount.mountPath} from ${mount.name} (${[mount.readOnly ? 'ro' : 'rw', ...(mount.subPath ? [`path=${JSON.stringify(mount.subPath)}`] : [])].join(',')})`)
  if (container.volumeDevices && container.volumeDevices.length > 0) {
    out.line(2, `Devices:${mounts.length === 0 ? '\t<none>' : ''}`)
    for (const device of container.volumeDevices) out.line(3, `${device.devicePath} from ${device.name}`)
  }
}
