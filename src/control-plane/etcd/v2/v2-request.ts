// The requests of etcd's second API as the log keeps them (etcdserverpb.Request), and what they give. Upstream: etcd v3.5, server/etcdserver/apply_v2.go
import { decodeProto3, encodeProto3, type Proto3Table } from '../../../lib/base/protobuf/proto3.ts'

export interface V2Request {
  /** QGET is a read that goes through the log; SYNC removes what has expired at `time`. */
  readonly method: 'POST' | 'PUT' | 'DELETE' | 'QGET' | 'SYNC'
  readonly path?: string
  readonly value?: string
  readonly dir?: boolean
  readonly prevValue?: string
  readonly prevIndex?: number
  /** Absent: doesn't matter. */
  readonly prevExist?: 'yes' | 'no'
  /** Milliseconds since the epoch; 0 or absent: never. */
  readonly expiresAtMs?: number
  readonly recursive?: boolean
  readonly sorted?: boolean
  /** New time to live, same value, nobody is told. */
  readonly refresh?: boolean
  /** Wall time at which the request was made, milliseconds: what remains of lifetimes is counted from it. */
  readonly timeMs: number
}

export interface V2Node {
  readonly key?: string
  readonly value?: string
  readonly dir?: boolean
  /** RFC 3339 with fractions, UTC. */
  readonly expiration?: string
  /** Seconds, rounded up. */
  readonly ttl?: number
  readonly nodes?: readonly V2Node[]
  readonly modifiedIndex?: number
  readonly createdIndex?: number
}

export type V2Action = 'get' | 'set' | 'update' | 'create' | 'delete' | 'compareAndSwap' | 'compareAndDelete' | 'expire'

export interface V2Event {
  readonly action: V2Action
  readonly node: V2Node
  readonly prevNode?: V2Node
}

/** The number is the API's error code. */
export interface V2Failure {
  readonly errorCode: number
  readonly cause: string
  /** The store's index when it was refused. */
  readonly index: number
}

export type V2Result = { readonly event: V2Event; /** Store's index after it. */ readonly index: number } | { readonly failure: V2Failure }

const methods = ['POST', 'PUT', 'DELETE', 'QGET', 'SYNC'] as const

/** Times are nanoseconds on the wire: bigint. */
const table: Proto3Table = {
  Request: [
    { name: 'method', number: 2, type: 'string' }, { name: 'path', number: 3, type: 'string' }, { name: 'value', number: 4, type: 'string' }, { name: 'dir', number: 5, type: 'bool' },
    { name: 'prevValue', number: 6, type: 'string' }, { name: 'prevIndex', number: 7, type: 'uint64' }, { name: 'prevExist', number: 8, type: 'bool', oneof: 'prevExist' },
    { name: 'expiration', number: 9, type: 'int64', big: true }, { name: 'recursive', number: 12, type: 'bool' }, { name: 'sorted', number: 13, type: 'bool' },
    { name: 'time', number: 15, type: 'int64', big: true }, { name: 'refresh', number: 17, type: 'bool', oneof: 'refresh' },
  ],
}

const nanoseconds = 1_000_000n

export function encodeV2Request(request: V2Request): Uint8Array {
  const { prevExist, expiresAtMs, timeMs, ...rest } = request
  return encodeProto3(table, 'Request', {
    ...rest, ...(prevExist === undefined ? {} : { prevExist: prevExist === 'yes' }), expiration: BigInt(Math.round(expiresAtMs ?? 0)) * nanoseconds, time: BigInt(Math.round(timeMs)) * nanoseconds,
  })
}

/** @throws WireError */
export function decodeV2Request(bytes: Uint8Array): V2Request {
  const m = decodeProto3<Omit<V2Request, 'method' | 'prevExist' | 'expiresAtMs' | 'timeMs'> & { method?: string; prevExist?: boolean; expiration?: bigint; time?: bigint }>(table, 'Request', bytes)
  const { method, prevExist, expiration = 0n, time = 0n, ...rest } = m
  return {
    ...rest, method: methods.find((known) => known === method) ?? 'QGET', ...(prevExist === undefined ? {} : { prevExist: prevExist ? 'yes' : 'no' }),
    expiresAtMs: Number(expiration / nanoseconds), timeMs: Number(time / nanoseconds),
  }
}
