// kubectl describe of Namespaces, ResourceQuotas and LimitRanges. Upstream: kubectl/pkg/describe
import { canonicalQuantity } from '../../../lib/apimachinery/quantity.ts'
import type { LimitRange, Namespace, ResourceQuota } from '../../../lib/api/generated/types/core-v1.ts'
import { DescribeWriter, formatLongTime } from './describe-writer.ts'
import type { DescribeWorld } from './describer.ts'
import { listAll } from './describer.ts'

export async function describeNamespace(world: DescribeWorld, namespace: Namespace): Promise<string> {
  const { metadata, status } = namespace
  const quotas = await listAll<ResourceQuota>(world, `/api/v1/namespaces/${metadata.name}/resourcequotas`)
  const ranges = await listAll<LimitRange>(world, `/api/v1/namespaces/${metadata.name}/limitranges`)
  const out = new DescribeWriter()
  out.line(0, `Name:\t${metadata.name}`)
  out.labels('Labels', metadata.labels)
  out.annotations('Annotations', metadata.annotations)
  out.line(0, `Status:\t${status.phase ?? ''}`)
  if (status.conditions && status.conditions.length > 0) {
    out.line(0, 'Conditions:')
    out.line(1, 'Type\tStatus\tLastTransitionTime\tReason\tMessage')
    out.line(1, '----\t------\t------------------\t------\t-------')
    for (const c of status.conditions) out.line(1, `${c.type}\t${c.status}\t${formatLongTime(c.lastTransitionTime)}\t${c.reason ?? ''}\t${c.message ?? ''}`)
  }
  out.line(0, '')
  if (quotas.length === 0) out.line(0, 'No resource quota.')
  else {
    out.line(0, 'Resource Quotas')
    for (const quota of [...quotas].sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))) {
      out.line(1, `Name:\t${quota.metadata.name}`)
      writeScopes(out, quota, 1, '* ')
      out.line(1, 'Resource\tUsed\tHard')
      out.line(1, '--------\t---\t---')
      for (const name of Object.keys(quota.status.hard ?? {}).sort()) out.line(1, `${name}\t${quota.status.used?.[name] ?? '0'}\t${quota.status.hard?.[name] ?? ''}`)
    }
  }
  out.line(0, '')
  if (ranges.length === 0) out.line(0, 'No LimitRange resource.')
  else {
    out.line(0, 'Resource Limits')
    out.line(0, ' Type\tResource\tMin\tMax\tDefault Request\tDefault Limit\tMax Limit/Request Ratio')
    out.line(0, ' ----\t--------\t---\t---\t---------------\t-------------\t-----------------------')
    for (const range of ranges) writeLimits(out, range, ' ')
  }
  return out.aligned()
}

const scopeHelp: { readonly [scope: string]: string } = {
  Terminating: 'Matches all pods that have an active deadline. These pods have a limited lifespan on a node before being actively terminated by the system.',
  NotTerminating: 'Matches all pods that do not have an active deadline. These pods usually include long running pods whose container command is not expected to terminate.',
  BestEffort: 'Matches all pods that do not have resource requirements set. These pods have a best effort quality of service.',
  NotBestEffort: 'Matches all pods that have at least one resource requirement set. These pods have a burstable or guaranteed quality of service.',
}

function writeScopes(out: DescribeWriter, quota: ResourceQuota, level: number, bullet: string): void {
  const scopes = [...(quota.spec.scopes ?? [])].sort()
  if (scopes.length === 0) return
  out.line(level, `Scopes:\t${scopes.join(', ')}`)
  for (const scope of scopes) if (scopeHelp[scope]) out.line(level, `${bullet}${scopeHelp[scope]}`)
}

/** One line a resource that any of the limits names. */
function writeLimits(out: DescribeWriter, range: LimitRange, prefix: string): void {
  for (const item of range.spec.limits ?? []) {
    const lists = [item.min, item.max, item.defaultRequest, item.default, item.maxLimitRequestRatio]
    for (const name of [...new Set(lists.flatMap((list) => Object.keys(list ?? {})))].sort()) {
      out.line(0, `${prefix}${item.type}\t${name}\t${lists.map((list) => { const text = list?.[name]; return text === undefined ? '-' : (canonicalQuantity(text) ?? text) }).join('\t')}`)
    }
  }
}

export function describeLimitRange(_world: DescribeWorld, range: LimitRange): string {
  const out = new DescribeWriter()
  out.line(0, `Name:\t${range.metadata.name}`)
  out.line(0, `Namespace:\t${range.metadata.namespace ?? ''}`)
  out.line(0, 'Type\tResource\tMin\tMax\tDefault Request\tDefault Limit\tMax Limit/Request Ratio')
  out.line(0, '----\t--------\t---\t---\t---------------\t-------------\t-----------------------')
  writeLimits(out, range, '')
  return out.aligned()
}

export function describeResourceQuota(_world: DescribeWorld, quota: ResourceQuota): string {
  const out = new DescribeWriter()
  out.line(0, `Name:\t${quota.metadata.name}`)
  out.line(0, `Namespace:\t${quota.metadata.namespace ?? ''}`)
  writeScopes(out, quota, 0, ' * ')
  out.line(0, 'Resource\tUsed\tHard')
  out.line(0, '--------\t----\t----')
  for (const name of Object.keys(quota.status.hard ?? {}).sort()) out.line(0, `${name}\t${quota.status.used?.[name] ?? '0'}\t${quota.status.hard?.[name] ?? ''}`)
  return out.aligned()
}
