// Cluster IPs and node ports: chosen before a Service is written, kept when it is, given back when it isn't or when it goes.
//
// Rules it keeps: who has what is rebuilt from the Services themselves, so nothing can leak; each address also is an IPAddress object, written in the
// Service's own transaction, so that two API servers can't give out the same one. Type changes follow the original: away from ExternalName a
// Service gets an address, towards it the address goes.
// Upstream: pkg/registry/core/service/storage/alloc.go
import { fieldInvalid } from '../../../lib/apimachinery/field-error.ts'
import { formatTime } from '../../../lib/base/clock.ts'
import type { Clock } from '../../../lib/base/clock.ts'
import type { Random } from '../../../lib/base/random.ts'
import { randomUuid } from '../../../lib/base/random.ts'
import type { Service, ServicePort } from '../../../lib/api/generated/types/core-v1.ts'
import type { ApiObject } from '../../../lib/client/api-client.ts'
import { internalError, invalid } from '../endpoints/api-errors.ts'
import type { ServedResource } from '../endpoints/served-resource.ts'
import type { ExtraOperations } from '../storage/resource-store.ts'
import { asApiObject } from '../storage/stored-object.ts'
import type { CacheEvent } from '../storage/cache-event.ts'
import { AddressAllocator } from './address-allocator.ts'
import { PortAllocator } from './port-allocator.ts'
import type { PortRange } from './port-allocator.ts'
import { asService, isService } from './service-allocation.ts'
import type { Reservation, ServiceAllocation } from './service-allocation.ts'

export interface ServiceAllocatorOptions {
  readonly clusterIpRange: string
  readonly nodePortRange: PortRange
  readonly random: Random
  readonly clock: Clock
  readonly services: ServedResource
  /** Absent: addresses are guarded by this server's memory only. */
  readonly ipAddresses: ServedResource | undefined
}

const ownerOf = (service: Service): string => `${service.metadata.namespace ?? ''}/${service.metadata.name}`
const needsAddress = (service: Service): boolean => service.spec.type !== 'ExternalName' && service.spec.clusterIP !== 'None'
const needsNodePorts = ({ spec }: Service): boolean => spec.type === 'NodePort' || (spec.type === 'LoadBalancer' && spec.allocateLoadBalancerNodePorts !== false)
const addressesOf = (service: Service | undefined): readonly string[] =>
  (service === undefined ? [] : service.spec.clusterIPs ?? (service.spec.clusterIP ? [service.spec.clusterIP] : [])).filter((ip) => ip !== '' && ip !== 'None')
const portsOf = (service: Service | undefined): readonly number[] =>
  service === undefined ? [] : [...(service.spec.ports ?? []).flatMap((p) => (p.nodePort ? [p.nodePort] : [])), ...(service.spec.healthCheckNodePort ? [service.spec.healthCheckNodePort] : [])]

export class ServiceAllocator implements ServiceAllocation {
  readonly addresses: AddressAllocator
  readonly #ports: PortAllocator
  readonly #options: ServiceAllocatorOptions

  constructor(options: ServiceAllocatorOptions) {
    this.#options = options
    this.addresses = new AddressAllocator(options.clusterIpRange)
    this.#ports = new PortAllocator(options.nodePortRange)
    const { cache } = options.services.store
    for (const stored of cache.list('')) this.#note(asService(stored.object))
    cache.listen((event) => { this.#follow(event) })
  }

  reserve(resource: ServedResource, object: ApiObject, old: ApiObject | undefined, dryRun: boolean): Reservation | undefined {
    if (!isService(resource)) return undefined
    const service = asService(object)
    const before = old && asService(old)
    const owner = ownerOf(service)
    const taken = { ips: [] as string[], ports: [] as number[] } // cast: filled below
    const release = (): void => {
      for (const ip of taken.ips) this.addresses.release(ip, owner)
      for (const port of taken.ports) this.#ports.release(port, owner)
    }
    try {
      const withAddress = this.#withAddress(service, before, owner, taken.ips)
      const allocated = this.#withNodePorts(withAddress, before, owner, taken.ports)
      if (dryRun) release()
      const goneIps = addressesOf(before).filter((ip) => !addressesOf(allocated).includes(ip))
      const gonePorts = portsOf(before).filter((port) => !portsOf(allocated).includes(port))
      const extra = this.#operations(allocated, taken.ips, goneIps)
      return {
        object: asApiObject(allocated),
        ...(extra && { extra }),
        commit: () => {
          for (const ip of goneIps) this.addresses.release(ip, owner)
          for (const port of gonePorts) this.#ports.release(port, owner)
        },
        release,
        markTaken: () => { for (const ip of taken.ips) this.addresses.take(ip, 'another API server') },
      }
    } catch (error) {
      release()
      throw error
    }
  }

  releaseOf(resource: ServedResource, object: ApiObject): ExtraOperations | undefined {
    if (!isService(resource)) return undefined
    const ips = addressesOf(asService(object))
    return ips.length === 0 || !this.#options.ipAddresses ? undefined : { compare: [], success: ips.map((ip) => this.#removal(ip)) }
  }

  #withAddress(service: Service, before: Service | undefined, owner: string, taken: string[]): Service {
    const { spec } = service
    if (!needsAddress(service)) {
      if (spec.type !== 'ExternalName' || addressesOf(service).length === 0) return service.spec.clusterIP === 'None' && !spec.clusterIPs ? withSpec(service, { clusterIPs: ['None'] }) : service
      const { clusterIP: _ip, clusterIPs: _ips, ipFamilies: _f, ipFamilyPolicy: _p, ...rest } = spec
      return { ...service, spec: rest }
    }
    const family = this.addresses.network.address.length === 4 ? 'IPv4' : 'IPv6'
    const asked = spec.clusterIP ?? spec.clusterIPs?.[0] ?? ''
    const families = { ipFamilies: spec.ipFamilies ?? [family], ipFamilyPolicy: spec.ipFamilyPolicy ?? 'SingleStack' }
    if (asked !== '' && addressesOf(before).includes(asked)) return withSpec(service, { clusterIP: asked, clusterIPs: spec.clusterIPs ?? [asked], ...families })
    let ip = asked
    if (ip !== '') {
      const refuse = (why: string): Error => invalid('', 'Service', service.metadata.name, [fieldInvalid('spec.clusterIPs', [ip], `failed to allocate IP ${ip}: ${why}`)])
      if (!this.addresses.contains(ip)) throw refuse(`the provided IP (${ip}) is not in the valid range. The range of valid IPs is ${this.#options.clusterIpRange}`)
      const owned = this.addresses.ownerOf(ip)
      if (owned !== undefined && owned !== owner) throw refuse('provided IP is already allocated')
      if (!this.addresses.take(ip, owner)) throw refuse(`the provided IP (${ip}) is not in the valid range. The range of valid IPs is ${this.#options.clusterIpRange}`)
    } else {
      const any = this.addresses.takeAny(owner, this.#options.random)
      if (any === undefined) throw internalError('failed to allocate a serviceIP: range is full')
      ip = any
    }
    taken.push(ip)
    return withSpec(service, { clusterIP: ip, clusterIPs: [ip], ...families })
  }

  #withNodePorts(service: Service, before: Service | undefined, owner: string, taken: number[]): Service {
    const wanted = needsNodePorts(service)
    const own = new Set(portsOf(before))
    const had = new Map((before?.spec.ports ?? []).map((p) => [`${p.protocol ?? 'TCP'}/${p.port}`, p.nodePort]))
    const range = this.#ports.range
    const take = (port: number, field: string): void => {
      if (own.has(port)) return
      const refuse = (why: string): Error => invalid('', 'Service', service.metadata.name, [fieldInvalid(field, port, why)])
      if (!this.#ports.contains(port)) throw refuse(`provided port is not in the valid range. The range of valid ports is ${range.first}-${range.last}`)
      if (taken.includes(port)) return
      if (!this.#ports.take(port, owner)) throw refuse('provided port is already allocated')
      taken.push(port)
    }
    const takeAny = (): number => {
      const port = this.#ports.takeAny(owner, this.#options.random)
      if (port === undefined) throw internalError('failed to allocate a nodePort: range is full')
      taken.push(port)
      return port
    }
    const ports = (service.spec.ports ?? []).map((port, i): ServicePort => {
      if (port.nodePort) {
        // A Service that turns away from node ports lets go of those that it had.
        if (!wanted && service.spec.type !== 'LoadBalancer') return own.has(port.nodePort) ? withoutNodePort(port) : port
        take(port.nodePort, `spec.ports[${i}].nodePort`)
        return port
      }
      if (!wanted) return port
      const kept = had.get(`${port.protocol ?? 'TCP'}/${port.port}`)
      return { ...port, nodePort: kept ?? takeAny() }
    })
    let next = service.spec.ports ? withSpec(service, { ports }) : service
    const healthCheck = service.spec.type === 'LoadBalancer' && service.spec.externalTrafficPolicy === 'Local'
    if (healthCheck && service.spec.healthCheckNodePort) take(service.spec.healthCheckNodePort, 'spec.healthCheckNodePort')
    else if (healthCheck) next = withSpec(next, { healthCheckNodePort: before?.spec.healthCheckNodePort || takeAny() })
    return next
  }

  #operations(service: Service, takenIps: readonly string[], goneIps: readonly string[]): ExtraOperations | undefined {
    const { ipAddresses, random, clock } = this.#options
    if (!ipAddresses || (takenIps.length === 0 && goneIps.length === 0)) return undefined
    const { store } = ipAddresses
    return {
      compare: takenIps.map((ip) => ({ key: store.etcdKey(ip), target: 'MOD', result: 'EQUAL', number: 0 })),
      success: [
        ...takenIps.map((ip) => store.putOperation(ip, ipAddressObject(ip, service, randomUuid(random), clock.now()))),
        ...goneIps.map((ip) => this.#removal(ip)),
      ],
    }
  }

  #removal(ip: string): { readonly type: 'deleteRange'; readonly key: Uint8Array } {
    const { ipAddresses } = this.#options
    if (!ipAddresses) throw new Error('no IPAddress resource')
    return { type: 'deleteRange', key: ipAddresses.store.etcdKey(ip) }
  }

  #note(service: Service): void {
    const owner = ownerOf(service)
    for (const ip of addressesOf(service)) this.addresses.take(ip, owner)
    for (const port of portsOf(service)) this.#ports.take(port, owner)
  }

  #follow({ current, previous }: CacheEvent): void {
    const now = current && asService(current.object)
    if (previous) {
      const before = asService(previous.object)
      const owner = ownerOf(before)
      for (const ip of addressesOf(before)) if (!addressesOf(now).includes(ip)) this.addresses.release(ip, owner)
      for (const port of portsOf(before)) if (!portsOf(now).includes(port)) this.#ports.release(port, owner)
    }
    if (now) this.#note(now)
  }
}

const withSpec = (service: Service, spec: Partial<Service['spec']>): Service => ({ ...service, spec: { ...service.spec, ...spec } })

function withoutNodePort(port: ServicePort): ServicePort {
  const { nodePort: _n, ...rest } = port
  return rest
}

/** The object that holds an address for a Service. */
export function ipAddressObject(ip: string, service: Service, uid: string, nowMs: number): ApiObject {
  const family = ip.includes(':') ? 'IPv6' : 'IPv4'
  // IPv6 in a name is written out without double colons by the original; a single stack of IPv4 is what this allocator serves.
  return asApiObject({
    kind: 'IPAddress', apiVersion: 'networking.k8s.io/v1',
    metadata: { name: ip, uid, creationTimestamp: formatTime(nowMs), labels: { 'ipaddress.kubernetes.io/ip-family': family, 'ipaddress.kubernetes.io/managed-by': 'ipallocator.k8s.io' } },
    spec: { parentRef: { group: '', resource: 'services', namespace: service.metadata.namespace ?? '', name: service.metadata.name } },
  })
}
