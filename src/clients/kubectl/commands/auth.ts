// kubectl auth can-i and whoami: what the server says about one's own rights and name. Upstream: kubectl/pkg/cmd/auth
import type { JsonObject } from '../../../lib/base/json.ts'
import { isJsonObject } from '../../../lib/base/json.ts'
import type { PolicyRule } from '../../../lib/api/generated/types/rbac-v1.ts'
import { KubectlError, defineCommand } from '../command.ts'
import { compactRules, resourceText } from '../describe/rbac.ts'
import { createObjectPrinter, formatGoValue, parseOutputFormat } from '../printers/output-format.ts'
import { TabWriter } from '../printers/tab-writer.ts'

const resourceVerbs = new Set(['get', 'list', 'watch', 'create', 'update', 'patch', 'delete', 'deletecollection', 'use', 'bind', 'impersonate', '*', 'approve', 'sign', 'escalate', 'attest'])
const urlVerbs = new Set(['get', 'put', 'post', 'head', 'options', 'delete', 'patch', '*'])
const rulesPath = '/apis/authorization.k8s.io/v1/selfsubjectrulesreviews'

const canICommand = defineCommand({
  name: 'can-i', short: 'Check whether an action is allowed', usage: 'VERB [TYPE | TYPE/NAME | NONRESOURCEURL] [options]',
  flags: { 'all-namespaces': { type: 'bool', short: 'A', usage: 'In all namespaces.' }, list: { type: 'bool', usage: 'Print everything that is allowed.' }, 'no-headers': { type: 'bool', usage: "Don't print headers." }, quiet: { type: 'bool', short: 'q', usage: 'Only the exit code.' }, subresource: { type: 'string', usage: 'Subresource such as log or scale.' } },
  async run(context, { flags, args }) {
    const session = context.session()
    const namespace = flags['all-namespaces'] ? '' : session.namespace
    if (flags.list) {
      if (args.length > 0) throw new KubectlError('list option must be specified with no arguments')
      if (flags.quiet || flags['all-namespaces'] || flags.subresource) throw new KubectlError("list option can't be specified with neither quiet, all-namespaces nor subresource options")
      const answer = await session.request('POST', rulesPath, { body: { apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectRulesReview', metadata: {}, spec: { namespace }, status: { incomplete: false, nonResourceRules: null, resourceRules: null } } })
      const status = isJsonObject(answer['status']) ? answer['status'] : {}
      if (status['incomplete']) context.err(`Warning: the list may be incomplete: ${String(status['evaluationError'] ?? '')}\n`)
      const rules = [...(Array.isArray(status['resourceRules']) ? status['resourceRules'] : []), ...(Array.isArray(status['nonResourceRules']) ? status['nonResourceRules'] : [])] as unknown as readonly PolicyRule[] // cast: the fields that rules have in common
      const writer = new TabWriter(context.out)
      if (!flags['no-headers']) writer.row(['Resources', 'Non-Resource URLs', 'Resource Names', 'Verbs'])
      for (const rule of compactRules(rules)) writer.row([resourceText(rule), `[${rule.nonResourceUrls.join(' ')}]`, `[${rule.resourceNames.join(' ')}]`, `[${rule.verbs.join(' ')}]`])
      writer.flush()
      return 0
    }
    const [verb, target, name] = args
    if (verb === undefined || target === undefined || args.length > 3) throw new KubectlError('you must specify two arguments: verb resource or verb resource/resourceName.\nSee \'kubectl auth can-i -h\' for help and examples.')
    if (flags['no-headers']) throw new KubectlError('--no-headers cannot be set without --list specified')
    const warn = (text: string): void => { context.err(`Warning: ${text}\n\n`) }
    let spec: JsonObject
    if (target.startsWith('/')) {
      if (flags.subresource) throw new KubectlError('--subresource can not be used with NonResourceURL')
      if (!urlVerbs.has(verb)) warn(`verb '${verb}' is not a known verb`)
      spec = { nonResourceAttributes: { path: target, verb } }
    } else {
      const [type = '', resourceName = name ?? ''] = target.split('/')
      const resource = type === '*' ? undefined : await session.mapper.find(type)
      if (!resource && type !== '*' && !['users', 'groups', 'serviceaccounts'].includes(type)) { const [word = '', ...group] = type.toLowerCase().split('.'); warn(`the server doesn't have a resource type '${word}'${group.length > 0 ? ` in group '${group.join('.')}'` : ''}`) }
      if (resource && !resource.namespaced && !flags['all-namespaces']) warn(`resource '${resource.resource}' is not namespace scoped${resource.group ? ` in group '${resource.group}'` : ''}`)
      if (!resourceVerbs.has(verb)) warn(`verb '${verb}' is not a known verb`)
      spec = { resourceAttributes: { namespace, verb, ...(resource ? { group: resource.group } : {}), resource: resource?.resource ?? type, ...(flags.subresource ? { subresource: flags.subresource } : {}), ...(resourceName ? { name: resourceName } : {}) } }
    }
    const answer = await session.request('POST', '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', { body: { apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectAccessReview', metadata: {}, spec } })
    const status = isJsonObject(answer['status']) ? answer['status'] : {}
    const allowed = status['allowed'] === true
    if (!flags.quiet) context.out(allowed ? 'yes\n' : `no${status['reason'] ? ` - ${String(status['reason'])}` : ''}${status['evaluationError'] ? ` - ${String(status['evaluationError'])}` : ''}\n`)
    return allowed ? 0 : 1
  },
})

const whoAmICommand = defineCommand({
  name: 'whoami', short: 'Experimental: Check self subject attributes', usage: '[options]', flags: { output: { type: 'string', short: 'o', usage: 'Output format.' }, template: { type: 'string', usage: 'Template for go-template and jsonpath.' } },
  async run(context, { flags }) {
    const format = parseOutputFormat(flags.output, flags.template)
    const answer = await context.session().request('POST', '/apis/authentication.k8s.io/v1/selfsubjectreviews', { body: { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview', metadata: {} } })
    if (format.type !== 'table') { createObjectPrinter(format, { write: context.out })(answer); return 0 }
    const status = isJsonObject(answer['status']) ? answer['status'] : {}
    const user = isJsonObject(status['userInfo']) ? status['userInfo'] : {}
    const writer = new TabWriter(context.out)
    writer.row(['ATTRIBUTE', 'VALUE'])
    if (user['username']) writer.row(['Username', String(user['username'])])
    if (user['uid']) writer.row(['UID', String(user['uid'])])
    if (Array.isArray(user['groups']) && user['groups'].length > 0) writer.row(['Groups', formatGoValue(user['groups'])])
    const extra = isJsonObject(user['extra']) ? user['extra'] : {}
    for (const key of Object.keys(extra).sort()) writer.row([`Extra: ${key}`, formatGoValue(extra[key])])
    writer.flush()
    return 0
  },
})

export const authCommand = defineCommand({ name: 'auth', group: 'Cluster Management Commands', short: 'Inspect authorization', usage: '(can-i | whoami) [options]', flags: {}, subcommands: [canICommand, whoAmICommand] })
