// Generators of `kubectl create` for jobs, roles and their bindings, ingresses, budgets, quotas, priority classes and tokens. Upstream: kubectl/pkg/cmd/create
import type { JsonObject } from '../../../lib/base/json.ts'
import { isJsonObject } from '../../../lib/base/json.ts'
import { KubectlError, defineCommand } from '../command.ts'
import type { KubectlCommand, KubectlContext } from '../command.ts'
import { createObjectPrinter, parseOutputFormat } from '../printers/output-format.ts'
import { generator, oneName } from './create-objects.ts'

type Flags = { readonly [name: string]: unknown }
const textOf = (flags: Flags, name: string): string => (typeof flags[name] === 'string' ? flags[name] : '')
const listOf = (flags: Flags, name: string): readonly string[] => (Array.isArray(flags[name]) ? flags[name].map(String) : [])
const rbac = 'rbac.authorization.k8s.io/v1'

export const externalNameService = generator('externalname', [], 'Create an ExternalName service', 'NAME --external-name external.name [--dry-run=server|client|none]', { 'external-name': { type: 'string', usage: 'Name outside of the cluster.' }, tcp: { type: 'strings', usage: 'Port pairs: port:targetPort.' } }, (args, flags) => {
  const name = oneName(args, 'service externalname')
  const externalName = textOf(flags, 'external-name')
  if (externalName === '') throw new KubectlError('required flag(s) "external-name" not set')
  const ports = listOf(flags, 'tcp').map((pair): JsonObject => { const [port = '', target = port] = pair.split(':'); return { name: pair.replace(':', '-'), port: Number(port), protocol: 'TCP', targetPort: /^\d+$/.test(target) ? Number(target) : target } })
  return { apiVersion: 'v1', kind: 'Service', metadata: { labels: { app: name }, name }, spec: { externalName, ...(ports.length > 0 ? { ports } : {}), selector: { app: name }, type: 'ExternalName' }, status: { loadBalancer: {} } }
})

const jobGenerator = generator('job', [], 'Create a job with the specified name', 'NAME --image=image [--from=cronjob/name] -- [COMMAND] [args...]', { image: { type: 'string', usage: 'Image name.' }, from: { type: 'string', usage: 'CronJob to make the job from: cronjob/name.' } }, async (args, flags, context, argsBeforeDash) => {
  const name = oneName(args.slice(0, argsBeforeDash), 'job')
  const [image, from] = [textOf(flags, 'image'), textOf(flags, 'from')]
  const command = args.slice(argsBeforeDash)
  if ((image === '') === (from === '')) throw new KubectlError('either --image or --from must be specified')
  if (from !== '' && command.length > 0) throw new KubectlError('cannot specify --from and command')
  if (from !== '') return jobOfCronJob(context, name, from)
  return { apiVersion: 'batch/v1', kind: 'Job', metadata: { name }, spec: { template: { metadata: {}, spec: { containers: [{ ...(command.length > 0 ? { command } : {}), image, name, resources: {} }], restartPolicy: 'Never' } } }, status: {} }
})

async function jobOfCronJob(context: KubectlContext, name: string, from: string): Promise<JsonObject> {
  const session = context.session()
  const [type = '', cronName = ''] = from.split('/')
  const resource = await session.mapper.find(type)
  if (resource?.kind !== 'CronJob') throw new KubectlError(`from must be an existing cronjob`)
  const cronJob = await session.request('GET', `/apis/batch/v1/namespaces/${session.namespace}/cronjobs/${cronName}`)
  const metadata = isJsonObject(cronJob['metadata']) ? cronJob['metadata'] : {}
  const spec = isJsonObject(cronJob['spec']) ? cronJob['spec'] : {}
  const template = isJsonObject(spec['jobTemplate']) ? spec['jobTemplate'] : {}
  const own = isJsonObject(template['metadata']) ? template['metadata'] : {}
  const annotations: JsonObject = { 'cronjob.kubernetes.io/instantiate': 'manual', ...(isJsonObject(own['annotations']) ? own['annotations'] : {}) }
  return { apiVersion: 'batch/v1', kind: 'Job', metadata: { annotations, ...(own['labels'] ? { labels: own['labels'] } : {}), name, ownerReferences: [{ apiVersion: 'batch/v1', controller: true, kind: 'CronJob', name: metadata['name'], uid: metadata['uid'] }] }, spec: template['spec'], status: {} }
}

const cronJobGenerator = generator('cronjob', ['cj'], 'Create a cron job with the specified name', 'NAME --image=image --schedule=\'0/5 * * * ?\' -- [COMMAND] [args...]', { image: { type: 'string', usage: 'Image name.' }, schedule: { type: 'string', usage: 'When, in cron format.' }, restart: { type: 'string', usage: 'OnFailure or Never.' } }, (args, flags, _context, argsBeforeDash) => {
  const missing = ['image', 'schedule'].filter((f) => textOf(flags, f) === '')
  if (missing.length > 0) throw new KubectlError(`required flag(s) ${missing.map((f) => JSON.stringify(f)).join(', ')} not set`)
  const name = oneName(args.slice(0, argsBeforeDash), 'cronjob')
  const command = args.slice(argsBeforeDash)
  return { apiVersion: 'batch/v1', kind: 'CronJob', metadata: { name }, spec: { jobTemplate: { metadata: { name }, spec: { template: { metadata: {}, spec: { containers: [{ ...(command.length > 0 ? { command } : {}), image: textOf(flags, 'image'), name, resources: {} }], restartPolicy: textOf(flags, 'restart') || 'OnFailure' } } } }, schedule: textOf(flags, 'schedule') }, status: {} }
})

/** Rules of `--verb`, `--resource` and `--resource-name`, one a group, as the server knows the resources. */
async function rulesOf(context: KubectlContext, flags: Flags): Promise<readonly JsonObject[]> {
  const unique = (texts: readonly string[]): readonly string[] => [...new Set(texts)]
  const verbs = unique(listOf(flags, 'verb'))
  const all = verbs.includes('*') ? ['*'] : verbs
  const names = unique(listOf(flags, 'resource-name'))
  const groups = new Map<string, string[]>()
  for (const word of unique(listOf(flags, 'resource'))) {
    const [typed = '', subresource] = word.split('/')
    const resource = typed === '*' ? undefined : await context.session().mapper.find(typed)
    if (!resource && typed !== '*') throw new KubectlError(`the server doesn't have a resource type ${JSON.stringify(typed)}`, 1, true)
    const group = resource?.group ?? '*'
    groups.set(group, [...(groups.get(group) ?? []), `${resource?.resource ?? '*'}${subresource ? `/${subresource}` : ''}`])
  }
  return [...groups].map(([group, resources]) => ({ apiGroups: [group], ...(names.length > 0 ? { resourceNames: names } : {}), resources, verbs: all }))
}

const ruleFlags = { verb: { type: 'strings', usage: 'Verbs of the rule.' }, resource: { type: 'strings', usage: 'Resources of the rule.' }, 'resource-name': { type: 'strings', noSplit: true, usage: 'Names that the rule is limited to.' } } as const

const roleGenerator = generator('role', [], 'Create a role with single rule', 'NAME --verb=verb --resource=resource.group/subresource [--resource-name=resourcename] [--dry-run=server|client|none]', ruleFlags, async (args, flags, context) => {
  const name = oneName(args, 'role')
  if (listOf(flags, 'verb').length === 0) throw new KubectlError('at least one verb must be specified')
  if (listOf(flags, 'resource').length === 0) throw new KubectlError('at least one resource must be specified')
  return { apiVersion: rbac, kind: 'Role', metadata: { name }, rules: await rulesOf(context, flags) }
})

const clusterRoleGenerator = generator('clusterrole', [], 'Create a cluster role', 'NAME --verb=verb --resource=resource.group [--resource-name=resourcename] [--dry-run=server|client|none]', { ...ruleFlags, 'non-resource-url': { type: 'strings', usage: 'Paths of the rule.' }, 'aggregation-rule': { type: 'map', usage: 'Labels of the roles to put together.' } }, async (args, flags, context) => {
  const name = oneName(args, 'clusterrole')
  const aggregation = isJsonObject(flags['aggregation-rule']) ? flags['aggregation-rule'] as JsonObject : {} // cast: checked in the same line
  if (Object.keys(aggregation).length > 0) return { aggregationRule: { clusterRoleSelectors: [{ matchLabels: aggregation }] }, apiVersion: rbac, kind: 'ClusterRole', metadata: { name }, rules: null }
  if (listOf(flags, 'verb').length === 0) throw new KubectlError('at least one verb must be specified')
  const urls = listOf(flags, 'non-resource-url')
  if (listOf(flags, 'resource').length === 0 && urls.length === 0) throw new KubectlError('one of resource or nonResourceURL must be specified')
  return { apiVersion: rbac, kind: 'ClusterRole', metadata: { name }, rules: [...await rulesOf(context, flags), ...(urls.length > 0 ? [{ nonResourceURLs: urls, verbs: listOf(flags, 'verb') }] : [])] }
})

function subjectsOf(flags: Flags): readonly JsonObject[] {
  return [
    ...listOf(flags, 'user').map((name) => ({ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name })), ...listOf(flags, 'group').map((name) => ({ apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name })),
    ...listOf(flags, 'serviceaccount').map((account) => {
      const [namespace, name, ...more] = account.split(':')
      if (!namespace || !name || more.length > 0) throw new KubectlError('serviceaccount must be <namespace>:<name>')
      return { kind: 'ServiceAccount', name, namespace }
    }),
  ]
}

const subjectFlags = { user: { type: 'strings', noSplit: true, usage: 'Users to bind.' }, group: { type: 'strings', noSplit: true, usage: 'Groups to bind.' }, serviceaccount: { type: 'strings', noSplit: true, usage: 'Service accounts to bind: namespace:name.' } } as const

const roleBindingGenerator = generator('rolebinding', [], 'Create a role binding for a particular role or cluster role', 'NAME --clusterrole=NAME|--role=NAME [--user=username] [--group=groupname] [--serviceaccount=namespace:serviceaccountname]', { ...subjectFlags, clusterrole: { type: 'string', usage: 'Cluster role to bind.' }, role: { type: 'string', usage: 'Role to bind.' } }, (args, flags) => {
  const name = oneName(args, 'rolebinding')
  const [role, clusterRole] = [textOf(flags, 'role'), textOf(flags, 'clusterrole')]
  if ((role === '') === (clusterRole === '')) throw new KubectlError('exactly one of clusterrole or role must be specified')
  return { apiVersion: rbac, kind: 'RoleBinding', metadata: { name }, roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: role ? 'Role' : 'ClusterRole', name: role || clusterRole }, subjects: subjectsOf(flags) }
})

const clusterRoleBindingGenerator = generator('clusterrolebinding', [], 'Create a cluster role binding for a particular cluster role', 'NAME --clusterrole=NAME [--user=username] [--group=groupname] [--serviceaccount=namespace:serviceaccountname]', { ...subjectFlags, clusterrole: { type: 'string', usage: 'Cluster role to bind.' } }, (args, flags) => {
  if (textOf(flags, 'clusterrole') === '') throw new KubectlError('required flag(s) "clusterrole" not set')
  return { apiVersion: rbac, kind: 'ClusterRoleBinding', metadata: { name: oneName(args, 'clusterrolebinding') }, roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: textOf(flags, 'clusterrole') }, subjects: subjectsOf(flags) }
})

/** `host/path*=service:port[,tls[=secret]]` */
function parseIngressRule(text: string): { readonly host: string; readonly path: JsonObject; readonly tls: JsonObject | undefined } {
  const match = /^([^/=,]*)(\/[^=,]*)?=([^:,]+):([^,]+)(?:,(tls)(?:=([^,]*))?)?$/.exec(text)
  if (!match) throw new KubectlError(`rule ${text} is invalid and should be in format host/path=svcname:svcport[,tls[=secret]]`)
  const [, host = '', path = '', service = '', port = '', tls, secret] = match
  const backend = { service: { name: service, port: /^\d+$/.test(port) ? { number: Number(port) } : { name: port } } }
  return { host, path: { backend, path: path.replace(/\*$/, '') || '/', pathType: path.endsWith('*') ? 'Prefix' : 'Exact' }, tls: tls ? { ...(host ? { hosts: [host] } : {}), ...(secret ? { secretName: secret } : {}) } : undefined }
}

const ingressGenerator = generator('ingress', ['ing'], 'Create an ingress with the specified name', 'NAME --rule=host/path=service:port[,tls[=secret]]', { annotation: { type: 'strings', noSplit: true, usage: 'Annotations: key=value.' }, class: { type: 'string', usage: 'Ingress class.' }, 'default-backend': { type: 'string', usage: 'service:port for all the rest.' }, rule: { type: 'strings', noSplit: true, usage: 'host/path=service:port[,tls[=secret]].' } }, (args, flags) => {
  const name = oneName(args, 'ingress')
  const fallback = textOf(flags, 'default-backend')
  const rules = listOf(flags, 'rule').map(parseIngressRule)
  if (rules.length === 0 && fallback === '') throw new KubectlError('not enough information provided: every ingress has to either specify a default-backend (which catches all traffic) or a list of rules (which catch specific paths)')
  const hosts = [...new Set(rules.map((r) => r.host))]
  const annotations = listOf(flags, 'annotation').map((a) => [a.slice(0, a.indexOf('=')), a.slice(a.indexOf('=') + 1)] as const)
  const tls = rules.flatMap((r) => (r.tls ? [r.tls] : []))
  const [service = '', port = ''] = fallback.split(':')
  return {
    apiVersion: 'networking.k8s.io/v1', kind: 'Ingress', metadata: { ...(annotations.length > 0 ? { annotations: Object.fromEntries(annotations) } : {}), name },
    spec: { ...(fallback ? { defaultBackend: { service: { name: service, port: /^\d+$/.test(port) ? { number: Number(port) } : { name: port } } } } : {}), ...(textOf(flags, 'class') ? { ingressClassName: textOf(flags, 'class') } : {}),
      ...(rules.length > 0 ? { rules: hosts.map((host) => ({ ...(host ? { host } : {}), http: { paths: rules.filter((r) => r.host === host).map((r) => r.path) } })) } : {}), ...(tls.length > 0 ? { tls } : {}) },
    status: { loadBalancer: {} },
  }
})

const numberOrText = (text: string): number | string => (/^\d+$/.test(text) ? Number(text) : text)

const budgetGenerator = generator('poddisruptionbudget', ['pdb'], 'Create a pod disruption budget with the specified name', 'NAME --selector=SELECTOR --min-available=N [--dry-run=server|client|none]', { 'max-unavailable': { type: 'string', usage: 'Most pods away at a time.' }, 'min-available': { type: 'string', usage: 'Fewest pods there at a time.' }, selector: { type: 'map', usage: 'Labels of the pods.' } }, (args, flags) => {
  const name = oneName(args, 'poddisruptionbudget')
  const labels = isJsonObject(flags['selector']) ? flags['selector'] as JsonObject : {} // cast: checked in the same line
  if (Object.keys(labels).length === 0) throw new KubectlError('a selector must be specified')
  const [most, fewest] = [textOf(flags, 'max-unavailable'), textOf(flags, 'min-available')]
  if (most === '' && fewest === '') throw new KubectlError('one of min-available or max-unavailable must be specified')
  if (most !== '' && fewest !== '') throw new KubectlError('min-available and max-unavailable cannot be both specified')
  return { apiVersion: 'policy/v1', kind: 'PodDisruptionBudget', metadata: { name }, spec: { ...(most ? { maxUnavailable: numberOrText(most) } : { minAvailable: numberOrText(fewest) }), selector: { matchLabels: labels } }, status: { currentHealthy: 0, desiredHealthy: 0, disruptionsAllowed: 0, expectedPods: 0 } }
})

const quotaGenerator = generator('quota', ['resourcequota'], 'Create a quota with the specified name', 'NAME [--hard=key1=value1,key2=value2] [--scopes=Scope1,Scope2]', { hard: { type: 'map', usage: 'Limits: resource=amount.' }, scopes: { type: 'strings', usage: 'Scopes of the quota.' } }, (args, flags) => {
  const name = oneName(args, 'quota')
  const hard = isJsonObject(flags['hard']) ? flags['hard'] as JsonObject : {} // cast: checked in the same line
  const scopes = listOf(flags, 'scopes')
  return { apiVersion: 'v1', kind: 'ResourceQuota', metadata: { name }, spec: { ...(Object.keys(hard).length > 0 ? { hard } : {}), ...(scopes.length > 0 ? { scopes } : {}) }, status: {} }
})

const priorityGenerator = generator('priorityclass', ['pc'], 'Create a priority class with the specified name', 'NAME --value=VALUE --global-default=BOOL [--dry-run=server|client|none]', { description: { type: 'string', usage: 'What it is for.' }, 'global-default': { type: 'bool', usage: 'Of pods that name none.' }, 'preemption-policy': { type: 'string', default: 'PreemptLowerPriority', usage: 'Never or PreemptLowerPriority.' }, value: { type: 'int', usage: 'The priority.' } }, (args, flags) => {
  const name = oneName(args, 'priorityclass')
  return { apiVersion: 'scheduling.k8s.io/v1', ...(textOf(flags, 'description') ? { description: textOf(flags, 'description') } : {}), ...(flags['global-default'] ? { globalDefault: true } : {}), kind: 'PriorityClass', metadata: { name }, preemptionPolicy: textOf(flags, 'preemption-policy'), value: Number(flags['value']) }
})

const tokenCommand = defineCommand({
  name: 'token', short: 'Request a service account token', usage: 'SERVICE_ACCOUNT_NAME [options]', flags: { audience: { type: 'strings', noSplit: true, usage: 'For whom the token is.' }, 'bound-object-kind': { type: 'string', usage: 'Kind of the object that the token lives with.' }, 'bound-object-name': { type: 'string', usage: 'Name of that object.' }, 'bound-object-uid': { type: 'string', usage: 'UID of that object.' }, duration: { type: 'duration', usage: 'How long it is valid.' }, output: { type: 'string', short: 'o', usage: 'Output format.' }, template: { type: 'string', usage: 'Template for go-template and jsonpath.' } },
  async run(context, { flags, args }) {
    const name = oneName(args, 'token')
    const session = context.session()
    const bound = flags['bound-object-kind'] ? { apiVersion: 'v1', kind: flags['bound-object-kind'], name: flags['bound-object-name'], ...(flags['bound-object-uid'] ? { uid: flags['bound-object-uid'] } : {}) } : undefined
    const body: JsonObject = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', metadata: {}, spec: { audiences: flags.audience.length > 0 ? [...flags.audience] : null, ...(flags.duration ? { expirationSeconds: Math.floor(flags.duration / 1000) } : {}), ...(bound ? { boundObjectRef: bound } : {}) } }
    const answer = await session.request('POST', `/api/v1/namespaces/${session.namespace}/serviceaccounts/${encodeURIComponent(name)}/token`, { body })
    const status = isJsonObject(answer['status']) ? answer['status'] : {}
    const format = parseOutputFormat(flags.output, flags.template)
    if (format.type === 'table') context.out(`${String(status['token'] ?? '')}\n`)
    else createObjectPrinter(format, { write: context.out })(answer)
    return 0
  },
})

export const moreGenerators: readonly KubectlCommand[] = [jobGenerator, cronJobGenerator, roleGenerator, clusterRoleGenerator, roleBindingGenerator, clusterRoleBindingGenerator, ingressGenerator, budgetGenerator, quotaGenerator, priorityGenerator, tokenCommand]
