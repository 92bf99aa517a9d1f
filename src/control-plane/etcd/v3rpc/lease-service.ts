// etcdserverpb.Lease. Keep-alives of a stream are answered in order; one for a lease that is gone has TTL 0 and is no error.
import { decodeProto3, encodeProto3 } from '../../../lib/base/protobuf/proto3.ts'
import { etcdTable } from '../../../lib/etcd-api/generated/table.ts'
import type {
  LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveRequest, LeaseKeepAliveResponse, LeaseLeasesResponse, LeaseRevokeRequest, LeaseRevokeResponse, LeaseTimeToLiveRequest, LeaseTimeToLiveResponse,
} from '../../../lib/etcd-api/generated/types.ts'
import type { GrpcHandler, GrpcServerCall } from '../../../lib/net/grpc/grpc-server.ts'
import type { EtcdInternals } from '../embedded.ts'
import { checkLeaseKeys } from '../auth/check-request.ts'
import { callerOf, loggedCaller, requireUser, type Peer } from './access.ts'
import { headerOf, toStatus } from './response-header.ts'

export function leaseImplementation(etcd: EtcdInternals): object {
  const { client } = etcd
  const { auth, leases } = etcd.member.machine
  return {
    leaseGrant: async (request: LeaseGrantRequest, signal: AbortSignal, peer: Peer): Promise<LeaseGrantResponse> => {
      requireUser(etcd, peer)
      const { id, ttlSeconds } = await client.leaseGrant(request.TTL ?? 0, signal, request.ID ?? 0n)
      return { header: headerOf(etcd), ID: id, TTL: ttlSeconds }
    },
    leaseRevoke: async (request: LeaseRevokeRequest, signal: AbortSignal, peer: Peer): Promise<LeaseRevokeResponse> => {
      await client.propose({ type: 'leaseRevoke', id: request.ID ?? 0n, ...loggedCaller(etcd, peer) }, signal)
      return { header: headerOf(etcd) }
    },
    leaseTimeToLive: async (request: LeaseTimeToLiveRequest, signal: AbortSignal, peer: Peer): Promise<LeaseTimeToLiveResponse> => {
      requireUser(etcd, peer)
      if (auth.enabled && request.keys) checkLeaseKeys(auth, leases, callerOf(etcd, peer), request.ID ?? 0n, true)
      const { ttlSeconds, grantedTtlSeconds, keys } = await client.leaseTimeToLive(request.ID ?? 0n, signal, { keys: request.keys ?? false })
      return { header: headerOf(etcd), ID: request.ID ?? 0n, TTL: ttlSeconds, grantedTTL: grantedTtlSeconds, keys }
    },
    leaseLeases: async (_: object, signal: AbortSignal, peer: Peer): Promise<LeaseLeasesResponse> => {
      requireUser(etcd, peer)
      const ids = await client.leases(signal)
      if (auth.enabled) for (const id of ids) checkLeaseKeys(auth, leases, callerOf(etcd, peer), id, true)
      return { header: headerOf(etcd), leases: ids.map((ID) => ({ ID })) }
    },
  }
}

export function keepAliveHandler(etcd: EtcdInternals): GrpcHandler {
  return {
    stream: (call) => {
      // Answers keep the order of the questions.
      let tail: Promise<void> = Promise.resolve()
      return {
        message: (bytes) => {
          const id = decodeProto3<LeaseKeepAliveRequest>(etcdTable, 'LeaseKeepAliveRequest', bytes).ID ?? 0n
          // Made before the renewal, so that its revision is never beyond the moment of the renewal.
          const header = headerOf(etcd)
          const renewed = checkRenewal(etcd, call, id).then(() => etcd.client.leaseKeepAlive(id, call.signal))
          tail = tail.then(async () => {
            const answer: LeaseKeepAliveResponse = { header, ID: id, TTL: (await renewed).ttlSeconds }
            call.send(encodeProto3(etcdTable, 'LeaseKeepAliveResponse', answer))
          }).catch((error: unknown) => call.fail(toStatus(error)))
        },
        end: () => { void tail.then(() => call.end()) },
      }
    },
  }
}

async function checkRenewal(etcd: EtcdInternals, call: GrpcServerCall, id: bigint): Promise<void> {
  const { auth, leases } = etcd.member.machine
  if (!auth.enabled) return
  requireUser(etcd, call)
  checkLeaseKeys(auth, leases, callerOf(etcd, call), id)
}
