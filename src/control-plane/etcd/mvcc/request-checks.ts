// Refuses malformed requests before they reach the log. Upstream: etcd/server/etcdserver/api/v3rpc/key.go
import { etcdError } from '../../../lib/etcd-api/etcd-error.ts'
import type { EtcdDeleteRangeRequest, EtcdOperation, EtcdPutRequest, EtcdRangeRequest, EtcdTxnRequest } from '../../../lib/etcd-api/operations.ts'
import { unreachable } from '../../../lib/base/assert.ts'
import { isInRange, keyRange, keyText, type KeyRange } from './key-text.ts'

export function checkRange(request: EtcdRangeRequest): void {
  if (request.key.length === 0) throw etcdError('emptyKey')
  // A newer client's number has no name here and stays a number.
  if (typeof request.sortOrder === 'number' || typeof request.sortTarget === 'number') throw etcdError('invalidSortOption')
}

export function checkPut(request: EtcdPutRequest): void {
  if (request.key.length === 0) throw etcdError('emptyKey')
  if (request.ignoreValue && request.value.length !== 0) throw etcdError('valueProvided')
  if (request.ignoreLease && request.lease) throw etcdError('leaseProvided')
}

export function checkDeleteRange(request: EtcdDeleteRangeRequest): void {
  if (request.key.length === 0) throw etcdError('emptyKey')
}

/** @param maxOperations of one list, nested transactions included. */
export function checkTxn(request: EtcdTxnRequest, maxOperations: number): void {
  checkShape(request, maxOperations)
  if (request.success.length > 1 || hasNested(request.success)) checkOverlaps(request.success)
  if (request.failure.length > 1 || hasNested(request.failure)) checkOverlaps(request.failure)
}

function hasNested(operations: readonly EtcdOperation[]): boolean { return operations.some((operation) => operation.type === 'txn') }

function checkShape(request: EtcdTxnRequest, maxOperations: number): void {
  const longest = Math.max(request.compare.length, request.success.length, request.failure.length)
  if (longest > maxOperations) throw etcdError('tooManyOps')
  for (const compare of request.compare) if (compare.key.length === 0) throw etcdError('emptyKey')
  for (const operation of request.success) checkOperation(operation, maxOperations - longest)
  for (const operation of request.failure) checkOperation(operation, maxOperations - longest)
}

function checkOperation(operation: EtcdOperation, maxOperations: number): void {
  switch (operation.type) {
    case 'range': checkRange(operation); return
    case 'put': checkPut(operation); return
    case 'deleteRange': checkDeleteRange(operation); return
    case 'txn': checkShape(operation, maxOperations); return
    default: unreachable(operation)
  }
}

interface Touched { readonly puts: Set<string>; readonly deletes: KeyRange[] }

/** No key may be put twice, or put and deleted, by operations that can run together. Returns what the list can touch. */
function checkOverlaps(operations: readonly EtcdOperation[]): Touched {
  const puts = new Set<string>()
  const deletes: KeyRange[] = []
  for (const operation of operations) if (operation.type === 'deleteRange') deletes.push(keyRange(operation.key, operation.rangeEnd))
  const add = (key: string): void => {
    if (puts.has(key) || deletes.some((range) => isInRange(range, key))) throw etcdError('duplicateKey')
    puts.add(key)
  }
  for (const operation of operations) {
    if (operation.type !== 'txn') continue
    const then = checkOverlaps(operation.success)
    const otherwise = checkOverlaps(operation.failure)
    for (const key of then.puts) add(key)
    // The two branches exclude each other: what both put is put once.
    for (const key of otherwise.puts) if (!then.puts.has(key)) add(key)
    deletes.push(...then.deletes, ...otherwise.deletes)
  }
  for (const operation of operations) if (operation.type === 'put') add(keyText(operation.key))
  return { puts, deletes }
}
