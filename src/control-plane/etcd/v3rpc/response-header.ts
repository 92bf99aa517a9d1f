// What all answers share: the header that says who answered, at which revision and term; and the status of errors.
import type { ResponseHeader } from '../../../lib/etcd-api/generated/types.ts'
import { EtcdError, grpcCodeOf } from '../../../lib/etcd-api/etcd-error.ts'
import { GrpcError } from '../../../lib/net/grpc/status.ts'
import type { EtcdInternals } from '../embedded.ts'

/** @param revision the store's newest when absent */
export function headerOf(etcd: EtcdInternals, revision = etcd.member.machine.store.revision): ResponseHeader {
  return { clusterId: etcd.identity.clusterId, memberId: etcd.identity.memberId, revision, raftTerm: etcd.member.term }
}

/** The error as it goes on the wire: there Compacted is OutOfRange. */
export function toStatus(error: unknown): unknown {
  return error instanceof EtcdError ? new GrpcError(grpcCodeOf(error.reason), error.message, { cause: error }) : error
}
