// Pod sandboxes: namespaces pinned to files (no pause process unless the pod shares its process namespace), the pod's network, and the files
// that all its containers see (/etc/resolv.conf, /etc/hostname, /dev/shm).
//
// Rule it keeps: the record is on disk before anything is made and says `creating` until all is there; a start after a crash takes back what
// was half made.
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { mkdir, readFile, readdir, rename, rm } from 'node:fs/promises'
import { hostname as hostHostname } from 'node:os'
import { join } from 'node:path'
import { attachmentOf } from './sandbox-record.ts'
import type { SandboxRecord } from './sandbox-record.ts'
import { pauseProgram } from './pause-program.ts'
import { hostsFile, resolvConf, sysctlPath } from './sandbox-files.ts'
import type { Cgroups } from '../containers/cgroups.ts'
import type { OciRuntime } from '../containers/oci-runtime.ts'
import { writeFileAtomically } from '../host/atomic-file.ts'
import { identifyProcess, isAlive, signalProcess } from '../host/process-identity.ts'
import { MS_BIND, MS_NODEV, MS_NOEXEC, MS_NOSUID, insideNamespace, insideNewNamespaces, mount, setHostname, unmount } from '../host/syscalls.ts'
import type { NamespaceKind } from '../host/syscalls.ts'
import type { PodNetwork } from '../network/pod-network.ts'
import { isId } from '../runtime-paths.ts'
import type { RuntimePaths } from '../runtime-paths.ts'
import type { Clock } from '../../../lib/base/clock.ts'
import type { Random } from '../../../lib/base/random.ts'
import { CriError } from '../../../lib/cri-api/cri-services.ts'
import type { PodSandboxConfig } from '../../../lib/cri-api/generated/types.ts'
import type { Logger } from '../../../lib/component-base/log.ts'

export interface SandboxManagerOptions {
  readonly paths: RuntimePaths
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly network: PodNetwork
  readonly runtime: OciRuntime
  readonly cgroups: Cgroups
  /** Parent of pods whose config names none. */
  readonly defaultCgroupParent: string
  readonly architecture: string
}

const SIGKILL = 9

export class SandboxManager {
  readonly #options: SandboxManagerOptions
  readonly #records = new Map<string, SandboxRecord>()
  /** `name_namespace_uid_attempt` of sandboxes that exist or are being made. */
  readonly #names = new Map<string, string>()

  constructor(options: SandboxManagerOptions) { this.#options = options }

  all(): Iterable<SandboxRecord> { return this.#records.values() }
  /** By id, or by the start of one if only one begins so. */
  find(id: string): SandboxRecord | undefined {
    const exact = this.#records.get(id)
    if (exact || id.length < 8) return exact
    const matches = [...this.#records.keys()].filter((key) => key.startsWith(id))
    return matches.length === 1 ? this.#records.get(matches[0] ?? '') : undefined
  }
  get(id: string): SandboxRecord {
    const found = this.find(id)
    if (!found) throw new CriError('NotFound', `an error occurred when try to find sandbox ${JSON.stringify(id)}: not found`)
    return found
  }

  namespacePath(id: string, kind: NamespaceKind): string { return join(this.#options.paths.pods, id, 'ns', kind) }
  /** Files that the pod's containers see. */
  files(id: string): { readonly resolvConf: string; readonly hostname: string; readonly hosts: string; readonly shm: string } {
    const dir = join(this.#options.paths.pods, id)
    const sharesHostIpc = this.get(id).config.linux?.securityContext?.namespaceOptions?.ipc === 'NODE'
    return { resolvConf: join(dir, 'resolv.conf'), hostname: join(dir, 'hostname'), hosts: join(dir, 'hosts'), shm: sharesHostIpc ? '/dev/shm' : join(dir, 'shm') }
  }
  cgroupParent(record: SandboxRecord): string { return record.config.linux?.cgroupParent || `${this.#options.defaultCgroupParent}/${record.id.slice(0, 12)}` }
  hostname(record: SandboxRecord): string { return record.config.hostname || hostHostname() }

  /** Makes a sandbox and returns its record. @throws CriError, and everything is as before */
  async run(config: PodSandboxConfig, runtimeHandler: string, signal: AbortSignal): Promise<SandboxRecord> {
    const { clock, random, paths, network } = this.#options
    const options = config.linux?.securityContext?.namespaceOptions ?? {}
    if (!config.metadata?.name) throw new CriError('InvalidArgument', 'sandbox config has no metadata')
    if (runtimeHandler !== '') throw new CriError('InvalidArgument', `no runtime for ${JSON.stringify(runtimeHandler)} is configured`)
    if (options.usernsOptions?.mode === 'POD') throw new CriError('InvalidArgument', 'user namespaces are not supported by this runtime')
    const ownsNetwork = (options.network ?? 'POD') === 'POD'
    const notReady = ownsNetwork ? network.notReady() : undefined
    if (notReady) throw new CriError('Unavailable', `network is not ready: ${notReady.message}`)
    const id = Buffer.from(random.bytes(32)).toString('hex')
    const name = nameOf(config)
    if (this.#names.has(name)) throw new CriError('AlreadyExists', `sandbox name ${JSON.stringify(name)} is reserved for ${JSON.stringify(this.#names.get(name))}`)
    this.#names.set(name, id)
    const kinds: NamespaceKind[] = [...(ownsNetwork ? ['net', 'uts'] as const : []), ...((options.ipc ?? 'POD') === 'POD' ? ['ipc'] as const : [])]
    let record: SandboxRecord = {
      id, config, runtimeHandler, createdAtNs: `${Math.floor(clock.now() * 1000)}000`, state: 'creating', namespaces: {},
      ownsCgroup: !this.#options.cgroups.exists(config.linux?.cgroupParent || this.#options.defaultCgroupParent) || !config.linux?.cgroupParent,
    }
    this.#records.set(id, record)
    try {
      await mkdir(join(paths.sandboxes, id), { recursive: true, mode: 0o700 })
      await this.#save(record)
      const namespaces = this.#makeNamespaces(record, kinds)
      record = { ...record, namespaces }
      if (ownsNetwork) record = { ...record, addresses: await network.attach(attachmentOf(record, this.namespacePath(id, 'net')), signal) }
      this.#applyNetworkSysctls(record)
      this.#makeFiles(record)
      if ((options.pid ?? 'POD') === 'POD') record = { ...record, holder: await this.#startHolder(record, signal) }
      record = { ...record, state: 'ready' }
      await this.#save(record)
      return record
    } catch (error) {
      await this.#takeBack(record).catch((failure: unknown) => this.#options.logger.error('cleaning up after a failed sandbox', failure, { sandbox: id }))
      await this.#forget(record)
      throw error instanceof CriError ? error : new CriError('Internal', `failed to create the pod sandbox: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
    }
  }

  /** Takes the network, the namespaces and the holder away; idempotent. The containers must be stopped. */
  async stop(record: SandboxRecord): Promise<void> {
    await this.#takeBack(record)
    if (record.state === 'ready') await this.#save({ ...record, state: 'notready', namespaces: {}, holder: undefined })
  }

  /** Removes what is left of a stopped sandbox. The containers must be removed. */
  async remove(record: SandboxRecord): Promise<void> {
    await this.#takeBack(record)
    if (record.ownsCgroup) this.#options.cgroups.remove(this.cgroupParent(record))
    await this.#forget(record)
  }

  /** A sandbox whose holder died is not ready any more. */
  isReady(record: SandboxRecord): boolean { return record.state === 'ready' && (record.holder === undefined || isAlive(record.holder)) }

  /** Reads all records after a start. @param processesOf running processes of a sandbox's containers: their namespaces can be pinned anew */
  async restore(processesOf: (sandboxId: string) => readonly number[]): Promise<void> {
    const { paths, network, logger } = this.#options
    await mkdir(paths.sandboxes, { recursive: true, mode: 0o700 })
    for (const id of await readdir(paths.sandboxes)) {
      if (!isId(id)) continue
      const text = await readFile(join(paths.sandboxes, id, 'sandbox.json'), 'utf8').catch(() => '')
      const parsed: unknown = text === '' ? undefined : JSON.parse(text)
      if (parsed === undefined) { await rm(join(paths.sandboxes, id), { recursive: true, force: true }); continue }
      const record = parsed as SandboxRecord // cast: our own file, written whole
      this.#records.set(id, record)
      this.#names.set(nameOf(record.config), id)
    }
    const held = [...this.#records.values()].filter((record) => record.state === 'ready' && record.addresses)
      .map((record) => ({ request: attachmentOf(record, this.namespacePath(record.id, 'net')), addresses: record.addresses ?? { ips: [] } }))
    await network.restore(held)
    for (const record of this.#records.values()) {
      if (record.state === 'creating') {
        logger.info('taking back a half-made sandbox', { sandbox: record.id })
        await this.#takeBack(record)
        await this.#forget(record)
      } else if (record.state === 'ready' && (!this.#pinAgain(record, processesOf(record.id)) || (record.holder && !isAlive(record.holder)))) {
        logger.info('the namespaces of a sandbox are gone', { sandbox: record.id })
        await this.stop(record)
      }
    }
  }

  #makeNamespaces(record: SandboxRecord, kinds: readonly NamespaceKind[]): SandboxRecord['namespaces'] {
    const dir = join(this.#options.paths.pods, record.id, 'ns')
    mkdirSync(dir, { recursive: true, mode: 0o711 })
    if (kinds.length === 0) return {}
    for (const kind of kinds) writeFileSync(join(dir, kind), '')
    const sysctls = Object.entries(record.config.linux?.sysctls ?? {}).filter(([name]) => !name.startsWith('net'))
    insideNewNamespaces(kinds, () => {
      if (kinds.includes('uts')) setHostname(this.hostname(record))
      for (const [name, value] of sysctls) writeSysctl(name, value)
      for (const kind of kinds) mount(`/proc/thread-self/ns/${kind}`, join(dir, kind), null, MS_BIND)
    })
    return Object.fromEntries(kinds.map((kind) => [kind, statSync(join(dir, kind)).ino]))
  }

  #applyNetworkSysctls(record: SandboxRecord): void {
    if (record.namespaces.net === undefined) return
    const wanted = Object.entries(record.config.linux?.sysctls ?? {}).filter(([name]) => name.startsWith('net'))
    insideNamespace('net', this.namespacePath(record.id, 'net'), () => {
      // As containerd 2 does: a pod's own network holds no port that root must guard, and ping needs no capability.
      writeSysctl('net.ipv4.ip_unprivileged_port_start', '0')
      writeSysctl('net.ipv4.ping_group_range', '0 2147483647')
      for (const [name, value] of wanted) writeSysctl(name, value)
    })
  }

  #makeFiles(record: SandboxRecord): void {
    const files = this.files(record.id)
    const hostname = record.namespaces.uts === undefined ? hostHostname() : this.hostname(record)
    writeFileSync(files.resolvConf, resolvConf(record.config.dnsConfig) ?? readOrEmpty('/etc/resolv.conf'), { mode: 0o644 })
    writeFileSync(files.hostname, `${hostname}\n`, { mode: 0o644 })
    writeFileSync(files.hosts, record.namespaces.net === undefined ? readOrEmpty('/etc/hosts') : hostsFile(record.addresses?.ips ?? [], hostname), { mode: 0o644 })
    if (files.shm !== '/dev/shm') this.#mountShm(files.shm)
  }

  #mountShm(path: string): void {
    mkdirSync(path, { recursive: true, mode: 0o1777 })
    mount('shm', path, 'tmpfs', MS_NOSUID | MS_NODEV | MS_NOEXEC, 'mode=1777,size=67108864')
  }

  async #startHolder(record: SandboxRecord, signal: AbortSignal): Promise<SandboxRecord['holder']> {
    const { paths, runtime, architecture } = this.#options
    const program = pauseProgram(architecture)
    if (!program) throw new CriError('Unimplemented', `no pod holder for ${architecture}`)
    const bundle = join(paths.pods, record.id, 'pause')
    await mkdir(join(bundle, 'rootfs'), { recursive: true, mode: 0o755 })
    writeFileSync(join(bundle, 'rootfs', 'pause'), program, { mode: 0o755 })
    const namespaces = [{ type: 'mount' }, { type: 'pid' }, ...(['net', 'ipc', 'uts'] as const).flatMap((kind) => (record.namespaces[kind] === undefined ? []
      : [{ type: kind === 'net' ? 'network' : kind, path: this.namespacePath(record.id, kind) }]))]
    const spec = {
      ociVersion: '1.0.2', root: { path: 'rootfs', readonly: true },
      process: { args: ['/pause'], cwd: '/', env: [], user: { uid: 65535, gid: 65535 }, capabilities: { bounding: [], effective: [], permitted: [] }, noNewPrivileges: true, terminal: false },
      mounts: [{ destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] }, { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'size=64k', 'mode=755'] }],
      linux: { namespaces, cgroupsPath: join(this.cgroupParent(record), record.id), resources: { devices: [{ allow: false, access: 'rwm' }] } },
    }
    writeFileSync(join(bundle, 'config.json'), JSON.stringify(spec))
    await runtime.createDetached(record.id, bundle, join(bundle, 'pidfile'), signal)
    const holder = identifyProcess(Number(readFileSync(join(bundle, 'pidfile'), 'utf8')))
    if (!holder) throw new CriError('Internal', 'the pod holder ended at once')
    return holder
  }

  /** Puts back pins that a new mount namespace of ours doesn't have. False when a namespace is lost. */
  #pinAgain(record: SandboxRecord, processes: readonly number[]): boolean {
    const candidates = record.holder ? [record.holder.pid, ...processes] : processes
    for (const [kind, inode] of Object.entries(record.namespaces)) {
      const path = join(this.#options.paths.pods, record.id, 'ns', kind)
      if (inodeOf(path) === inode) continue
      const source = candidates.map((pid) => `/proc/${pid}/ns/${kind}`).find((candidate) => inodeOf(candidate) === inode)
      if (source === undefined) return false
      try { writeFileSync(path, '', { flag: 'a' }); mount(source, path, null, MS_BIND) } catch { return false }
    }
    const { shm } = this.files(record.id)
    if (shm !== '/dev/shm' && statSync(shm, { throwIfNoEntry: false })?.dev === statSync(join(this.#options.paths.pods, record.id)).dev) this.#mountShm(shm)
    return true
  }

  async #takeBack(record: SandboxRecord): Promise<void> {
    const { paths, runtime, network } = this.#options
    const dir = join(paths.pods, record.id)
    if (record.config.linux?.securityContext?.namespaceOptions?.network !== 'NODE' && record.state !== 'notready') {
      await network.detach(attachmentOf(record, this.namespacePath(record.id, 'net')), record.addresses, new AbortController().signal)
    }
    signalProcess(record.holder, SIGKILL)
    await runtime.remove(record.id, true).catch((error: unknown) => this.#options.logger.error('removing the pod holder', error, { sandbox: record.id }))
    for (const kind of ['net', 'ipc', 'uts']) while (unmount(join(dir, 'ns', kind))) { /* pinned twice after a crash between two steps */ }
    while (unmount(join(dir, 'shm'))) { /* as above */ }
  }

  async #forget(record: SandboxRecord): Promise<void> {
    const { paths, random } = this.#options
    await rm(join(paths.pods, record.id), { recursive: true, force: true })
    // Away with one rename first, so that a crash in the middle of the deletion leaves no half record.
    const trash = join(paths.trash, Buffer.from(random.bytes(8)).toString('hex'))
    await rename(join(paths.sandboxes, record.id), trash).catch(() => {})
    this.#records.delete(record.id)
    this.#names.delete(nameOf(record.config))
    await rm(trash, { recursive: true, force: true })
  }

  async #save(record: SandboxRecord): Promise<void> {
    await writeFileAtomically(join(this.#options.paths.sandboxes, record.id, 'sandbox.json'), JSON.stringify(record), { sync: false })
    this.#records.set(record.id, record)
  }
}

function nameOf(config: PodSandboxConfig): string { const { name, namespace, uid, attempt } = config.metadata ?? {}; return `${name}_${namespace}_${uid}_${attempt ?? 0}` }
function inodeOf(path: string): number | undefined { try { return statSync(path).ino } catch { return undefined } }
function readOrEmpty(path: string): string { try { return readFileSync(path, 'utf8') } catch { return '' } }

function writeSysctl(name: string, value: string): void {
  const path = sysctlPath(name)
  if (path === undefined) throw new CriError('InvalidArgument', `${JSON.stringify(name)} is no sysctl`)
  try { writeFileSync(path, value) } catch (error) { throw new CriError('InvalidArgument', `sysctl ${name}: ${error instanceof Error ? error.message : String(error)}`, { cause: error }) }
}
