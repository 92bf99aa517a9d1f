// kubectl describe of ConfigMaps, Secrets, ServiceAccounts and PriorityClasses. Upstream: kubectl/pkg/describe
import type { ConfigMap, Secret, ServiceAccount } from '../../../lib/api/generated/types/core-v1.ts'
import type { PriorityClass } from '../../../lib/api/generated/types/scheduling-v1.ts'
import { formatLabels } from '../printers/table-printer.ts'
import { DescribeWriter } from './describe-writer.ts'
import type { DescribeWorld } from './describer.ts'
import { writeEventsOf } from './describer.ts'

const bytesOf = (text: string | undefined): Buffer => Buffer.from(text ?? '', 'base64')

function startOf(metadata: { readonly name: string; readonly namespace?: string; readonly labels?: { readonly [k: string]: string }; readonly annotations?: { readonly [k: string]: string } }): DescribeWriter {
  const out = new DescribeWriter()
  out.line(0, `Name:\t${metadata.name}`)
  out.line(0, `Namespace:\t${metadata.namespace ?? ''}`)
  out.labels('Labels', metadata.labels)
  out.annotations('Annotations', metadata.annotations)
  return out
}

export async function describeConfigMap(world: DescribeWorld, map: ConfigMap): Promise<string> {
  const out = startOf(map.metadata)
  out.raw('\nData\n====\n')
  for (const key of Object.keys(map.data ?? {}).sort()) out.raw(`${key}:\n----\n${map.data?.[key] ?? ''}\n\n`)
  out.raw('\nBinaryData\n====\n')
  for (const key of Object.keys(map.binaryData ?? {}).sort()) out.raw(`${key}: ${bytesOf(map.binaryData?.[key]).length} bytes\n`)
  out.raw('\n')
  await writeEventsOf(out, world, 'ConfigMap', map)
  return out.aligned()
}

/** Sizes only; but a service account's token is shown. */
export function describeSecret(_world: DescribeWorld, secret: Secret): string {
  const out = startOf(secret.metadata)
  out.raw(`\nType:\t${secret.type ?? ''}\n\nData\n====\n`)
  for (const key of Object.keys(secret.data ?? {}).sort()) {
    const bytes = bytesOf(secret.data?.[key])
    out.line(0, key === 'token' && secret.type === 'kubernetes.io/service-account-token' ? `${key}:\t${bytes.toString('utf8')}` : `${key}:\t${bytes.length} bytes`)
  }
  return out.aligned()
}

export async function describeServiceAccount(world: DescribeWorld, account: ServiceAccount): Promise<string> {
  const out = startOf(account.metadata)
  const names = (account.imagePullSecrets ?? []).map((s) => s.name ?? '')
  const title = 'Image pull secrets:'
  if (names.length === 0) out.line(0, `${title}\t<none>`)
  names.forEach((name, i) => out.line(0, `${i === 0 ? title : ' '.repeat(title.length)}\t${name}`))
  await writeEventsOf(out, world, 'ServiceAccount', account)
  return out.aligned()
}

export async function describePriorityClass(world: DescribeWorld, priority: PriorityClass): Promise<string> {
  const out = new DescribeWriter()
  out.line(0, `Name:\t${priority.metadata.name}`)
  out.line(0, `Value:\t${priority.value}`)
  out.line(0, `GlobalDefault:\t${String(priority.globalDefault ?? false)}`)
  out.line(0, `PreemptionPolicy:\t${priority.preemptionPolicy ?? ''}`)
  out.line(0, `Description:\t${priority.description ?? ''}`)
  out.line(0, `Annotations:\t${formatLabels(priority.metadata.annotations)}`)
  await writeEventsOf(out, world, 'PriorityClass', priority)
  return out.aligned()
}
