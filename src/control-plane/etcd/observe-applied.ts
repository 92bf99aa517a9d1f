// What applying a request adds to the metrics. Upstream: etcd/server/etcdserver/txn/metrics.go, etcd/server/lease/metrics.go
import type { EtcdMetrics } from './metrics/etcd-metrics.ts'
import type { AppliedResult, LoggedRequest } from './state-machine.ts'

const requestTypes: { readonly [type in Exclude<LoggedRequest['type'], 'auth'>]: string } = {
  put: 'Put', deleteRange: 'DeleteRange', txn: 'Txn', compaction: 'Compaction', leaseGrant: 'LeaseGrant', leaseRevoke: 'LeaseRevoke', alarm: 'Alarm', authenticate: 'Authenticate', v2: 'V2',
  clusterMemberAttrSet: 'ClusterMemberAttrSet', clusterVersionSet: 'ClusterVersionSet', downgradeInfoSet: 'DowngradeInfoSet', leaseCheckpoint: 'LeaseCheckpoint',
}

/** The request's name in the original's metrics, as `AuthUserAdd`. */
export function requestTypeOf(request: LoggedRequest): string {
  if (request.type !== 'auth') return requestTypes[request.type]
  const [field = 'auth'] = Object.keys(request.change)
  return `${field.charAt(0).toUpperCase()}${field.slice(1)}`
}

/** @param result undefined: it was refused */
export function observeApplied(metrics: EtcdMetrics, request: LoggedRequest, seconds: number, result: AppliedResult | undefined): void {
  metrics.observeApply(requestTypeOf(request), seconds, result !== undefined)
  if (result === undefined) return
  if (result.type === 'leaseGrant') {
    metrics.leases.granted.inc()
    metrics.leases.ttl.observe(result.ttlSeconds)
  } else if (request.type === 'leaseRevoke') metrics.leases.revoked.inc()
}
