// Who belongs to the cluster, as the log says it: members, ids that were removed and never return, the cluster's version and a downgrade under
// way. Part of the replicated state: the same entries in the same order give the same membership on every member.
//
// A membership change is judged twice: before it is proposed (check…, which also look at connections) and, with authority, when it is
// applied; a change that is refused then must be told to Raft as a change of nobody (`noMember`).
// Upstream: etcd/server/etcdserver/api/membership/cluster.go, etcd/server/storage/schema/membership.go
import { etcdError } from '../../../lib/etcd-api/etcd-error.ts'
import { isJsonObject, type JsonValue } from '../../../lib/base/json.ts'
import { unreachable } from '../../../lib/base/assert.ts'
import type { ConfChange } from '../raft/conf-change.ts'
import type { ClusterMember } from './cluster-member.ts'
import { decodeMember, decodeMemberChange, encodeMember, encodePromotion, MemberJsonError } from './member-json.ts'
import { checkPromotable, checkQuorumAfterAdd, checkQuorumAfterRemove, type LearnerProgress, type ReconfigurationView } from './reconfiguration-checks.ts'

export interface DowngradeInfo {
  readonly enabled: boolean
  /** `3.6.0`; empty while no downgrade is under way. */
  readonly targetVersion: string
}

/** The original's buckets of these names: keys and values as text, sorted by key. */
export interface MembershipImage {
  readonly members: readonly (readonly [key: string, value: string])[]
  readonly members_removed: readonly (readonly [key: string, value: string])[]
  readonly cluster: readonly (readonly [key: string, value: string])[]
}

/** A change before Raft has given it an id. */
export type MembershipProposal = Omit<ConfChange, 'id'>

const noDowngrade: DowngradeInfo = { enabled: false, targetVersion: '' }
const noContext = new Uint8Array(0)
const encoder = new TextEncoder()
const decoder = new TextDecoder()

export class MembershipStore {
  /** `--max-learners`. */
  maxLearners = 1
  readonly #members = new Map<bigint, ClusterMember>()
  readonly #removed = new Set<bigint>()
  #clusterVersion: string | undefined
  #downgrade: DowngradeInfo | undefined

  get members(): ReadonlyMap<bigint, ClusterMember> { return this.#members }
  get removed(): ReadonlySet<bigint> { return this.#removed }
  /** `3.7.0`; undefined until the first leader has decided it. */
  get clusterVersion(): string | undefined { return this.#clusterVersion }
  get downgrade(): DowngradeInfo { return this.#downgrade ?? noDowngrade }

  /** By id, as the original lists them. */
  list(): readonly ClusterMember[] { return [...this.#members.values()].sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0)) }
  isLearner(id: bigint): boolean { return this.#members.get(id)?.isLearner ?? false }

  // ---- applying ----

  /** @throws EtcdError when the change is refused: nothing has changed. @throws MemberJsonError when its context is damaged */
  applyConfChange(change: ConfChange): void {
    this.#validate(change)
    const id = change.nodeId
    switch (change.type) {
      case 'ConfChangeAddNode': case 'ConfChangeAddLearnerNode': {
        const { member, isPromote } = decodeMemberChange(decoder.decode(change.context))
        if (member.id !== id) throw new MemberJsonError(`a change of member ${id.toString(16)} speaks of ${member.id.toString(16)}`)
        const learner = isPromote ? this.#members.get(id) : undefined
        this.#members.set(id, learner ? { ...learner, isLearner: false } : member)
        return
      }
      case 'ConfChangeRemoveNode':
        this.#members.delete(id)
        this.#removed.add(id)
        return
      case 'ConfChangeUpdateNode': {
        const known = this.#members.get(id)
        if (known) this.#members.set(id, { ...known, peerUrls: decodeMember(decoder.decode(change.context)).peerUrls })
        return
      }
      default: unreachable(change.type)
    }
  }

  /** What a member says of itself once it has started. Nothing happens when it was removed meanwhile. */
  setAttributes(id: bigint, name: string, clientUrls: readonly string[]): void {
    const known = this.#members.get(id)
    if (known) this.#members.set(id, { ...known, name, clientUrls })
  }

  setClusterVersion(version: string): void { this.#clusterVersion = version }
  setDowngrade(info: DowngradeInfo): void { this.#downgrade = info.enabled ? info : noDowngrade }

  // ---- checking proposals, and making them ----

  /** @throws EtcdError */
  checkAdd(member: ClusterMember, view: ReconfigurationView): MembershipProposal {
    checkQuorumAfterAdd(this.list(), member, view)
    const type = member.isLearner ? 'ConfChangeAddLearnerNode' : 'ConfChangeAddNode'
    return this.#valid({ type, nodeId: member.id, context: encoder.encode(encodeMember(member)) })
  }

  /** @throws EtcdError */
  checkRemove(id: bigint, view: ReconfigurationView): MembershipProposal {
    checkQuorumAfterRemove(this.list(), id, view)
    return this.#valid({ type: 'ConfChangeRemoveNode', nodeId: id, context: noContext })
  }

  /** @throws EtcdError */
  checkUpdate(id: bigint, peerUrls: readonly string[]): MembershipProposal {
    const context = encoder.encode(encodeMember({ id, name: '', peerUrls, clientUrls: [], isLearner: false }))
    return this.#valid({ type: 'ConfChangeUpdateNode', nodeId: id, context })
  }

  /** @param progress undefined when the asked member does not lead. @throws EtcdError */
  checkPromote(id: bigint, progress: LearnerProgress | 'unknownMember' | undefined, view: Pick<ReconfigurationView, 'isStrict'>): MembershipProposal {
    checkPromotable(this.list(), progress, view.isStrict)
    return this.#valid({ type: 'ConfChangeAddNode', nodeId: id, context: encoder.encode(encodePromotion(id)) })
  }

  #valid(change: MembershipProposal): MembershipProposal {
    this.#validate({ ...change, id: 0n })
    return change
  }

  #validate(change: ConfChange): void {
    const id = change.nodeId
    // Removed ids are told like unknown ones.
    if (this.#removed.has(id)) throw etcdError('memberNotFound')
    const known = this.#members.get(id)
    switch (change.type) {
      case 'ConfChangeAddNode': case 'ConfChangeAddLearnerNode': {
        const { member, isPromote } = decodeMemberChange(decoder.decode(change.context))
        if (isPromote) {
          if (!known) throw etcdError('memberNotFound')
          if (!known.isLearner) throw etcdError('memberNotLearner')
          return
        }
        if (known) throw etcdError('memberExists')
        this.#checkPeerUrls(id, member.peerUrls)
        if (member.isLearner && change.type === 'ConfChangeAddLearnerNode') this.checkLearnerCount(1)
        return
      }
      case 'ConfChangeRemoveNode':
        if (!known) throw etcdError('memberNotFound')
        return
      case 'ConfChangeUpdateNode':
        if (!known) throw etcdError('memberNotFound')
        this.#checkPeerUrls(id, decodeMember(decoder.decode(change.context)).peerUrls)
        return
      default: unreachable(change.type)
    }
  }

  #checkPeerUrls(id: bigint, urls: readonly string[]): void {
    for (const member of this.#members.values()) if (member.id !== id && member.peerUrls.some((url) => urls.includes(url))) throw etcdError('peerUrlExists')
  }

  /** @param more learners about to be added. @throws EtcdError too many learners */
  checkLearnerCount(more = 0): void {
    const learners = [...this.#members.values()].filter((member) => member.isLearner).length
    if (learners + more > this.maxLearners) throw etcdError('tooManyLearners')
  }

  // ---- snapshots ----

  image(): MembershipImage {
    const sorted = (pairs: readonly (readonly [string, string])[]): readonly (readonly [string, string])[] => [...pairs].sort(([a], [b]) => (a < b ? -1 : 1))
    const cluster: (readonly [string, string])[] = []
    if (this.#clusterVersion !== undefined) cluster.push(['clusterVersion', this.#clusterVersion])
    if (this.#downgrade !== undefined) cluster.push(['downgrade', JSON.stringify({ 'target-version': this.#downgrade.targetVersion, enabled: this.#downgrade.enabled })])
    return {
      members: sorted([...this.#members.values()].map((member) => [keyOf(member.id), encodeMember(member)] as const)),
      members_removed: sorted([...this.#removed].map((id) => [keyOf(id), 'removed'] as const)),
      cluster,
    }
  }

  /** Replaces everything. @throws MemberJsonError when the image is damaged: nothing has changed */
  restore(image: MembershipImage): void {
    const members = image.members.map(([key, value]) => ({ ...decodeMember(value), id: idOf(key) }))
    const removed = image.members_removed.map(([key]) => idOf(key))
    const cluster = new Map(image.cluster)
    const downgrade = downgradeOf(cluster.get('downgrade'))
    this.#members.clear()
    this.#removed.clear()
    for (const member of members) this.#members.set(member.id, member)
    for (const id of removed) this.#removed.add(id)
    this.#clusterVersion = cluster.get('clusterVersion')
    this.#downgrade = downgrade
  }
}

function keyOf(id: bigint): string { return id.toString(16) }

function idOf(key: string): bigint {
  if (!/^[0-9a-fA-F]{1,16}$/.test(key)) throw new MemberJsonError(`${JSON.stringify(key)} is no member id`)
  return BigInt(`0x${key}`)
}

function downgradeOf(text: string | undefined): DowngradeInfo | undefined {
  if (text === undefined) return undefined
  let value: JsonValue
  try {
    value = JSON.parse(text) as JsonValue // cast: what JSON.parse gives
  } catch (error) {
    throw new MemberJsonError('the downgrade is not JSON', { cause: error })
  }
  const target = isJsonObject(value) ? value['target-version'] ?? '' : ''
  return { enabled: isJsonObject(value) && value['enabled'] === true, targetVersion: typeof target === 'string' ? target : '' }
}
