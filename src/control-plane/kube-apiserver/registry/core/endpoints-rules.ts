// The strategy's rules for Endpoints and EndpointSlices. Upstream: pkg/registry/{core/endpoint,discovery/endpointslice}/strategy.go, pkg/apis/discovery/validation
import type { Draft } from '../../../../lib/base/json.ts'
import type { EndpointAddress, EndpointPort as CoreEndpointPort, Endpoints } from '../../../../lib/api/generated/types/core-v1.ts'
import type { Endpoint, EndpointPort, EndpointSlice } from '../../../../lib/api/generated/types/discovery-v1.ts'
import { fieldDuplicate, fieldInvalid, fieldNotSupported, fieldRequired, fieldTooMany } from '../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../lib/apimachinery/field-error.ts'
import { isDns1123Label, isDns1123Subdomain, isFullyQualifiedDomainName, isQualifiedName, isValidLabelValue } from '../../../../lib/apimachinery/validation.ts'
import type { KindRules } from '../generic-strategy.ts'
import { semanticEqual } from '../semantic-equal.ts'
import { pushInvalid, validateImmutable, validateLabels } from '../validate-object-meta.ts'
import { isIpv6Text, validateLegacyIp, validateNonSpecialIp } from '../validation/addresses.ts'
import { mapChanged } from './pod/default-pod-spec.ts'
import { protocols, validateProtocol } from './pod/validate-containers.ts'
import { validatePortNumber } from './pod/validate-handlers.ts'

const defaultCorePort = (port: CoreEndpointPort): CoreEndpointPort => port.protocol ? port : { ...port, protocol: 'TCP' }

function validateAddress(address: Draft<EndpointAddress>, path: string, errors: FieldError[]): void {
  validateLegacyIp(address.ip ?? '', `${path}.ip`, errors)
  if (address.hostname) pushInvalid(errors, `${path}.hostname`, address.hostname, isDns1123Label)
  if (address.nodeName !== undefined) pushInvalid(errors, `${path}.nodeName`, address.nodeName, isDns1123Subdomain)
  validateNonSpecialIp(address.ip ?? '', `${path}.ip`, errors)
}

function validateEndpoints(endpoints: Draft<Endpoints>, errors: FieldError[]): void {
  endpoints.subsets?.forEach((subset, i) => {
    const { addresses = [], notReadyAddresses = [], ports = [] } = subset
    const at = `subsets[${i}]`
    if (addresses.length === 0 && notReadyAddresses.length === 0) errors.push(fieldRequired(at, 'must specify `addresses` or `notReadyAddresses`'))
    addresses.forEach((address, j) => validateAddress(address, `${at}.addresses[${j}]`, errors))
    notReadyAddresses.forEach((address, j) => validateAddress(address, `${at}.notReadyAddresses[${j}]`, errors))
    ports.forEach((port, j) => {
      const path = `${at}.ports[${j}]`
      if (port.name) pushInvalid(errors, `${path}.name`, port.name, isDns1123Label)
      else if (ports.length > 1) errors.push(fieldRequired(`${path}.name`))
      validatePortNumber(port.port, `${path}.port`, errors)
      validateProtocol(port.protocol, `${path}.protocol`, errors)
      if (port.appProtocol !== undefined) pushInvalid(errors, `${path}.appProtocol`, port.appProtocol, isQualifiedName)
    })
  })
}

export const endpointsRules: KindRules<Endpoints> = {
  applyDefaults(endpoints) {
    const subsets = endpoints.subsets && mapChanged(endpoints.subsets, (subset) => {
      const ports = subset.ports && mapChanged(subset.ports, defaultCorePort)
      return ports === subset.ports ? subset : { ...subset, ports }
    })
    return subsets === endpoints.subsets ? endpoints : { ...endpoints, subsets }
  },
  validate: (endpoints, errors) => validateEndpoints(endpoints, errors),
  // What controllers of old write is tolerated as long as they don't touch it.
  validateUpdate(endpoints, old, errors) { if (!semanticEqual(endpoints.subsets, old.subsets)) validateEndpoints(endpoints, errors) },
  warnings: () => ['v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice'],
}

const mostAddresses = 100
const mostEndpoints = 1000
const mostPorts = 20000
const mostHints = 8
const mostTopologyLabels = 16
const addressTypes = ['FQDN', 'IPv4', 'IPv6']

const defaultSlicePort = (port: EndpointPort): EndpointPort =>
  port.name !== undefined && port.protocol !== undefined ? port : { ...port, name: port.name ?? '', protocol: port.protocol ?? 'TCP' }

function validateEndpointAddress(address: string, type: string, path: string, errors: FieldError[]): void {
  switch (type) {
    case 'IPv4': case 'IPv6':
      if (validateLegacyIp(address, path, errors) && isIpv6Text(address) !== (type === 'IPv6')) {
        errors.push(fieldInvalid(path, address, type === 'IPv4' ? 'must be a valid IPv4 address' : 'must be a valid IPv6 address'))
      }
      validateNonSpecialIp(address, path, errors)
      return
    case 'FQDN':
      if (address === '') errors.push(fieldRequired(path))
      else pushInvalid(errors, path, address, isFullyQualifiedDomainName)
      return
    default:
  }
}

function validateEndpoint(endpoint: Draft<Endpoint>, type: string, path: string, errors: FieldError[]): void {
  const addresses = endpoint.addresses ?? []
  if (addresses.length === 0) errors.push(fieldRequired(`${path}.addresses`, 'must contain at least 1 address'))
  else if (addresses.length > mostAddresses) errors.push(fieldTooMany(`${path}.addresses`, addresses.length, mostAddresses))
  addresses.forEach((address, i) => validateEndpointAddress(address, type, `${path}.addresses[${i}]`, errors))
  if (endpoint.nodeName !== undefined) pushInvalid(errors, `${path}.nodeName`, endpoint.nodeName, isDns1123Subdomain)
  const topology = endpoint.deprecatedTopology
  if (topology && Object.keys(topology).length > mostTopologyLabels) errors.push(fieldTooMany(`${path}.deprecatedTopology`, Object.keys(topology).length, mostTopologyLabels))
  validateLabels(topology, `${path}.deprecatedTopology`, errors)
  if (endpoint.hostname !== undefined) pushInvalid(errors, `${path}.hostname`, endpoint.hostname, isDns1123Label)
  for (const field of ['forZones', 'forNodes'] as const) {
    const hints = endpoint.hints?.[field]
    if (!hints) continue
    const at = `${path}.hints.${field}`
    if (hints.length > mostHints) { errors.push(fieldTooMany(at, hints.length, mostHints)); continue }
    hints.forEach(({ name = '' }, i) => {
      if (hints.findIndex((hint) => hint.name === name) < i) errors.push(fieldDuplicate(`${at}[${i}].name`, name))
      for (const text of field === 'forZones' ? isValidLabelValue(name) : isDns1123Subdomain(name)) errors.push(fieldInvalid(`${at}[${i}].name`, name, text))
    })
  }
}

function validateSlice(slice: Draft<EndpointSlice>, errors: FieldError[]): void {
  const type = slice.addressType ?? ''
  if (type === '') errors.push(fieldRequired('addressType'))
  else if (!addressTypes.includes(type)) errors.push(fieldNotSupported('addressType', type, addressTypes))
  const { endpoints = [], ports = [] } = slice
  if (endpoints.length > mostEndpoints) errors.push(fieldTooMany('endpoints', endpoints.length, mostEndpoints))
  else endpoints.forEach((endpoint, i) => validateEndpoint(endpoint, type, `endpoints[${i}]`, errors))
  if (ports.length > mostPorts) { errors.push(fieldTooMany('ports', ports.length, mostPorts)); return }
  const names = new Set<string>()
  ports.forEach((port, i) => {
    const name = port.name ?? ''
    if (name !== '') pushInvalid(errors, `ports[${i}].name`, name, isDns1123Label)
    if (names.has(name)) errors.push(fieldDuplicate(`ports[${i}].name`, name))
    names.add(name)
    if (port.port !== undefined) validatePortNumber(port.port, `ports[${i}].port`, errors)
    if (port.protocol === undefined) errors.push(fieldRequired(`ports[${i}].protocol`))
    else if (!protocols.includes(port.protocol)) errors.push(fieldNotSupported(`ports[${i}].protocol`, port.protocol, protocols))
    if (port.appProtocol !== undefined) pushInvalid(errors, `ports[${i}].appProtocol`, port.appProtocol, isQualifiedName)
  })
}

export const endpointSliceRules: KindRules<EndpointSlice> = {
  applyDefaults(slice) {
    const ports = slice.ports && mapChanged(slice.ports, defaultSlicePort)
    return ports === slice.ports ? slice : { ...slice, ports }
  },
  validate: (slice, errors) => validateSlice(slice, errors),
  validateUpdate(slice, old, errors) {
    validateSlice(slice, errors)
    validateImmutable(slice.addressType, old.addressType, 'addressType', errors)
  },
  desiredStateChanged: (slice, old) => !semanticEqual(slice.endpoints, old.endpoints) || !semanticEqual(slice.ports, old.ports) || slice.addressType !== old.addressType
    || !semanticEqual(slice.metadata.labels, old.metadata.labels),
}
