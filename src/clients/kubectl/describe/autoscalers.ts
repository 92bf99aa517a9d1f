// kubectl describe of HorizontalPodAutoscalers. Upstream: kubectl/pkg/describe (describeHorizontalPodAutoscalerV2)
import type { HPAScalingRules, HorizontalPodAutoscaler, MetricSpec, MetricStatus, MetricTarget, MetricValueStatus } from '../../../lib/api/generated/types/autoscaling-v2.ts'
import { DescribeWriter, formatLongTime } from './describe-writer.ts'
import type { DescribeWorld } from './describer.ts'
import { writeEventsOf } from './describer.ts'

const unknown = '<unknown>'

export async function describeHorizontalPodAutoscaler(world: DescribeWorld, given: HorizontalPodAutoscaler): Promise<string> {
  const { metadata, spec, status } = given
  const out = new DescribeWriter()
  out.line(0, `Name:\t${metadata.name}`)
  out.line(0, `Namespace:\t${metadata.namespace ?? ''}`)
  out.labels('Labels', metadata.labels)
  out.annotations('Annotations', metadata.annotations)
  out.line(0, `CreationTimestamp:\t${formatLongTime(metadata.creationTimestamp)}`)
  out.line(0, `Reference:\t${spec.scaleTargetRef.kind}/${spec.scaleTargetRef.name}`)
  out.line(0, 'Metrics:\t( current / target )')
  ;(spec.metrics ?? []).forEach((metric, i) => { out.line(1, formatMetric(metric, status?.currentMetrics?.[i])) })
  out.line(0, `Min replicas:\t${spec.minReplicas ?? '<unset>'}`)
  out.line(0, `Max replicas:\t${spec.maxReplicas}`)
  if (spec.behavior) {
    out.line(0, 'Behavior:')
    writeBehavior(out, 'Scale Up', spec.behavior.scaleUp)
    writeBehavior(out, 'Scale Down', spec.behavior.scaleDown)
  }
  out.line(0, `${spec.scaleTargetRef.kind} pods:\t${status?.currentReplicas ?? 0} current / ${status?.desiredReplicas ?? 0} desired`)
  const conditions = status?.conditions ?? []
  if (conditions.length > 0) {
    out.line(0, 'Conditions:')
    out.line(1, 'Type\tStatus\tReason\tMessage')
    out.line(1, '----\t------\t------\t-------')
    for (const c of conditions) out.line(1, `${c.type}\t${c.status}\t${c.reason ?? ''}\t${c.message ?? ''}`)
  }
  await writeEventsOf(out, world, 'HorizontalPodAutoscaler', given)
  return out.aligned()
}

function formatMetric(metric: MetricSpec, now: MetricStatus | undefined): string {
  switch (metric.type) {
    case 'External': {
      const { metric: name, target } = metric.external ?? { metric: { name: '' }, target: { type: '' } }
      const current = now?.external?.current
      return target.averageValue !== undefined ? `${JSON.stringify(name.name)} (target average value):\t${current?.averageValue ?? unknown} / ${target.averageValue}` : `${JSON.stringify(name.name)} (target value):\t${current ? (current.value ?? '0') : unknown} / ${target.value ?? '<nil>'}`
    }
    case 'Pods': return `${JSON.stringify(metric.pods?.metric.name ?? '')} on pods:\t${now?.pods?.current.averageValue ?? unknown} / ${metric.pods?.target.averageValue ?? '<nil>'}`
    case 'Object': {
      const object = metric.object
      const current = now?.object?.current
      const head = `"${object?.metric.name ?? ''}" on ${object?.describedObject.kind ?? ''}/${object?.describedObject.name ?? ''} `
      return object?.target.type === 'AverageValue' ? `${head}(target average value):\t${current?.averageValue ?? unknown} / ${object.target.averageValue ?? '<nil>'}` : `${head}(target value):\t${current?.value ?? unknown} / ${object?.target.value ?? '<nil>'}`
    }
    case 'Resource': return `resource ${metric.resource?.name ?? ''} on pods${formatResource(metric.resource?.target, now?.resource?.current)}`
    case 'ContainerResource': return `resource ${metric.containerResource?.name ?? ''} of container "${metric.containerResource?.container ?? ''}" on pods${formatResource(metric.containerResource?.target, now?.containerResource?.current)}`
    default: return `<unknown metric type ${JSON.stringify(metric.type)}>`
  }
}

function formatResource(target: MetricTarget | undefined, current: MetricValueStatus | undefined): string {
  if (target?.averageValue !== undefined) return `:\t${current?.averageValue ?? unknown} / ${target.averageValue}`
  const used = current?.averageUtilization === undefined ? unknown : `${current.averageUtilization}% (${current.averageValue ?? '0'})`
  return `  (as a percentage of request):\t${used} / ${target?.averageUtilization === undefined ? '<auto>' : `${target.averageUtilization}%`}`
}

function writeBehavior(out: DescribeWriter, direction: string, rules: HPAScalingRules | undefined): void {
  if (!rules) return
  out.line(1, `${direction}:`)
  if (rules.stabilizationWindowSeconds !== undefined) out.line(2, `Stabilization Window: ${rules.stabilizationWindowSeconds} seconds`)
  if (!rules.policies || rules.policies.length === 0) return
  out.line(2, `Select Policy: ${rules.selectPolicy ?? 'Max'}`)
  out.line(2, 'Policies:')
  for (const p of rules.policies) out.line(3, `- Type: ${p.type}\tValue: ${p.value}\tPeriod: ${p.periodSeconds} seconds`)
}
