// kubectl events: what happened lately, oldest first, of everything or of one object. Upstream: kubectl/pkg/cmd/events
import type { JsonObject } from '../../../lib/base/json.ts'
import type { Event } from '../../../lib/api/generated/types/core-v1.ts'
import { KubectlError, defineCommand } from '../command.ts'
import { formatInterval } from '../describe/describer.ts'
import { createObjectPrinter, parseOutputFormat } from '../printers/output-format.ts'
import { TabWriter } from '../printers/tab-writer.ts'
import { collectionPath } from '../resources/object-path.ts'
import { fetchObjects } from '../resources/resource-arguments.ts'

const timeOf = (event: Event): number => {
  const text = event.series?.lastObservedTime ?? (event.lastTimestamp || event.eventTime || event.firstTimestamp)
  return text ? Date.parse(text) : 0
}

export const eventsCommand = defineCommand({
  name: 'events', group: 'Troubleshooting and Debugging Commands', short: 'List events', usage: '[(-o|--output=)FORMAT] [--for TYPE/NAME] [--watch] [--types=Normal,Warning] [options]',
  flags: { 'all-namespaces': { type: 'bool', short: 'A', usage: 'Of all namespaces.' }, 'chunk-size': { type: 'int', default: 500, usage: 'Get lists in chunks of this size.' }, for: { type: 'string', usage: 'Only about this object: type/name.' }, 'no-headers': { type: 'bool', usage: "Don't print headers." }, output: { type: 'string', short: 'o', usage: 'Output format.' }, template: { type: 'string', usage: 'Template for go-template and jsonpath.' }, types: { type: 'strings', usage: 'Only these types: Normal, Warning.' }, watch: { type: 'bool', short: 'w', usage: 'Go on with those to come.' } },
  async run(context, { flags }) {
    const session = context.session()
    const format = parseOutputFormat(flags.output, flags.template)
    let fieldSelector = ''
    if (flags.for !== '') {
      const parts = flags.for.split('/')
      if (parts.length > 2) throw new KubectlError('arguments in resource/name form may not have more than one slash')
      const [type = '', name = ''] = parts
      if (parts.length < 2) throw new KubectlError('--for must be in resource/name form')
      const resource = await session.mapper.find(type)
      if (!resource) throw new KubectlError(`the server doesn't have a resource type ${JSON.stringify(type)}`, 1, true)
      fieldSelector = `involvedObject.kind=${resource.kind},involvedObject.apiVersion=${resource.group ? `${resource.group}/` : ''}${resource.version},involvedObject.name=${name}`
    }
    if (flags.types.some((t) => !['normal', 'warning'].includes(t.toLowerCase()))) throw new KubectlError('valid --types are Normal or Warning')
    const wanted = (event: Event): boolean => flags.types.length === 0 || flags.types.some((t) => t.toLowerCase() === (event.type ?? '').toLowerCase())
    const namespace = flags['all-namespaces'] ? '' : session.namespace
    const resource = await session.mapper.find('events')
    if (!resource) throw new KubectlError('the server doesn\'t have a resource type "events"')
    const core = { ...resource, group: '', version: 'v1' }
    const writer = new TabWriter(context.out)
    let headed = flags['no-headers']
    const print = (events: readonly Event[]): void => {
      if (!headed) writer.row([...(flags['all-namespaces'] ? ['NAMESPACE'] : []), 'LAST SEEN', 'TYPE', 'REASON', 'OBJECT', 'MESSAGE'])
      headed = true
      for (const e of events) writer.row([...(flags['all-namespaces'] ? [e.metadata.namespace ?? ''] : []), formatInterval(e, context.clock.now()), e.type ?? '', e.reason ?? '', `${e.involvedObject.kind ?? ''}/${e.involvedObject.name ?? ''}`, (e.message ?? '').trim()])
      writer.flush()
    }
    if (flags.watch) {
      for await (const batch of session.watch(collectionPath(core, namespace, { fieldSelector, watch: true }))) {
        const events = batch.filter((e) => e.type === 'ADDED' || e.type === 'MODIFIED').map((e) => e.object as unknown as Event).filter(wanted) // cast: events by their path
        if (events.length > 0) print(events)
      }
      return 0
    }
    const events = (await fetchObjects(session, { type: 'collection', resource: core, namespace }, { fieldSelector, chunkSize: flags['chunk-size'] }) as unknown as readonly Event[]).filter(wanted) // cast: events by their path
    if (events.length === 0) { context.err(flags['all-namespaces'] ? 'No events found.\n' : `No events found in ${session.namespace} namespace.\n`); return 0 }
    const sorted = [...events].sort((a, b) => timeOf(a) - timeOf(b))
    if (format.type === 'table') print(sorted)
    else createObjectPrinter(format, { write: context.out, noHeaders: flags['no-headers'] })({ apiVersion: 'v1', items: sorted as unknown as readonly JsonObject[], kind: 'EventList', metadata: {} }) // cast: events are JSON
    return 0
  },
})
