// Projected volumes: several sources in one folder. Upstream: pkg/apis/core/validation/validation.go (validateProjectionSources)
import type { Draft } from '../../../../../lib/base/json.ts'
import type { ClusterTrustBundleProjection, PodCertificateProjection, ProjectedVolumeSource, ServiceAccountTokenProjection } from '../../../../../lib/api/generated/types/core-v1.ts'
import { fieldForbidden, fieldInvalid, fieldNotSupported, fieldRequired } from '../../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../../lib/apimachinery/field-error.ts'
import { validateLabelSelector } from '../../validation/label-selector.ts'
import { validateFileMode, validateLocalNonReservedPath } from '../../validation/paths.ts'
import { clusterTrustBundleNameErrors, validateSignerName } from '../../certificates/signer-name.ts'
import { validateDownwardApiFile, validateKeyToPath } from './validate-volumes.ts'

export function validateProjectedVolume(volume: Draft<ProjectedVolumeSource>, path: string, errors: FieldError[]): void {
  validateFileMode(volume.defaultMode, `${path}.defaultMode`, errors)
  const paths = new Set<string>()
  const take = (target: string | undefined, value: string): void => {
    if (!target) return
    if (paths.has(target)) errors.push(fieldInvalid(path, value, 'conflicting duplicate paths'))
    paths.add(target)
  }
  volume.sources?.forEach((source, i) => {
    const at = `${path}.sources[${i}]`
    let count = 0
    for (const kind of ['secret', 'configMap'] as const) {
      const part = source[kind]
      if (!part) continue
      count++
      if (!part.name) errors.push(fieldRequired(`${at}.${kind}.name`))
      part.items?.forEach((item, j) => {
        validateKeyToPath(item, `${at}.${kind}.items[${j}]`, errors)
        take(item.path, part.name ?? '')
      })
    }
    if (source.downwardAPI) {
      count++
      source.downwardAPI.items?.forEach((file) => {
        validateDownwardApiFile(file, `${at}.downwardAPI`, errors)
        take(file.path, file.path ?? '')
      })
    }
    if (source.serviceAccountToken) {
      count++
      validateToken(source.serviceAccountToken, at, path, errors)
    }
    if (source.clusterTrustBundle) {
      count++
      validateTrustBundle(source.clusterTrustBundle, `${at}.clusterTrustBundle`, errors)
      const target = source.clusterTrustBundle.path ?? ''
      if (paths.has(target)) errors.push(fieldInvalid(path, target, 'conflicting duplicate paths'))
      paths.add(target)
    }
    if (source.podCertificate) {
      count++
      validatePodCertificate(source.podCertificate, `${at}.podCertificate`, path, paths, errors)
    }
    if (count > 1) errors.push(fieldForbidden(at, 'may not specify more than 1 volume type per source'))
  })
}

function validateToken(token: Draft<ServiceAccountTokenProjection>, at: string, path: string, errors: FieldError[]): void {
  const seconds = token.expirationSeconds ?? 0
  if (seconds < 600) errors.push(fieldInvalid(`${at}.serviceAccountToken.expirationSeconds`, seconds, 'may not specify a duration less than 10 minutes'))
  if (seconds > 2 ** 32) errors.push(fieldInvalid(`${at}.serviceAccountToken.expirationSeconds`, seconds, 'may not specify a duration larger than 2^32 seconds'))
  if (!token.path) errors.push(fieldRequired(`${path}.path`))
  else validateLocalNonReservedPath(token.path, `${path}.path`, errors)
}

function validateTrustBundle(bundle: Draft<ClusterTrustBundleProjection>, at: string, errors: FieldError[]): void {
  const { name, signerName } = bundle
  if (name !== undefined && signerName !== undefined) {
    errors.push(fieldInvalid(at, bundle, 'only one of name and signerName may be used'))
  } else if (name !== undefined) {
    if (name === '') errors.push(fieldRequired(`${at}.name`, 'must be a valid object name'))
    for (const text of clusterTrustBundleNameErrors(name)) errors.push(fieldInvalid(`${at}.name`, name, `not a valid clustertrustbundlename: ${text}`))
    if (bundle.labelSelector) errors.push(fieldInvalid(`${at}.labelSelector`, bundle.labelSelector, 'labelSelector must be unset if name is specified'))
  } else if (signerName !== undefined) {
    if (signerName === '') errors.push(fieldRequired(`${at}.signerName`, 'must be a valid signer name'))
    validateSignerName(signerName, `${at}.signerName`, errors)
    validateLabelSelector(bundle.labelSelector, `${at}.labelSelector`, errors)
  } else {
    errors.push(fieldRequired(at, 'either name or signerName must be specified'))
  }
  if (!bundle.path) errors.push(fieldRequired(`${at}.path`))
  validateLocalNonReservedPath(bundle.path ?? '', `${at}.path`, errors)
}

const keyTypes = ['ECDSAP256', 'ECDSAP384', 'ECDSAP521', 'ED25519', 'RSA3072', 'RSA4096']

function validatePodCertificate(projection: Draft<PodCertificateProjection>, at: string, path: string, paths: Set<string>, errors: FieldError[]): void {
  if (!projection.signerName) errors.push(fieldRequired(`${at}.signerName`))
  else validateSignerName(projection.signerName, `${at}.signerName`, errors)
  if (!projection.keyType || !keyTypes.includes(projection.keyType)) errors.push(fieldNotSupported(`${at}.keyType`, projection.keyType ?? '', keyTypes))
  const seconds = projection.maxExpirationSeconds
  if (seconds !== undefined && seconds < 3600) errors.push(fieldInvalid(`${at}.maxExpirationSeconds`, seconds, "if provided, maxExpirationSeconds must be >= 3600"))
  if (seconds !== undefined && seconds > 91 * 86400) errors.push(fieldInvalid(`${at}.maxExpirationSeconds`, seconds, `if provided, maxExpirationSeconds must be <= ${91 * 86400}`))
  let any = false
  for (const field of ['credentialBundlePath', 'keyPath', 'certificateChainPath'] as const) {
    const target = projection[field]
    if (!target) continue
    any = true
    validateLocalNonReservedPath(target, `${at}.${field}`, errors)
    if (paths.has(target)) errors.push(fieldInvalid(path, target, 'conflicting duplicate paths'))
    paths.add(target)
  }
  if (!any) errors.push(fieldRequired(at, 'specify at least one of credentialBundlePath, keyPath, and certificateChainPath'))
}
