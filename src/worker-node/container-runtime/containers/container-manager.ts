// Containers from creation to removal. The processes belong to conmon, not to us: this keeps the records, mounts the root file systems, and
// notices ends by the exit files that conmon writes.
//
// Rules it keeps: a record is on disk before anything is made; a phase on disk is never ahead of the world; an exit code is written down before
// anybody is told. So a restart, or kill -9 at any moment, loses neither containers nor exit codes, and leaves nothing half made.
import { watch, mkdirSync, existsSync } from 'node:fs'
import { mkdir, readFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Cgroups } from './cgroups.ts'
import { createUnderConmon, reopenLog } from './conmon.ts'
import type { ContainerPlaces, ContainerRecord } from './container-record.ts'
import { exitOf } from './container-record.ts'
import type { HostFacts } from './host-facts.ts'
import type { OciRuntime } from './oci-runtime.ts'
import { resourcesOf } from './oci-spec.ts'
import { prepareContainer } from './prepare-container.ts'
import { unmountAll } from './rootfs.ts'
import { writeFileAtomically } from '../host/atomic-file.ts'
import { identifyProcess, isAlive, signalProcess } from '../host/process-identity.ts'
import type { ImageStore } from '../images/image-store.ts'
import { isId } from '../runtime-paths.ts'
import type { RuntimePaths } from '../runtime-paths.ts'
import type { SandboxManager } from '../sandboxes/sandbox-manager.ts'
import type { Clock, Timer } from '../../../lib/base/clock.ts'
import { sleep } from '../../../lib/base/clock.ts'
import type { Random } from '../../../lib/base/random.ts'
import type { Logger } from '../../../lib/component-base/log.ts'
import { CriError } from '../../../lib/cri-api/cri-services.ts'
import type { ContainerConfig, ContainerEventType, LinuxContainerResources } from '../../../lib/cri-api/generated/types.ts'

export interface ContainerManagerOptions {
  readonly paths: RuntimePaths
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly host: HostFacts
  readonly runtime: OciRuntime
  readonly conmonPath: string
  readonly cgroups: Cgroups
  readonly images: ImageStore
  readonly sandboxes: SandboxManager
  readonly pidsLimit: number
  /** Called after the record was saved. */
  readonly onEvent: (type: ContainerEventType, containerId: string, podSandboxId: string) => void
}

const SIGKILL = 9
const pollMs = 200
/** How long a container may stay after SIGKILL before that is an error: a process in an uninterruptible wait. */
const killTimeoutMs = 10_000
/** A container's process is gone but no exit code came: conmon was killed. */
const unknownExitCode = 255

export class ContainerManager implements Disposable {
  readonly #options: ContainerManagerOptions
  readonly #records = new Map<string, ContainerRecord>()
  readonly #names = new Map<string, string>()
  readonly #ends = new Map<string, PromiseWithResolvers<void>>()
  readonly #finishing = new Map<string, Promise<void>>()
  #watcher: Disposable | undefined

  constructor(options: ContainerManagerOptions) { this.#options = options }

  all(): Iterable<ContainerRecord> { return this.#records.values() }
  ofSandbox(podSandboxId: string): ContainerRecord[] { return [...this.#records.values()].filter((record) => record.podSandboxId === podSandboxId) }

  /** By id, or by the start of one if only one begins so. */
  find(id: string): ContainerRecord | undefined {
    const exact = this.#records.get(id)
    if (exact || id.length < 8) return exact
    const matches = [...this.#records.keys()].filter((key) => key.startsWith(id))
    return matches.length === 1 ? this.#records.get(matches[0] ?? '') : undefined
  }

  get(id: string): ContainerRecord {
    const found = this.find(id)
    if (!found) throw new CriError('NotFound', `an error occurred when try to find container ${JSON.stringify(id)}: not found`)
    return found
  }

  /** A running container. @throws CriError NotFound, FailedPrecondition */
  getRunning(id: string): ContainerRecord {
    const record = this.get(id)
    if (record.phase !== 'running') throw new CriError('FailedPrecondition', `container ${record.id} is not running`)
    return record
  }

  places(id: string): ContainerPlaces {
    const { paths } = this.#options
    return { dir: join(paths.containers, id), bundle: join(paths.bundles, id), rootfs: join(paths.bundles, id, 'rootfs') }
  }

  async create(podSandboxId: string, config: ContainerConfig, signal: AbortSignal): Promise<string> {
    const { sandboxes, images, random, clock, runtime, conmonPath, paths, onEvent } = this.#options
    const sandbox = sandboxes.get(podSandboxId)
    if (!sandboxes.isReady(sandbox)) throw new CriError('FailedPrecondition', `sandbox ${podSandboxId} is not ready`)
    if (!config.metadata?.name) throw new CriError('InvalidArgument', 'container config has no metadata')
    const image = images.find(config.image?.image ?? '')
    if (!image) throw new CriError('NotFound', `failed to resolve image ${JSON.stringify(config.image?.image ?? '')}: not found`)
    const name = `${sandbox.id}/${config.metadata.name}_${config.metadata.attempt ?? 0}`
    if (this.#names.has(name)) throw new CriError('AlreadyExists', `container name ${JSON.stringify(name)} is reserved for ${JSON.stringify(this.#names.get(name))}`)
    const id = Buffer.from(random.bytes(32)).toString('hex')
    this.#names.set(name, id)
    const places = this.places(id)
    const logPath = config.logPath && sandbox.config.logDirectory ? join(sandbox.config.logDirectory, config.logPath) : ''
    const { envs: _envs, ...keptConfig } = config
    let record: ContainerRecord = {
      id, podSandboxId: sandbox.id, config: keptConfig, imageId: image.id, diffIds: image.diffIds, phase: 'creating', logPath,
      imageRef: Object.keys(images.records.names).find((known) => known.includes('@') && images.records.names[known] === image.id) ?? image.id,
      createdAtNs: nanoseconds(clock), cgroup: join(sandboxes.cgroupParent(sandbox), id), user: { uid: 0, gid: 0, supplementalGroups: [] }, stopSignal: 15,
      resources: config.linux?.resources ?? {}, sharesPidNamespace: false,
    }
    this.#records.set(id, record)
    try {
      await mkdir(places.dir, { recursive: true, mode: 0o700 })
      await this.#save(record)
      await mkdir(places.bundle, { recursive: true, mode: 0o700 })
      const prepared = await prepareContainer({ ...this.#options, record, config, image, sandbox, places, targetProcess: this.#targetProcess(config) })
      record = { ...record, ...prepared.changes }
      await writeFile(join(places.bundle, 'config.json'), JSON.stringify(prepared.spec), { mode: 0o600 })
      const logFile = logPath || join(places.bundle, 'container.log')
      mkdirSync(dirname(logFile), { recursive: true, mode: 0o755 })
      const pid = await createUnderConmon(conmonPath, runtime, {
        id, bundle: places.bundle, logPath: logFile, exitsDir: paths.exits, tty: config.tty === true, stdin: config.stdin === true, stdinOnce: config.stdinOnce === true,
      }, signal)
      record = { ...record, phase: 'created', process: identifyProcess(pid) }
      await this.#save(record)
      this.#ends.set(id, Promise.withResolvers<void>())
      onEvent('CONTAINER_CREATED_EVENT', id, sandbox.id)
      return id
    } catch (error) {
      await this.#takeAway(record).catch((failure: unknown) => this.#options.logger.error('cleaning up after a failed container', failure, { container: id }))
      throw error instanceof CriError ? error : new CriError('Internal', `failed to create container: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
    }
  }

  async start(id: string, signal: AbortSignal): Promise<void> {
    const { runtime, clock, onEvent } = this.#options
    const record = this.get(id)
    if (record.phase !== 'created') throw new CriError('FailedPrecondition', `container ${record.id} is in state ${record.phase}`)
    await this.#save({ ...record, phase: 'starting', startedAtNs: nanoseconds(clock) })
    try {
      await runtime.start(record.id, signal)
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      this.#killNow(record)
      await this.#finish(record.id, { exitCode: 128, reason: 'StartError', message })
      throw new CriError('Internal', `failed to start container ${record.id}: ${message}`, { cause: error })
    }
    const now = this.get(record.id)
    if (now.phase === 'starting') await this.#save({ ...now, phase: 'running', startedAtNs: nanoseconds(clock) })
    onEvent('CONTAINER_STARTED_EVENT', record.id, record.podSandboxId)
    await this.#noticeExit(record.id) // it may have ended while we wrote
  }

  /** Stops it: the stop signal, `timeoutSeconds` of grace, then SIGKILL. Idempotent; resolves when it has ended. */
  async stop(id: string, timeoutSeconds: number, signal: AbortSignal): Promise<void> {
    const record = this.find(id)
    if (!record || record.phase === 'exited') return
    const { clock } = this.#options
    const ended = this.#ends.get(record.id)?.promise ?? Promise.resolve()
    if (record.phase === 'running' && timeoutSeconds > 0) {
      if (!signalProcess(record.process, record.stopSignal)) await this.#noticeExit(record.id)
      if (await endsWithin(ended, timeoutSeconds * 1000, clock, signal)) return
    }
    this.#killNow(record)
    if (await endsWithin(ended, killTimeoutMs, clock, signal)) return
    await this.#noticeExit(record.id)
    if (this.find(record.id)?.phase === 'exited') return
    if (!isAlive(record.process)) { await this.#finish(record.id, { exitCode: 137, reason: 'Error' }); return }
    throw new CriError('DeadlineExceeded', `container ${record.id} does not end`)
  }

  /** Removes it, killing it first if it runs. Idempotent. */
  async remove(id: string, signal: AbortSignal): Promise<void> {
    const record = this.find(id)
    if (!record) return
    await this.stop(record.id, 0, signal)
    await this.#finishing.get(record.id)
    if (!this.#records.has(record.id)) return
    await this.#takeAway(this.get(record.id))
    if (!this.#options.images.find(record.imageId)) await this.#options.images.collectGarbage() // its image was removed before it
    this.#options.onEvent('CONTAINER_DELETED_EVENT', record.id, record.podSandboxId)
  }

  async updateResources(id: string, changes: LinuxContainerResources, signal: AbortSignal): Promise<void> {
    const record = this.get(id)
    if (record.phase === 'exited') throw new CriError('FailedPrecondition', `container ${record.id} has ended`)
    const merged = { ...record.resources, ...changes }
    const resources = resourcesOf(changes, this.#options.host)
    if (Object.keys(resources).length > 0) await this.#options.runtime.update(record.id, resources, join(this.places(record.id).bundle, 'resources.json'), signal)
    await this.#save({ ...this.get(record.id), resources: merged })
  }

  reopenLog(id: string): void {
    const record = this.getRunning(id)
    if (!reopenLog(this.places(record.id).bundle)) throw new CriError('Internal', `no conmon holds the log of container ${record.id}`)
  }

  /** Resolves when the container has ended. */
  async ended(id: string): Promise<void> { await this.#ends.get(id)?.promise }

  /** Reads all records after a start; then watches for exits until disposed. */
  async restore(): Promise<void> {
    const { paths, logger } = this.#options
    for (const dir of [paths.containers, paths.bundles, paths.exits]) await mkdir(dir, { recursive: true, mode: 0o700 })
    for (const id of await readdir(paths.containers)) {
      if (!isId(id)) continue
      const text = await readFile(join(paths.containers, id, 'container.json'), 'utf8').catch(() => '')
      if (text === '') { await this.#discard(id); continue }
      const parsed: unknown = JSON.parse(text)
      const record = parsed as ContainerRecord // cast: our own file, written whole
      this.#records.set(id, record)
      this.#names.set(nameOf(record), id)
    }
    for (const id of await readdir(paths.bundles)) if (isId(id) && !this.#records.has(id)) await this.#discard(id)
    this.#watchExits()
    for (const record of this.#records.values()) {
      if (record.phase === 'creating') {
        logger.info('taking back a half-made container', { container: record.id })
        await this.#takeAway(record)
        continue
      }
      if (record.phase === 'exited') continue
      this.#ends.set(record.id, Promise.withResolvers<void>())
      if (record.phase === 'starting') {
        const state = await this.#options.runtime.state(record.id)
        if (state === 'created') await this.#save({ ...record, phase: 'created' })
        else if (state !== undefined) await this.#save({ ...record, phase: 'running' })
      }
      await this.#noticeExit(record.id)
      await this.noticeLost(record.id)
    }
  }

  /** Ends the record of a container whose process and conmon are both gone without an exit code. */
  async noticeLost(id: string): Promise<void> {
    const record = this.#records.get(id)
    if (!record || record.phase === 'exited' || record.phase === 'creating' || isAlive(record.process)) return
    await this.#noticeExit(id)
    if (this.#records.get(id)?.phase === 'exited') return
    const conmon = Number(await readFile(join(this.places(id).bundle, 'conmon.pid'), 'utf8').catch(() => '0'))
    if (conmon > 0 && identifyProcess(conmon)) return // it is about to write the code
    await this.#noticeExit(id)
    if (this.#records.get(id)?.phase !== 'exited') await this.#finish(id, { exitCode: unknownExitCode, reason: 'Unknown', message: 'the process that watched the container was lost' })
  }

  /** Looks at all running containers whose process is gone; cheap when there are none. */
  async noticeAllLost(): Promise<void> {
    for (const record of this.#records.values()) if (record.phase === 'running' && !isAlive(record.process)) await this.noticeLost(record.id)
  }

  [Symbol.dispose](): void { this.#watcher?.[Symbol.dispose]() }

  #watchExits(): void {
    const look = (name: string | null): void => {
      if (name === null) for (const id of this.#records.keys()) this.#inBackground(this.#noticeExit(id)) // the kernel dropped events
      else if (this.#records.has(name)) this.#inBackground(this.#noticeExit(name))
    }
    try {
      const watcher = watch(this.#options.paths.exits, (_event, name) => look(name))
      watcher.on('error', (error) => this.#options.logger.error('watching for exits', error))
      this.#watcher = { [Symbol.dispose]: () => watcher.close() }
    } catch (error) {
      // Watches are a scarce resource of the machine; without one we look by ourselves.
      this.#options.logger.warn('no watch for exits is to be had, polling instead', { cause: String(error) })
      let timer: Timer | undefined
      const poll = (): void => { look(null); timer = this.#options.clock.setTimer(pollMs, poll, { keepAlive: false }) }
      poll()
      this.#watcher = { [Symbol.dispose]: () => timer?.[Symbol.dispose]() }
    }
  }

  #inBackground(work: Promise<void>): void { work.catch((error: unknown) => this.#options.logger.error('noticing an exit', error)) }

  /** Takes note of the container's end if conmon has written its exit code. */
  async #noticeExit(id: string): Promise<void> {
    const record = this.#records.get(id)
    if (!record || record.phase === 'exited' || record.phase === 'creating') return
    const path = join(this.#options.paths.exits, id)
    if (!existsSync(path)) return
    const [text, found] = await Promise.all([readFile(path, 'utf8'), stat(path)])
    if (text.trim() === '') return // not written yet
    const code = Number(text.trim())
    const oomKilled = existsSync(join(this.places(id).bundle, 'oom')) || (this.#options.cgroups.oomKills(record.cgroup) ?? 0) > 0
    await this.#finish(id, { ...exitOf(Number.isInteger(code) ? code : unknownExitCode, oomKilled), finishedAtNs: `${Math.floor(found.mtimeMs * 1000)}000` })
  }

  #finish(id: string, end: { readonly exitCode: number; readonly reason: string; readonly message?: string; readonly finishedAtNs?: string }): Promise<void> {
    const running = this.#finishing.get(id)
    if (running) return running
    const finish = async (): Promise<void> => {
      const record = this.#records.get(id)
      if (!record || record.phase === 'exited') return
      const finishedAtNs = end.finishedAtNs ?? nanoseconds(this.#options.clock)
      // A file's time is some milliseconds coarser than the clock: a container must not end before it started.
      const notBefore = BigInt(record.startedAtNs ?? '0')
      await this.#save({ ...record, ...end, phase: 'exited', process: undefined, finishedAtNs: BigInt(finishedAtNs) < notBefore ? String(notBefore) : finishedAtNs })
      if (record.sharesPidNamespace) this.#options.cgroups.killAll(record.cgroup)
      this.#ends.get(id)?.resolve()
      this.#options.onEvent('CONTAINER_STOPPED_EVENT', id, record.podSandboxId)
    }
    const work = finish().finally(() => this.#finishing.delete(id))
    this.#finishing.set(id, work)
    return work
  }

  #killNow(record: ContainerRecord): void {
    signalProcess(record.process, SIGKILL)
    if (record.sharesPidNamespace) this.#options.cgroups.killAll(record.cgroup)
  }

  /** Undoes everything that creating it made; the record goes last. */
  async #takeAway(record: ContainerRecord): Promise<void> {
    await this.#options.runtime.remove(record.id, true)
    await this.#discard(record.id)
    this.#records.delete(record.id)
    this.#names.delete(nameOf(record))
    this.#ends.get(record.id)?.resolve()
    this.#ends.delete(record.id)
  }

  async #discard(id: string): Promise<void> {
    const { paths, random } = this.#options
    const places = this.places(id)
    unmountAll(places.rootfs)
    for (const name of await readdir(join(places.bundle, 'image-volumes')).catch(() => [])) unmountAll(join(places.bundle, 'image-volumes', name))
    await rm(places.bundle, { recursive: true, force: true })
    await rm(join(paths.exits, id), { force: true })
    const trash = join(paths.trash, Buffer.from(random.bytes(8)).toString('hex'))
    await rename(places.dir, trash).catch(() => {})
    await rm(trash, { recursive: true, force: true })
  }

  /** For CRI's TARGET mode: the process whose namespace is joined. */
  #targetProcess(config: ContainerConfig): number | undefined {
    const options = config.linux?.securityContext?.namespaceOptions
    if (options?.pid !== 'TARGET') return undefined
    const target = this.getRunning(options.targetId ?? '')
    return target.process?.pid
  }

  async #save(record: ContainerRecord): Promise<void> {
    await writeFileAtomically(join(this.places(record.id).dir, 'container.json'), JSON.stringify(record, (_key, value: unknown) => (typeof value === 'bigint' ? Number(value) : value)), { sync: false })
    this.#records.set(record.id, record)
  }
}

function nanoseconds(clock: Clock): string { return `${Math.floor(clock.now() * 1000)}000` }
function nameOf(record: ContainerRecord): string { return `${record.podSandboxId}/${record.config.metadata?.name}_${record.config.metadata?.attempt ?? 0}` }

/** True when `ended` settles within the time. @throws the signal's reason */
async function endsWithin(ended: Promise<void>, delayMs: number, clock: Clock, signal: AbortSignal): Promise<boolean> {
  const stop = new AbortController()
  const timeout = sleep(clock, delayMs, AbortSignal.any([signal, stop.signal])).then(() => false)
  timeout.catch(() => {})
  try { return await Promise.race([ended.then(() => true), timeout]) } finally { stop.abort() }
}
