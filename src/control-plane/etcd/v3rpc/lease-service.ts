// etcdserverpb.Lease. Keep-alives of a stream are answered in order; one for a lease that is gone has TTL 0 and is no error.
import { decodeProto3, encodeProto3 } from '../../../lib/base/protobuf/proto3.ts'
import { etcdTable } from '../../../lib/etcd-api/generated/table.ts'
import type {
  LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveRequest, LeaseKeepAliveResponse, LeaseLeasesResponse, LeaseRevokeRequest, LeaseRevokeResponse, LeaseTimeToLiveRequest, LeaseTimeToLiveResponse,
} from '../../../lib/etcd-api/generated/types.ts'
import type { GrpcHandler } from '../../../lib/net/grpc/grpc-server.ts'
import type { EtcdInternals } from '../embedded.ts'
import { headerOf } from './response-header.ts'

export function leaseImplementation(etcd: EtcdInternals): object {
  const { client } = etcd
  return {
    leaseGrant: async (request: LeaseGrantRequest, signal: AbortSignal): Promise<LeaseGrantResponse> => {
      const { id, ttlSeconds } = await client.leaseGrant(request.TTL ?? 0, signal, request.ID ?? 0n)
      return { header: headerOf(etcd), ID: id, TTL: ttlSeconds }
    },
    leaseRevoke: async (request: LeaseRevokeRequest, signal: AbortSignal): Promise<LeaseRevokeResponse> => {
      await client.leaseRevoke(request.ID ?? 0n, signal)
      return { header: headerOf(etcd) }
    },
    leaseTimeToLive: async (request: LeaseTimeToLiveRequest, signal: AbortSignal): Promise<LeaseTimeToLiveResponse> => {
      const { ttlSeconds, grantedTtlSeconds, keys } = await client.leaseTimeToLive(request.ID ?? 0n, signal, { keys: request.keys ?? false })
      return { header: headerOf(etcd), ID: request.ID ?? 0n, TTL: ttlSeconds, grantedTTL: grantedTtlSeconds, keys }
    },
    leaseLeases: async (_: object, signal: AbortSignal): Promise<LeaseLeasesResponse> => ({ header: headerOf(etcd), leases: (await client.leases(signal)).map((ID) => ({ ID })) }),
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
          const renewed = etcd.client.leaseKeepAlive(id, call.signal)
          tail = tail.then(async () => {
            const answer: LeaseKeepAliveResponse = { header, ID: id, TTL: (await renewed).ttlSeconds }
            call.send(encodeProto3(etcdTable, 'LeaseKeepAliveResponse', answer))
          }).catch((error: unknown) => call.fail(error))
        },
        end: () => { void tail.then(() => call.end()) },
      }
    },
  }
}
