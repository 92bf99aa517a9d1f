// kubectl run: one pod of one image, in the background or with this terminal. Upstream: kubectl/pkg/cmd/run
import type { JsonObject } from '../../../lib/base/json.ts'
import { isJsonObject } from '../../../lib/base/json.ts'
import { sleep } from '../../../lib/base/clock.ts'
import { KubectlError, defineCommand } from '../command.ts'
import type { KubectlContext } from '../command.ts'
import { runRemoteCommand } from '../remote-streams.ts'
import { collectionPath, objectPath } from '../resources/object-path.ts'
import { dryRunOf, outputFlags, printOutcome, withLastApplied } from './create-objects.ts'
import { withOverrides } from './expose.ts'

const podResource = { group: '', version: 'v1', resource: 'pods', namespaced: true } as const
const restartPolicies = ['Always', 'OnFailure', 'Never']
const pullPolicies = ['Always', 'IfNotPresent', 'Never']
const imagePattern = /^(?:[a-zA-Z0-9][a-zA-Z0-9.-]*(?::\d+)?\/)?[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*(?::[\w][\w.-]{0,127})?(?:@[a-z0-9]+:[0-9a-f]{32,})?$/

export const runCommand = defineCommand({
  name: 'run', group: 'Basic Commands (Beginner)', short: 'Run a particular image on the cluster', usage: 'NAME --image=image [--env="key=value"] [--port=port] [--dry-run=server|client] [--overrides=inline-json] [--command] -- [COMMAND] [args...] [options]', examples: '  kubectl run web --image=nginx\n  kubectl run -i -t busybox --image=busybox --restart=Never',
  flags: {
    ...outputFlags, 'field-manager': { type: 'string', default: 'kubectl-run', usage: 'Name under which the fields are owned.' }, annotations: { type: 'strings', noSplit: true, usage: 'Annotations: key=value.' }, attach: { type: 'bool', usage: 'Wait for the pod and attach to it.' }, command: { type: 'bool', usage: 'The words behind -- are the command, not its arguments.' }, env: { type: 'strings', noSplit: true, usage: 'Environment: key=value.' }, expose: { type: 'bool', usage: 'Make a Service, too.' },
    image: { type: 'string', usage: 'Image of the container.' }, 'image-pull-policy': { type: 'string', usage: 'Always, IfNotPresent or Never.' }, labels: { type: 'string', short: 'l', usage: 'Labels: key=value,…' }, 'leave-stdin-open': { type: 'bool', usage: 'Leave standard input open after the first attach.' }, 'override-type': { type: 'string', default: 'merge', usage: 'merge, json or strategic.' }, overrides: { type: 'string', usage: 'JSON over the pod.' }, 'pod-running-timeout': { type: 'duration', default: 60_000, usage: 'How long to wait for the pod.' },
    port: { type: 'string', usage: 'Port that the container exposes.' }, privileged: { type: 'bool', usage: 'Run privileged.' }, quiet: { type: 'bool', short: 'q', usage: 'Print only what the pod prints.' }, restart: { type: 'string', default: 'Always', usage: 'Always, OnFailure or Never.' }, rm: { type: 'bool', usage: 'Delete the pod at the end.' }, stdin: { type: 'bool', short: 'i', usage: 'Pass standard input on.' }, tty: { type: 'bool', short: 't', usage: 'Standard input is a terminal.' },
  },
  async run(context, { flags, args, argsBeforeDash, given }) {
    const [name] = args
    const dryRun = dryRunOf(flags['dry-run'])
    if (flags.image === '') throw new KubectlError('required flag(s) "image" not set')
    if (name === undefined || argsBeforeDash === 0) throw new KubectlError('NAME is required for run')
    if (!imagePattern.test(flags.image)) throw new KubectlError(`invalid image name ${JSON.stringify(flags.image)}: invalid reference format`)
    if (flags.tty && !flags.stdin) throw new KubectlError('-i/--stdin is required for containers with -t/--tty=true')
    if (flags.expose && flags.port === '') throw new KubectlError('--port must be set when exposing a service')
    if (flags.port !== '' && !/^\d+$/.test(flags.port)) throw new KubectlError('--port must be a number')
    const attach = given.has('attach') ? flags.attach : flags.stdin || flags.tty
    if (flags.rm && !attach) throw new KubectlError('--rm should only be used for attached containers')
    if (attach && dryRun !== 'none') throw new KubectlError("--dry-run=[server|client] can't be used with attached containers options (--attach, --stdin, or --tty)")
    if (!restartPolicies.includes(flags.restart)) throw new KubectlError(`invalid restart policy: ${flags.restart}, valid values are: ${restartPolicies.join(', ')}`)
    if (flags['image-pull-policy'] && !pullPolicies.includes(flags['image-pull-policy'])) throw new KubectlError(`invalid image pull policy: ${flags['image-pull-policy']}, valid values are: ${pullPolicies.join(', ')}`)
    const session = context.session()
    const words = args.slice(1)
    const env = flags.env.map((text): JsonObject => {
      const at = text.indexOf('=')
      if (at <= 0 || !/^[-._a-zA-Z][-._a-zA-Z0-9]*$/.test(text.slice(0, at))) throw new KubectlError(`invalid env: ${text}`)
      return { name: text.slice(0, at), value: text.slice(at + 1) }
    })
    const labels = flags.labels ? pairsOf(flags.labels.split(',')) : { run: name }
    const annotations = pairsOf(flags.annotations)
    const container: JsonObject = {
      ...(words.length > 0 ? (flags.command ? { command: words } : { args: words }) : {}), ...(env.length > 0 ? { env } : {}), image: flags.image, ...(flags['image-pull-policy'] ? { imagePullPolicy: flags['image-pull-policy'] } : {}), name, ...(flags.port ? { ports: [{ containerPort: Number(flags.port) }] } : {}), resources: {},
      ...(flags.privileged ? { securityContext: { privileged: true } } : {}), ...(flags.stdin ? { stdin: true } : {}), ...(flags.stdin && !flags['leave-stdin-open'] ? { stdinOnce: true } : {}), ...(flags.tty ? { tty: true } : {}),
    }
    const made: JsonObject = withOverrides({
      apiVersion: 'v1', kind: 'Pod', metadata: { ...(Object.keys(annotations).length > 0 ? { annotations } : {}), labels, name, ...(dryRun === 'client' && session.namespaceGiven ? { namespace: session.namespace } : {}) }, spec: { containers: [container], dnsPolicy: 'ClusterFirst', restartPolicy: flags.restart }, status: {},
    }, flags.overrides)
    const pod = flags['save-config'] ? withLastApplied(made) : made
    const query = { fieldManager: flags['field-manager'], dryRun: dryRun === 'server' ? 'All' : undefined }
    const create = async (resource: string, body: JsonObject): Promise<void> => {
      const answer = dryRun === 'client' ? body : await session.request('POST', collectionPath({ ...podResource, resource }, session.namespace, query), { body })
      if (!attach && !(flags.quiet && flags.output === '')) printOutcome(context, { apiVersion: 'v1', kind: body['kind'], ...answer }, 'created', flags, true)
    }
    await create('pods', pod)
    if (flags.expose) await create('services', { apiVersion: 'v1', kind: 'Service', metadata: { name, ...(dryRun === 'client' && session.namespaceGiven ? { namespace: session.namespace } : {}) }, spec: { ports: [{ port: Number(flags.port), protocol: 'TCP', targetPort: Number(flags.port) }], selector: labels }, status: { loadBalancer: {} } })
    if (!attach) return 0
    try {
      return await attachTo(context, name, flags)
    } finally {
      if (flags.rm) {
        await session.request('DELETE', objectPath(podResource, session.namespace, name), { body: { apiVersion: 'v1', kind: 'DeleteOptions', propagationPolicy: 'Background' } })
        if (!flags.quiet) context.out(`pod ${JSON.stringify(name)} deleted from ${session.namespace} namespace\n`)
      }
    }
  },
})

function pairsOf(texts: readonly string[]): { readonly [key: string]: string } {
  return Object.fromEntries(texts.map((text) => {
    const [key = '', value, ...more] = text.split('=')
    if (value === undefined || more.length > 0) throw new KubectlError(`unexpected label spec: ${text}`)
    if (key === '') throw new KubectlError('unexpected empty label key')
    return [key, value]
  }))
}

interface AttachFlags { readonly stdin: boolean; readonly tty: boolean; readonly restart: string; readonly quiet: boolean; readonly 'pod-running-timeout': number }

/** Attaches once the pod runs; one that has ended already gives its log. The exit code is the container's when it isn't restarted. */
async function attachTo(context: KubectlContext, name: string, flags: AttachFlags): Promise<number> {
  const session = context.session()
  const path = objectPath(podResource, session.namespace, name)
  const state = async (): Promise<JsonObject> => { const pod = await session.request('GET', path); return isJsonObject(pod['status']) ? pod['status'] : {} }
  const waitFor = async (phases: readonly string[], timeoutMs: number): Promise<JsonObject> => {
    const endMs = context.clock.monotonic() + timeoutMs
    for (;;) {
      const status = await state()
      if (phases.includes(String(status['phase']))) return status
      if (context.clock.monotonic() > endMs) throw new KubectlError('timed out waiting for the condition')
      await sleep(context.clock, 200, context.signal)
    }
  }
  const status = await waitFor(['Running', 'Succeeded', 'Failed'], flags['pod-running-timeout'])
  if (status['phase'] === 'Running') {
    if (!flags.quiet && flags.stdin) context.err("If you don't see a command prompt, try pressing enter.\n")
    const tty = flags.tty && context.stdin.isTTY === true
    await runRemoteCommand(context, session, `${path}/attach?container=${encodeURIComponent(name)}${flags.stdin ? '&stdin=true' : ''}&stdout=true${tty ? '&tty=true' : '&stderr=true'}`, { stdin: flags.stdin, stdout: true, stderr: !tty, tty })
  } else {
    const log = await session.send('GET', `${path}/log?container=${encodeURIComponent(name)}`, { accept: 'text/plain, */*' })
    if (log.body.kind === 'bytes') context.stdout.write(log.body.bytes)
    else if (log.body.kind === 'stream') for await (const piece of log.body.stream) context.stdout.write(piece)
  }
  if (flags.restart === 'Always') return 0
  const ended = await waitFor(['Succeeded', 'Failed'], 3_600_000)
  if (ended['phase'] === 'Succeeded') return 0
  const [container] = Array.isArray(ended['containerStatuses']) ? ended['containerStatuses'].filter(isJsonObject) : []
  const terminated = isJsonObject(container?.['state']) && isJsonObject(container['state']['terminated']) ? container['state']['terminated'] : undefined
  if (!terminated) throw new KubectlError(`pod ${session.namespace}/${name} failed with unknown exit code`)
  throw new KubectlError(`pod ${session.namespace}/${name} terminated (${String(terminated['reason'] ?? '')})\n${String(terminated['message'] ?? '')}`, Number(terminated['exitCode'] ?? 1))
}
