// The spec of a pod, or of a template of pods. Upstream: pkg/apis/core/validation/validation.go (ValidatePodSpec)
import type { Draft } from '../../../../../lib/base/json.ts'
import type { PodDNSConfig, PodResourceClaim, PodSpec } from '../../../../../lib/api/generated/types/core-v1.ts'
import type { ObjectMeta } from '../../../../../lib/api/generated/types/meta-v1.ts'
import { fieldDuplicate, fieldForbidden, fieldInvalid, fieldNotSupported, fieldRequired } from '../../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../../lib/apimachinery/field-error.ts'
import { inclusiveRangeError, isDns1123Label, isDns1123Subdomain, isDns1123SubdomainWithUnderscore, isQualifiedName } from '../../../../../lib/apimachinery/validation.ts'
import { byteLength } from '../../byte-length.ts'
import { pushInvalid, validateLabels } from '../../validate-object-meta.ts'
import { validateIp } from '../../validation/addresses.ts'
import { canonicalText, compareTexts } from '../../validation/quantities.ts'
import { validateOverhead, validatePodLevelResourceName, validateRequirements } from '../../validation/resource-requirements.ts'
import { aggregateContainers } from './pod-resources.ts'
import type { PodValidationOptions } from './pod-validation-options.ts'
import { validateContainers, validateEphemeralContainers, validateInitContainers } from './validate-containers.ts'
import type { ContainerContext } from './validate-containers.ts'
import { validateHostProcess, validateHostUsers, validateOperatingSystem } from './validate-operating-system.ts'
import { validateAffinity, validateSchedulingGates, validateTolerations, validateTopologySpread } from './validate-scheduling.ts'
import { validatePodSecurityContext } from './validate-security-context.ts'
import { validateVolumes } from './validate-volumes.ts'

const noClaims: ReadonlySet<string> = new Set()

/** `meta` only for pods: claims of generic ephemeral volumes are named after the pod. */
export function validatePodSpec(spec: Draft<PodSpec>, meta: Draft<ObjectMeta> | undefined, path: string, errors: FieldError[], options: PodValidationOptions): void {
  const containers = spec.containers ?? []
  if (spec.terminationGracePeriodSeconds === undefined) errors.push(fieldRequired(`${path}.terminationGracePeriodSeconds`))
  const context: ContainerContext = {
    volumes: validateVolumes(spec.volumes, meta, `${path}.volumes`, errors, options),
    claims: spec.resourceClaims ? new Set(spec.resourceClaims.flatMap((claim) => claim.name ? [claim.name] : [])) : noClaims,
    gracePeriodSeconds: spec.terminationGracePeriodSeconds, podRestartPolicy: spec.restartPolicy ?? '', hostUsers: spec.hostUsers !== false,
  }
  validateResourceClaims(spec.resourceClaims, `${path}.resourceClaims`, errors)
  validateContainers(containers, `${path}.containers`, errors, context)
  if (spec.initContainers) validateInitContainers(spec.initContainers, containers, `${path}.initContainers`, errors, context)
  if (spec.ephemeralContainers) validateEphemeralContainers(spec.ephemeralContainers, [...containers, ...(spec.initContainers ?? [])], `${path}.ephemeralContainers`, errors, context)
  if (spec.resources) validatePodResources(spec, context.claims, `${path}.resources`, errors)
  validateHostNetworkPorts(spec, path, errors, options)
  validateEnumeration(spec.restartPolicy, ['Always', 'OnFailure', 'Never'], `${path}.restartPolicy`, errors)
  validateEnumeration(spec.dnsPolicy, ['ClusterFirstWithHostNet', 'ClusterFirst', 'Default', 'None'], `${path}.dnsPolicy`, errors)
  validateLabels(spec.nodeSelector, `${path}.nodeSelector`, errors)
  validatePodSecurityContext(spec.securityContext, spec, `${path}.securityContext`, errors, options)
  validateAffinity(spec.affinity, `${path}.affinity`, errors, options)
  validateDnsConfig(spec.dnsConfig, spec.dnsPolicy, `${path}.dnsConfig`, errors)
  spec.readinessGates?.forEach((gate, i) => pushInvalid(errors, `${path}.readinessGates[${i}].conditionType`, gate.conditionType ?? '', isQualifiedName))
  validateSchedulingGates(spec.schedulingGates, `${path}.schedulingGates`, errors)
  validateTopologySpread(spec.topologySpreadConstraints, `${path}.topologySpreadConstraints`, errors, options)
  validateHostProcess(spec, path, errors)
  validateHostUsers(spec, path, errors)
  if (spec.serviceAccountName) pushInvalid(errors, `${path}.serviceAccountName`, spec.serviceAccountName, isDns1123Subdomain)
  if (spec.nodeName) pushInvalid(errors, `${path}.nodeName`, spec.nodeName, isDns1123Subdomain)
  const deadline = spec.activeDeadlineSeconds
  if (deadline !== undefined && (deadline < 1 || deadline > 2147483647)) errors.push(fieldInvalid(`${path}.activeDeadlineSeconds`, deadline, inclusiveRangeError(1, 2147483647)))
  if (spec.hostname) pushInvalid(errors, `${path}.hostname`, spec.hostname, isDns1123Label)
  if (spec.subdomain) pushInvalid(errors, `${path}.subdomain`, spec.subdomain, isDns1123Label)
  validateHostnameOverride(spec, path, errors)
  validateTolerations(spec.tolerations, `${path}.tolerations`, errors)
  spec.hostAliases?.forEach((alias, i) => {
    validateIp(alias.ip ?? '', `${path}.hostAliases[${i}].ip`, errors)
    alias.hostnames?.forEach((hostname, j) => pushInvalid(errors, `${path}.hostAliases[${i}].hostnames[${j}]`, hostname, isDns1123Subdomain))
  })
  if (spec.priorityClassName) pushInvalid(errors, `${path}.priorityClassName`, spec.priorityClassName, isDns1123Subdomain)
  if (spec.runtimeClassName !== undefined) pushInvalid(errors, `${path}.runtimeClassName`, spec.runtimeClassName, isDns1123Subdomain)
  if (spec.preemptionPolicy !== undefined) validateEnumeration(spec.preemptionPolicy, ['PreemptLowerPriority', 'Never'], `${path}.preemptionPolicy`, errors)
  if (spec.overhead) validateOverhead(spec.overhead, `${path}.overhead`, errors)
  validateOperatingSystem(spec, path, errors)
}

export function validateEnumeration(value: string | undefined, allowed: readonly string[], path: string, errors: FieldError[]): void {
  if (!value) errors.push(fieldRequired(path))
  else if (!allowed.includes(value)) errors.push(fieldNotSupported(path, value, allowed))
}

function validateHostnameOverride(spec: Draft<PodSpec>, path: string, errors: FieldError[]): void {
  const override = spec.hostnameOverride
  if (override === undefined) return
  const at = `${path}.hostnameOverride`
  if (spec.setHostnameAsFQDN) errors.push(fieldForbidden(at, 'cannot be set when setHostnameAsFQDN is true'))
  if (spec.hostNetwork) errors.push(fieldForbidden(at, 'cannot be set when hostNetwork is true'))
  if (byteLength(override) > 64) errors.push(fieldInvalid(at, override, 'must be no more than 64 characters'))
  pushInvalid(errors, at, override, isDns1123Subdomain)
}

function validateResourceClaims(claims: readonly Draft<PodResourceClaim>[] | undefined, path: string, errors: FieldError[]): void {
  const names = new Set<string>()
  claims?.forEach((claim, i) => {
    const at = `${path}[${i}]`
    if (!claim.name) errors.push(fieldRequired(`${at}.name`))
    else if (names.has(claim.name)) errors.push(fieldDuplicate(`${at}.name`, claim.name))
    else {
      pushInvalid(errors, `${at}.name`, claim.name, isDns1123Label)
      names.add(claim.name)
    }
    const { resourceClaimName, resourceClaimTemplateName } = claim
    if (resourceClaimName !== undefined && resourceClaimTemplateName !== undefined) errors.push(fieldInvalid(at, claim, 'at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified'))
    if (resourceClaimName === undefined && resourceClaimTemplateName === undefined) errors.push(fieldInvalid(at, claim, 'must specify one of: `resourceClaimName`, `resourceClaimTemplateName`'))
    if (resourceClaimName !== undefined) pushInvalid(errors, `${at}.resourceClaimName`, resourceClaimName, isDns1123Subdomain)
    if (resourceClaimTemplateName !== undefined) pushInvalid(errors, `${at}.resourceClaimTemplateName`, resourceClaimTemplateName, isDns1123Subdomain)
  })
}

function validatePodResources(spec: Draft<PodSpec>, claims: ReadonlySet<string>, path: string, errors: FieldError[]): void {
  const own = spec.resources ?? {}
  if (own.claims) errors.push(fieldForbidden(`${path}.claims`, 'claims cannot be set for Resources at pod-level'))
  validateRequirements(own, validatePodLevelResourceName, claims, path, errors)
  const asked = aggregateContainers(spec, 'requests')
  for (const name in asked) {
    const amount = asked[name]
    if (compareTexts(amount, own.requests?.[name]) > 0) {
      errors.push(fieldInvalid(`${path}.requests[${name}]`, canonicalText(own.requests?.[name]), `must be greater than or equal to aggregate container requests of ${canonicalText(amount)}`))
    }
  }
  spec.containers?.forEach((container, i) => {
    for (const name in container.resources?.limits) {
      const limit = container.resources.limits[name]
      const podLimit = own.limits?.[name]
      if (podLimit !== undefined && compareTexts(limit, podLimit) > 0) {
        errors.push(fieldInvalid(`${path}.containers[${i}][${name}].limits`, canonicalText(limit), `must be less than or equal to pod limits of ${canonicalText(podLimit)}`))
      }
    }
  })
}

/** In a template an absent host port is right: it gets its default in the pod. */
function validateHostNetworkPorts(spec: Draft<PodSpec>, path: string, errors: FieldError[], options: PodValidationOptions): void {
  if (!spec.hostNetwork) return
  spec.containers?.forEach((container, i) => container.ports?.forEach(({ hostPort = 0, containerPort = 0 }, j) => {
    if ((options.resourceIsPod || hostPort !== 0) && hostPort !== containerPort) {
      errors.push(fieldInvalid(`${path}.containers[${i}].ports[${j}].hostPort`, hostPort, 'must match `containerPort` when `hostNetwork` is true'))
    }
  }))
}

function validateDnsConfig(config: Draft<PodDNSConfig> | undefined, policy: string | undefined, path: string, errors: FieldError[]): void {
  if (policy === 'None' && !config) errors.push(fieldRequired(path, 'must provide `dnsConfig` when `dnsPolicy` is None'))
  if (!config) return
  const { nameservers = [], searches = [], options = [] } = config
  if (policy === 'None' && nameservers.length === 0) {
    errors.push(fieldRequired(`${path}.nameservers`, 'must provide at least one DNS nameserver when `dnsPolicy` is None'))
    return
  }
  if (nameservers.length > 3) errors.push(fieldInvalid(`${path}.nameservers`, nameservers, 'must not have more than 3 nameservers'))
  nameservers.forEach((server, i) => validateIp(server, `${path}.nameservers[${i}]`, errors))
  if (searches.length > 32) errors.push(fieldInvalid(`${path}.searches`, searches, 'must not have more than 32 search paths'))
  if (searches.join(' ').length > 2048) errors.push(fieldInvalid(`${path}.searches`, searches, 'must not have more than 2048 characters (including spaces) in the search list'))
  searches.forEach((search, i) => {
    if (search === '.') return
    pushInvalid(errors, `${path}.searches[${i}]`, search.endsWith('.') ? search.slice(0, -1) : search, isDns1123SubdomainWithUnderscore)
  })
  options.forEach((option, i) => { if (!option.name) errors.push(fieldRequired(`${path}.options[${i}]`, 'must not be empty')) })
}
