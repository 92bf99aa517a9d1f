// Discovery by DNS: SRV records of a domain name the members of a new cluster, `_etcd-server-ssl._tcp` for https, `_etcd-server._tcp` for http.
//
// A record that leads to one of this member's own peer URLs is this member; the others are numbered.
// Upstream: etcd/client/pkg/srv/srv.go, etcd/server/embed/config.go
import type { Logger } from '../../../lib/component-base/log.ts'
import { BootstrapError } from '../membership/plan-bootstrap.ts'
import { parseMemberUrl, type MemberUrl } from '../membership/parse-urls.ts'
import type { LookUpHost } from './same-places.ts'

export interface SrvRecord {
  readonly name: string
  readonly port: number
}

export interface DnsDiscovery {
  readonly name: string
  /** `--discovery-srv`. */
  readonly domain: string
  /** `--discovery-srv-name`: `_etcd-server-NAME._tcp`. */
  readonly serviceName: string
  /** `--initial-advertise-peer-urls`. */
  readonly peerUrls: readonly string[]
  /** The records of `_service._tcp.domain`. @throws when there are none */
  lookUpSrv(name: string): Promise<readonly SrvRecord[]>
  readonly lookUpHost: LookUpHost
  readonly logger: Logger
}

/** What `--initial-cluster` would say. @throws BootstrapError when nothing was found, or this member is not among it */
export async function discoverByDns(options: DnsDiscovery): Promise<string> {
  const suffix = options.serviceName === '' ? '' : `-${options.serviceName}`
  const found: string[] = []
  const problems: string[] = []
  for (const [scheme, service] of [['https', `etcd-server-ssl${suffix}`], ['http', `etcd-server${suffix}`]] as const) {
    try {
      found.push(...await membersOf(options, scheme, service))
    } catch (error) {
      problems.push(`error querying DNS SRV records for _${service} ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  if (problems.length > 0) options.logger.info('some SRV records were not found', { problems: problems.join('; ') }, found.length === 0 ? 0 : 2)
  if (found.length === 0) throw new BootstrapError(problems.join('\n'))
  for (const member of found) options.logger.info('got bootstrap from DNS for etcd-server', { node: member })
  if (!found.some((pair) => pair.startsWith(`${options.name}=`))) throw new BootstrapError(`cannot find local etcd member ${JSON.stringify(options.name)} in SRV records`)
  return found.join(',')
}

async function membersOf(options: DnsDiscovery, scheme: 'http' | 'https', service: string): Promise<readonly string[]> {
  const own = new Map<string, MemberUrl>()
  for (const text of options.peerUrls) {
    const url = parseMemberUrl(text)
    own.set(await placeOf(options, url.host, url.port), url)
  }
  const found: string[] = []
  let problem: unknown
  let number = 0
  for (const { name, port } of await options.lookUpSrv(`_${service}._tcp.${options.domain}`)) {
    const host = name.replace(/\.$/, '')
    try {
      const ownUrl = own.get(await placeOf(options, host, port))
      const memberName = ownUrl ? options.name : String(number++)
      if (ownUrl && ownUrl.scheme !== scheme) throw new BootstrapError(`bootstrap at ${scheme}://${host}:${port} from DNS for ${service} has scheme mismatch with expected peer ${ownUrl.text}`)
      found.push(`${memberName}=${scheme}://${host}:${port}`)
    } catch (error) {
      problem = error
    }
  }
  if (found.length === 0 && problem !== undefined) throw problem
  return found
}

async function placeOf(options: DnsDiscovery, host: string, port: number): Promise<string> { return `${await options.lookUpHost(host)} ${port}` }
