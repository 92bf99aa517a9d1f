// What the log does to the member's state: keys, leases, alarms, users and roles, v2 keys. Applying the same requests in the same order gives
// the same state on every member and after every restart; anything that depends on the moment (which lease id, whether a lease has expired)
// is decided before a request enters the log.
import { etcdError } from '../../lib/etcd-api/etcd-error.ts'
import type { EtcdAlarm, EtcdDeleteRangeRequest, EtcdPutRequest, EtcdTxnRequest, EtcdTxnResponse } from '../../lib/etcd-api/operations.ts'
import { unreachable } from '../../lib/base/assert.ts'
import { AuthStore, type AuthChange } from './auth/auth-store.ts'
import { nobody, type Caller } from './auth/caller.ts'
import { checkDeleteRequest, checkLeaseKeys, checkPutRequest, checkTxnRequest } from './auth/check-request.ts'
import { LeaseBook } from './lease/lease-book.ts'
import { MvccStore } from './mvcc/mvcc-store.ts'
import { runOperation, runTransaction } from './mvcc/transaction.ts'
import { MembershipStore } from './membership/membership-store.ts'
import { V2Store } from './v2/v2-store.ts'
import type { V2Request, V2Result } from './v2/v2-request.ts'

type RequestBody =
  | ({ readonly type: 'put' } & EtcdPutRequest)
  | ({ readonly type: 'deleteRange' } & EtcdDeleteRangeRequest)
  | ({ readonly type: 'txn' } & EtcdTxnRequest)
  | { readonly type: 'compaction'; readonly revision: number; readonly physical?: boolean }
  | { readonly type: 'leaseGrant'; readonly id: bigint; readonly ttlSeconds: number }
  | { readonly type: 'leaseRevoke'; readonly id: bigint }
  | { readonly type: 'alarm'; readonly action: 'ACTIVATE' | 'DEACTIVATE'; readonly memberId: bigint; readonly alarm: EtcdAlarm }
  | { readonly type: 'auth'; readonly change: AuthChange }
  /** The password has been checked; the token's random part comes with it. */
  | { readonly type: 'authenticate'; readonly name: string; readonly simpleToken: string }
  | { readonly type: 'v2'; readonly request: V2Request }
  /** What a member says of itself once it has started. */
  | { readonly type: 'clusterMemberAttrSet'; readonly memberId: bigint; readonly name: string; readonly clientUrls: readonly string[] }
  | { readonly type: 'clusterVersionSet'; readonly version: string }
  | { readonly type: 'downgradeInfoSet'; readonly enabled: boolean; readonly version: string }
  | { readonly type: 'leaseCheckpoint'; readonly checkpoints: readonly LeaseCheckpoint[] }

/** What is left of a lease, for leaders to come. */
export interface LeaseCheckpoint { readonly id: bigint; readonly remainingTtlSeconds: number }

/** What an entry of the log asks for, and who asks. A conf change and an empty entry change nothing here. */
export type LoggedRequest = RequestBody & { readonly caller?: Caller }

export interface AlarmMember { readonly memberId: bigint; readonly alarm: EtcdAlarm }

/** What a request gave; which fields, its type tells. */
export type AppliedResult =
  | { readonly type: 'txn'; readonly response: EtcdTxnResponse }
  | { readonly type: 'leaseGrant'; readonly id: bigint; readonly ttlSeconds: number }
  | { readonly type: 'alarm'; readonly alarms: readonly AlarmMember[] }
  | { readonly type: 'authenticate'; readonly token: string }
  | { readonly type: 'v2'; readonly result: V2Result }
  | { readonly type: 'done' }

const done: AppliedResult = { type: 'done' }

export class StateMachine {
  readonly leases: LeaseBook
  readonly store: MvccStore
  readonly auth = new AuthStore()
  readonly v2 = new V2Store()
  readonly membership = new MembershipStore()
  /** Makes the token of an authenticated user; the tokens are this member's, not part of the state. */
  assignToken: ((username: string, authRevision: number, prefix: string, index: number) => string) | undefined
  readonly #alarms = new Map<string, AlarmMember>()
  readonly #leaseExists = (id: bigint): boolean => this.leases.has(id)

  /** @param hashSeed see MvccStore */
  constructor(smallestTtlSeconds: number, hashSeed = 0) {
    const leases = new LeaseBook(smallestTtlSeconds)
    this.leases = leases
    this.store = new MvccStore(leases, hashSeed)
  }

  get alarms(): readonly AlarmMember[] { return [...this.#alarms.values()] }
  hasAlarm(alarm: EtcdAlarm): boolean {
    if (this.#alarms.size === 0) return false
    for (const raised of this.#alarms.values()) if (raised.alarm === alarm) return true
    return false
  }

  restoreAlarms(alarms: readonly AlarmMember[]): void { for (const alarm of alarms) this.#alarms.set(`${alarm.memberId} ${alarm.alarm}`, alarm) }

  /**
   * Takes the whole state of another, which a leader sent, in place of its own; the other must not be used any more. What others hold of this
   * one (its store, its leases, its users) stays the same object.
   */
  become(other: StateMachine): void {
    this.store.become(other.store)
    this.leases.become(other.leases)
    this.auth.restore(other.auth.image())
    this.auth.onInvalidated?.(undefined)
    this.v2.restore(other.v2.index, other.v2.image())
    this.membership.restore(other.membership.image())
    this.#alarms.clear()
    this.restoreAlarms(other.alarms)
  }

  /** @param index of the log's entry. @throws EtcdError when the request is refused; then nothing has changed. */
  apply(request: LoggedRequest, nowMs: number, index = 0): AppliedResult {
    if (this.auth.enabled) this.#checkPermission(request, request.caller ?? nobody)
    switch (request.type) {
      case 'put': case 'deleteRange': return { type: 'txn', response: this.#write(request) }
      case 'txn': return { type: 'txn', response: this.#transaction(request) }
      case 'compaction': this.store.compact(request.revision); return done
      case 'leaseGrant':
        if (this.hasAlarm('NOSPACE')) throw etcdError('noSpace')
        return { type: 'leaseGrant', id: request.id, ttlSeconds: this.leases.grant(request.id, request.ttlSeconds, nowMs) }
      case 'leaseRevoke': {
        for (const key of this.leases.revoke(request.id)) this.store.deleteRange({ from: key, end: `${key}\0`, single: true })
        this.store.commit()
        return done
      }
      case 'alarm': {
        const id = `${request.memberId} ${request.alarm}`
        const member = { memberId: request.memberId, alarm: request.alarm }
        if (request.action === 'ACTIVATE') this.#alarms.set(id, member)
        else if (!this.#alarms.delete(id)) return { type: 'alarm', alarms: [] }
        return { type: 'alarm', alarms: [member] }
      }
      case 'auth': this.auth.apply(request.change, request.caller ?? nobody); return done
      case 'authenticate': return { type: 'authenticate', token: this.#authenticate(request.name, request.simpleToken, index) }
      case 'v2': return { type: 'v2', result: this.v2.apply(request.request) }
      case 'clusterMemberAttrSet': this.membership.setAttributes(request.memberId, request.name, request.clientUrls); return done
      case 'clusterVersionSet': this.membership.setClusterVersion(request.version); return done
      case 'downgradeInfoSet': this.membership.setDowngrade({ enabled: request.enabled, targetVersion: request.enabled ? request.version : '' }); return done
      case 'leaseCheckpoint': for (const { id, remainingTtlSeconds } of request.checkpoints) this.leases.checkpoint(id, remainingTtlSeconds); return done
      default: return unreachable(request)
    }
  }

  #checkPermission(request: LoggedRequest, caller: Caller): void {
    switch (request.type) {
      case 'put': checkPutRequest(this.auth, this.leases, caller, request); return
      case 'deleteRange': checkDeleteRequest(this.auth, caller, request); return
      case 'txn': checkTxnRequest(this.auth, this.leases, caller, request); return
      case 'leaseRevoke': checkLeaseKeys(this.auth, this.leases, caller, request.id); return
      // Checked elsewhere, or open to everybody who can connect, as in the original.
      case 'compaction': case 'leaseGrant': case 'alarm': case 'auth': case 'authenticate': case 'v2':
      case 'clusterMemberAttrSet': case 'clusterVersionSet': case 'downgradeInfoSet': case 'leaseCheckpoint': return
      default: unreachable(request)
    }
  }

  #authenticate(name: string, simpleToken: string, index: number): string {
    if (!this.auth.enabled) throw etcdError('authNotEnabled')
    const user = this.auth.user(name)
    if (!user || user.noPassword) throw etcdError('authFailed')
    // Tokens are the same on all members, the original's too: they name the entry before.
    return this.assignToken?.(name, this.auth.revision, simpleToken, Math.max(0, index - 1)) ?? ''
  }

  #transaction(request: EtcdTxnRequest): EtcdTxnResponse {
    if (this.#alarms.size > 0) {
      if (this.hasAlarm('NOSPACE') && writes(request)) throw etcdError('noSpace')
      if (this.hasAlarm('CORRUPT')) throw etcdError('corrupt')
    }
    return runTransaction(this.store, request, this.#leaseExists)
  }

  /** A single operation is a transaction without a condition. */
  #write(request: Extract<LoggedRequest, { readonly type: 'put' | 'deleteRange' }>): EtcdTxnResponse {
    if (this.#alarms.size > 0) return this.#transaction({ compare: [], success: [request], failure: [] })
    return runOperation(this.store, request, this.#leaseExists)
  }
}

/** True when the transaction may put something. */
export function writes(request: EtcdTxnRequest): boolean {
  const puts = (operations: EtcdTxnRequest['success']): boolean => operations.some((operation) => operation.type === 'put' || (operation.type === 'txn' && writes(operation)))
  return puts(request.success) || puts(request.failure)
}
