// kubectl api-resources and api-versions: what the server offers. Upstream: kubectl/pkg/cmd/apiresources
import { KubectlError, UsageError, defineCommand } from '../command.ts'
import { preferred } from '../discovery/resource-mapper.ts'
import { TabWriter } from '../printers/tab-writer.ts'

export const apiResourcesCommand = defineCommand({
  name: 'api-resources', group: 'Other Commands', short: 'Print the supported API resources on the server', usage: '[flags] [options]',
  flags: {
    'api-group': { type: 'string', usage: 'Only resources of this group.' }, cached: { type: 'bool', usage: 'Use the cached list if there is one.' }, categories: { type: 'strings', usage: 'Only resources of these categories.' },
    namespaced: { type: 'bool', default: true, usage: 'If false, cluster-scoped resources; otherwise namespaced ones. All when not given.' }, 'no-headers': { type: 'bool', usage: "Don't print headers." },
    output: { type: 'string', short: 'o', usage: 'Output format: wide or name.' }, 'sort-by': { type: 'string', usage: "Sort by 'name' or 'kind'." }, verbs: { type: 'strings', usage: 'Only resources that support these verbs.' },
  },
  async run(context, { flags, args, given }) {
    if (args.length > 0) throw new UsageError(`unexpected arguments: [${args.join(' ')}]`, 'api-resources')
    if (!['', 'wide', 'name'].includes(flags.output)) throw new KubectlError(`unable to match a printer suitable for the output format ${JSON.stringify(flags.output)}, allowed formats are: json,kyaml,name,wide,yaml`)
    if (!['', 'name', 'kind'].includes(flags['sort-by'])) throw new KubectlError(`--sort-by accepts only name or kind`)
    const { mapper } = context.session()
    if (!flags.cached) mapper.invalidate()
    const rows = preferred(await mapper.all()).filter((r) => r.verbs.length > 0)
      .filter((r) => (!given.has('api-group') || r.group === flags['api-group']) && (!given.has('namespaced') || r.namespaced === flags.namespaced))
      .filter((r) => flags.verbs.every((v) => r.verbs.includes(v)) && (flags.categories.length === 0 || flags.categories.every((c) => r.categories.includes(c))))
    const keyOf = (r: (typeof rows)[number]): string => (flags['sort-by'] === 'name' ? r.resource : flags['sort-by'] === 'kind' ? r.kind : `${r.group}\0${r.resource}`)
    const sorted = [...rows].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : keyOf(a) > keyOf(b) ? 1 : 0))
    if (flags.output === 'name') {
      for (const r of sorted) context.out(`${r.group ? `${r.resource}.${r.group}` : r.resource}\n`)
      return 0
    }
    const writer = new TabWriter(context.out)
    const wide = flags.output === 'wide'
    if (!flags['no-headers']) writer.row(['NAME', 'SHORTNAMES', 'APIVERSION', 'NAMESPACED', 'KIND', ...(wide ? ['VERBS', 'CATEGORIES'] : [])])
    for (const r of sorted) writer.row([r.resource, r.shortNames.join(','), r.group ? `${r.group}/${r.version}` : r.version, String(r.namespaced), r.kind, ...(wide ? [r.verbs.join(','), r.categories.join(',')] : [])])
    writer.flush()
    return 0
  },
})

export const apiVersionsCommand = defineCommand({
  name: 'api-versions', group: 'Other Commands', short: 'Print the supported API versions on the server, in the form of "group/version"', usage: '[flags] [options]', flags: {},
  async run(context) {
    const { mapper } = context.session()
    mapper.invalidate()
    for (const version of [...await mapper.groupVersions()].sort()) context.out(`${version}\n`)
    return 0
  },
})
