// The pod template of a workload, as `kubectl describe` and `rollout history --revision` show it.
// Upstream: kubectl/pkg/describe (DescribePodTemplate)
import type { JsonObject } from '../../../lib/base/json.ts'
import type { PodTemplateSpec, Toleration, TopologySpreadConstraint } from '../../../lib/api/generated/types/core-v1.ts'
import { describeContainers } from './containers.ts'
import { DescribeWriter, formatSelector, orNone } from './describe-writer.ts'
import { describeVolumes } from './volumes.ts'

/** Lines with tabs, to be aligned by alignTabs. */
export function describePodTemplate(template: JsonObject): string {
  const out = new DescribeWriter()
  writePodTemplate(out, template as unknown as PodTemplateSpec) // cast: a template from the API server
  return out.finish()
}

export function writePodTemplate(out: DescribeWriter, template: PodTemplateSpec | undefined): void {
  out.line(0, 'Pod Template:')
  if (!template) { out.raw('  <unset>'); return }
  const { metadata, spec } = template
  out.labels('Labels', metadata?.labels, '  ')
  if (Object.keys(metadata?.annotations ?? {}).length > 0) out.annotations('Annotations', metadata?.annotations, '  ')
  if (spec?.serviceAccountName) out.line(1, `Service Account:\t${spec.serviceAccountName}`)
  if (spec?.initContainers && spec.initContainers.length > 0) describeContainers(out, 'Init Containers', spec.initContainers, [], '  ', undefined)
  describeContainers(out, 'Containers', spec?.containers ?? [], [], '  ', undefined)
  describeVolumes(out, spec?.volumes ?? [], '  ')
  describeTopologySpread(out, spec?.topologySpreadConstraints ?? [], '  ')
  if (spec?.priorityClassName) out.line(1, `Priority Class Name:\t${spec.priorityClassName}`)
  out.labels('Node-Selectors', spec?.nodeSelector, '  ')
  describeTolerations(out, spec?.tolerations ?? [], '  ')
  if (spec?.schedulingGroup) describeSchedulingGroup(out, spec.schedulingGroup, '  ')
}

export function describeSchedulingGroup(out: DescribeWriter, group: { readonly podGroupName?: string }, indent = ''): void {
  out.line(0, `${indent}SchedulingGroup:`)
  out.line(1, `PodGroupName:\t${group.podGroupName ?? ''}`)
}

export function describeTopologySpread(out: DescribeWriter, constraints: readonly TopologySpreadConstraint[], indent = ''): void {
  if (constraints.length === 0) return
  const sorted = [...constraints].sort((a, b) => (a.topologyKey < b.topologyKey ? -1 : a.topologyKey > b.topologyKey ? 1 : 0))
  out.list('Topology Spread Constraints', sorted.map((c) => `${c.topologyKey}:${c.whenUnsatisfiable} when max skew ${c.maxSkew} is exceeded${c.labelSelector ? ` for selector ${orNone(formatSelector(c.labelSelector))}` : ''}`), indent)
}

export function describeTolerations(out: DescribeWriter, tolerations: readonly Toleration[], indent = ''): void {
  const sorted = [...tolerations].sort((a, b) => { const [x, y] = [a.key ?? '', b.key ?? '']; return x < y ? -1 : x > y ? 1 : 0 })
  out.list('Tolerations', sorted.map((t) => {
    const value = t.value ? `=${t.value}` : ''
    const effect = t.effect ? `:${t.effect}` : ''
    const operator = t.operator === 'Exists' && !t.value ? (t.key || t.effect ? ' op=Exists' : 'op=Exists') : ''
    return `${t.key ?? ''}${value}${effect}${operator}${t.tolerationSeconds === undefined ? '' : ` for ${t.tolerationSeconds}s`}`
  }), indent)
}
