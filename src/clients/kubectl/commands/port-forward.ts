// kubectl port-forward: local ports that lead to a pod's. Upstream: kubectl/pkg/cmd/portforward, client-go/tools/portforward
import { createServer } from 'node:net'
import type { Server } from 'node:net'
import type { JsonObject } from '../../../lib/base/json.ts'
import { isJsonObject } from '../../../lib/base/json.ts'
import { connectPortForward } from '../../../lib/net/streaming/port-forward-client.ts'
import { KubectlError, UsageError, defineCommand } from '../command.ts'
import { refusalOf, webSocketTarget } from '../remote-streams.ts'
import { objectPath } from '../resources/object-path.ts'
import { resolveTargets } from '../resources/resource-arguments.ts'
import { findPods, podName } from '../resources/pods-of.ts'
import type { Session } from '../session.ts'

const podResource = { group: '', version: 'v1', resource: 'pods', namespaced: true } as const

interface PortPair { readonly local: number; readonly remote: number }

/** `8080`, `8080:80`, `:80`; names of ports are looked up in the Service or pod. */
async function parsePorts(session: Session, word: string, texts: readonly string[], pod: JsonObject): Promise<readonly PortPair[]> {
  const isService = word.includes('/') && /^(svc|services?|service\.v1\.?)\//.test(word)
  const [target] = isService ? await resolveTargets(session, [word], { allNamespaces: false }) : []
  const service = target?.type === 'object' ? await session.request('GET', objectPath(target.resource, target.namespace, target.name)) : undefined
  const listOf = (holder: unknown, field: string): readonly JsonObject[] => (isJsonObject(holder) && Array.isArray(holder[field]) ? holder[field].filter(isJsonObject) : [])
  const containerPort = (name: string): number | undefined => {
    for (const container of listOf(pod['spec'], 'containers')) for (const port of listOf(container, 'ports')) if (port['name'] === name) return Number(port['containerPort'])
    return undefined
  }
  return texts.map((text) => {
    const [first = '', second] = text.split(':')
    const remoteText = second ?? first
    let remote: number | undefined
    if (service) {
      const entry = listOf(service['spec'], 'ports').find((p) => String(p['port']) === remoteText || p['name'] === remoteText)
      if (!entry) throw new KubectlError(`Service ${word.split('/')[1] ?? ''} does not have a service port ${remoteText}`)
      const targetPort = entry['targetPort']
      remote = typeof targetPort === 'number' ? targetPort : typeof targetPort === 'string' ? (/^\d+$/.test(targetPort) ? Number(targetPort) : containerPort(targetPort)) : Number(entry['port'])
    } else remote = /^\d+$/.test(remoteText) ? Number(remoteText) : containerPort(remoteText)
    if (remote === undefined || remote < 1 || remote > 65_535) throw new KubectlError(/^\d+$/.test(remoteText) ? `error parsing remote port '${remoteText}'` : `Pod '${podName(pod)}' does not have a named port '${remoteText}'`)
    const local = second === undefined ? (/^\d+$/.test(first) ? Number(first) : remote) : first === '' ? 0 : Number(first)
    if (!Number.isInteger(local) || local > 65_535) throw new KubectlError(`error parsing local port '${first}'`)
    return { local, remote }
  })
}

export const portForwardCommand = defineCommand({
  name: 'port-forward', group: 'Troubleshooting and Debugging Commands', short: 'Forward one or more local ports to a pod', usage: 'TYPE/NAME [options] [LOCAL_PORT:]REMOTE_PORT [...[LOCAL_PORT_N:]REMOTE_PORT_N]',
  flags: { address: { type: 'strings', default: ['localhost'], usage: 'Addresses to listen on.' }, 'pod-running-timeout': { type: 'duration', default: 60_000, usage: 'How long to wait for a pod to run.' } },
  async run(context, { flags, args }) {
    const [word, ...texts] = args
    if (word === undefined || texts.length === 0) throw new UsageError('TYPE/NAME and list of ports are required for port-forward', 'port-forward')
    const session = context.session()
    const { pods, namespace } = await findPods(session, word)
    const pod = pods[0] ?? {}
    const phase = isJsonObject(pod['status']) ? String(pod['status']['phase'] ?? '') : ''
    if (phase !== 'Running') throw new KubectlError(`unable to forward port because pod is not running. Current status=${phase}`)
    const pairs = await parsePorts(session, word, texts, pod)
    const { url, options } = webSocketTarget(session, objectPath(podResource, namespace, podName(pod), 'portforward'))
    let remote: Awaited<ReturnType<typeof connectPortForward>>
    try {
      remote = await connectPortForward(url, options, context.signal)
    } catch (error) {
      throw refusalOf(error)
    }
    const servers: Server[] = []
    const failed = Promise.withResolvers<never>()
    const addresses = flags.address.flatMap((a) => (a === 'localhost' ? ['127.0.0.1', '::1'] : [a]))
    for (const pair of pairs) {
      let opened = 0
      let localPort = pair.local
      for (const address of addresses) {
        const server = createServer((connection) => {
          context.out(`Handling connection for ${localPort}\n`)
          connection.on('error', () => {})
          remote.forward(connection, pair.remote, context.signal).then((problem) => {
            if (problem !== undefined) { context.err(`E an error occurred forwarding ${localPort} -> ${pair.remote}: ${problem}\n`); failed.reject(new KubectlError('lost connection to pod')) }
          }, () => connection.destroy())
        })
        try {
          await new Promise<void>((resolve, reject) => server.once('error', reject).listen(localPort, address, resolve))
        } catch (error) {
          if (address === '::1' && opened > 0) continue // no IPv6 here
          context.err(`Unable to listen on port ${pair.local}: ${error instanceof Error ? error.message : String(error)}\n`)
          continue
        }
        const bound = server.address()
        if (typeof bound === 'object' && bound) localPort = bound.port
        servers.push(server)
        opened++
        context.out(`Forwarding from ${address.includes(':') ? `[${address}]` : address}:${localPort} -> ${pair.remote}\n`)
      }
      if (opened === 0) throw new KubectlError(`unable to listen on any of the requested ports: [{${pair.local} ${pair.remote}}]`)
    }
    const aborted = new Promise<number>((resolve) => context.signal.addEventListener('abort', () => resolve(0), { once: true }))
    try {
      return await Promise.race([aborted, failed.promise, remote.closed.then(() => { throw new KubectlError('lost connection to pod') })])
    } finally {
      for (const server of servers) server.close()
      remote.close()
    }
  },
})
