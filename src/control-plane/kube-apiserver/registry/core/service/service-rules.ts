// The strategy's rules for Services. Addresses and ports are allocated by the API server, after prepareForCreate or prepareForUpdate.
// Upstream: pkg/registry/core/service/strategy.go, pkg/apis/core/v1/defaults.go (SetDefaults_Service)
import type { Service, ServicePort, ServiceSpec, ServiceStatus } from '../../../../../lib/api/generated/types/core-v1.ts'
import type { KindRules } from '../../generic-strategy.ts'
import { nameIsDns1035Label } from '../../name-rules.ts'
import { warningsForIp } from '../../validation/addresses.ts'
import { mapChanged } from '../pod/default-pod-spec.ts'
import { normalizeClusterIps, prepareServiceUpdate } from './prepare-service.ts'
import { isExternallyAccessible, isHeadless } from './service-traits.ts'
import { validateService, validateServiceStatus, validateServiceUpdate } from './validate-service.ts'

const threeHoursSeconds = 10800

function defaultPort(port: ServicePort): ServicePort {
  const targetPort = port.targetPort === undefined || port.targetPort === 0 || port.targetPort === '' ? port.port : port.targetPort
  return port.protocol && targetPort === port.targetPort ? port : { ...port, protocol: port.protocol || 'TCP', targetPort }
}

function defaultSpec(given: ServiceSpec): ServiceSpec {
  let next = given
  if (!next.sessionAffinity) next = { ...next, sessionAffinity: 'None' }
  if (next.sessionAffinity === 'None' && next.sessionAffinityConfig) next = { ...next, sessionAffinityConfig: undefined }
  if (next.sessionAffinity === 'ClientIP' && next.sessionAffinityConfig?.clientIP?.timeoutSeconds === undefined) {
    next = { ...next, sessionAffinityConfig: { clientIP: { timeoutSeconds: threeHoursSeconds } } }
  }
  if (!next.type) next = { ...next, type: 'ClusterIP' }
  const ports = next.ports && mapChanged(next.ports, defaultPort)
  if (ports !== next.ports) next = { ...next, ports }
  if (isExternallyAccessible(next) && !next.externalTrafficPolicy) next = { ...next, externalTrafficPolicy: 'Cluster' }
  if (next.internalTrafficPolicy === undefined && (next.type === 'NodePort' || next.type === 'LoadBalancer' || next.type === 'ClusterIP')) next = { ...next, internalTrafficPolicy: 'Cluster' }
  if (next.type === 'LoadBalancer' && next.allocateLoadBalancerNodePorts === undefined) next = { ...next, allocateLoadBalancerNodePorts: true }
  return next
}

function defaultStatus(status: ServiceStatus | undefined): ServiceStatus | undefined {
  const ingress = status?.loadBalancer?.ingress
  const next = ingress && mapChanged(ingress, (entry) => entry.ip && entry.ipMode === undefined ? { ...entry, ipMode: 'VIP' } : entry)
  return !status || next === ingress ? status : { ...status, loadBalancer: { ...status.loadBalancer, ingress: next } }
}

export const serviceRules: KindRules<Service> = {
  nameRule: nameIsDns1035Label,
  applyDefaults(service) {
    const spec = defaultSpec(service.spec ?? {})
    const status = spec.type === 'LoadBalancer' ? defaultStatus(service.status) : service.status
    return spec === service.spec && status === service.status ? service : { ...service, spec, ...(status && { status }) }
  },
  prepareForCreate: (service) => ({ ...service, spec: normalizeClusterIps(service.spec ?? {}, undefined), status: { loadBalancer: {} } }),
  prepareForUpdate: prepareServiceUpdate,
  validate: (service, errors) => validateService(service, errors),
  validateUpdate: (service, old, errors) => validateServiceUpdate(service, old, errors),
  validateStatus: (service, _old, errors) => validateServiceStatus(service.status, service.spec ?? {}, errors),
  warnings({ spec, metadata }) {
    const warnings: string[] = []
    if (metadata.annotations?.['service.kubernetes.io/topology-aware-hints'] !== undefined) {
      warnings.push('annotation service.kubernetes.io/topology-aware-hints is deprecated, please use service.kubernetes.io/topology-mode instead')
    }
    if (!spec) return warnings
    if (!isHeadless(spec)) spec.clusterIPs?.forEach((ip, i) => warnings.push(...warningsForIp(ip, `spec.clusterIPs[${i}]`)))
    spec.externalIPs?.forEach((ip, i) => warnings.push(...warningsForIp(ip, `spec.externalIPs[${i}]`)))
    if (spec.loadBalancerIP) warnings.push(...warningsForIp(spec.loadBalancerIP, 'spec.loadBalancerIP'))
    if (spec.type === 'ExternalName' && spec.externalIPs && spec.externalIPs.length > 0) warnings.push('spec.externalIPs is ignored when spec.type is "ExternalName"')
    if (spec.type !== 'ExternalName' && spec.externalName) warnings.push('spec.externalName is ignored when spec.type is not "ExternalName"')
    if (spec.trafficDistribution === 'PreferClose') warnings.push('spec.trafficDistribution: Value "PreferClose" is deprecated, use "PreferSameZone"')
    return warnings
  },
  selectableFields: (service) => ({ 'spec.clusterIP': service.spec?.clusterIP ?? '', 'spec.type': service.spec?.type ?? '' }),
}
