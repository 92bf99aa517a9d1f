// An etcd in this process. `await using etcd = await openEtcd({ disk: 'memory', clock, random, logger })`; then `etcd.client`.
//
// With a data folder it recovers what was acknowledged before (snapshot, then log), and refuses with a StorageError what is damaged.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '../../lib/base/clock.ts'
import { randomInteger, type Random } from '../../lib/base/random.ts'
import type { Logger } from '../../lib/component-base/log.ts'
import type { EtcdClient } from '../../lib/etcd-client/etcd-client.ts'
import { StorageError, type Disk, type FolderLock } from './disk/disk.ts'
import { realDisk } from './disk/real-disk.ts'
import { largestCost, smallestCost } from './auth/bcrypt.ts'
import { defragmentAtStart } from './bootstrap/defragment-at-start.ts'
import { ClusterAdmin } from './cluster-admin.ts'
import { CompactionHashes } from './compaction-hashes.ts'
import { Defragmentation } from './defragmentation.ts'
import { EmbeddedEtcdClient } from './embedded-client.ts'
import { Member } from './member.ts'
import { measuredStateDisk } from './consensus/measured-store.ts'
import type { QuestioningTransport } from './consensus/peer-questions.ts'
import { recover, type Recovered } from './consensus/recover.ts'
import type { StateStore } from './consensus/state-store.ts'
import { switchFeatures, type FeatureSwitches } from './features.ts'
import { identityOf } from './member-identity.ts'
import { EtcdMetrics } from './metrics/etcd-metrics.ts'
import { encodeMember } from './membership/member-json.ts'
import type { BootstrapPlan } from './membership/plan-bootstrap.ts'
import type { PeerClient } from './peer/peer-client.ts'
import type { PeerHandler } from './peer/peer-transport.ts'
import { stateFilesIn } from './snapshot/state-files.ts'
import { parseAuthToken } from './tokens/parse-auth-token.ts'
import type { TokenProvider } from './tokens/token-provider.ts'
import type { CompactionPace } from './scrubber.ts'
import { StateMachine } from './state-machine.ts'
import { etcdClusterVersion } from './version.ts'
import type { Identity } from './wal/raft-messages.ts'

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
  /** How often a leader says through the log what is left of leases, so that they don't begin anew with the next one. Default: never. */
  readonly leaseCheckpointIntervalMs?: number
  /** Time without a leader before an election. Default 1000. */
  readonly electionTimeoutMs?: number
  /** Between two signs of life of a leader. Default 100. */
  readonly heartbeatIntervalMs?: number
  /** Ask before an election whether it could be won. Default true. */
  readonly preVote?: boolean
  /** The first election comes sooner, once the others are there. Default false. */
  readonly hurryFirstElection?: boolean
  /** Log entries kept for followers that are a little behind; who is further behind gets the whole state. Default 5,000. */
  readonly snapshotCatchUpEntries?: number
  /** The cluster that a member without data belongs to. Default: a new one of this member alone. */
  readonly initialCluster?: BootstrapPlan
  /** Makes the way to the other members; without it there are none. */
  readonly transport?: (handler: PeerHandler, etcd: EtcdInternals) => Promise<QuestioningTransport>
  /** Refuse membership changes that would cost the quorum. Default true. */
  readonly strictReconfigCheck?: boolean
  /** Hash what is there when the store is compacted, so that members can be compared. Default false. */
  readonly hashCompactions?: boolean
  /** Most learners in the cluster. Default 1. */
  readonly maxLearners?: number
  /** The majority is lost for good: this member goes on alone with the data that it has. */
  readonly forceNewCluster?: boolean
  /** Entries after which a snapshot may be written. Default 10,000. */
  readonly snapshotCount?: number
  /** Bytes of log after which a snapshot may be written, however small the store. Default 4 MiB. */
  readonly snapshotBytes?: number
  /** How the store is compacted. Default: in small pieces, without pauses. */
  readonly compactionPace?: CompactionPace
  /** How often a leader looks whether a downgrade is done; 0: never. Default 5 s. */
  readonly downgradeCheckMs?: number
  /** Applying a request that takes longer is told, milliseconds. Default 100. */
  readonly warningApplyMs?: number
  /** `.snap` files that stay, at least two; 0: all. Default 5. */
  readonly maxSnapshots?: number
  /** Files of the log that stay; 0: all. Default: those that are needed. */
  readonly maxWals?: number
  /** Writes the database anew at the start when that frees so many bytes. Default: never. */
  readonly bootstrapDefragmentBytes?: number
  /** Default: as the original has them. */
  readonly features?: FeatureSwitches
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
  /**
   * Resolves when this member takes part in its cluster and has said who it is there: clients are served from then on. One that is alone is
   * ready when it is open; with others it needs a majority. Rejects when it ends before.
   */
  whenReady(): Promise<void>
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
  readonly electionTimeoutMs: number
  readonly admin: ClusterAdmin
  readonly features: FeatureSwitches
  readonly defragmentation: Defragmentation
  readonly logger: Logger
  /** Empty unless `hashCompactions`. */
  readonly compactionHashes: CompactionHashes
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
  const features = options.features ?? switchFeatures()
  const timings = { heartbeatIntervalMs: options.heartbeatIntervalMs ?? 100, electionTimeoutMs: options.electionTimeoutMs ?? 1000 }
  const hashSeed = randomInteger(options.random, 2 ** 32)
  const newMachine = (): StateMachine => new StateMachine(Math.ceil((timings.electionTimeoutMs * 3) / 2 / 1000), hashSeed)
  const machine = newMachine()
  machine.membership.maxLearners = options.maxLearners ?? 1
  const tokens = parseAuthToken(options.authToken ?? 'simple', { clock, random: options.random, readFile: (path) => readFileSync(path), ...(options.authTokenTtlMs ? { ttlMs: options.authTokenTtlMs } : {}) })
  machine.assignToken = (username, authRevision, prefix, index) => tokens.assign(username, authRevision, prefix, index)
  machine.auth.onInvalidated = (username) => tokens.invalidate(username)
  const cost = options.bcryptCost ?? defaultBcryptCost
  const plan = options.initialCluster ?? planAlone(name, peerUrls, options.clusterToken ?? 'etcd-cluster')
  const metrics = new EtcdMetrics()
  await using cleanup = new AsyncDisposableStack()
  const opened = options.disk === 'memory' ? undefined : await openFolder(options, options.disk, machine, metrics, plan, cleanup)
  const identity = opened?.recovered.wal.identity ?? { memberId: plan.memberId, clusterId: plan.clusterId }
  if (!opened) beAlone(machine, plan, name, clientUrls)
  const member = new Member({
    machine, clock, logger, metrics, name, clientUrls, timings, memberId: identity.memberId, quotaBytes: options.quotaBackendBytes || defaultQuotaBytes, progressNotifyIntervalMs: options.watchProgressNotifyIntervalMs ?? 600_000, leaseCheckpointIntervalMs: options.leaseCheckpointIntervalMs,
    compactionPace: options.compactionPace, downgradeCheckMs: options.downgradeCheckMs, warningApplyMs: options.warningApplyMs,
    ...(opened && {
      replica: {
        recovered: opened.recovered, store: opened.store, newMachine, random: options.random, initialMembers: plan.members, prefersRevocations: features.PriorityRequest, snapshotCount: options.snapshotCount ?? 10_000, snapshotBytes: options.snapshotBytes ?? defaultSnapshotBytes,
        ...(options.preVote === undefined ? {} : { preVote: options.preVote }), hurryFirstElection: options.hurryFirstElection ?? false, ...(options.snapshotCatchUpEntries === undefined ? {} : { catchUpEntries: options.snapshotCatchUpEntries }),
      },
    }),
  })
  cleanup.defer(() => member.stop())
  // Nobody waits for it: it is there before anything else can be.
  opened?.lock.confirmed?.catch((error: unknown) => member.broke(error))
  const client = new EmbeddedEtcdClient({ member, clock, random: options.random, maxTxnOps: options.maxTxnOps ?? 128, maxRequestBytes: options.maxRequestBytes ?? defaultMaxRequestBytes })
  let peerClient: PeerClient | undefined
  const admin = new ClusterAdmin({ member, clock, isStrict: options.strictReconfigCheck ?? true, requestTimeoutMs: 5000 + 2 * timings.electionTimeoutMs, peerClient: () => peerClient })
  const compactionHashes = new CompactionHashes(logger)
  if (options.hashCompactions) member.beforeCompaction = (revision) => { void compactionHashes.record(machine.store, revision) }
  const internals: EtcdInternals = {
    compactionHashes, features, logger, defragmentation: new Defragmentation(metrics.disk.defragInflight),
    member, client, identity, name, peerUrls, clientUrls, clock, random: options.random, tokens, clientCertAuth: options.clientCertAuth ?? false, electionTimeoutMs: timings.electionTimeoutMs, admin,
    bcryptCost: cost < smallestCost || cost > largestCost ? defaultBcryptCost : cost,
  }
  const { transport: open } = options
  await member.start(open && (async (handler) => {
    const transport = await open(handler, internals)
    peerClient = transport.client
    return transport
  }))
  if (member.isSole) await member.whenReady()
  const owned = cleanup.move()
  return { client, broken: member.broken, internals, whenReady: () => member.whenReady(), [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

function planAlone(name: string, peerUrls: readonly string[], token: string): BootstrapPlan {
  const { memberId, clusterId } = identityOf(peerUrls, token)
  return { memberId, clusterId, members: [{ id: memberId, name, peerUrls, clientUrls: [], isLearner: false }], isNewCluster: true }
}

/** Without a log nobody tells the state who its member is. */
function beAlone({ membership }: StateMachine, { memberId, members }: BootstrapPlan, name: string, clientUrls: readonly string[]): void {
  const own = members.find((member) => member.id === memberId)
  if (members.length > 1 || !own) throw new StorageError('WrongCluster', 'a member of several needs a disk')
  membership.applyConfChange({ id: 0n, type: 'ConfChangeAddNode', nodeId: memberId, context: Buffer.from(encodeMember(own)) })
  membership.setAttributes(memberId, name, clientUrls)
  membership.setClusterVersion(etcdClusterVersion)
}

async function openFolder(
  options: EtcdOptions, place: Exclude<EtcdOptions['disk'], 'memory'>, machine: StateMachine, metrics: EtcdMetrics, plan: BootstrapPlan, cleanup: AsyncDisposableStack,
): Promise<{ readonly recovered: Recovered; readonly store: StateStore; readonly lock: FolderLock }> {
  const { clock, logger } = options
  const disk = place.disk ?? realDisk
  const folder = join(place.dataDir, 'member')
  const snapFolder = join(folder, 'snap')
  await disk.makeFolder(snapFolder)
  const lock = cleanup.use(await disk.lock(folder))
  const store = stateFilesIn(measuredStateDisk(disk, metrics, clock), snapFolder, options.maxSnapshots)
  const recovered = await recover({
    wal: {
      disk, folder: place.walDir ?? join(folder, 'wal'), logger,
      ...(options.segmentBytes === undefined ? {} : { segmentBytes: options.segmentBytes }), ...(options.zeroedBytes === undefined ? {} : { zeroedBytes: options.zeroedBytes }),
      ...(options.maxWals === undefined ? {} : { keptFiles: options.maxWals }),
    },
    machine, store, initial: plan, nowMs: clock.monotonic(), logger, forceNewCluster: options.forceNewCluster ?? false,
  })
  cleanup.use(recovered.wal)
  const { bootstrapDefragmentBytes: thresholdBytes = 0 } = options
  if (thresholdBytes > 0) await defragmentAtStart({ disk, snapFolder, machine, mark: { ...recovered.start.applied, confState: recovered.start.confState }, thresholdBytes, logger })
  return { recovered, store, lock }
}
