// kubectl logs: of one container, of all, of every pod behind a workload or selector, once or as they come. Upstream: kubectl/pkg/cmd/logs
import type { JsonObject } from '../../../lib/base/json.ts'
import { formatTime } from '../../../lib/base/clock.ts'
import { hasReason } from '../../../lib/client/api-error.ts'
import { KubectlError, UsageError, defineCommand } from '../command.ts'
import type { KubectlContext } from '../command.ts'
import { objectPath } from '../resources/object-path.ts'
import { containerNames, defaultContainer, findPods, listContainers, listPods, podName } from '../resources/pods-of.ts'
import type { NamedPods } from '../resources/pods-of.ts'
import type { Session } from '../session.ts'

const podResource = { group: '', version: 'v1', resource: 'pods', namespaced: true } as const

interface Source {
  readonly namespace: string
  readonly pod: string
  readonly container: string
}

export const logsCommand = defineCommand({
  name: 'logs', group: 'Troubleshooting and Debugging Commands', short: 'Print the logs for a container in a pod', usage: '[-f] [-p] (POD | TYPE/NAME) [-c CONTAINER] [options]',
  examples: '  kubectl logs web-1\n  kubectl logs -f deployment/web --all-pods\n  kubectl logs -l app=web --tail=20',
  flags: {
    'all-containers': { type: 'bool', usage: 'Of all containers of the pod.' }, 'all-pods': { type: 'bool', usage: 'Of all pods of the workload.' }, container: { type: 'string', short: 'c', usage: 'Of this container.' }, follow: { type: 'bool', short: 'f', usage: 'Go on as more comes.' },
    'ignore-errors': { type: 'bool', usage: 'When following, go on after an error.' }, 'insecure-skip-tls-verify-backend': { type: 'bool', usage: "Don't check the kubelet's certificate." }, 'limit-bytes': { type: 'int', usage: 'Most bytes to print.' }, 'max-log-requests': { type: 'int', default: 5, usage: 'Most logs to follow at a time.' },
    'pod-running-timeout': { type: 'duration', default: 20_000, usage: 'How long to wait for a pod to run.' }, prefix: { type: 'bool', usage: 'Put the pod and container in front of each line.' }, previous: { type: 'bool', short: 'p', usage: 'Of the instance before this one.' },
    selector: { type: 'string', short: 'l', usage: 'Selector of labels.' }, since: { type: 'duration', usage: 'Only what is newer than this.' }, 'since-time': { type: 'string', usage: 'Only what is newer than this time (RFC 3339).' }, tail: { type: 'int', default: -1, usage: 'Lines from the end; -1: all (10 with a selector).' }, timestamps: { type: 'bool', usage: 'Put the time in front of each line.' },
  },
  async run(context, { flags, args, given }) {
    const session = context.session()
    if (args.length === 0 && flags.selector === '') throw new UsageError("expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.\nPOD or TYPE/NAME is a required argument for the logs command", 'logs')
    if (args.length > 0 && flags.selector !== '') throw new UsageError('only a selector (-l) or a POD name is allowed', 'logs')
    if (args.length > 2) throw new UsageError("expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.\nPOD or TYPE/NAME is a required argument for the logs command", 'logs')
    if (given.has('since') && given.has('since-time')) throw new KubectlError('at most one of `sinceTime` or `sinceSeconds` may be specified')
    if (flags['all-containers'] && flags.container !== '') throw new KubectlError('--all-containers=true should not be specified with container name')
    if (flags.tail < -1) throw new KubectlError('--tail must be greater than or equal to -1')
    const container = flags.container || (args[1] ?? '')
    const sources: Source[] = []
    const take = (namespace: string, pod: JsonObject): void => {
      const { containers, initContainers, ephemeralContainers } = containerNames(pod)
      const all = [...initContainers, ...containers, ...ephemeralContainers]
      if (flags['all-containers']) { for (const name of all) sources.push({ namespace, pod: podName(pod), container: name }); return }
      if (container !== '') {
        if (!all.includes(container)) throw new KubectlError(`container ${container} is not valid for pod ${podName(pod)} out of: ${listContainers(pod)}`)
        sources.push({ namespace, pod: podName(pod), container })
        return
      }
      const chosen = defaultContainer(pod)
      if (containers.length > 1) context.err(`Defaulted container ${JSON.stringify(chosen)} out of: ${[...containers, ...initContainers.map((n) => `${n} (init)`), ...ephemeralContainers.map((n) => `${n} (ephem)`)].join(', ')}\n`)
      sources.push({ namespace, pod: podName(pod), container: chosen })
    }
    if (flags.selector) for (const pod of await listPods(session, session.namespace, flags.selector)) take(session.namespace, pod)
    else {
      const found = await namedPods(session, args[0] ?? '')
      const wanted = flags['all-pods'] ? found.pods : found.pods.slice(0, 1)
      if (!found.direct && wanted.length === 1 && found.pods.length > 1) context.err(`Found ${found.pods.length} pods, using pod/${podName(wanted[0] ?? {})}\n`)
      for (const pod of wanted) take(found.namespace, pod)
    }
    if (sources.length === 0) { context.err(`No resources found in ${session.namespace} namespace.\n`); return 0 }
    if (flags.follow && sources.length > flags['max-log-requests']) throw new KubectlError(`you are attempting to follow ${sources.length} log streams, but maximum allowed concurrency is ${flags['max-log-requests']}, use --max-log-requests to increase the limit`)
    const tail = given.has('tail') ? flags.tail : flags.selector ? 10 : -1
    const query = {
      follow: flags.follow || undefined, previous: flags.previous || undefined, timestamps: flags.timestamps || undefined, tailLines: tail >= 0 ? tail : undefined, limitBytes: flags['limit-bytes'] || undefined,
      sinceSeconds: flags.since > 0 ? Math.ceil(flags.since / 1000) : undefined, sinceTime: flags['since-time'] ? formatTime(Date.parse(flags['since-time'])) : undefined, insecureSkipTLSVerifyBackend: flags['insecure-skip-tls-verify-backend'] || undefined,
    }
    const prefixed = flags.prefix || (flags['all-pods'] && sources.length > 1)
    const print = async (source: Source): Promise<void> => {
      try {
        await printLog(context, session, objectPath(podResource, source.namespace, source.pod, 'log', { container: source.container, ...query }), prefixed ? `[pod/${source.pod}/${source.container}] ` : '')
      } catch (error) {
        if (context.signal.aborted) return
        if (!flags['ignore-errors']) throw error
        context.err(`error: ${error instanceof Error ? error.message : String(error)}\n`)
      }
    }
    if (flags.follow && sources.length > 1) await Promise.all(sources.map(print))
    else for (const source of sources) await print(source)
    return 0
  },
})

/** The original speaks of a missing object in its own way here. */
async function namedPods(session: Session, word: string): Promise<NamedPods> {
  try {
    return await findPods(session, word)
  } catch (error) {
    if (hasReason(error, 'NotFound')) throw new KubectlError(`error from server (NotFound): ${error.message} in namespace ${JSON.stringify(session.namespace)}`)
    throw error
  }
}

async function printLog(context: KubectlContext, session: Session, path: string, prefix: string): Promise<void> {
  const response = await session.send('GET', path, { accept: 'text/plain, application/json, */*' })
  const write = linePrinter(context, prefix)
  switch (response.body.kind) {
    case 'bytes': write(response.body.bytes); break
    case 'stream': for await (const piece of response.body.stream) write(piece); break
    default: throw new KubectlError('the server sent no log')
  }
}

/** Bytes as they come; with a prefix, line by line. */
function linePrinter(context: KubectlContext, prefix: string): (piece: Uint8Array) => void {
  if (prefix === '') return (piece) => { context.stdout.write(piece) }
  let atStart = true
  const decoder = new TextDecoder()
  return (piece) => {
    let text = ''
    for (const line of decoder.decode(piece, { stream: true }).split(/(?<=\n)/)) {
      text += (atStart ? prefix : '') + line
      atStart = line.endsWith('\n')
    }
    context.out(text)
  }
}
