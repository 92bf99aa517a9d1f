// From flags to clients of etcd. What can't work (an unreadable file, a key of another certificate, an authority that did not sign) ends the
// program with a sentence that says what to do; an etcd that isn't there yet is waited for.
import { readFileSync } from 'node:fs'
import { createSecureContext } from 'node:tls'
import type { Clock } from '../../lib/base/clock.ts'
import { sleep } from '../../lib/base/clock.ts'
import type { Random } from '../../lib/base/random.ts'
import type { FlagValues } from '../../lib/component-base/flags.ts'
import type { Logger } from '../../lib/component-base/log.ts'
import { RemoteEtcdClient, type RemoteEtcdOptions } from '../../lib/etcd-client/remote-etcd-client.ts'
import type { ClientTls } from '../../lib/net/grpc/grpc-channel.ts'
import { parseOverrides, type etcdFlags } from './etcd-flags.ts'

type Flags = FlagValues<typeof etcdFlags>

export interface EtcdConnections extends Disposable {
  readonly etcd: RemoteEtcdClient
  readonly overrides: ReadonlyMap<string, RemoteEtcdClient>
  /** What each of them was made with. */
  readonly options: readonly RemoteEtcdOptions[]
}

/** The user has to change something. */
export class EtcdFlagError extends Error {
  override readonly name = 'EtcdFlagError'
}

/** @throws EtcdFlagError */
export function connectEtcd(flags: Flags, clock: Clock, random: Random): EtcdConnections {
  const tls = clientTls(flags)
  const overrides = parseOverrides(flags['etcd-servers-overrides'])
  if (typeof overrides === 'string') throw new EtcdFlagError(overrides)
  const all: RemoteEtcdOptions[] = []
  const open = (endpoints: readonly string[]): RemoteEtcdClient => {
    const options = { endpoints, clock, random, ...(tls && { tls }) }
    all.push(options)
    return new RemoteEtcdClient(options)
  }
  const endpoints = flags['etcd-servers']
  if (tls && endpoints.every((endpoint) => endpoint.startsWith('http://'))) {
    throw new EtcdFlagError(`--etcd-cafile and --etcd-certfile are given, but ${endpoints.join(', ')} would be spoken to in the clear: write https:// in --etcd-servers`)
  }
  const etcd = open(flags['etcd-servers'])
  const byServers = new Map([[serversKey(flags['etcd-servers']), etcd]])
  const byResource = new Map<string, RemoteEtcdClient>()
  for (const { resource, servers } of overrides) {
    const key = serversKey(servers)
    let client = byServers.get(key)
    if (!client) byServers.set(key, client = open(servers))
    byResource.set(resource, client)
  }
  return { etcd, overrides: byResource, options: all, [Symbol.dispose]() { for (const client of byServers.values()) client[Symbol.dispose]() } }
}

const serversKey = (servers: readonly string[]): string => [...servers].sort().join(';')

function clientTls(flags: Flags): ClientTls | undefined {
  const read = (flag: 'etcd-cafile' | 'etcd-certfile' | 'etcd-keyfile'): string | undefined => {
    const path = flags[flag]
    if (path === '') return undefined
    let text: string
    try { text = readFileSync(path, 'utf8') } catch (error) { throw new EtcdFlagError(`--${flag}: ${path} can't be read (${codeOf(error)}): give the path of a PEM file that this user may read`, { cause: error }) }
    const wanted = flag === 'etcd-keyfile' ? 'PRIVATE KEY' : 'CERTIFICATE'
    if (!text.includes(`${wanted}-----`)) throw new EtcdFlagError(`--${flag}: there is no ${wanted} in ${path}: it has to be a PEM file`)
    return text
  }
  const ca = read('etcd-cafile')
  const cert = read('etcd-certfile')
  const key = read('etcd-keyfile')
  if (ca === undefined && cert === undefined && key === undefined) return undefined
  try {
    createSecureContext({ ca, cert, key })
  } catch (error) {
    const what = codeOf(error) === 'ERR_OSSL_X509_KEY_VALUES_MISMATCH' ? `the key in --etcd-keyfile (${flags['etcd-keyfile']}) belongs to another certificate than the one in --etcd-certfile (${flags['etcd-certfile']})`
      : `--etcd-cafile, --etcd-certfile or --etcd-keyfile can't be used: ${error instanceof Error ? error.message : String(error)}`
    throw new EtcdFlagError(`${what}: give the files that were made together`, { cause: error })
  }
  return { ...(ca !== undefined && { ca }), ...(cert !== undefined && { cert }), ...(key !== undefined && { key }) }
}

const codeOf = (error: unknown): string => {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' ? code : ''
}

/** Waits until etcd answers. @throws EtcdFlagError when it never will, as things are */
export async function waitForEtcd(connections: EtcdConnections, flags: Flags, clock: Clock, logger: Logger, signal: AbortSignal): Promise<void> {
  await Promise.all(connections.options.map(async (options) => {
    // One that is told soon.
    using client = new RemoteEtcdClient({ ...options, patienceMs: 500 })
    for (let hasSaid = false; ; hasSaid = true) {
      try {
        await client.range({ key: Buffer.from('health'), countOnly: true }, signal)
        return
      } catch (error) {
        if (signal.aborted) throw error
        const advice = adviceOn(error, flags)
        if (advice !== undefined) throw new EtcdFlagError(advice, { cause: error })
        const message = error instanceof Error ? error.message : String(error)
        if (!hasSaid) logger.warn('etcd does not answer; waiting for it', { servers: flags['etcd-servers'].join(','), error: message })
        if (hasBeenClosed(error) && flags['etcd-servers'].some((server) => server.startsWith('https:'))) {
          logger.warn(`etcd closes the connection at once: it may not accept this server's certificate (${ownCertificate(flags)}); it has to be one that etcd's --trusted-ca-file has signed, in --etcd-certfile and --etcd-keyfile`)
        }
        await sleep(clock, 500, signal)
      }
    }
  }))
}

const oneLine = (text: string): string => text.trim().replace(/\s+/g, ' ')
const ownCertificate = (flags: Pick<Flags, 'etcd-certfile'>): string => (flags['etcd-certfile'] === '' ? 'no --etcd-certfile is given' : `--etcd-certfile is ${flags['etcd-certfile']}`)

/** A server that refuses a certificate may say nothing more than that. */
function hasBeenClosed(error: unknown): boolean {
  for (let at: unknown = error; at instanceof Error; at = at.cause) if (at.message.includes('the server closed the connection') || codeOf(at) === 'ECONNRESET') return true
  return false
}

/** What to do about an error that trying again doesn't end; undefined when it may. */
export function adviceOn(error: unknown, flags: Pick<Flags, 'etcd-servers' | 'etcd-cafile' | 'etcd-certfile'>): string | undefined {
  const servers = flags['etcd-servers'].join(', ')
  const authority = flags['etcd-cafile'] === '' ? '--etcd-cafile is not given' : `--etcd-cafile is ${flags['etcd-cafile']}`
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    const code = codeOf(at)
    if (/^(UNABLE_TO_VERIFY_LEAF_SIGNATURE|UNABLE_TO_GET_ISSUER_CERT(_LOCALLY)?|SELF_SIGNED_CERT_IN_CHAIN|DEPTH_ZERO_SELF_SIGNED_CERT|CERT_SIGNATURE_FAILURE)$/.test(code)) {
      return `the certificate of etcd (${servers}) is not signed by an authority that this server trusts (${at.message}; ${authority}): give the authority that signed etcd's certificate in --etcd-cafile`
    }
    if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return `the certificate of etcd (${servers}) is for another name (${at.message}): use one of its names in --etcd-servers, or give etcd a certificate with the address that is used`
    if (code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID') return `the certificate of etcd (${servers}) is not valid now (${at.message}): renew it, or set this machine's clock`
    if (/ALERT_(CERTIFICATE_REQUIRED|BAD_CERTIFICATE|UNKNOWN_CA|CERTIFICATE_UNKNOWN|CERTIFICATE_EXPIRED|UNSUPPORTED_CERTIFICATE|HANDSHAKE_FAILURE)/.test(code) || /alert (number \d+|certificate required|bad certificate|unknown ca)/i.test(at.message)) {
      return `etcd (${servers}) does not accept this server's certificate (${oneLine(at.message)}; ${ownCertificate(flags)}): give a certificate in --etcd-certfile and --etcd-keyfile that etcd's --trusted-ca-file has signed`
    }
    if (code === 'ERR_SSL_WRONG_VERSION_NUMBER' || code === 'ERR_SSL_PACKET_LENGTH_TOO_LONG') return `etcd (${servers}) does not speak TLS there (${oneLine(at.message)}): write http:// in --etcd-servers, or give etcd a certificate`
    if (/^ERR_INVALID_(URL|PROTOCOL)$/.test(code)) return `--etcd-servers: ${servers} can't be used (${at.message})`
  }
  return undefined
}
