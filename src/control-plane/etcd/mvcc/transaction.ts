// A transaction: compare, then do one of two lists of operations, all or nothing, in one revision.
//
// All compares, those of nested transactions too, look at the state before the first operation; then the chosen operations are checked; only
// then is anything done, so nothing can fail half-way. Upstream: etcd/server/etcdserver/txn/txn.go
import { etcdError } from '../../../lib/etcd-api/etcd-error.ts'
import type { EtcdCompare, EtcdOperation, EtcdOperationResult, EtcdPutRequest, EtcdTxnRequest, EtcdTxnResponse } from '../../../lib/etcd-api/operations.ts'
import { unreachable } from '../../../lib/base/assert.ts'
import { keyRange, keyText } from './key-text.ts'
import type { MvccStore } from './mvcc-store.ts'
import { compareBytes, readRange } from './range.ts'
import type { StoredKeyValue } from './stored-key-value.ts'

/** Tells whether a lease exists. */
export type LeaseExists = (id: bigint) => boolean

interface Plan {
  readonly succeeded: boolean
  readonly operations: readonly EtcdOperation[]
  /** One per nested transaction among `operations`, in order. */
  readonly nested: readonly Plan[]
}

/** True when the transaction can't change anything. */
export function isReadOnly(request: EtcdTxnRequest): boolean {
  return request.success.every(reads) && request.failure.every(reads)
}

function reads(operation: EtcdOperation): boolean {
  return operation.type === 'range' || (operation.type === 'txn' && isReadOnly(operation))
}

/** Runs a transaction and commits it. @throws EtcdError, and then nothing has changed. */
export function runTransaction(store: MvccStore, request: EtcdTxnRequest, leaseExists: LeaseExists): EtcdTxnResponse {
  if (request.compare.length === 0 && request.success.length === 1) {
    const only = request.success[0]! // cast: the length is one
    if (only.type === 'put' || only.type === 'deleteRange') return runOperation(store, only, leaseExists)
  }
  const plan = choose(store, request)
  check(store, plan, leaseExists)
  const results = execute(store, plan)
  store.commit()
  return { revision: store.revision, succeeded: plan.succeeded, results }
}

/** A single write, as most are: the same without a plan. @throws EtcdError, and then nothing has changed. */
export function runOperation(store: MvccStore, operation: Extract<EtcdOperation, { readonly type: 'put' | 'deleteRange' }>, leaseExists: LeaseExists): EtcdTxnResponse {
  if (operation.type === 'put') checkPut(store, operation, leaseExists)
  const result = write(store, operation)
  store.commit()
  return { revision: store.revision, succeeded: true, results: [result] }
}

function choose(store: MvccStore, request: EtcdTxnRequest): Plan {
  let succeeded = true
  for (const compare of request.compare) if (!holds(store, compare)) { succeeded = false; break }
  const operations = succeeded ? request.success : request.failure
  let nested: Plan[] | undefined
  for (const operation of operations) if (operation.type === 'txn') (nested ??= []).push(choose(store, operation))
  return { succeeded, operations, nested: nested ?? noPlans }
}

function holds(store: MvccStore, compare: EtcdCompare): boolean {
  if (compare.rangeEnd === undefined || compare.rangeEnd.length === 0) return satisfies(compare, store.get(keyText(compare.key)))
  const range = keyRange(compare.key, compare.rangeEnd)
  const found = store.list(range, 0, 0)
  return found.length === 0 ? satisfies(compare, undefined) : found.every((kv) => satisfies(compare, kv))
}

/** A key that isn't there has revisions, version and lease 0, and no value that equals, precedes or follows anything. */
function satisfies(compare: EtcdCompare, kv: StoredKeyValue | undefined): boolean {
  let difference: number
  switch (compare.target) {
    case 'VALUE':
      if (kv === undefined) return false
      difference = compareBytes(kv.value, compare.value)
      break
    case 'LEASE': {
      const lease = kv?.lease ?? 0n
      difference = lease < compare.lease ? -1 : lease > compare.lease ? 1 : 0
      break
    }
    case 'MOD': difference = (kv?.modRevision ?? 0) - compare.number; break
    case 'CREATE': difference = (kv?.createRevision ?? 0) - compare.number; break
    case 'VERSION': difference = (kv?.version ?? 0) - compare.number; break
    default: return unreachable(compare)
  }
  switch (compare.result) {
    case 'EQUAL': return difference === 0
    case 'NOT_EQUAL': return difference !== 0
    case 'GREATER': return difference > 0
    case 'LESS': return difference < 0
    default: return unreachable(compare.result)
  }
}

function check(store: MvccStore, plan: Plan, leaseExists: LeaseExists): void {
  for (const operation of plan.operations) {
    if (operation.type === 'range') { if (operation.revision) store.checkRevision(operation.revision) }
    else if (operation.type === 'put') checkPut(store, operation, leaseExists)
  }
  for (const nested of plan.nested) check(store, nested, leaseExists)
}

function checkPut(store: MvccStore, request: EtcdPutRequest, leaseExists: LeaseExists): void {
  if ((request.ignoreValue || request.ignoreLease) && store.get(keyText(request.key)) === undefined) throw etcdError('keyNotFound')
  if (request.lease && !leaseExists(request.lease)) throw etcdError('leaseNotFound')
}

const putResult: EtcdOperationResult = { type: 'put' }
const noPlans: readonly Plan[] = []

function write(store: MvccStore, operation: Extract<EtcdOperation, { readonly type: 'put' | 'deleteRange' }>): EtcdOperationResult {
  if (operation.type === 'put') {
    const before = operation.prevKv || operation.ignoreValue || operation.ignoreLease ? store.get(keyText(operation.key)) : undefined
    store.put(operation.key, operation.ignoreValue && before ? before.value : operation.value, operation.ignoreLease && before ? before.lease : (operation.lease ?? 0n))
    return operation.prevKv && before ? { type: 'put', prevKv: before } : putResult
  }
  const deleted = store.deleteRange(keyRange(operation.key, operation.rangeEnd))
  return operation.prevKv ? { type: 'deleteRange', deleted: deleted.length, prevKvs: deleted } : { type: 'deleteRange', deleted: deleted.length }
}

function execute(store: MvccStore, plan: Plan): readonly EtcdOperationResult[] {
  let nestedAt = 0
  return plan.operations.map((operation): EtcdOperationResult => {
    switch (operation.type) {
      case 'put': case 'deleteRange': return write(store, operation)
      case 'range': return { type: 'range', ...readRange(store, operation) }
      case 'txn': {
        const nested = plan.nested[nestedAt++]! // cast: one per nested transaction
        const results = execute(store, nested)
        return { type: 'txn', revision: store.viewRevision, succeeded: nested.succeeded, results }
      }
      default: return unreachable(operation)
    }
  })
}
