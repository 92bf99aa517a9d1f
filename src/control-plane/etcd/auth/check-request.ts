// Which keys a request touches, and whether its caller may. Upstream: etcd/server/etcdserver/apply/auth.go
import type { EtcdDeleteRangeRequest, EtcdOperation, EtcdPutRequest, EtcdTxnRequest } from '../../../lib/etcd-api/operations.ts'
import { unreachable } from '../../../lib/base/assert.ts'
import type { LeaseBook } from '../lease/lease-book.ts'
import { keyBytes } from '../mvcc/key-text.ts'
import type { AuthStore } from './auth-store.ts'
import type { Caller } from './caller.ts'

/** Each throws the EtcdError that the caller gets. Call them only when authentication is enabled: they walk the whole request. */
export function checkPutRequest(auth: AuthStore, leases: LeaseBook, caller: Caller, request: EtcdPutRequest): void {
  auth.checkPut(caller, request.key)
  // A lease with keys that the caller can't write is none that they may use: they could not revoke it.
  if (request.lease) checkLeaseKeys(auth, leases, caller, request.lease)
  if (request.prevKv) auth.checkRange(caller, request.key, undefined)
}

export function checkDeleteRequest(auth: AuthStore, caller: Caller, request: EtcdDeleteRangeRequest): void {
  auth.checkDelete(caller, request.key, request.rangeEnd)
  if (request.prevKv) auth.checkRange(caller, request.key, request.rangeEnd)
}

export function checkTxnRequest(auth: AuthStore, leases: LeaseBook, caller: Caller, request: EtcdTxnRequest): void {
  for (const compare of request.compare) auth.checkRange(caller, compare.key, compare.rangeEnd)
  for (const operation of request.success) checkOperation(auth, leases, caller, operation)
  for (const operation of request.failure) checkOperation(auth, leases, caller, operation)
}

function checkOperation(auth: AuthStore, leases: LeaseBook, caller: Caller, operation: EtcdOperation): void {
  switch (operation.type) {
    case 'range': auth.checkRange(caller, operation.key, operation.rangeEnd); return
    case 'put': checkPutRequest(auth, leases, caller, operation); return
    case 'deleteRange': checkDeleteRequest(auth, caller, operation); return
    case 'txn': checkTxnRequest(auth, leases, caller, operation); return
    default: unreachable(operation)
  }
}

/** The caller has to be allowed to write every key of the lease (or, with `read`, to read it). */
export function checkLeaseKeys(auth: AuthStore, leases: LeaseBook, caller: Caller, id: bigint, read = false): void {
  if (auth.isAdmin(caller)) return
  for (const key of leases.keysOf(id)) {
    if (read) auth.checkRange(caller, keyBytes(key), undefined)
    else auth.checkPut(caller, keyBytes(key))
  }
}
