// Everything between CRI's request and the OCI bundle: mounts the root file system, looks up the user, devices and profiles, and builds the spec.
import { existsSync, mkdirSync, readFileSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import type { ContainerPlaces, ContainerRecord } from './container-record.ts'
import { findDevices } from './host-facts.ts'
import type { HostFacts } from './host-facts.ts'
import { resolveUser } from './image-user.ts'
import { buildContainerSpec } from './oci-spec.ts'
import type { OciSpec, SpecInput } from './oci-spec.ts'
import { mountImageVolume, mountRootfs, readInRootfs, refuseSymlinkedMountPoints } from './rootfs.ts'
import type { SeccompProfile } from './seccomp-profile.ts'
import { stopSignalOf } from './signals.ts'
import type { ImageRecord } from '../images/image-records.ts'
import type { ImageStore } from '../images/image-store.ts'
import { openFolderBeneath, openRoot, splitPath } from '../images/open-beneath.ts'
import type { SandboxManager } from '../sandboxes/sandbox-manager.ts'
import type { SandboxRecord } from '../sandboxes/sandbox-record.ts'
import { CriError } from '../../../lib/cri-api/cri-services.ts'
import type { ContainerConfig, Mount } from '../../../lib/cri-api/generated/types.ts'

export interface PrepareInput {
  readonly record: ContainerRecord
  readonly config: ContainerConfig
  readonly image: ImageRecord
  readonly sandbox: SandboxRecord
  readonly places: ContainerPlaces
  readonly host: HostFacts
  readonly images: ImageStore
  readonly sandboxes: SandboxManager
  readonly pidsLimit: number
  /** Process of the container whose process namespace is joined (CRI's TARGET). */
  readonly targetProcess: number | undefined
}

export async function prepareContainer(input: PrepareInput): Promise<{ readonly spec: OciSpec; readonly changes: Pick<ContainerRecord, 'user' | 'stopSignal' | 'sharesPidNamespace'> }> {
  const { config, image, places, host, sandbox, sandboxes } = input
  const context = config.linux?.securityContext ?? {}
  await mountRootfs(image.diffIds.map((id) => input.images.layerPath(id)), places.dir, places.rootfs)
  refuseSymlinkedMountPoints(places.rootfs)
  const user = resolveUser({
    runAsUser: context.runAsUser === undefined ? undefined : (context.runAsUser.value ?? 0), runAsUsername: context.runAsUsername ?? '',
    runAsGroup: context.runAsGroup === undefined ? undefined : (context.runAsGroup.value ?? 0), imageUser: image.config.config?.User ?? '',
    supplementalGroups: context.supplementalGroups ?? [], strictGroups: context.supplementalGroupsPolicy === 'Strict',
  }, readInRootfs(places.rootfs, 'etc/passwd'), readInRootfs(places.rootfs, 'etc/group'))
  if ('problem' in user) throw new CriError('InvalidArgument', user.problem)
  const appArmor = context.apparmor?.profileType
  if (appArmor === 'Localhost' && !host.hasAppArmor) throw new CriError('InvalidArgument', 'the pod asks for an AppArmor profile, but AppArmor is not enabled on this node')
  const namespaces = namespacesOf(input)
  const spec = buildContainerSpec({
    config: { ...config, mounts: prepareMounts(input) }, sandboxConfig: sandbox.config, image: image.config, host, user, rootfsPath: places.rootfs, cgroupsPath: input.record.cgroup,
    namespaces, hostname: sandboxes.hostname(sandbox), files: sandboxes.files(sandbox.id), devices: devicesOf(config, context.privileged === true), pidsLimit: input.pidsLimit,
    annotations: { 'io.kubernetes.cri.container-type': 'container', 'io.kubernetes.cri.sandbox-id': sandbox.id, 'io.kubernetes.cri.container-name': config.metadata?.name ?? '' },
    ...(context.seccomp?.profileType === 'Localhost' && { localSeccomp: readSeccomp(context.seccomp.localhostRef ?? '') }),
  })
  return {
    spec,
    changes: {
      user: { uid: user.uid, gid: user.gid, supplementalGroups: user.additionalGids }, stopSignal: stopSignalOf(config.stopSignal, image.config.config?.StopSignal),
      sharesPidNamespace: namespaces.pid !== 'new',
    },
  }
}

function namespacesOf(input: PrepareInput): SpecInput['namespaces'] {
  const { sandbox, sandboxes, config } = input
  const options = config.linux?.securityContext?.namespaceOptions ?? {}
  const pin = (kind: 'net' | 'ipc' | 'uts'): string | undefined => (sandbox.namespaces[kind] === undefined ? undefined : sandboxes.namespacePath(sandbox.id, kind))
  const network = pin('net')
  const ipc = pin('ipc')
  const uts = pin('uts')
  const pid = ((): string | undefined => {
    switch (options.pid ?? 'POD') {
      case 'NODE': return undefined
      case 'CONTAINER': return 'new'
      case 'TARGET': return `/proc/${input.targetProcess}/ns/pid`
      default: return sandbox.holder ? `/proc/${sandbox.holder.pid}/ns/pid` : 'new'
    }
  })()
  return { ...(network && { network }), ...(ipc && { ipc }), ...(uts && { uts }), ...(pid && { pid }) }
}

/** Mounts with a source that exists: folders that a host path lacks are made, images among the volumes mounted. */
function prepareMounts(input: PrepareInput): readonly Mount[] {
  return (input.config.mounts ?? []).map((mount, i) => {
    if (mount.image?.image) return { ...mount, hostPath: prepareImageVolume(input, mount, i), readonly: true }
    const hostPath = mount.hostPath ?? ''
    if (!hostPath.startsWith('/')) throw new CriError('InvalidArgument', `mount source ${JSON.stringify(hostPath)} is not absolute`)
    if (!existsSync(hostPath)) mkdirSync(hostPath, { recursive: true, mode: 0o755 })
    return { ...mount, hostPath: realpathSync(hostPath) }
  })
}

function prepareImageVolume(input: PrepareInput, mount: Mount, index: number): string {
  const image = input.images.find(mount.image?.image ?? '')
  if (!image) throw new CriError('NotFound', `image ${JSON.stringify(mount.image?.image)} of a volume is not on this machine`)
  const target = join(input.places.bundle, 'image-volumes', String(index))
  mountImageVolume(image.diffIds.map((id) => input.images.layerPath(id)), target)
  if (!mount.imageSubPath) return target
  using root = openRoot(target)
  using folder = openFolderBeneath(root, splitPath(mount.imageSubPath))
  return realpathSync(`/proc/self/fd/${folder.fd}`)
}

function devicesOf(config: ContainerConfig, privileged: boolean): SpecInput['devices'] {
  const asked = (config.devices ?? []).map((device) => ({ hostPath: device.hostPath ?? '', containerPath: device.containerPath || (device.hostPath ?? ''), access: device.permissions || 'rwm' }))
  const wanted = privileged ? [{ hostPath: '/dev', containerPath: '/dev', access: 'rwm' }, ...asked] : asked
  const nodes = new Map<string, SpecInput['devices'][number]>()
  for (const { hostPath, containerPath, access } of wanted) {
    try {
      for (const node of findDevices(realpathSync(hostPath), containerPath)) nodes.set(node.path, { node, access })
    } catch (error) { throw new CriError('InvalidArgument', `device ${hostPath}: ${error instanceof Error ? error.message : String(error)}`, { cause: error }) }
  }
  return [...nodes.values()]
}

function readSeccomp(path: string): SeccompProfile {
  try {
    const parsed: unknown = JSON.parse(readFileSync(path, 'utf8'))
    return parsed as SeccompProfile // cast: the OCI runtime checks it
  } catch (error) { throw new CriError('InvalidArgument', `seccomp profile ${JSON.stringify(path)}: ${error instanceof Error ? error.message : String(error)}`, { cause: error }) }
}
