// The kubelet's metrics as Prometheus text: its own, the containers' (cadvisor's names), resource use for metrics-server, probe counts.
// Upstream: pkg/kubelet/metrics, pkg/kubelet/metrics/collectors/resource_metrics.go, cadvisor/metrics/prometheus.go
import { podNamespace } from '../pod/pod-facts.ts'
import { containerNameLabel } from '../runtime/runtime-status.ts'
import type { ProbeCount } from '../probe/probe-manager.ts'
import type { NodeUsage } from '../stats/stats-provider.ts'
import type { Pod } from '../../../lib/api/generated/types/core-v1.ts'

type Labels = { readonly [name: string]: string }

class MetricsText {
  #text = ''
  /** One metric with its samples; left out without any. */
  add(name: string, type: 'counter' | 'gauge', help: string, samples: readonly (readonly [labels: Labels, value: number])[]): void {
    if (samples.length === 0) return
    this.#text += `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`
    for (const [labels, value] of samples) {
      const pairs = Object.entries(labels).map(([key, v]) => `${key}="${v.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`)
      this.#text += `${name}${pairs.length > 0 ? `{${pairs.join(',')}}` : ''} ${value}\n`
    }
  }
  toString(): string { return this.#text }
}

export function kubeletMetrics(nodeName: string, pods: readonly Pod[], startedAtMs: number): string {
  const out = new MetricsText()
  const running = pods.flatMap((p) => [...(p.status?.containerStatuses ?? []), ...(p.status?.initContainerStatuses ?? [])]).filter((s) => s.state.running).length
  out.add('kubelet_node_name', 'gauge', '[ALPHA] The node\'s name. The count is always 1.', [[{ node: nodeName }, 1]])
  out.add('kubelet_running_pods', 'gauge', '[BETA] Number of pods that have a running pod sandbox', [[{}, pods.filter((p) => p.status?.phase === 'Running').length]])
  out.add('kubelet_running_containers', 'gauge', '[BETA] Number of containers currently running', [[{ container_state: 'running' }, running]])
  out.add('kubelet_desired_pods', 'gauge', '[ALPHA] The number of pods the kubelet is being instructed to run. static is true if the pod is not from the apiserver.', [[{ static: '' }, pods.length]])
  out.add('process_start_time_seconds', 'gauge', 'Start time of the process since unix epoch in seconds.', [[{}, startedAtMs / 1000]])
  out.add('process_resident_memory_bytes', 'gauge', 'Resident memory size in bytes.', [[{}, process.memoryUsage.rss()]])
  const cpu = process.cpuUsage()
  out.add('process_cpu_seconds_total', 'counter', 'Total user and system CPU time spent in seconds.', [[{}, (cpu.user + cpu.system) / 1e6]])
  return out.toString()
}

export function probeMetrics(counts: Iterable<ProbeCount>, pods: readonly Pod[]): string {
  const out = new MetricsText()
  out.add('prober_probe_total', 'counter', '[BETA] Cumulative number of a liveness, readiness or startup probe for a container by result.', [...counts].map((c) => {
    const pod = pods.find((p) => p.metadata.uid === c.uid)
    const type = `${c.type[0]?.toUpperCase()}${c.type.slice(1)}`
    return [{ container: c.container, namespace: pod ? podNamespace(pod) : '', pod: pod?.metadata.name ?? '', pod_uid: c.uid, probe_type: type, result: c.result }, c.count]
  }))
  return out.toString()
}

export function resourceMetrics(usage: NodeUsage): string {
  const out = new MetricsText()
  const { machine } = usage
  const of = (read: (c: NodeUsage['pods'][number]['containers'][number]) => number | undefined): (readonly [Labels, number])[] => usage.pods.flatMap(({ pod, containers }) => containers.flatMap((c) => {
    const value = read(c)
    return value === undefined ? [] : [[{ container: c.attributes?.labels?.[containerNameLabel] ?? '', namespace: podNamespace(pod), pod: pod.metadata.name }, value] as const]
  }))
  const byPod = (read: (p: NodeUsage['pods'][number]) => number): (readonly [Labels, number])[] => usage.pods.filter((p) => p.containers.length > 0).map((p) => [{ namespace: podNamespace(p.pod), pod: p.pod.metadata.name }, read(p)] as const)
  out.add('node_cpu_usage_seconds_total', 'counter', '[STABLE] Cumulative cpu time consumed by the node in core-seconds', [[{}, machine.cpuNanoseconds / 1e9]])
  out.add('node_memory_working_set_bytes', 'gauge', '[STABLE] Current working set of the node in bytes', [[{}, machine.memoryBytes - machine.memoryAvailableBytes]])
  out.add('container_cpu_usage_seconds_total', 'counter', '[STABLE] Cumulative cpu time consumed by the container in core-seconds', of((c) => (c.cpu?.usageCoreNanoSeconds?.value ?? 0) / 1e9))
  out.add('container_memory_working_set_bytes', 'gauge', '[STABLE] Current working set of the container in bytes', of((c) => c.memory?.workingSetBytes?.value))
  out.add('container_start_time_seconds', 'gauge', '[STABLE] Start time of the container since unix epoch in seconds', usage.pods.flatMap(({ pod }) => (pod.status?.containerStatuses ?? []).flatMap((s) => {
    const startedAt = s.state.running?.startedAt
    return startedAt === undefined ? [] : [[{ container: s.name, namespace: podNamespace(pod), pod: pod.metadata.name }, Date.parse(startedAt) / 1000] as const]
  })))
  out.add('pod_cpu_usage_seconds_total', 'counter', '[STABLE] Cumulative cpu time consumed by the pod in core-seconds', byPod((p) => p.containers.reduce((sum, c) => sum + (c.cpu?.usageCoreNanoSeconds?.value ?? 0) / 1e9, 0)))
  out.add('pod_memory_working_set_bytes', 'gauge', '[STABLE] Current working set of the pod in bytes', byPod((p) => p.memoryWorkingSetBytes))
  out.add('resource_scrape_error', 'gauge', '[STABLE] 1 if there was an error while getting container metrics, 0 otherwise', [[{}, 0]])
  return out.toString()
}

export function containerMetrics(usage: NodeUsage): string {
  const out = new MetricsText()
  const of = (read: (c: NodeUsage['pods'][number]['containers'][number]) => number | undefined): (readonly [Labels, number])[] => usage.pods.flatMap(({ pod, containers }) => containers.flatMap((c) => {
    const value = read(c)
    return value === undefined ? [] : [[{ container: c.attributes?.labels?.[containerNameLabel] ?? '', id: `/kubepods/pod${pod.metadata.uid}/${c.attributes?.id ?? ''}`, image: '', name: c.attributes?.id ?? '', namespace: podNamespace(pod), pod: pod.metadata.name }, value] as const]
  }))
  out.add('container_cpu_usage_seconds_total', 'counter', 'Cumulative cpu time consumed in seconds.', of((c) => (c.cpu?.usageCoreNanoSeconds?.value ?? 0) / 1e9))
  out.add('container_memory_usage_bytes', 'gauge', 'Current memory usage in bytes, including all memory regardless of when it was accessed', of((c) => c.memory?.usageBytes?.value))
  out.add('container_memory_working_set_bytes', 'gauge', 'Current working set in bytes.', of((c) => c.memory?.workingSetBytes?.value))
  out.add('container_memory_rss', 'gauge', 'Size of RSS in bytes.', of((c) => c.memory?.rssBytes?.value))
  out.add('container_fs_usage_bytes', 'gauge', 'Number of bytes that are consumed by the container on this filesystem.', of((c) => c.writableLayer?.usedBytes?.value))
  out.add('machine_cpu_cores', 'gauge', 'Number of logical CPU cores.', [[{}, usage.machine.cpuMilli / 1000]])
  out.add('machine_memory_bytes', 'gauge', 'Amount of memory installed on the machine.', [[{}, usage.machine.memoryBytes]])
  return out.toString()
}
