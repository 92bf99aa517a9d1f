// The mounts of one container: its volumeMounts with subPath, /etc/hosts, the termination message file.
// Upstream: pkg/kubelet/kubelet_pods.go (makeMounts), pkg/kubelet/kuberuntime/kuberuntime_container.go (makeMounts)
import { randomName } from '../../../lib/base/random.ts'
import { expandStrictly } from '../environment/expansion.ts'
import { containerDirectory, subPathsDirectory } from './pod-directories.ts'
import type { VolumesResult } from './volume-manager.ts'
import type { Disk } from '../host/disk.ts'
import type { Mounter } from '../host/mounter.ts'
import type { Random } from '../../../lib/base/random.ts'
import type { Mount, MountPropagation } from '../../../lib/cri-api/generated/types.ts'
import type { Container, EphemeralContainer, Pod } from '../../../lib/api/generated/types/core-v1.ts'

export interface MountInput {
  readonly pod: Pod
  readonly container: Container | EphemeralContainer
  readonly volumes: VolumesResult
  readonly environment: ReadonlyMap<string, string>
  /** The kubelet's /etc/hosts for the pod; undefined when the container brings its own. */
  readonly hostsFile: string | undefined
  readonly disk: Disk
  readonly mounter: Mounter
  readonly random: Random
  readonly rootDir: string
}

export type MountsResult = { readonly ok: true; readonly mounts: readonly Mount[] } | { readonly ok: false; readonly message: string }

function toPropagation(mode: string | undefined): MountPropagation {
  return mode === 'Bidirectional' ? 'PROPAGATION_BIDIRECTIONAL' : mode === 'HostToContainer' ? 'PROPAGATION_HOST_TO_CONTAINER' : 'PROPAGATION_PRIVATE'
}

export async function makeMounts(input: MountInput): Promise<MountsResult> {
  const { pod, container, volumes, disk, mounter, rootDir } = input
  const mounts: Mount[] = []
  let hasHosts = false
  for (const [index, mount] of (container.volumeMounts ?? []).entries()) {
    let hostPath = volumes.paths.get(mount.name)
    if (hostPath === undefined) return { ok: false, message: `cannot find volume "${mount.name}" to mount into container "${container.name}"` }
    const containerPath = mount.mountPath.startsWith('/') ? mount.mountPath : `/${mount.mountPath}`
    hasHosts ||= containerPath === '/etc/hosts'
    let subPath = mount.subPath ?? ''
    if (mount.subPathExpr) {
      const { value, missing } = expandStrictly(mount.subPathExpr, (name) => input.environment.get(name))
      if (missing.length > 0) return { ok: false, message: `missing value for "${missing[0]}" in subPathExpr` }
      subPath = value
    }
    if (subPath !== '') {
      if (subPath.startsWith('/')) return { ok: false, message: `error SubPath "${subPath}" must not be an absolute path` }
      if (subPath.split('/').includes('..')) return { ok: false, message: `unable to provision SubPath "${subPath}": must not contain '..'` }
      const target = `${subPathsDirectory(rootDir, pod.metadata.uid)}/${mount.name}/${container.name}/${index}`
      await disk.makeDirectory(target.slice(0, target.lastIndexOf('/')), 0o750)
      for (const stale of await mounter.mountsBelow(target)) await mounter.unmount(stale)
      await disk.removeTree(target)
      try {
        await mounter.bindBeneath(hostPath, subPath, target)
      } catch (error) {
        return { ok: false, message: `failed to prepare subPath for volumeMount "${mount.name}" of container "${container.name}": ${error instanceof Error ? error.message : String(error)}` }
      }
      hostPath = target
    }
    mounts.push({
      containerPath, hostPath, readonly: mount.readOnly === true || volumes.readOnly.has(mount.name), propagation: toPropagation(mount.mountPropagation),
      ...(mount.recursiveReadOnly === 'Enabled' ? { recursiveReadOnly: true } : {}),
    })
  }
  if (!hasHosts && input.hostsFile !== undefined) mounts.push({ containerPath: '/etc/hosts', hostPath: input.hostsFile, propagation: 'PROPAGATION_PRIVATE' })
  const messagePath = container.terminationMessagePath || '/dev/termination-log'
  const folder = containerDirectory(rootDir, pod.metadata.uid, container.name)
  await disk.makeDirectory(folder, 0o750)
  const file = `${folder}/${randomName(input.random, 8)}`
  await disk.writeFile(file, new Uint8Array(), 0o666)
  mounts.push({ containerPath: messagePath, hostPath: file, propagation: 'PROPAGATION_PRIVATE' })
  return { ok: true, mounts }
}
