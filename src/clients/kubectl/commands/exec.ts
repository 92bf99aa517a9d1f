// kubectl exec and attach: a command in a container, or its main process, with this terminal. Upstream: kubectl/pkg/cmd/{exec,attach}
import type { JsonObject } from '../../../lib/base/json.ts'
import { isJsonObject } from '../../../lib/base/json.ts'
import { KubectlError, UsageError, defineCommand } from '../command.ts'
import type { KubectlContext } from '../command.ts'
import { runRemoteCommand } from '../remote-streams.ts'
import { collectionPath } from '../resources/object-path.ts'
import { readManifests } from '../resources/manifest-files.ts'
import { containerNames, defaultContainer, findPods, listContainers, podName } from '../resources/pods-of.ts'

const podResource = { group: '', version: 'v1', resource: 'pods', namespaced: true } as const

const streamFlags = {
  container: { type: 'string', short: 'c', usage: 'Name of the container; the first when not given.' }, 'pod-running-timeout': { type: 'duration', default: 60_000, usage: 'How long to wait for a pod to run.' }, quiet: { type: 'bool', short: 'q', usage: 'Print only what the remote side prints.' }, stdin: { type: 'bool', short: 'i', usage: 'Pass standard input on.' }, tty: { type: 'bool', short: 't', usage: 'Standard input is a terminal.' },
} as const

interface StreamFlags { readonly container: string; readonly quiet: boolean; readonly stdin: boolean; readonly tty: boolean }

/** Which container, said aloud when it was chosen for the user. */
function chooseContainer(context: KubectlContext, pod: JsonObject, flags: StreamFlags): string {
  const { containers, initContainers, ephemeralContainers } = containerNames(pod)
  if (flags.container) {
    if (![...containers, ...initContainers, ...ephemeralContainers].includes(flags.container)) throw new KubectlError(`container ${flags.container} is not valid for pod ${podName(pod)} out of: ${listContainers(pod)}`)
    return flags.container
  }
  const chosen = defaultContainer(pod)
  if (containers.length + ephemeralContainers.length + initContainers.length > 1 && !flags.quiet) context.err(`Defaulted container ${JSON.stringify(chosen)} out of: ${[...containers, ...ephemeralContainers.map((n) => `${n} (ephem)`), ...initContainers.map((n) => `${n} (init)`)].join(', ')}\n`)
  return chosen
}

function checkRunning(pod: JsonObject, what: string): void {
  const phase = isJsonObject(pod['status']) ? String(pod['status']['phase'] ?? '') : ''
  if (phase === 'Succeeded' || phase === 'Failed') throw new KubectlError(`cannot ${what} a container in a completed pod; current phase is ${phase}`)
}

/** A repeated query parameter for every word of the command. */
function streamPath(namespace: string, pod: string, subresource: 'exec' | 'attach', container: string, flags: { readonly stdin: boolean; readonly tty: boolean }, command: readonly string[]): string {
  const query = [...command.map((word) => `command=${encodeURIComponent(word)}`), `container=${encodeURIComponent(container)}`, ...(flags.stdin ? ['stdin=true'] : []), 'stdout=true', ...(flags.tty ? ['tty=true'] : ['stderr=true'])]
  return `${collectionPath(podResource, namespace)}/${encodeURIComponent(pod)}/${subresource}?${query.join('&')}`
}

function withTerminal(context: KubectlContext, flags: StreamFlags): { readonly stdin: boolean; readonly tty: boolean } {
  if (flags.tty && flags.stdin && !context.stdin.isTTY) {
    context.err('Unable to use a TTY - input is not a terminal or the right kind of file\n')
    return { stdin: flags.stdin, tty: false }
  }
  return { stdin: flags.stdin, tty: flags.tty }
}

export const execCommand = defineCommand({
  name: 'exec', group: 'Troubleshooting and Debugging Commands', short: 'Execute a command in a container', usage: '(POD | TYPE/NAME) [-c CONTAINER] [flags] -- COMMAND [args...]', examples: '  kubectl exec web-1 -- date\n  kubectl exec -it deployment/web -- sh', flags: { ...streamFlags, filename: { type: 'strings', short: 'f', usage: 'File that names the pod.' } },
  async run(context, { flags, args, argsBeforeDash }) {
    const session = context.session()
    const hasDash = argsBeforeDash < args.length
    let word: string | undefined
    let command: readonly string[]
    if (flags.filename.length > 0) {
      const [manifest] = await readManifests(flags.filename, { recursive: false, stdin: context.stdin })
      const metadata = isJsonObject(manifest?.object['metadata']) ? manifest.object['metadata'] : {}
      word = `${String(manifest?.object['kind'] ?? 'pod').toLowerCase()}/${String(metadata['name'] ?? '')}`
      command = args
    } else {
      word = args[0]
      command = args.slice(hasDash ? argsBeforeDash : 1)
      if (hasDash && argsBeforeDash > 1) throw new UsageError('exec [POD] [COMMAND] is not supported anymore. Use exec [POD] -- [COMMAND] instead', 'exec')
      if (!hasDash && command.length > 0) throw new UsageError('exec [POD] [COMMAND] is not supported anymore. Use exec [POD] -- [COMMAND] instead', 'exec')
    }
    if (word === undefined) throw new KubectlError('pod, type/name or --filename must be specified')
    if (command.length === 0) throw new KubectlError('you must specify at least one command for the container')
    const found = await findPods(session, word)
    const pod = found.pods[0] ?? {}
    checkRunning(pod, 'exec into')
    const container = chooseContainer(context, pod, flags)
    const terminal = withTerminal(context, flags)
    return runRemoteCommand(context, session, streamPath(found.namespace, podName(pod), 'exec', container, terminal, command), { ...terminal, stdout: true, stderr: !terminal.tty })
  },
})

export const attachCommand = defineCommand({
  name: 'attach', group: 'Troubleshooting and Debugging Commands', short: 'Attach to a running container', usage: '(POD | TYPE/NAME) -c CONTAINER', flags: streamFlags,
  async run(context, { flags, args }) {
    const [word] = args
    if (word === undefined || args.length > 1) throw new KubectlError(word === undefined ? 'at least 1 argument is required for attach' : 'expected POD, TYPE/NAME, or TYPE NAME')
    const session = context.session()
    const found = await findPods(session, word)
    const pod = found.pods[0] ?? {}
    checkRunning(pod, 'attach to')
    const container = chooseContainer(context, pod, flags)
    if (!flags.quiet && flags.stdin) context.err('All commands and output from this session will be recorded in container logs, including credentials and sensitive information passed through the command prompt.\n')
    if (!flags.quiet && flags.stdin) context.err('If you don\'t see a command prompt, try pressing enter.\n')
    const terminal = withTerminal(context, flags)
    return runRemoteCommand(context, session, streamPath(found.namespace, podName(pod), 'attach', container, terminal, []), { ...terminal, stdout: true, stderr: !terminal.tty })
  },
})
