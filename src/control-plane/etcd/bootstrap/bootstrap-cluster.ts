// Finds out how a member without data begins: reads what the flags say, asks running members where that is needed, and hands the answers to
// the pure plan. Called only when there is no data: a member that has some goes on with it, whatever the flags say.
// Upstream: etcd/server/etcdserver/bootstrap.go, cluster_util.go
import type { Clock } from '../../../lib/base/clock.ts'
import { describeError, type Logger } from '../../../lib/component-base/log.ts'
import { refuseJoin } from '../membership/cluster-version.ts'
import { formatInitialCluster, parseInitialCluster } from '../membership/parse-urls.ts'
import { BootstrapError, checkJoinSettings, checkNotBootstrapped, otherPeerUrls, planJoin, planNewCluster, type BootstrapPlan, type BootstrapSettings } from '../membership/plan-bootstrap.ts'
import { clusterIdOf, memberIdOf } from '../member-identity.ts'
import type { PeerClient } from '../peer/peer-client.ts'
import { fetchAllVersions, fetchDowngradeEnabled, fetchMembers, type RemoteCluster } from '../peer/peer-requests.ts'
import { etcdVersion } from '../version.ts'
import { comparePlaces, type LookUpHost } from './same-places.ts'

export interface BootstrapOptions {
  readonly settings: BootstrapSettings
  readonly state: 'new' | 'existing'
  readonly maxLearners: number
  readonly electionTimeoutMs: number
  readonly peerClient: PeerClient
  readonly lookUpHost: LookUpHost
  readonly clock: Clock
  readonly logger: Logger
  /** Registers this member with a discovery service and tells who else did; the URLs of all of them. */
  readonly joinDiscovery?: (memberId: bigint, ownUrls: string, signal: AbortSignal) => Promise<string>
}

const ids = { memberIdOf, clusterIdOf }
/** Long enough for building a connection and an answer. */
const membersTimeoutMs = 10_000

/** @throws BootstrapError */
export async function bootstrapCluster(options: BootstrapOptions, signal: AbortSignal): Promise<BootstrapPlan> {
  const { settings, clock } = options
  if (options.state === 'existing') return joinCluster(options, signal)
  const same = await comparePlaces([settings.peerUrls, settings.initialCluster.get(settings.name) ?? settings.peerUrls], options.lookUpHost, clock, signal)
  const plan = planNewCluster(settings, ids, same)
  const running = await askMembers(options, otherPeerUrls(settings), 1000 + options.electionTimeoutMs, signal)
  if (running !== undefined) checkNotBootstrapped(plan.memberId, running.members)
  if (!options.joinDiscovery) return plan
  const found = parseInitialCluster(await options.joinDiscovery(plan.memberId, formatInitialCluster(settings.initialCluster), signal))
  const urls = [...found.values()].flat()
  if (new Set(urls).size !== urls.length) throw new BootstrapError(`discovery cluster ${formatInitialCluster(found)} has duplicate url`)
  return planNewCluster({ ...settings, initialCluster: found }, ids, same)
}

async function joinCluster(options: BootstrapOptions, signal: AbortSignal): Promise<BootstrapPlan> {
  const { settings } = options
  checkJoinSettings(settings)
  const running = await askMembers(options, otherPeerUrls(settings), membersTimeoutMs, signal)
  if (running === undefined) throw new BootstrapError('cannot fetch cluster info from peer urls: could not retrieve cluster information from the given URLs')
  const lists = [...running.members.map((member) => member.peerUrls), ...settings.initialCluster.values()]
  const known = new Set([...settings.initialCluster.values()].flat())
  // Names are looked up only when some URL is written in two ways.
  const isSpelledAlike = lists.flat().every((url) => known.has(url))
  const plan = planJoin(settings, running, options.maxLearners, ids, await comparePlaces(isSpelledAlike ? [] : lists, options.lookUpHost, options.clock, signal))
  const versions = [...(await fetchAllVersions(options.peerClient, plan.members, plan.memberId, signal)).values()]
  const refusal = refuseJoin(etcdVersion, versions.map((v) => v && { server: v.server, cluster: v.cluster ?? '' }), await fetchDowngradeEnabled(options.peerClient, plan.members, plan.memberId, signal))
  if (refusal !== undefined) {
    options.logger.warn('the running cluster speaks a version that this program does not', { why: refusal, versions: versions.map((v) => v?.cluster ?? 'unknown').join(','), own: etcdVersion })
    throw new BootstrapError('incompatible with current running cluster')
  }
  return plan
}

/** The members that the first URL to answer names; undefined when none answers. */
async function askMembers(options: BootstrapOptions, urls: readonly string[], timeoutMs: number, signal: AbortSignal): Promise<RemoteCluster | undefined> {
  try {
    return await fetchMembers(options.peerClient, urls, signal, timeoutMs)
  } catch (error) {
    if (signal.aborted) throw signal.reason
    options.logger.info('no member says who belongs to the cluster', { urls: urls.join(','), why: describeError(error) }, options.state === 'existing' ? 0 : 2)
    return undefined
  }
}
