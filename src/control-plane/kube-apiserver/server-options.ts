// What an API server is started with. Everything but the world (etcd, clock, chance, log) has the original's default.
import type { Clock } from '../../lib/base/clock.ts'
import type { Random } from '../../lib/base/random.ts'
import type { Logger } from '../../lib/component-base/log.ts'
import type { EtcdClient } from '../../lib/etcd-client/etcd-client.ts'
import type { PortRange } from './allocation/port-allocator.ts'
import type { StaticToken } from './authentication/authenticator.ts'
import type { StrategyTable } from './registry/strategy.ts'
import type { EncryptionAtRest } from './storage/encryption/encryption-at-rest.ts'
import type { StorageMediaType } from './storage/stored-values.ts'

export type AuthorizationMode = 'Node' | 'RBAC' | 'AlwaysAllow' | 'AlwaysDeny'

export interface ServerCertificate {
  /** PEM, the chain after it. */
  readonly certificate: string
  /** PEM. */
  readonly key: string
}

export interface ServiceAccountOptions {
  /** The first is the issuer of new tokens, all are accepted. */
  readonly issuers: readonly string[]
  /** PEM of a private key; without it no tokens are issued. */
  readonly signingKey?: string
  /** PEM, any number of keys; the signing key's public half is always among them. */
  readonly verificationKeys?: readonly string[]
  /** Default: the issuers. */
  readonly audiences?: readonly string[]
}

export interface KubeletClientOptions {
  /** PEM of the client certificate and key that kubelets know. */
  readonly certificate?: string
  readonly key?: string
  /** PEM; without it kubelets' certificates aren't verified. */
  readonly certificateAuthority?: string
  readonly preferredAddressTypes?: readonly string[]
}

export interface ApiServerOptions {
  readonly etcd: EtcdClient
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly strategies?: StrategyTable
  /** Default 10.0.0.0/24. */
  readonly serviceClusterIpRange?: string
  /** Default 30000–32767. */
  readonly nodePortRange?: PortRange
  /** Needed by listen(). */
  readonly tls?: ServerCertificate
  /** PEM: client certificates signed by it name users. */
  readonly clientCa?: string
  /** PEM: whoever has a certificate of it (and one of the names, when there are any) may say who its client is, in X-Remote-… headers. */
  readonly requestHeaderClientCa?: string
  readonly requestHeaderAllowedNames?: readonly string[]
  readonly serviceAccounts?: ServiceAccountOptions
  readonly tokens?: readonly StaticToken[]
  /** Default true. */
  readonly anonymousAuth?: boolean
  /** Default Node, RBAC. */
  readonly authorizationModes?: readonly AuthorizationMode[]
  readonly enableAdmissionPlugins?: readonly string[]
  readonly disableAdmissionPlugins?: readonly string[]
  /** Address under which the cluster reaches this server; default 127.0.0.1. Published in the endpoints of default/kubernetes once it listens. */
  readonly advertiseAddress?: string
  /** Target port of default/kubernetes; default 6443. */
  readonly securePort?: number
  readonly kubeletClient?: KubeletClientOptions
  /** Default 400 and 200; 0: no limit. */
  readonly maxRequestsInFlight?: number
  readonly maxMutatingRequestsInFlight?: number
  /** Default 60 s. */
  readonly requestTimeoutMs?: number
  /** Default 1800. */
  readonly minRequestTimeoutSeconds?: number
  /** Default 3600. */
  readonly eventTtlSeconds?: number
  /** How often etcd is compacted; default 5 minutes, 0: never. */
  readonly compactionIntervalMs?: number
  /** What all keys begin with; default `/registry`. */
  readonly etcdPrefix?: string
  /** How objects are written to etcd; read are all. Absent: JSON, and what stands there in another form is left as it is until it changes. */
  readonly storageMediaType?: StorageMediaType
  /** What encrypts which resources in etcd; absent: nothing is encrypted. */
  readonly encryption?: EncryptionAtRest
  /** Which resources are read from etcd every time instead of from the cache. Default: none. */
  readonly uncached?: (group: string, resource: string) => boolean
  /** Deletions wait for those who collect dependents; default true. */
  readonly garbageCollection?: boolean
  /** How many objects of a deletecollection are deleted at a time; default 16. */
  readonly deleteCollectionWorkers?: number
  /** Resources that are kept in an etcd of their own, by `group/resource` (`/events`). */
  readonly etcdOverrides?: ReadonlyMap<string, EtcdClient>
  /** How long etcd may take to answer for /healthz/etcd and for /readyz/etcd-readiness; default 2 s each. */
  readonly etcdHealthcheckTimeoutMs?: number
  readonly etcdReadycheckTimeoutMs?: number
  /** How often etcd is asked for its size, for the metric; default 30 s, 0: never. */
  readonly dbMetricPollIntervalMs?: number
  /** The number of objects is a metric; default true. */
  readonly countMetric?: boolean
  /** How long events share a lease; default 60 s. */
  readonly leaseReuseSeconds?: number
  /** Who writes the endpoints of default/kubernetes: the API servers by their leases, or nobody. Default `lease`. */
  readonly endpointReconciler?: 'lease' | 'none'
  /** Tests freeze what enters a cache. */
  readonly freezeObjects?: boolean
}
