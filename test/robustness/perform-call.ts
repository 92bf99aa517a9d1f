// Asks an etcd what a Call says, through the client that the API server uses, and writes down what came of it.
import type { EtcdClient, EtcdEvent, EtcdKeyValue, EtcdOperation, EtcdOperationResult } from '../../src/lib/etcd-client/etcd-client.ts'
import { EtcdError, wasNotSent } from '../../src/lib/etcd-client/etcd-client.ts'
import { unreachable } from '../../src/lib/base/assert.ts'
import type { LoggedEvent } from './event-log.ts'
import { valueId, type Call, type KeyState, type Operation, type Output, type Step, type StepResult } from './operation.ts'

const bytes = (text: string): Uint8Array => Buffer.from(text)
const text = (value: Uint8Array): string => Buffer.from(value).toString()

export interface Performer {
  readonly client: EtcdClient
  /** Monotonic, nanoseconds. */
  readonly now: () => number
  readonly signal: () => AbortSignal
}

/** Reasons with which an etcd says that it did nothing. Everything else may have happened. */
const refusals = new Set(['InvalidArgument', 'NotFound', 'FailedPrecondition', 'Compacted', 'OutOfRange', 'ResourceExhausted'])

export async function performCall(performer: Performer, client: number, call: Call): Promise<Operation> {
  const calledAt = performer.now()
  try {
    const output = await ask(performer, call)
    return { client, call: withValueIds(call), calledAt, returnedAt: performer.now(), outcome: { type: 'done', output } }
  } catch (error) {
    const reason = error instanceof EtcdError ? error.reason : error instanceof Error ? error.name : 'error'
    // Anything else is a bug of the client or of this harness, not an outcome.
    if (!(error instanceof EtcdError) && reason !== 'AbortError' && reason !== 'TimeoutError') throw error
    return { client, call: withValueIds(call), calledAt, returnedAt: performer.now(), outcome: { type: refusals.has(reason) || (error instanceof EtcdError && wasNotSent(error)) ? 'refused' : 'unknown', reason: `${reason}: ${error instanceof Error ? error.message : String(error)}` } }
  }
}

async function ask({ client, signal }: Performer, call: Call): Promise<Output> {
  switch (call.type) {
    case 'txn': {
      const response = await client.txn({ compare: call.guards.map(({ key, modRevision }) => ({ key: bytes(key), target: 'MOD', result: 'EQUAL', number: modRevision })), success: call.success.map(operationOf), failure: call.failure.map(operationOf) }, signal())
      return { revision: response.revision, succeeded: response.succeeded, results: response.results.map(resultOf) }
    }
    case 'range': {
      const response = await client.range({ key: bytes(call.key), ...(call.end === undefined ? {} : { rangeEnd: bytes(call.end) }), limit: call.limit ?? 0 }, signal())
      return { revision: response.revision, results: [resultOf({ type: 'range', ...response })] }
    }
    case 'readAt': {
      const response = await client.range({ key: bytes(call.key), ...(call.end === undefined ? {} : { rangeEnd: bytes(call.end) }), revision: call.revision, serializable: call.serializable }, signal())
      return { revision: response.revision, results: [resultOf({ type: 'range', ...response })] }
    }
    case 'grant': await client.leaseGrant(call.ttlSeconds, signal(), BigInt(call.lease)); return {}
    case 'revoke': await client.leaseRevoke(BigInt(call.lease), signal()); return {}
    case 'keepAlive': return { ttlSeconds: (await client.leaseKeepAlive(BigInt(call.lease), signal())).ttlSeconds }
    case 'compact': await client.compact(call.revision, signal()); return {}
    case 'expire': return {}
    default: return unreachable(call)
  }
}

function operationOf(step: Step): EtcdOperation {
  switch (step.type) {
    case 'put': return { type: 'put', key: bytes(step.key), value: bytes(step.value), lease: BigInt(step.lease) }
    case 'delete': return { type: 'deleteRange', key: bytes(step.key) }
    case 'get': return { type: 'range', key: bytes(step.key), ...(step.end === undefined ? {} : { rangeEnd: bytes(step.end) }), limit: step.limit ?? 0 }
    default: return unreachable(step)
  }
}

function resultOf(result: EtcdOperationResult): StepResult {
  if (result.type === 'deleteRange') return { type: 'delete', deleted: result.deleted }
  if (result.type === 'range') return { type: 'get', kvs: result.kvs.map(keyStateOf), count: result.count }
  return { type: 'put' }
}

export function keyStateOf(kv: EtcdKeyValue): KeyState {
  return { key: text(kv.key), value: valueId(text(kv.value)), modRevision: kv.modRevision, createRevision: kv.createRevision, version: kv.version, lease: String(kv.lease) }
}

export function loggedEventOf(event: EtcdEvent): LoggedEvent {
  const { kv, prevKv, type } = event
  if (type === 'PUT') return { type, ...keyStateOf(kv), previous: prevKv && keyStateOf(prevKv) }
  return { type, key: text(kv.key), value: '', modRevision: kv.modRevision, createRevision: 0, version: 0, lease: '0', previous: prevKv && keyStateOf(prevKv) }
}

/** Histories name values by their identity, without the padding. */
export function withValueIds(call: Call): Call {
  if (call.type !== 'txn') return call
  const shorten = (step: Step): Step => (step.type === 'put' ? { ...step, value: valueId(step.value) } : step)
  return { ...call, success: call.success.map(shorten), failure: call.failure.map(shorten) }
}
