// How a member without data begins: as one of the first members of a new cluster, or as one more of a cluster that runs.
//
// Pure: what the flags say, and what running members answered, become a plan or a refusal in the original's words. The shell that asks the
// members is bootstrap/bootstrap-cluster.ts. Upstream: etcd/server/config/config.go, etcd/server/etcdserver/bootstrap.go, cluster_util.go
import type { ClusterMember } from './cluster-member.ts'
import { formatInitialCluster } from './parse-urls.ts'

export interface BootstrapSettings {
  readonly name: string
  /** `--initial-advertise-peer-urls`. */
  readonly peerUrls: readonly string[]
  /** `--initial-cluster`, or what discovery found: URLs by name. */
  readonly initialCluster: ReadonlyMap<string, readonly string[]>
  /** `--initial-cluster-token`. */
  readonly token: string
  readonly isDiscovering?: boolean
}

/** What a member without data starts with. */
export interface BootstrapPlan {
  readonly memberId: bigint
  readonly clusterId: bigint
  /** By id. Of a new cluster: the first entries of the log add them, in this order. Of a running one: where to reach it; the log will tell. */
  readonly members: readonly ClusterMember[]
  readonly isNewCluster: boolean
}

/** The member can't begin with these settings; the message says why. */
export class BootstrapError extends Error {
  override readonly name = 'BootstrapError'
}

export interface IdFunctions {
  memberIdOf(peerUrls: readonly string[], token: string): bigint
  clusterIdOf(memberIds: readonly bigint[]): bigint
}

/** Whether two lists of URLs lead to the same places; the shell may look names up. */
export type SameUrls = (a: readonly string[], b: readonly string[]) => boolean

export const sameTexts: SameUrls = (a, b) => a.length === b.length && [...a].sort().every((url, i) => url === [...b].sort()[i])

/** @throws BootstrapError */
export function planNewCluster(settings: BootstrapSettings, ids: IdFunctions, sameUrls: SameUrls): BootstrapPlan {
  checkOwnName(settings)
  checkAdvertisedUrls(settings, sameUrls)
  checkDuplicates(settings)
  return planFrom(settings, ids)
}

/** @param running what the running members answered under /members. @throws BootstrapError */
export function planJoin(settings: BootstrapSettings, running: { readonly clusterId: bigint; readonly members: readonly ClusterMember[] }, maxLearners: number, ids: IdFunctions, sameUrls: SameUrls): BootstrapPlan {
  const planned = planFrom(settings, ids).members
  const refuse = (why: string): never => { throw new BootstrapError(`error validating peerURLs ${describe(running)}: ${why}`) }
  if (planned.length !== running.members.length) refuse('member count is unequal')
  const unmatched = [...planned]
  const members = [...running.members].sort(byId).map((member) => {
    const at = unmatched.findIndex((candidate) => sameUrls(member.peerUrls, candidate.peerUrls))
    const match = unmatched[at]
    if (match === undefined) return refuse(`PeerURLs: no match found for existing member (${member.id.toString(16)}, [${member.peerUrls.join(' ')}])`)
    unmatched.splice(at, 1)
    return { ...match, id: member.id, isLearner: member.isLearner }
  })
  if (running.members.filter((member) => member.isLearner).length > maxLearners) throw new BootstrapError('membership: too many learner members in cluster')
  return { memberId: ownOf(settings, members).id, clusterId: running.clusterId, members, isNewCluster: false }
}

/** What must hold before running members are asked to let this one join. @throws BootstrapError */
export function checkJoinSettings(settings: BootstrapSettings): void {
  checkOwnName(settings)
  checkDuplicates(settings)
  if (settings.isDiscovering) throw new BootstrapError('discovery URL should not be set when joining existing initial cluster')
}

/** A member that the others know as started must not start once more without its data. @throws BootstrapError */
export function checkNotBootstrapped(memberId: bigint, running: readonly ClusterMember[]): void {
  if (running.some((member) => member.id === memberId && member.clientUrls.length > 0)) throw new BootstrapError(`member ${memberId.toString(16)} has already been bootstrapped`)
}

/** Where the other members are, sorted. */
export function otherPeerUrls(settings: BootstrapSettings): readonly string[] {
  return [...settings.initialCluster].flatMap(([name, urls]) => (name === settings.name ? [] : urls)).sort()
}

function planFrom(settings: BootstrapSettings, ids: IdFunctions): BootstrapPlan {
  const members = [...settings.initialCluster].map(([name, peerUrls]) => ({ id: ids.memberIdOf(peerUrls, settings.token), name, peerUrls, clientUrls: [], isLearner: false })).sort(byId)
  members.forEach((member, i) => { if (members[i + 1]?.id === member.id) throw new BootstrapError(`member exists with identical ID ${member.id.toString(16)}`) })
  return { memberId: ownOf(settings, members).id, clusterId: ids.clusterIdOf(members.map((member) => member.id)), members, isNewCluster: true }
}

function ownOf(settings: BootstrapSettings, members: readonly ClusterMember[]): ClusterMember {
  const own = members.find((member) => member.name === settings.name)
  if (!own) throw new BootstrapError(`couldn't find local name ${JSON.stringify(settings.name)} in the initial cluster configuration`)
  return own
}

function checkOwnName({ name, initialCluster }: BootstrapSettings): void {
  if (!initialCluster.has(name)) throw new BootstrapError(`couldn't find local name ${JSON.stringify(name)} in the initial cluster configuration`)
}

function checkDuplicates({ initialCluster }: BootstrapSettings): void {
  const urls = [...initialCluster.values()].flat()
  if (new Set(urls).size !== urls.length) throw new BootstrapError(`initial cluster ${formatInitialCluster(initialCluster)} has duplicate url`)
}

function checkAdvertisedUrls({ name, peerUrls, initialCluster }: BootstrapSettings, sameUrls: SameUrls): void {
  const listed = initialCluster.get(name) ?? []
  if (sameUrls(peerUrls, listed)) return
  const advertised = [...peerUrls].sort().join(',')
  const notAdvertised = listed.filter((url) => !peerUrls.includes(url)).map((url) => `${name}=${url}`)
  if (notAdvertised.length > 0) throw new BootstrapError(`--initial-cluster has ${notAdvertised.join(',')} but missing from --initial-advertise-peer-urls=${advertised}`)
  const notListed = peerUrls.filter((url) => !listed.includes(url))
  const asCluster = formatInitialCluster(new Map([[name, peerUrls]]))
  if (notListed.length > 0) throw new BootstrapError(`--initial-advertise-peer-urls has ${notListed.join(',')} but missing from --initial-cluster=${asCluster}`)
  throw new BootstrapError(`failed to resolve ${advertised} to match --initial-cluster=${asCluster}`)
}

function describe({ clusterId, members }: { readonly clusterId: bigint; readonly members: readonly ClusterMember[] }): string {
  const texts = members.map((m) => `&{ID:${m.id.toString(16)} RaftAttributes:{PeerURLs:[${m.peerUrls.join(' ')}] IsLearner:${m.isLearner}} Attributes:{Name:${m.name} ClientURLs:[${m.clientUrls.join(' ')}]}}`)
  return `{ClusterID:${clusterId.toString(16)} Members:[${texts.join(' ')}] RemovedMemberIDs:[]}`
}

function byId(a: ClusterMember, b: ClusterMember): number { return a.id < b.id ? -1 : a.id > b.id ? 1 : 0 }
