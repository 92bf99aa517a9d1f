// grpc.health.v1.Health: the service that probes and load balancers ask. One status for the whole server.
import type { Proto3Table } from '../../base/protobuf/proto3.ts'
import type { GrpcService } from './service.ts'

export type HealthStatus = 'UNKNOWN' | 'SERVING' | 'NOT_SERVING' | 'SERVICE_UNKNOWN'

export interface HealthService {
  check(request: { readonly service?: string }, signal: AbortSignal): Promise<{ readonly status?: HealthStatus }>
}

const table: Proto3Table = {
  HealthCheckRequest: [{ name: 'service', number: 1, type: 'string' }],
  HealthCheckResponse: [{ name: 'status', number: 1, type: 'enum', enumValues: { UNKNOWN: 0, SERVING: 1, NOT_SERVING: 2, SERVICE_UNKNOWN: 3 } }],
}

export const healthService: GrpcService = { name: 'grpc.health.v1.Health', table, methods: { Check: { request: 'HealthCheckRequest', response: 'HealthCheckResponse' } } }
