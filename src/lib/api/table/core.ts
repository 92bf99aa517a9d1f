// Nodes, namespaces, configuration, events and quotas. Upstream: pkg/printers/internalversion/printers.go
import { translateTimestampSince } from '../../apimachinery/duration.ts'
import type { ComponentStatus, ConfigMap, Event, Namespace, Node, ResourceQuota, Secret, ServiceAccount } from '../generated/types/core-v1.ts'
import type { Lease } from '../generated/types/coordination-v1.ts'
import type { LeaseCandidate } from '../generated/types/coordination-v1beta1.ts'
import type { Event as EventsV1Event } from '../generated/types/events-v1.ts'
import type { RuntimeClass } from '../generated/types/node-v1.ts'
import type { PriorityClass } from '../generated/types/scheduling-v1.ts'
import { ageColumn, ageOf, boolean, integer, nameColumn, printerFor, text, type Cell, type Printer } from './printer.ts'

function nodeRoles(node: Node): string {
  const roles = new Set<string>()
  for (const [key, value] of Object.entries(node.metadata.labels ?? {})) {
    if (key.startsWith('node-role.kubernetes.io/')) { const role = key.slice('node-role.kubernetes.io/'.length); if (role !== '') roles.add(role) }
    else if (key === 'kubernetes.io/role' && value !== '') roles.add(value)
  }
  return [...roles].sort().join(',') || '<none>'
}

function nodeStatus(node: Node): string {
  const ready = node.status.conditions?.find((condition) => condition.type === 'Ready')
  const status = ready === undefined ? 'Unknown' : ready.status === 'True' ? 'Ready' : 'NotReady'
  return node.spec.unschedulable ? `${status},SchedulingDisabled` : status
}

const node = printerFor<Node>(
  [
    nameColumn, text('Status', 'Whether the node is ready and takes pods.'), text('Roles', 'Roles that its labels name.'), ageColumn, text('Version', 'Version of its kubelet.'), text('Internal-IP', 'Its address in the cluster.', 1),
    text('External-IP', 'Its address outside.', 1), text('OS-Image', 'Its operating system.', 1), text('Kernel-Version', 'Its kernel.', 1), text('Container-Runtime', 'Its container runtime.', 1),
  ],
  (o, now) => {
    const address = (type: string): string => o.status.addresses?.find((a) => a.type === type)?.address ?? '<none>'
    const info = o.status.nodeInfo
    return [
      o.metadata.name, nodeStatus(o), nodeRoles(o), ageOf(o, now), info?.kubeletVersion ?? '', address('InternalIP'), address('ExternalIP'), info?.osImage || '<unknown>', info?.kernelVersion || '<unknown>', info?.containerRuntimeVersion || '<unknown>',
    ]
  })

const namespace = printerFor<Namespace>([nameColumn, text('Status', 'Active, or on its way out.'), ageColumn], (o, now) => [o.metadata.name, o.status.phase ?? '', ageOf(o, now)])
const secret = printerFor<Secret>([nameColumn, text('Type', 'What the secret is for.'), text('Data', 'Number of its keys.'), ageColumn], (o, now) => [o.metadata.name, o.type ?? '', Object.keys(o.data ?? {}).length, ageOf(o, now)])
const configMap = printerFor<ConfigMap>([nameColumn, text('Data', 'Number of its keys.'), ageColumn], (o, now) => [o.metadata.name, Object.keys(o.data ?? {}).length + Object.keys(o.binaryData ?? {}).length, ageOf(o, now)])
const serviceAccount = printerFor<ServiceAccount>([nameColumn, text('Secrets', 'Number of its secrets.'), ageColumn], (o, now) => [o.metadata.name, o.secrets?.length ?? 0, ageOf(o, now)])

const componentStatus = printerFor<ComponentStatus>([nameColumn, text('Status', 'Whether the component is healthy.'), text('Message', 'What it says.'), text('Error', 'What is wrong.')], (o) => {
  const healthy = o.conditions?.find((condition) => condition.type === 'Healthy')
  return [o.metadata.name, healthy === undefined ? 'Unknown' : healthy.status === 'True' ? 'Healthy' : 'Unhealthy', healthy?.message ?? '', healthy?.error ?? '']
})

interface EventFacts {
  readonly first: string | undefined
  readonly last: string | undefined
  readonly count: number | undefined
  readonly object: { readonly kind?: string; readonly name?: string; readonly fieldPath?: string }
  readonly component: string
  readonly host: string
  readonly message: string
}

const eventColumns = [
  text('Last Seen', 'Time since it last happened.'), text('Type', 'Normal or Warning.'), text('Reason', 'What happened, in a word.'), text('Object', 'What it happened to.'), text('Subobject', 'Which part of it.', 1), text('Source', 'Who reported it.', 1),
  text('Message', 'What happened, in a sentence.'), text('First Seen', 'Time since it first happened.', 1), text('Count', 'How often it happened.', 1), { ...nameColumn, priority: 1 },
]

function eventCells(o: Event | EventsV1Event, facts: EventFacts, nowMs: number): readonly Cell[] {
  const first = translateTimestampSince(facts.first ?? o.eventTime, nowMs)
  const last = o.series !== undefined ? translateTimestampSince(o.series.lastObservedTime, nowMs) : facts.last === undefined ? first : translateTimestampSince(facts.last, nowMs)
  const kind = (facts.object.kind ?? '').toLowerCase()
  return [
    last, o.type ?? '', o.reason ?? '', facts.object.name ? `${kind}/${facts.object.name}` : kind, facts.object.fieldPath ?? '', facts.host === '' ? facts.component : `${facts.component}, ${facts.host}`, facts.message.trim(), first,
    o.series?.count ?? (facts.count || 1), o.metadata.name,
  ]
}

const event = printerFor<Event>(eventColumns, (o, now) => eventCells(o, {
  first: o.firstTimestamp, last: o.lastTimestamp, count: o.count, object: o.involvedObject, component: o.source.component || o.reportingComponent, host: o.source.host || o.reportingInstance, message: o.message ?? '',
}, now))

const eventsV1Event = printerFor<EventsV1Event>(eventColumns, (o, now) => eventCells(o, {
  first: o.deprecatedFirstTimestamp, last: o.deprecatedLastTimestamp, count: o.deprecatedCount, object: o.regarding, component: o.deprecatedSource.component || (o.reportingController ?? ''), host: o.deprecatedSource.host || (o.reportingInstance ?? ''), message: o.note ?? '',
}, now))

const resourceQuota = printerFor<ResourceQuota>([nameColumn, text('Request', 'Requests and counts: used of allowed.'), text('Limit', 'Limits: used of allowed.'), ageColumn], (o, now) => {
  const hard = o.status.hard ?? {}
  const lines = Object.keys(hard).sort().map((name) => ({ limits: name.startsWith('limits.'), line: `${name}: ${o.status.used?.[name] ?? '0'}/${hard[name] ?? '0'}` }))
  const join = (limits: boolean): string => lines.filter((l) => l.limits === limits).map((l) => l.line).join(', ')
  return [o.metadata.name, join(false), join(true), ageOf(o, now)]
})

const lease = printerFor<Lease>([nameColumn, text('Holder', 'Who holds it.'), ageColumn], (o, now) => [o.metadata.name, o.spec.holderIdentity ?? '', ageOf(o, now)])
const leaseCandidate = printerFor<LeaseCandidate>([nameColumn, text('LeaseName', 'The lease that it stands for.'), text('BinaryVersion', 'Version of the candidate.'), text('EmulationVersion', 'Version that it behaves as.'), ageColumn], (o, now) => [o.metadata.name, o.spec.leaseName, o.spec.binaryVersion, o.spec.emulationVersion ?? '', ageOf(o, now)])
const priorityClass = printerFor<PriorityClass>([nameColumn, integer('Value', 'The priority.'), boolean('Global-Default', 'Whether pods without a class get it.'), ageColumn, text('PreemptionPolicy', 'Whether its pods may drive out others.')], (o, now) => [o.metadata.name, o.value, o.globalDefault ?? false, ageOf(o, now), o.preemptionPolicy ?? ''])
const runtimeClass = printerFor<RuntimeClass>([nameColumn, text('Handler', 'What the container runtime calls it.'), ageColumn], (o, now) => [o.metadata.name, o.handler, ageOf(o, now)])

export const corePrinters: { readonly [key: string]: Printer } = {
  '/Node': node, '/Namespace': namespace, '/Secret': secret, '/ConfigMap': configMap, '/ServiceAccount': serviceAccount, '/ComponentStatus': componentStatus, '/Event': event, 'events.k8s.io/Event': eventsV1Event, '/ResourceQuota': resourceQuota,
  'coordination.k8s.io/Lease': lease, 'coordination.k8s.io/LeaseCandidate': leaseCandidate, 'scheduling.k8s.io/PriorityClass': priorityClass, 'node.k8s.io/RuntimeClass': runtimeClass,
}
