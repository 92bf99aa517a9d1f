// Short questions about a service that defaults, validation and updates ask alike. Upstream: pkg/api/service/util.go, pkg/registry/core/service/strategy.go
import type { Draft } from '../../../../../lib/base/json.ts'
import type { ServiceSpec } from '../../../../../lib/api/generated/types/core-v1.ts'

type Spec = Draft<ServiceSpec>

export const isHeadless = (spec: Spec): boolean => spec.clusterIPs?.length === 1 && spec.clusterIPs[0] === 'None'
export const needsClusterIp = (spec: Spec): boolean => spec.type === 'ClusterIP' || spec.type === 'NodePort' || spec.type === 'LoadBalancer'
export const needsNodePort = (spec: Spec): boolean =>
  spec.type === 'NodePort' || (spec.type === 'LoadBalancer' && spec.allocateLoadBalancerNodePorts !== false)
/** Reached from outside: by node ports, by a load balancer, by addresses of its own. */
export const isExternallyAccessible = (spec: Spec): boolean =>
  spec.type === 'LoadBalancer' || spec.type === 'NodePort' || (spec.type === 'ClusterIP' && (spec.externalIPs?.length ?? 0) > 0)
export const needsHealthCheck = (spec: Spec): boolean => spec.type === 'LoadBalancer' && spec.externalTrafficPolicy === 'Local'
