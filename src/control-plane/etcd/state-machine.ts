// What the log does to the member's state: keys, leases, alarms. Applying the same requests in the same order gives the same state on every
// member and after every restart; anything that depends on the moment (which lease id, whether a lease has expired) is decided before
// a request enters the log.
import { etcdError } from '../../lib/etcd-api/etcd-error.ts'
import type { EtcdAlarm, EtcdDeleteRangeRequest, EtcdPutRequest, EtcdTxnRequest, EtcdTxnResponse } from '../../lib/etcd-api/operations.ts'
import { unreachable } from '../../lib/base/assert.ts'
import { LeaseBook } from './lease/lease-book.ts'
import { MvccStore } from './mvcc/mvcc-store.ts'
import { runTransaction } from './mvcc/transaction.ts'

/** What an entry of the log asks for. A conf change and an empty entry change nothing here. */
export type LoggedRequest =
  | ({ readonly type: 'put' } & EtcdPutRequest)
  | ({ readonly type: 'deleteRange' } & EtcdDeleteRangeRequest)
  | ({ readonly type: 'txn' } & EtcdTxnRequest)
  | { readonly type: 'compaction'; readonly revision: number; readonly physical?: boolean }
  | { readonly type: 'leaseGrant'; readonly id: bigint; readonly ttlSeconds: number }
  | { readonly type: 'leaseRevoke'; readonly id: bigint }
  | { readonly type: 'alarm'; readonly action: 'ACTIVATE' | 'DEACTIVATE'; readonly memberId: bigint; readonly alarm: EtcdAlarm }

export interface AlarmMember { readonly memberId: bigint; readonly alarm: EtcdAlarm }

/** What a request gave; which fields, its type tells. */
export type AppliedResult =
  | { readonly type: 'txn'; readonly response: EtcdTxnResponse }
  | { readonly type: 'leaseGrant'; readonly id: bigint; readonly ttlSeconds: number }
  | { readonly type: 'alarm'; readonly alarms: readonly AlarmMember[] }
  | { readonly type: 'done' }

const done: AppliedResult = { type: 'done' }

export class StateMachine {
  readonly leases: LeaseBook
  readonly store: MvccStore
  readonly #alarms = new Map<string, AlarmMember>()

  constructor(smallestTtlSeconds: number) {
    const leases = new LeaseBook(smallestTtlSeconds)
    this.leases = leases
    this.store = new MvccStore(leases)
  }

  get alarms(): readonly AlarmMember[] { return [...this.#alarms.values()] }
  hasAlarm(alarm: EtcdAlarm): boolean {
    for (const raised of this.#alarms.values()) if (raised.alarm === alarm) return true
    return false
  }

  restoreAlarms(alarms: readonly AlarmMember[]): void { for (const alarm of alarms) this.#alarms.set(`${alarm.memberId} ${alarm.alarm}`, alarm) }

  /** @throws EtcdError when the request is refused; then nothing has changed. */
  apply(request: LoggedRequest, nowMs: number): AppliedResult {
    switch (request.type) {
      case 'put': case 'deleteRange': return { type: 'txn', response: this.#transaction({ compare: [], success: [request], failure: [] }) }
      case 'txn': return { type: 'txn', response: this.#transaction(request) }
      case 'compaction': this.store.compact(request.revision); return done
      case 'leaseGrant': return { type: 'leaseGrant', id: request.id, ttlSeconds: this.leases.grant(request.id, request.ttlSeconds, nowMs) }
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
      default: return unreachable(request)
    }
  }

  #transaction(request: EtcdTxnRequest): EtcdTxnResponse {
    if (this.hasAlarm('NOSPACE') && writes(request)) throw etcdError('noSpace')
    if (this.hasAlarm('CORRUPT')) throw etcdError('corrupt')
    return runTransaction(this.store, request, (id) => this.leases.has(id))
  }
}

/** True when the transaction may put something. */
export function writes(request: EtcdTxnRequest): boolean {
  const puts = (operations: EtcdTxnRequest['success']): boolean => operations.some((operation) => operation.type === 'put' || (operation.type === 'txn' && writes(operation)))
  return puts(request.success) || puts(request.failure)
}

