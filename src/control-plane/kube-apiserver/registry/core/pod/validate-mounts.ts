// Where containers mount volumes, as folders or as devices. Upstream: pkg/apis/core/validation/validation.go (ValidateVolumeMounts, ValidateVolumeDevices)
import type { Draft } from '../../../../../lib/base/json.ts'
import type { Container, VolumeMount } from '../../../../../lib/api/generated/types/core-v1.ts'
import { fieldForbidden, fieldInvalid, fieldNotFound, fieldNotSupported, fieldRequired } from '../../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../../lib/apimachinery/field-error.ts'
import { hasBacksteps, validateLocalDescendingPath } from '../../validation/paths.ts'
import type { VolumesByName } from './validate-volumes.ts'

export function validateVolumeMounts(container: Draft<Container>, volumes: VolumesByName, path: string, errors: FieldError[]): void {
  const { volumeMounts, volumeDevices = [] } = container
  if (!volumeMounts) return
  const mountPaths = new Set<string>()
  volumeMounts.forEach((mount, i) => {
    const at = `${path}[${i}]`
    const name = mount.name ?? ''
    const mountPath = mount.mountPath ?? ''
    if (name === '') errors.push(fieldRequired(`${at}.name`))
    if (!volumes.has(name)) errors.push(fieldNotFound(`${at}.name`, name))
    if (mountPath === '') errors.push(fieldRequired(`${at}.mountPath`))
    if (mountPaths.has(mountPath)) errors.push(fieldInvalid(`${at}.mountPath`, mountPath, 'must be unique'))
    mountPaths.add(mountPath)
    if (volumeDevices.some((device) => (device.name ?? '') === name)) errors.push(fieldInvalid(`${at}.name`, name, 'must not already exist in volumeDevices'))
    if (volumeDevices.some((device) => (device.devicePath ?? '') === mountPath)) errors.push(fieldInvalid(`${at}.mountPath`, mountPath, 'must not already exist as a path in volumeDevices'))
    // The paths of these errors lack the index, as the original's do.
    if (mount.subPath) validateLocalDescendingPath(mount.subPath, `${path}.subPath`, errors)
    if (mount.subPathExpr) {
      if (mount.subPath) errors.push(fieldInvalid(`${at}.subPathExpr`, mount.subPathExpr, 'subPathExpr and subPath are mutually exclusive'))
      validateLocalDescendingPath(mount.subPathExpr, `${path}.subPathExpr`, errors)
    }
    validatePropagation(mount, container.securityContext?.privileged === true, `${path}.mountPropagation`, errors)
    validateRecursiveReadOnly(mount, `${path}.recursiveReadOnly`, errors)
  })
}

function validatePropagation(mount: Draft<VolumeMount>, privileged: boolean, path: string, errors: FieldError[]): void {
  const mode = mount.mountPropagation
  if (mode === undefined) return
  const modes = ['Bidirectional', 'HostToContainer', 'None']
  if (!modes.includes(mode)) errors.push(fieldNotSupported(path, mode, modes))
  if (mode === 'Bidirectional' && !privileged) errors.push(fieldForbidden(path, 'Bidirectional mount propagation is available only to privileged containers'))
}

function validateRecursiveReadOnly(mount: Draft<VolumeMount>, path: string, errors: FieldError[]): void {
  switch (mount.recursiveReadOnly) {
    case undefined: case 'Disabled': return
    case 'Enabled': case 'IfPossible':
      if (!mount.readOnly) errors.push(fieldForbidden(path, 'may only be specified when readOnly is true'))
      if (mount.mountPropagation !== undefined && mount.mountPropagation !== 'None') errors.push(fieldForbidden(path, 'may only be specified when mountPropagation is None or not specified'))
      return
    default: errors.push(fieldNotSupported(path, mount.recursiveReadOnly, ['Disabled', 'Enabled', 'IfPossible']))
  }
}

export function validateVolumeDevices(container: Draft<Container>, volumes: VolumesByName, path: string, errors: FieldError[]): void {
  const { volumeMounts = [], volumeDevices } = container
  if (!volumeDevices) return
  const names = new Set<string>()
  const devicePaths = new Set<string>()
  volumeDevices.forEach((device, i) => {
    const at = `${path}[${i}]`
    const name = device.name ?? ''
    const devicePath = device.devicePath ?? ''
    const volume = volumes.get(name)
    if (name === '') errors.push(fieldRequired(`${at}.name`))
    if (names.has(name)) errors.push(fieldInvalid(`${at}.name`, name, 'must be unique'))
    if (volume && !volume.persistentVolumeClaim && !volume.ephemeral) errors.push(fieldInvalid(`${at}.name`, name, 'can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode'))
    if (!volume) errors.push(fieldNotFound(`${at}.name`, name))
    if (devicePath === '') errors.push(fieldRequired(`${at}.devicePath`))
    if (devicePaths.has(devicePath)) errors.push(fieldInvalid(`${at}.devicePath`, devicePath, 'must be unique'))
    if (hasBacksteps(devicePath)) errors.push(fieldInvalid(`${at}.devicePath`, devicePath, "can not contain backsteps ('..')"))
    else devicePaths.add(devicePath)
    if (volumeMounts.some((mount) => (mount.name ?? '') === name)) errors.push(fieldInvalid(`${at}.name`, name, 'must not already exist in volumeMounts'))
    if (volumeMounts.some((mount) => (mount.mountPath ?? '') === devicePath)) errors.push(fieldInvalid(`${at}.devicePath`, devicePath, 'must not already exist as a path in volumeMounts'))
    if (name !== '') names.add(name)
  })
}
