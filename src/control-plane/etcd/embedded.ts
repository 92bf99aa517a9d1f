// An etcd in this process. `await using etcd = await openEtcd({ disk: 'memory', clock, random, logger })`; then `etcd.client`.
//
// With a data folder it recovers what was acknowledged before (snapshot, then log), and refuses with a StorageError what is damaged.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '../../lib/base/clock.ts'
import type { Random } from '../../lib/base/random.ts'
import type { Logger } from '../../lib/component-base/log.ts'
import { EtcdError } from '../../lib/etcd-api/etcd-error.ts'
import type { EtcdClient } from '../../lib/etcd-client/etcd-client.ts'
import { StorageError, type Disk } from './disk/disk.ts'
import { realDisk } from './disk/real-disk.ts'
import { largestCost, smallestCost } from './auth/bcrypt.ts'
import { EmbeddedEtcdClient } from './embedded-client.ts'
import { Member } from './member.ts'
import { describeMember, identityOf } from './member-identity.ts'
import { listSnapshots, readSnapshot, removeOtherSnapshots, writeSnapshot } from './snapshot/snapshot-file.ts'
import { parseAuthToken } from './tokens/parse-auth-token.ts'
import type { TokenProvider } from './tokens/token-provider.ts'
import { StateMachine } from './state-machine.ts'
import { entryTypes, type Entry, type Identity, type SnapshotMark } from './wal/raft-messages.ts'
import { readRequest } from './wal/request-codec.ts'
import { WriteAheadLog } from './wal/write-ahead-log.ts'

export interface EtcdOptions {
  /** `memory`: nothing survives the process. Else the folder that holds `member/wal` and `member/snap`, on the machine's disk unless another is given. */
  readonly disk: 'memory' | { readonly dataDir: string; readonly walDir?: string; readonly disk?: Disk }
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly name?: string
  /** Make up the ids of a new member and cluster. */
  readonly peerUrls?: readonly string[]
  readonly clusterToken?: string
  readonly clientUrls?: readonly string[]
  /** Bytes; 0 or absent: 2 GiB; negative: no quota. */
  readonly quotaBackendBytes?: number
  readonly maxTxnOps?: number
  readonly maxRequestBytes?: number
  readonly watchProgressNotifyIntervalMs?: number
  readonly electionTimeoutMs?: number
  /** Entries after which a snapshot may be written. Default 10,000. */
  readonly snapshotCount?: number
  /** Bytes of log after which a snapshot may be written, however small the store. Default 4 MiB. */
  readonly snapshotBytes?: number
  /** `simple` (the default) or `jwt,sign-method=…,priv-key=…`. */
  readonly authToken?: string
  /** Life of a simple token, milliseconds. Default five minutes. */
  readonly authTokenTtlMs?: number
  /** Work per password, 4 to 31. Default 10. */
  readonly bcryptCost?: number
  /** The name in a client's certificate says who they are, when they bring no token. */
  readonly clientCertAuth?: boolean
  /** Of the log; see WalOptions. */
  readonly segmentBytes?: number
  readonly zeroedBytes?: number
}

export interface EmbeddedEtcd extends AsyncDisposable {
  readonly client: EtcdClient
  /** Aborted, with the error as reason, when the disk failed: nothing is acknowledged any more and the process should end. */
  readonly broken: AbortSignal
  /** For the servers in front of it. */
  readonly internals: EtcdInternals
}

export interface EtcdInternals {
  readonly member: Member
  readonly client: EmbeddedEtcdClient
  readonly identity: Identity
  readonly name: string
  readonly peerUrls: readonly string[]
  readonly clientUrls: readonly string[]
  readonly clock: Clock
  readonly random: Random
  readonly tokens: TokenProvider
  /** Whether the name in a client's certificate says who they are. */
  readonly clientCertAuth: boolean
  readonly bcryptCost: number
}

const defaultBcryptCost = 10
const defaultPeerUrls = ['http://localhost:2380']
const defaultQuotaBytes = 2 * 1024 * 1024 * 1024
const defaultMaxRequestBytes = 1.5 * 1024 * 1024
const defaultSnapshotBytes = 4 * 1024 * 1024

/** @throws StorageError when the data folder is damaged or in use */
export async function openEtcd(options: EtcdOptions): Promise<EmbeddedEtcd> {
  const { clock, logger } = options
  const name = options.name ?? 'default'
  const peerUrls = options.peerUrls ?? defaultPeerUrls
  const clientUrls = options.clientUrls ?? ['http://localhost:2379']
  const machine = new StateMachine(Math.ceil(((options.electionTimeoutMs ?? 1000) * 3) / 2 / 1000))
  const tokens = parseAuthToken(options.authToken ?? 'simple', { clock, random: options.random, readFile: (path) => readFileSync(path), ...(options.authTokenTtlMs ? { ttlMs: options.authTokenTtlMs } : {}) })
  machine.assignToken = (username, authRevision, prefix, index) => tokens.assign(username, authRevision, prefix, index)
  machine.auth.onInvalidated = (username) => tokens.invalidate(username)
  const cost = options.bcryptCost ?? defaultBcryptCost
  const computed = identityOf(peerUrls, options.clusterToken ?? 'etcd-cluster')
  await using cleanup = new AsyncDisposableStack()
  const log = options.disk === 'memory' ? undefined : await openLog(options, options.disk, machine, computed, cleanup)
  const identity = log?.identity ?? computed
  const member = new Member({
    machine, log, clock, logger, memberId: identity.memberId, quotaBytes: options.quotaBackendBytes || defaultQuotaBytes,
    progressNotifyIntervalMs: options.watchProgressNotifyIntervalMs ?? 600_000,
  })
  cleanup.defer(() => member.stop())
  member.start()
  const client = new EmbeddedEtcdClient({ member, clock, random: options.random, maxTxnOps: options.maxTxnOps ?? 128, maxRequestBytes: options.maxRequestBytes ?? defaultMaxRequestBytes })
  const internals: EtcdInternals = {
    member, client, identity, name, peerUrls, clientUrls, clock, random: options.random, tokens, clientCertAuth: options.clientCertAuth ?? false,
    bcryptCost: cost < smallestCost || cost > largestCost ? defaultBcryptCost : cost,
  }
  const owned = cleanup.move()
  return { client, broken: member.broken, internals, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

async function openLog(options: EtcdOptions, place: Exclude<EtcdOptions['disk'], 'memory'>, machine: StateMachine, identity: Identity, cleanup: AsyncDisposableStack): Promise<WriteAheadLog> {
  const { clock, logger } = options
  const disk = place.disk ?? realDisk
  const folder = join(place.dataDir, 'member')
  const snapFolder = join(folder, 'snap')
  await disk.makeFolder(snapFolder)
  cleanup.use(await disk.lock(folder))
  const newest = (await listSnapshots(disk, snapFolder))[0]
  const loaded = newest && (await readSnapshot(disk, snapFolder, newest, machine))
  const snapshot: SnapshotMark = loaded ?? { index: 0, term: 0 }
  const snapshots = new Snapshotter(disk, snapFolder, machine, options, logger)
  const log = cleanup.use(await WriteAheadLog.open({
    disk, folder: place.walDir ?? join(folder, 'wal'), logger, identity: loaded ?? identity, snapshot, memberContext: describeMember(identity, options.name ?? 'default', options.peerUrls ?? defaultPeerUrls),
    ...(options.segmentBytes === undefined ? {} : { segmentBytes: options.segmentBytes }), ...(options.zeroedBytes === undefined ? {} : { zeroedBytes: options.zeroedBytes }),
    replay: (entry) => replay(machine, entry, clock.monotonic()),
    onIdle: (idle) => snapshots.consider(idle),
  }))
  cleanup.defer(() => snapshots.finish())
  if (loaded && (loaded.memberId !== log.identity.memberId || loaded.clusterId !== log.identity.clusterId)) throw new StorageError('WrongCluster', `the snapshot and the log in ${folder} belong to different members`)
  if (newest) await removeOtherSnapshots(disk, snapFolder, newest.index)
  return log
}

/** Applies an entry again. A request that was refused then is refused now, in the same way. */
function replay(machine: StateMachine, entry: Entry, nowMs: number): void {
  if (entry.type !== entryTypes.normal || entry.data.length === 0) return
  const request = readRequest(entry.data)
  if (!request) return
  try {
    machine.apply(request, nowMs, entry.index)
  } catch (error) {
    if (!(error instanceof EtcdError)) throw error
  }
}

/** Writes a snapshot when the log has grown enough for it to be worth it; one at a time. */
class Snapshotter {
  readonly #disk: Disk
  readonly #folder: string
  readonly #machine: StateMachine
  readonly #logger: Logger
  readonly #count: number
  readonly #bytes: number
  #running: Promise<void> | undefined
  #notBefore = 0

  constructor(disk: Disk, folder: string, machine: StateMachine, options: EtcdOptions, logger: Logger) {
    this.#disk = disk
    this.#folder = folder
    this.#machine = machine
    this.#logger = logger
    this.#count = options.snapshotCount ?? 10_000
    this.#bytes = options.snapshotBytes ?? defaultSnapshotBytes
  }

  consider(log: WriteAheadLog): void {
    if (this.#running || log.entriesSinceSnapshot < this.#count) return
    // A snapshot costs the whole store: the log may grow to half of it first.
    if (log.bytesSinceSnapshot < Math.max(this.#bytes, this.#machine.store.sizeInUseBytes / 2)) return
    if (log.lastIndex < this.#notBefore) return
    const mark: SnapshotMark = { index: log.lastIndex, term: log.term }
    this.#running = this.#write(log, mark).catch((error: unknown) => {
      this.#logger.error('a snapshot was not written; the log is kept', error)
      // Not again with every entry: the disk may be full.
      this.#notBefore = mark.index + Math.max(1, this.#count / 10)
    }).finally(() => { this.#running = undefined })
  }

  async #write(log: WriteAheadLog, mark: SnapshotMark): Promise<void> {
    await writeSnapshot(this.#disk, this.#folder, this.#machine, mark, log.identity)
    log.markSnapshot(mark)
    await removeOtherSnapshots(this.#disk, this.#folder, mark.index)
  }

  async finish(): Promise<void> { await this.#running }
}
