// Validation of services. Upstream: pkg/apis/core/validation/validation.go (ValidateService, ValidateServiceUpdate)
import type { Draft } from '../../../../../lib/base/json.ts'
import type { Service, ServicePort, ServiceSpec, ServiceStatus } from '../../../../../lib/api/generated/types/core-v1.ts'
import { fieldDuplicate, fieldForbidden, fieldInvalid, fieldNotSupported, fieldRequired } from '../../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../../lib/apimachinery/field-error.ts'
import { goServicePort } from '../../go-structs.ts'
import { parseIpSloppy } from '../../../../../lib/apimachinery/ip-address.ts'
import { isDns1123Label, isDns1123Subdomain, isQualifiedName } from '../../../../../lib/apimachinery/validation.ts'
import { pushInvalid, validateLabels } from '../../validate-object-meta.ts'
import { validateLegacyCidr, validateLegacyIp, validateNonSpecialIp } from '../../validation/addresses.ts'
import { validateProtocol } from '../pod/validate-containers.ts'
import { validatePortNumber, validatePortNumberOrName } from '../pod/validate-handlers.ts'
import { isExternallyAccessible, isHeadless, needsHealthCheck } from './service-traits.ts'
import { validateClusterIpChanges, validateClusterIps } from './validate-cluster-ips.ts'

const types = ['ClusterIP', 'ExternalName', 'LoadBalancer', 'NodePort']
const trafficPolicies = ['Cluster', 'Local']
const distributions = ['PreferClose', 'PreferSameNode', 'PreferSameZone']
const mostAffinitySeconds = 86400
const loadBalancerOnly = "may only be used when `type` is 'LoadBalancer'"

export function validateService(service: Draft<Service>, errors: FieldError[]): void {
  const spec = service.spec ?? {}
  const ports = spec.ports ?? []
  const annotations = service.metadata?.annotations
  const hints = annotations?.['service.kubernetes.io/topology-aware-hints']
  const mode = annotations?.['service.kubernetes.io/topology-mode']
  if (mode !== undefined && hints !== undefined && mode !== hints) {
    errors.push(fieldInvalid('metadata.annotations[service.kubernetes.io/topology-mode]', mode, 'must match annotations[service.kubernetes.io/topology-aware-hints] when both are specified'))
  }
  if (ports.length === 0 && !isHeadless(spec) && spec.type !== 'ExternalName') errors.push(fieldRequired('spec.ports'))
  validateType(spec, errors)
  const names = new Set<string>()
  ports.forEach((port, i) => validatePort(port, ports.length > 1, names, `spec.ports[${i}]`, errors))
  validateLabels(spec.selector, 'spec.selector', errors)
  validateAffinity(spec, errors)
  if (spec.type !== 'ExternalName') validateClusterIps(spec, errors)
  spec.externalIPs?.forEach((ip, i) => { if (validateLegacyIp(ip, `spec.externalIPs[${i}]`, errors)) validateNonSpecialIp(ip, `spec.externalIPs[${i}]`, errors) })
  if (!spec.type) errors.push(fieldRequired('spec.type'))
  else if (!types.includes(spec.type)) errors.push(fieldNotSupported('spec.type', spec.type, types))
  if (spec.type === 'ClusterIP') ports.forEach((port, i) => { if (port.nodePort) errors.push(fieldForbidden(`spec.ports[${i}].nodePort`, "may not be used when `type` is 'ClusterIP'")) })
  validateUniquePorts(ports, errors)
  validateLoadBalancer(spec, annotations?.['service.beta.kubernetes.io/load-balancer-source-ranges'], errors)
  validateTraffic(spec, errors)
}

function validateType(spec: Draft<ServiceSpec>, errors: FieldError[]): void {
  if (spec.type === 'LoadBalancer' || spec.type === 'NodePort') {
    if (isHeadless(spec)) errors.push(fieldInvalid('spec.clusterIPs[0]', 'None', `may not be set to 'None' for ${spec.type} services`))
  } else if (spec.type === 'ExternalName') {
    const text = 'may not be set for ExternalName services'
    if ((spec.clusterIPs?.length ?? 0) > 0) errors.push(fieldForbidden('spec.clusterIPs', text))
    if ((spec.ipFamilies?.length ?? 0) > 0) errors.push(fieldForbidden('spec.ipFamilies', text))
    if (spec.ipFamilyPolicy !== undefined) errors.push(fieldForbidden('spec.ipFamilyPolicy', text))
    const name = (spec.externalName ?? '').replace(/\.$/, '')
    if (name === '') errors.push(fieldRequired('spec.externalName'))
    else pushInvalid(errors, 'spec.externalName', name, isDns1123Subdomain)
  }
}

function validatePort(port: Draft<ServicePort>, needsName: boolean, names: Set<string>, path: string, errors: FieldError[]): void {
  const name = port.name ?? ''
  if (name === '') {
    if (needsName) errors.push(fieldRequired(`${path}.name`))
  } else {
    pushInvalid(errors, `${path}.name`, name, isDns1123Label)
    if (names.has(name)) errors.push(fieldDuplicate(`${path}.name`, name))
    names.add(name)
  }
  validatePortNumber(port.port, `${path}.port`, errors)
  validateProtocol(port.protocol, `${path}.protocol`, errors)
  validatePortNumberOrName(port.targetPort, `${path}.targetPort`, errors)
  if (port.appProtocol !== undefined) pushInvalid(errors, `${path}.appProtocol`, port.appProtocol, isQualifiedName)
}

function validateAffinity(spec: Draft<ServiceSpec>, errors: FieldError[]): void {
  const config = spec.sessionAffinityConfig
  const path = 'spec.sessionAffinityConfig'
  if (!spec.sessionAffinity) errors.push(fieldRequired('spec.sessionAffinity'))
  else if (spec.sessionAffinity === 'None') {
    if (config) errors.push(fieldForbidden(path, 'must not be set when session affinity is None'))
  } else if (spec.sessionAffinity !== 'ClientIP') errors.push(fieldNotSupported('spec.sessionAffinity', spec.sessionAffinity, ['ClientIP', 'None']))
  else {
    const text = 'when session affinity type is ClientIP'
    const seconds = config?.clientIP?.timeoutSeconds
    if (!config) errors.push(fieldRequired(path, text))
    else if (!config.clientIP) errors.push(fieldRequired(`${path}.clientIP`, text))
    else if (seconds === undefined) errors.push(fieldRequired(`${path}.clientIP.timeoutSeconds`, text))
    else if (seconds <= 0 || seconds > mostAffinitySeconds) errors.push(fieldInvalid(`${path}.clientIP.timeoutSeconds`, seconds, `must be greater than 0 and less than ${mostAffinitySeconds}`))
  }
}

function validateUniquePorts(ports: readonly Draft<ServicePort>[], errors: FieldError[]): void {
  const nodePorts = new Set<string>()
  ports.forEach((port, i) => {
    if (!port.nodePort) return
    const key = `${port.protocol ?? ''}/${port.nodePort}`
    if (nodePorts.has(key)) errors.push(fieldDuplicate(`spec.ports[${i}].nodePort`, port.nodePort))
    nodePorts.add(key)
  })
  const seen = new Set<string>()
  ports.forEach(({ protocol = '', port = 0 }, i) => {
    const key = `${protocol}/${port}`
    if (seen.has(key)) errors.push(fieldDuplicate(`spec.ports[${i}]`, goServicePort({ protocol, port })))
    seen.add(key)
  })
}

function validateLoadBalancer(spec: Draft<ServiceSpec>, annotation: string | undefined, errors: FieldError[]): void {
  const isLoadBalancer = spec.type === 'LoadBalancer'
  if (spec.loadBalancerSourceRanges && spec.loadBalancerSourceRanges.length > 0) {
    // The capital letter is the original's.
    const path = 'spec.LoadBalancerSourceRanges'
    if (!isLoadBalancer) errors.push(fieldForbidden(path, loadBalancerOnly))
    spec.loadBalancerSourceRanges.forEach((range, i) => validateLegacyCidr(range.trim(), `${path}[${i}]`, errors))
  } else if (annotation !== undefined) {
    const path = 'metadata.annotations[service.beta.kubernetes.io/load-balancer-source-ranges]'
    if (!isLoadBalancer) errors.push(fieldForbidden(path, loadBalancerOnly))
    if (annotation.trim() !== '') for (const range of annotation.trim().split(',')) validateLegacyCidr(range.trim(), path, errors)
  }
  if (spec.allocateLoadBalancerNodePorts !== undefined && !isLoadBalancer) errors.push(fieldForbidden('spec.allocateLoadBalancerNodePorts', loadBalancerOnly))
  if (isLoadBalancer && spec.allocateLoadBalancerNodePorts === undefined) errors.push(fieldRequired('allocateLoadBalancerNodePorts'))
  if (spec.loadBalancerClass === undefined) return
  if (isLoadBalancer) pushInvalid(errors, 'spec.loadBalancerClass', spec.loadBalancerClass, isQualifiedName)
  else errors.push(fieldForbidden('spec.loadBalancerClass', loadBalancerOnly))
}

/** An absent healthCheckNodePort is right here: the API server allocates one. */
function validateTraffic(spec: Draft<ServiceSpec>, errors: FieldError[]): void {
  const external = spec.externalTrafficPolicy
  if (!isExternallyAccessible(spec)) {
    if (external) errors.push(fieldInvalid('spec.externalTrafficPolicy', external, 'may only be set for externally-accessible services'))
  } else if (!external) {
    errors.push(fieldRequired('spec.externalTrafficPolicy'))
  } else if (!trafficPolicies.includes(external)) {
    errors.push(fieldNotSupported('spec.externalTrafficPolicy', external, trafficPolicies))
  }
  const port = spec.healthCheckNodePort
  if (port) {
    if (needsHealthCheck(spec)) validatePortNumber(port, 'spec.healthCheckNodePort', errors)
    else errors.push(fieldInvalid('spec.healthCheckNodePort', port, "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"))
  }
  const internal = spec.internalTrafficPolicy
  if (internal === undefined) {
    if (spec.type === 'NodePort' || spec.type === 'LoadBalancer' || spec.type === 'ClusterIP') errors.push(fieldRequired('spec.internalTrafficPolicy'))
  } else if (!trafficPolicies.includes(internal)) {
    errors.push(fieldNotSupported('spec.internalTrafficPolicy', internal, trafficPolicies))
  }
  const distribution = spec.trafficDistribution
  if (distribution !== undefined && !distributions.includes(distribution)) errors.push(fieldNotSupported('spec.trafficDistribution', distribution, distributions))
}

export function validateServiceUpdate(service: Draft<Service>, old: Draft<Service>, errors: FieldError[]): void {
  const spec = service.spec ?? {}
  const oldSpec = old.spec ?? {}
  validateClusterIpChanges(spec, oldSpec, errors)
  if (spec.type === 'LoadBalancer' && oldSpec.type === 'LoadBalancer' && spec.loadBalancerClass !== oldSpec.loadBalancerClass) {
    errors.push(fieldInvalid('spec.loadBalancerClass', spec.loadBalancerClass, 'may not change once set'))
  }
  if (needsHealthCheck(oldSpec) && needsHealthCheck(spec) && (spec.healthCheckNodePort ?? 0) !== (oldSpec.healthCheckNodePort ?? 0)) {
    errors.push(fieldForbidden('spec.healthCheckNodePort', 'field is immutable'))
  }
  validateService(service, errors)
}

export function validateServiceStatus(status: Draft<ServiceStatus> | undefined, spec: Draft<ServiceSpec>, errors: FieldError[]): void {
  const ingress = status?.loadBalancer?.ingress ?? []
  const path = 'status.loadBalancer.ingress'
  if (spec.type !== 'LoadBalancer' && ingress.length > 0) { errors.push(fieldForbidden(path, "may only be used when `spec.type` is 'LoadBalancer'")); return }
  ingress.forEach(({ ip, ipMode, hostname }, i) => {
    if (ip) validateLegacyIp(ip, `${path}[${i}].ip`, errors)
    if (ipMode === undefined) {
      if (ip) errors.push(fieldRequired(`${path}[${i}].ipMode`, 'must be specified when `ip` is set'))
    } else if (!ip) errors.push(fieldForbidden(`${path}[${i}].ipMode`, 'may not be specified when `ip` is not set'))
    else if (ipMode !== 'VIP' && ipMode !== 'Proxy') errors.push(fieldNotSupported(`${path}[${i}].ipMode`, ipMode, ['Proxy', 'VIP']))
    if (!hostname) return
    pushInvalid(errors, `${path}[${i}].hostname`, hostname, isDns1123Subdomain)
    if (parseIpSloppy(hostname)) errors.push(fieldInvalid(`${path}[${i}].hostname`, hostname, 'must be a DNS name, not an IP address'))
  })
}
