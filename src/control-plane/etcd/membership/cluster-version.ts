// The version that a cluster speaks: the lowest of its members', raised when the last one is upgraded, lowered by a downgrade alone.
//
// The leader decides it from what the members' /version says, and proposes it through the log.
// Upstream: etcd/server/etcdserver/version/monitor.go, downgrade.go, manager.go
import { etcdError } from '../../../lib/etcd-api/etcd-error.ts'
import type { DowngradeInfo } from './membership-store.ts'

export interface SemanticVersion {
  readonly major: number
  readonly minor: number
  readonly patch: number
  readonly preRelease: string
}

/** What a peer's /version says. */
export interface MemberVersions {
  readonly server: string
  readonly cluster: string
}

/** Spoken by all versions that can be in one cluster with this one. */
export const oldestClusterVersion = '3.0.0'

export function parseVersion(text: string): SemanticVersion | undefined {
  const [, major, minor, patch, preRelease = ''] = /^(\d+)\.(\d+)\.(\d+)(?:-([0-9A-Za-z.-]+))?(?:\+.*)?$/.exec(text) ?? []
  return major === undefined ? undefined : { major: Number(major), minor: Number(minor), patch: Number(patch), preRelease }
}

export function compareVersions(a: SemanticVersion, b: SemanticVersion): number {
  const byNumber = a.major - b.major || a.minor - b.minor || a.patch - b.patch
  if (byNumber !== 0 || a.preRelease === b.preRelease) return byNumber
  // A release comes after its candidates.
  if (a.preRelease === '' || b.preRelease === '') return a.preRelease === '' ? 1 : -1
  return a.preRelease < b.preRelease ? -1 : 1
}

export type VersionDecision =
  | { readonly type: 'keep' }
  /** `version` is `3.7.0`. */
  | { readonly type: 'set'; readonly version: string }
  | { readonly type: 'invalidDowngrade' }

const keep: VersionDecision = { type: 'keep' }

export interface VersionQuestion {
  readonly current: string | undefined
  readonly downgrade: DowngradeInfo
  /** Of every member, this one too; undefined when it can't be reached. */
  readonly serverVersions: readonly (string | undefined)[]
}

/** What the leader should propose. */
export function decideClusterVersion({ current, downgrade, serverVersions }: VersionQuestion): VersionDecision {
  const lowest = lowestOf(serverVersions)
  const now = current === undefined ? undefined : parseVersion(current)
  if (now === undefined) return { type: 'set', version: lowest ? clusterVersionOf(lowest) : oldestClusterVersion }
  if (lowest === undefined) return keep
  if (downgrade.enabled) {
    const target = parseVersion(downgrade.targetVersion)
    if (target === undefined) return { type: 'invalidDowngrade' }
    if (compareVersions(target, now) === 0) return keep
    if (!isOneMinorBelow(target, now) || !isOneMinorBelow(target, lowest)) return { type: 'invalidDowngrade' }
    return { type: 'set', version: clusterVersionOf(target) }
  }
  const rises = compareVersions(now, lowest) < 0 && now.major === lowest.major && now.minor < lowest.minor
  return rises ? { type: 'set', version: clusterVersionOf(lowest) } : keep
}

/** A downgrade is over when every member runs the version that it goes to. */
export function isDowngradeDone(downgrade: DowngradeInfo, serverVersions: readonly (string | undefined)[]): boolean {
  const target = parseVersion(downgrade.targetVersion)
  return downgrade.enabled && target !== undefined && serverVersions.every((text) => {
    const version = text === undefined ? undefined : parseVersion(text)
    return version !== undefined && version.major === target.major && version.minor === target.minor
  })
}

/** The version `3.6` or `3.6.0` as a target. @throws EtcdError wrong format, no cluster version yet, not one minor version below, a downgrade is under way */
export function checkDowngradeTarget(text: string, current: string | undefined, downgrade: DowngradeInfo): string {
  const target = downgradeTargetOf(text)
  const now = current === undefined ? undefined : parseVersion(current)
  if (now === undefined) throw etcdError('clusterVersionUnavailable')
  if (!isOneMinorBelow(target, now)) throw etcdError('invalidDowngradeTarget')
  if (downgrade.enabled) throw etcdError('downgradeInProcess')
  return clusterVersionOf(target)
}

function downgradeTargetOf(text: string): SemanticVersion {
  const target = parseVersion(text) ?? parseVersion(`${text}.0`)
  if (!target) throw etcdError('wrongDowngradeVersionFormat')
  return target
}

export type JoinRefusal = 'tooLow' | 'tooHigh' | 'nobodyAnswers'

/** Whether a member of version `own` can join members that answer so. Undefined: it can. */
export function refuseJoin(own: string, others: readonly (MemberVersions | undefined)[], isDowngrading: boolean): JoinRefusal | undefined {
  const version = parseVersion(own)
  let answered = false
  for (const other of others) {
    const cluster = other && parseVersion(other.cluster)
    if (!cluster || !version) continue
    // While the cluster goes down by one version, the members of the lower one join.
    const highest = isDowngrading ? version.minor + 1 : version.minor
    if (isBelow(cluster, isDowngrading ? { major: version.major, minor: highest } : { major: 3, minor: 0 })) return 'tooLow'
    if (isBelow({ major: version.major, minor: highest }, cluster)) return 'tooHigh'
    answered = true
  }
  return answered ? undefined : 'nobodyAnswers'
}

/** A program older than the version that the cluster speaks must not start: it might not understand what is in the log. */
export function isTooOldFor(own: string, clusterVersion: string | undefined): boolean {
  const server = parseVersion(own)
  const cluster = clusterVersion === undefined ? undefined : parseVersion(clusterVersion)
  return server !== undefined && cluster !== undefined && isBelow(server, cluster)
}

/** `3.7` of `3.7.0`. */
export function shortVersion(version: string): string { return version.split('.').slice(0, 2).join('.') }

function clusterVersionOf({ major, minor }: SemanticVersion): string { return `${major}.${minor}.0` }
function isOneMinorBelow(target: SemanticVersion, from: SemanticVersion): boolean { return target.major === from.major && target.minor === from.minor - 1 }
function isBelow(a: Pick<SemanticVersion, 'major' | 'minor'>, b: Pick<SemanticVersion, 'major' | 'minor'>): boolean { return a.major < b.major || (a.major === b.major && a.minor < b.minor) }

function lowestOf(texts: readonly (string | undefined)[]): SemanticVersion | undefined {
  let lowest: SemanticVersion | undefined
  for (const text of texts) {
    const version = text === undefined ? undefined : parseVersion(text)
    if (!version) return undefined
    if (!lowest || compareVersions(version, lowest) < 0) lowest = version
  }
  return lowest
}
