// kubectl describe node. Upstream: kubectl/pkg/describe (describeNode)
import { translateTimestampSince } from '../../../lib/apimachinery/duration.ts'
import { formatQuantity, quantityMilliValue, quantityValue, zeroQuantity } from '../../../lib/apimachinery/quantity.ts'
import type { Quantity } from '../../../lib/apimachinery/quantity.ts'
import type { Lease } from '../../../lib/api/generated/types/coordination-v1.ts'
import type { Event, Node, Pod } from '../../../lib/api/generated/types/core-v1.ts'
import type { ResourceSlice } from '../../../lib/api/generated/types/resource-v1.ts'
import { ApiError, hasReason } from '../../../lib/client/api-error.ts'
import { DescribeWriter, formatLongTime } from './describe-writer.ts'
import type { DescribeWorld } from './describer.ts'
import { listAll, searchEvents, writeEvents } from './describer.ts'
import { addAmounts, amountsOf, podAmounts } from './pod-resources.ts'
import type { ResourceAmounts } from './pod-resources.ts'

export async function describeNode(world: DescribeWorld, node: Node): Promise<string> {
  const { metadata, spec, status } = node
  const pods = await podsOn(world, metadata.name)
  const out = new DescribeWriter()
  out.line(0, `Name:\t${metadata.name}`)
  out.line(0, `Roles:\t${nodeRoles(metadata.labels ?? {}) || '<none>'}`)
  out.labels('Labels', metadata.labels)
  out.annotations('Annotations', metadata.annotations)
  out.line(0, `CreationTimestamp:\t${formatLongTime(metadata.creationTimestamp)}`)
  const taints = [...(spec.taints ?? [])].map((t) => ({ order: `${t.effect},${t.key}`, text: `${t.key}${t.value ? `=${t.value}` : ''}${t.effect ? `:${t.effect}` : ''}` })).sort((a, b) => (a.order < b.order ? -1 : 1))
  out.list('Taints', taints.map((t) => t.text))
  out.line(0, `Unschedulable:\t${String(spec.unschedulable ?? false)}`)
  await writeLease(out, world, metadata.name)
  const conditions = status.conditions ?? []
  if (conditions.length > 0) {
    out.line(0, 'Conditions:')
    out.line(1, 'Type\tStatus\tLastHeartbeatTime\tLastTransitionTime\tReason\tMessage')
    out.line(1, '----\t------\t-----------------\t------------------\t------\t-------')
    for (const c of conditions) out.line(1, `${c.type} \t${c.status} \t${formatLongTime(c.lastHeartbeatTime)} \t${formatLongTime(c.lastTransitionTime)} \t${c.reason ?? ''} \t${c.message ?? ''}`)
  }
  out.line(0, 'Addresses:')
  for (const address of status.addresses ?? []) out.line(1, `${address.type}:\t${address.address}`)
  for (const [title, list] of [['Capacity', status.capacity], ['Allocatable', status.allocatable]] as const) {
    const names = Object.keys(list ?? {}).sort()
    if (names.length > 0) out.line(0, `${title}:`)
    for (const name of names) out.line(1, `${name}:\t${list?.[name] ?? ''}`)
  }
  await writeResourceSlices(out, world, metadata.name)
  const info = status.nodeInfo
  out.line(0, 'System Info:')
  const rows: readonly (readonly [string, string | undefined])[] = [
    ['Machine ID', info?.machineID], ['System UUID', info?.systemUUID], ['Boot ID', info?.bootID], ['Kernel Version', info?.kernelVersion], ['OS Image', info?.osImage],
    ['Operating System', info?.operatingSystem], ['Architecture', info?.architecture], ['Container Runtime Version', info?.containerRuntimeVersion], ['Kubelet Version', info?.kubeletVersion],
  ]
  for (const [title, text] of rows) out.line(1, `${title}:\t${text ?? ''}`)
  if (spec.podCIDR) out.line(0, `PodCIDR:\t${spec.podCIDR}`)
  if (spec.podCIDRs && spec.podCIDRs.length > 0) out.line(0, `PodCIDRs:\t${spec.podCIDRs.join(',')}`)
  if (spec.providerID) out.line(0, `ProviderID:\t${spec.providerID}`)
  if (pods) writePodResources(out, pods, node, world.nowMs)
  else out.line(0, 'Pods:\tnot authorized')
  if (world.showEvents) {
    // Controllers report about a node under its uid, the kubelet under its name.
    const events: Event[] = []
    for (const uid of [metadata.uid, metadata.name]) events.push(...await searchEvents(world, { kind: 'Node', metadata: { name: metadata.name, uid } }))
    writeEvents(out, events, world.nowMs)
  }
  return out.aligned()
}

/** Pods that haven't ended; undefined when the user may not see them. */
async function podsOn(world: DescribeWorld, node: string): Promise<readonly Pod[] | undefined> {
  try {
    return await listAll<Pod>(world, '/api/v1/pods', { fieldSelector: `spec.nodeName=${node},status.phase!=Failed,status.phase!=Succeeded` })
  } catch (error) {
    if (hasReason(error, 'Forbidden')) return undefined
    throw error
  }
}

function nodeRoles(labels: { readonly [key: string]: string }): string {
  const roles = Object.entries(labels).map(([key, value]) => (key.startsWith('node-role.kubernetes.io/') ? key.slice('node-role.kubernetes.io/'.length) : key === 'kubernetes.io/role' ? value : ''))
  return [...new Set(roles.filter((r) => r !== ''))].sort().join(',')
}

async function writeLease(out: DescribeWriter, world: DescribeWorld, node: string): Promise<void> {
  try {
    const lease = await world.session.request('GET', `/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/${node}`) as unknown as Lease // cast: a Lease by its path
    const { holderIdentity, acquireTime, renewTime } = lease.spec ?? {}
    out.line(0, 'Lease:')
    out.line(1, `HolderIdentity:\t${holderIdentity ?? '<unset>'}`)
    out.line(1, `AcquireTime:\t${acquireTime ? formatLongTime(acquireTime) : '<unset>'}`)
    out.line(1, `RenewTime:\t${renewTime ? formatLongTime(renewTime) : '<unset>'}`)
  } catch (error) {
    if (!(error instanceof ApiError)) throw error
    out.line(0, `Lease:\tFailed to get lease: ${error.message}`)
  }
}

async function writeResourceSlices(out: DescribeWriter, world: DescribeWorld, node: string): Promise<void> {
  let slices: readonly ResourceSlice[]
  try {
    slices = await listAll<ResourceSlice>({ ...world, chunkSize: 0 }, '/apis/resource.k8s.io/v1/resourceslices', { fieldSelector: `spec.nodeName=${node}` })
  } catch (error) {
    if (error instanceof ApiError) return
    throw error
  }
  const pools = new Map<string, { readonly driver: string; readonly pool: string; slices: number; devices: number }>()
  for (const { spec } of slices) {
    const key = `${spec.driver}/${spec.pool.name}`
    const entry = pools.get(key) ?? { driver: spec.driver, pool: spec.pool.name, slices: 0, devices: 0 }
    entry.slices++
    entry.devices += spec.devices?.length ?? 0
    pools.set(key, entry)
  }
  if (pools.size === 0) return
  out.line(0, 'Node-Local ResourceSlices:')
  out.line(1, 'Driver\tPool\tSlices\tDevices')
  out.line(1, '------\t----\t------\t-------')
  const sorted = [...pools].sort(([a], [b]) => (a < b ? -1 : 1))
  for (const [, p] of sorted.slice(0, 10)) out.line(1, `${p.driver}\t${p.pool}\t${p.slices}\t${p.devices}`)
  if (sorted.length > 10) out.line(1, `...and ${sorted.length - 10} more pools`)
}

/** Whole percent, towards zero; as Go converts what isn't a number. */
function percent(part: number, whole: number): string {
  if (whole === 0) return '-9223372036854775808'
  return String(Math.trunc((part / whole) * 100))
}

const amount = (amounts: ResourceAmounts, name: string): Quantity => amounts.get(name) ?? zeroQuantity

function writePodResources(out: DescribeWriter, pods: readonly Pod[], node: Node, nowMs: number): void {
  const { allocatable, capacity } = node.status
  const available = amountsOf(allocatable && Object.keys(allocatable).length > 0 ? allocatable : capacity)
  const share = (amounts: ResourceAmounts, name: string, zero: string | undefined): string => {
    const part = amount(amounts, name)
    const measure = name === 'cpu' ? quantityMilliValue : quantityValue
    const whole = measure(amount(available, name))
    return `${formatQuantity(part)} (${whole === 0 && zero !== undefined ? zero : percent(measure(part), whole)}%)`
  }
  out.line(0, `Non-terminated Pods:\t(${pods.length} in total)`)
  out.line(1, 'Namespace\tName\t\tCPU Requests\tCPU Limits\tMemory Requests\tMemory Limits\tAge')
  out.line(1, '---------\t----\t\t------------\t----------\t---------------\t-------------\t---')
  const requests = new Map<string, Quantity>()
  const limits = new Map<string, Quantity>()
  for (const pod of pods) {
    const [wanted, most] = [podAmounts(pod, 'requests'), podAmounts(pod, 'limits')]
    addAmounts(requests, wanted)
    addAmounts(limits, most)
    out.line(1, `${pod.metadata.namespace ?? ''}\t${pod.metadata.name}\t\t${share(wanted, 'cpu', undefined)}\t${share(most, 'cpu', undefined)}\t${share(wanted, 'memory', undefined)}\t${share(most, 'memory', undefined)}\t${translateTimestampSince(pod.metadata.creationTimestamp, nowMs)}`)
  }
  out.line(0, 'Allocated resources:')
  out.line(1, '(Total limits may be over 100 percent, i.e., overcommitted.)')
  out.line(1, 'Resource\tRequests\tLimits')
  out.line(1, '--------\t--------\t------')
  const names = [...available.keys()].sort()
  const hugePages = names.filter((n) => n.startsWith('hugepages-'))
  for (const name of ['cpu', 'memory', 'ephemeral-storage', ...hugePages]) out.line(1, `${name}\t${share(requests, name, '0')}\t${share(limits, name, '0')}`)
  const standard = new Set(['cpu', 'memory', 'ephemeral-storage', 'pods', ...hugePages])
  for (const name of names) if (!standard.has(name)) out.line(1, `${name}\t${formatQuantity(amount(requests, name))}\t${formatQuantity(amount(limits, name))}`)
}
