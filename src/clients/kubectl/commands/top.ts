// kubectl top: what nodes and pods use, as a metrics API says. Upstream: kubectl/pkg/cmd/top
import type { JsonObject } from '../../../lib/base/json.ts'
import { isJsonObject } from '../../../lib/base/json.ts'
import { milliOfText, unitsOfText } from '../../../lib/apimachinery/quantity.ts'
import { KubectlError, defineCommand } from '../command.ts'
import type { KubectlCommand } from '../command.ts'
import { TabWriter } from '../printers/tab-writer.ts'
import { withQuery } from '../resources/object-path.ts'
import type { Session } from '../session.ts'

const root = '/apis/metrics.k8s.io/v1beta1'
const objectIn = (object: JsonObject, key: string): JsonObject => { const value = object[key]; return isJsonObject(value) ? value : {} }
const listIn = (object: JsonObject, key: string): readonly JsonObject[] => { const value = object[key]; return Array.isArray(value) ? value.filter(isJsonObject) : [] }
const nameOf = (object: JsonObject): string => String(objectIn(object, 'metadata')['name'] ?? '')

interface Usage { readonly cpuMilli: number; readonly memoryBytes: number }
const usageOf = (list: JsonObject): Usage => ({ cpuMilli: milliOfText(String(list['cpu'] ?? '0')), memoryBytes: unitsOfText(String(list['memory'] ?? '0')) })
const usageTexts = (u: Usage): readonly string[] => [`${u.cpuMilli}m`, `${Math.floor(u.memoryBytes / 1_048_576)}Mi`]

async function requireMetrics(session: Session): Promise<void> {
  if (!(await session.mapper.groupVersions()).some((gv) => gv.startsWith('metrics.k8s.io/'))) throw new KubectlError('Metrics API not available')
}

function topCommandOf(name: 'node' | 'pod', aliases: readonly string[], short: string): KubectlCommand {
  return defineCommand({
    name, aliases, short, usage: `[NAME | -l label] [options]`,
    flags: { 'all-namespaces': { type: 'bool', short: 'A', usage: 'In all namespaces.' }, containers: { type: 'bool', usage: 'By container.' }, 'field-selector': { type: 'string', usage: 'Selector of fields.' }, 'no-headers': { type: 'bool', usage: "Don't print headers." }, selector: { type: 'string', short: 'l', usage: 'Selector of labels.' }, 'show-capacity': { type: 'bool', usage: 'Percent of the capacity.' }, 'sort-by': { type: 'string', usage: 'cpu or memory.' }, 'use-protocol-buffers': { type: 'bool', default: true, usage: 'Speak protobuf.' } },
    async run(context, { flags, args }) {
      const session = context.session()
      await requireMetrics(session)
      if (!['', 'cpu', 'memory'].includes(flags['sort-by'])) throw new KubectlError('--sort-by accepts only cpu or memory')
      const base = name === 'node' ? `${root}/nodes` : `${root}${flags['all-namespaces'] ? '' : `/namespaces/${session.namespace}`}/pods`
      const answer = args[0] ? { items: [await session.request('GET', `${base}/${args[0]}`)] } : await session.request('GET', withQuery(base, { labelSelector: flags.selector, fieldSelector: flags['field-selector'] }))
      const items = listIn(answer, 'items')
      if (items.length === 0) { context.err(name === 'node' ? 'No resources found\n' : `No resources found${flags['all-namespaces'] ? '' : ` in ${session.namespace} namespace.`}\n`); return 0 }
      const writer = new TabWriter(context.out)
      const sorted = (rows: readonly (readonly [Usage, readonly string[]])[]): readonly (readonly [Usage, readonly string[]])[] => (flags['sort-by'] === '' ? rows : [...rows].sort(([a], [b]) => (flags['sort-by'] === 'cpu' ? b.cpuMilli - a.cpuMilli : b.memoryBytes - a.memoryBytes)))
      if (name === 'node') {
        const nodes = new Map(listIn(await session.request('GET', '/api/v1/nodes'), 'items').map((n) => [nameOf(n), usageOf(objectIn(objectIn(n, 'status'), flags['show-capacity'] ? 'capacity' : 'allocatable'))]))
        if (!flags['no-headers']) writer.row(['NAME', 'CPU(cores)', 'CPU(%)', 'MEMORY(bytes)', 'MEMORY(%)'])
        for (const [, row] of sorted(items.map((item) => {
          const usage = usageOf(objectIn(item, 'usage'))
          const whole = nodes.get(nameOf(item))
          const percent = (part: number, all: number | undefined): string => (all ? `${Math.floor((part / all) * 100)}%` : '<unknown>')
          const [cpu = '', memory = ''] = usageTexts(usage)
          return [usage, [nameOf(item), cpu, percent(usage.cpuMilli, whole?.cpuMilli), memory, percent(usage.memoryBytes, whole?.memoryBytes)]] as const
        }))) writer.row(row)
      } else {
        const namespaceColumn = (item: JsonObject): readonly string[] => (flags['all-namespaces'] ? [String(objectIn(item, 'metadata')['namespace'] ?? '')] : [])
        if (!flags['no-headers']) writer.row([...(flags['all-namespaces'] ? ['NAMESPACE'] : []), ...(flags.containers ? ['POD'] : []), 'NAME', 'CPU(cores)', 'MEMORY(bytes)'])
        const rows = items.flatMap((item): readonly (readonly [Usage, readonly string[]])[] => {
          const containers = listIn(item, 'containers').map((c) => ({ name: String(c['name'] ?? ''), usage: usageOf(objectIn(c, 'usage')) }))
          if (flags.containers) return containers.map((c) => [c.usage, [...namespaceColumn(item), nameOf(item), c.name, ...usageTexts(c.usage)]] as const)
          const sum = containers.reduce<Usage>((a, c) => ({ cpuMilli: a.cpuMilli + c.usage.cpuMilli, memoryBytes: a.memoryBytes + c.usage.memoryBytes }), { cpuMilli: 0, memoryBytes: 0 })
          return [[sum, [...namespaceColumn(item), nameOf(item), ...usageTexts(sum)]]]
        })
        for (const [, row] of sorted(rows)) writer.row(row)
      }
      writer.flush()
      return 0
    },
  })
}

export const topCommand = defineCommand({ name: 'top', group: 'Cluster Management Commands', short: 'Display resource (CPU/memory) usage', usage: '(node | pod) [options]', flags: {}, subcommands: [topCommandOf('node', ['nodes', 'no'], 'Display resource (CPU/memory) usage of nodes'), topCommandOf('pod', ['pods', 'po'], 'Display resource (CPU/memory) usage of pods')] })
