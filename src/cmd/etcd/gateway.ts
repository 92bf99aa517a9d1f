// `etcd gateway start`: passes TCP connections on to the members of a cluster, one after the other. Who can't be reached is left out until a look
// finds it again. It reads nothing of what it passes on. Upstream: etcd/server/etcdmain/gateway.go, etcd/server/proxy/tcpproxy
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { Resolver } from 'node:dns/promises'
import { realClock } from '../../lib/async/real-clock.ts'
import { realRandom } from '../../lib/async/real-random.ts'
import { sleep, type Clock } from '../../lib/base/clock.ts'
import { randomInteger, type Random } from '../../lib/base/random.ts'
import { FlagError, type FlagSpecs } from '../../lib/component-base/flags.ts'
import { describeError, type Logger } from '../../lib/component-base/log.ts'
import { notifySystemd } from '../notify-systemd.ts'
import { runComponent, untilAborted } from '../run-component.ts'

export interface GatewayEndpoint {
  readonly host: string
  readonly port: number
  /** Lower ones first; of SRV records. */
  readonly priority: number
  /** Shares of connections; 0 when nobody said. */
  readonly weight: number
}

const flags = {
  'listen-addr': { type: 'string', default: '127.0.0.1:23790', usage: 'where to listen' },
  endpoints: { type: 'strings', default: ['127.0.0.1:2379'], usage: 'members to pass connections on to' },
  'discovery-srv': { type: 'string', usage: 'DNS domain whose SRV records name the members' },
  'discovery-srv-name': { type: 'string', usage: "suffix of the records' name: _etcd-client-NAME._tcp" },
  'insecure-discovery': { type: 'bool', usage: 'take records of members without TLS too' },
  'retry-delay': { type: 'duration', default: 60_000, usage: 'time between looks for members that could not be reached' },
  'trusted-ca-file': { type: 'string', usage: 'no effect: what is found is not checked beforehand' },
} as const satisfies FlagSpecs

export function runGateway(args: readonly string[]): Promise<number> {
  return runComponent({
    name: 'etcd gateway start', description: 'The gateway passes TCP connections on to the members of an etcd cluster.', flags,
    async main({ flags: given }, logger, signal) {
      const endpoints = given['discovery-srv'] === '' ? given.endpoints.map(parseEndpoint) : await discover(given['discovery-srv'], given['discovery-srv-name'], given['insecure-discovery'])
      const listen = parseEndpoint(given['listen-addr'])
      if (endpoints.length === 0) throw new FlagError('no endpoints found')
      if (endpoints.some((endpoint) => endpoint.host === listen.host && endpoint.port === listen.port)) throw new FlagError(`an endpoint is the gateway's own listen address (${given['listen-addr']})`)
      await using gateway = await startGateway({ listen, endpoints, retryDelayMs: given['retry-delay'], clock: realClock, random: realRandom, logger })
      logger.info('ready to proxy client requests', { listen: `${listen.host}:${gateway.port}`, endpoints: endpoints.map(({ host, port }) => `${host}:${port}`).join(',') })
      await notifySystemd('READY=1', process.env, logger)
      await untilAborted(signal)
      return 0
    },
  }, args)
}

/** `host:port`, with or without a scheme. @throws FlagError */
export function parseEndpoint(text: string): GatewayEndpoint {
  const [, bracketed, plain, port] = /^(?:[a-z]+:\/\/)?(?:\[([^\]]+)\]|([^:/]+)):(\d+)\/?$/.exec(text) ?? []
  const host = bracketed ?? plain
  if (host === undefined) throw new FlagError(`error parsing endpoint ${JSON.stringify(text)}`)
  return { host, port: Number(port), priority: 0, weight: 0 }
}

async function discover(domain: string, name: string, insecure: boolean): Promise<readonly GatewayEndpoint[]> {
  const suffix = name === '' ? '' : `-${name}`
  const found = await Promise.all([`_etcd-client-ssl${suffix}._tcp.${domain}`, ...(insecure ? [`_etcd-client${suffix}._tcp.${domain}`] : [])].map((record) => new Resolver().resolveSrv(record).catch(() => [])))
  return found.flat().map(({ name: host, port, priority, weight }) => ({ host, port, priority, weight }))
}

export interface GatewayOptions {
  readonly listen: { readonly host: string; readonly port: number }
  readonly endpoints: readonly GatewayEndpoint[]
  readonly retryDelayMs: number
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

/** Which endpoint gets the next connection. */
export class EndpointChoice {
  readonly #endpoints: readonly GatewayEndpoint[]
  readonly #random: Random
  readonly inactive = new Set<GatewayEndpoint>()
  #turn = 0

  constructor(endpoints: readonly GatewayEndpoint[], random: Random) {
    this.#endpoints = endpoints
    this.#random = random
  }

  /** Undefined when none can be reached. */
  pick(): GatewayEndpoint | undefined {
    const active = this.#endpoints.filter((endpoint) => !this.inactive.has(endpoint))
    const best = Math.min(...active.map(({ priority }) => priority))
    const candidates = active.filter(({ priority }) => priority === best)
    const shares = candidates.reduce((sum, { weight }) => sum + weight, 0)
    if (shares === 0) return candidates[this.#turn++ % Math.max(1, candidates.length)]
    let share = randomInteger(this.#random, shares)
    return candidates.find(({ weight }) => (share -= weight) < 0)
  }
}

export async function startGateway(options: GatewayOptions): Promise<AsyncDisposable & { readonly port: number }> {
  const { clock, logger, retryDelayMs } = options
  const choice = new EndpointChoice(options.endpoints, options.random)
  const sockets = new Set<Socket>()
  const ended = new AbortController()
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (incoming) => { void serve(incoming) })
  const keep = (socket: Socket): void => {
    sockets.add(socket)
    socket.on('error', () => socket.destroy()).once('close', () => sockets.delete(socket))
  }
  const serve = async (incoming: Socket): Promise<void> => {
    keep(incoming)
    for (;;) {
      const endpoint = choice.pick()
      if (!endpoint) { incoming.destroy(); return }
      const outgoing = await dial(endpoint).catch((error: unknown) => {
        choice.inactive.add(endpoint)
        logger.warn('deactivated endpoint', { address: `${endpoint.host}:${endpoint.port}`, why: describeError(error) })
        return undefined
      })
      if (!outgoing) continue
      keep(outgoing)
      for (const [from, to] of [[incoming, outgoing], [outgoing, incoming]] as const) from.pipe(to).once('close', () => from.destroy())
      return
    }
  }
  const watch = async (): Promise<void> => {
    for (;;) {
      await sleep(clock, retryDelayMs, ended.signal)
      await Promise.all([...choice.inactive].map(async (endpoint) => {
        const socket = await dial(endpoint).catch(() => undefined)
        socket?.destroy()
        if (!socket) return
        choice.inactive.delete(endpoint)
        logger.info('activated', { address: `${endpoint.host}:${endpoint.port}` })
      }))
    }
  }
  await new Promise<void>((resolve, reject) => { server.once('error', reject).listen(options.listen.port, options.listen.host, () => resolve()) })
  const watching = watch().catch(() => {})
  return {
    port: (server.address() as AddressInfo).port, // cast: it listens on TCP
    [Symbol.asyncDispose]: async () => {
      ended.abort(new Error('the gateway ends'))
      for (const socket of sockets) socket.destroy()
      await new Promise<void>((done) => { server.close(() => done()) })
      await watching
    },
  }
}

function dial({ host, port }: GatewayEndpoint): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, allowHalfOpen: true, noDelay: true })
    socket.once('connect', () => { socket.off('error', reject); resolve(socket) }).once('error', reject)
  })
}
