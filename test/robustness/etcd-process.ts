// An etcd as a process of its own, ours or the original, perhaps in a network namespace: to be killed, stopped and started again on its data.
import { spawn, type ChildProcess } from 'node:child_process'
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, truncateSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { realClock } from '../../src/lib/async/real-clock.ts'
import { realRandom } from '../../src/lib/async/real-random.ts'
import { randomInteger } from '../../src/lib/base/random.ts'
import { RemoteEtcdClient } from '../../src/lib/etcd-client/remote-etcd-client.ts'
import { buildProgram, programOf, type ProgramKind } from './build-program.ts'
import type { Deployment } from './campaign.ts'
import { EtcdAdmin, type RevisionHash } from './etcd-admin.ts'
import type { FailpointMessage } from './failpoints.ts'

const root = resolve(import.meta.dirname, '../..')
const compileCache = join(tmpdir(), 'k8ts-robustness-compile-cache')
export const originalEtcd = join(root, 'test/interop/.bin/etcd')
export const defaultReadyWithinMs = 30_000

export type EtcdProgram = 'ours' | 'original'

export interface EtcdProcessOptions extends ProgramKind {
  readonly dataDir: string
  /** Where it serves clients. */
  readonly endpoint: string
  readonly flags?: readonly string[]
  readonly program?: EtcdProgram
  /** Name of the network namespace to run in. */
  readonly namespace?: string
  /** How long to wait for it, after its first start. */
  readonly readyWithinMs?: number
  readonly environment?: { readonly [name: string]: string }
}

export class EtcdProcess implements Deployment {
  readonly endpoint: string
  readonly admin: EtcdAdmin
  readonly dataDir: string
  readonly #options: EtcdProcessOptions
  readonly #logFile: string
  readonly #readyWithinMs: number
  #child: ChildProcess | undefined
  #exit: Promise<string> = Promise.resolve('not started')
  #expectsEnd = true
  #extraFlags: readonly string[] = []
  /** How it ended when nobody had it end. */
  readonly unexpectedEnds: string[] = []
  /** Said by the process about failpoints. */
  onFailpoint: ((message: FailpointMessage) => void) | undefined

  constructor(options: EtcdProcessOptions) {
    this.#options = options
    this.endpoint = options.endpoint
    this.dataDir = options.dataDir
    this.admin = new EtcdAdmin(options.endpoint)
    this.#logFile = `${options.dataDir}.log`
    this.#readyWithinMs = options.readyWithinMs ?? defaultReadyWithinMs
  }

  get endpoints(): readonly string[] { return [this.endpoint] }
  /** How it ended, once it has. */
  get exit(): Promise<string> { return this.#exit }
  get isRunning(): boolean { return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null }
  /** The end of what it said in this life. */
  get errors(): string { return existsSync(this.#logFile) ? readFileSync(this.#logFile, 'utf8').slice(-4000) : '' }

  /** Must have been called before the first start; for processes of one kind once is enough. */
  async prepare(): Promise<void> { if (this.#options.program !== 'original') await buildProgram(this.#options) }

  /** Starts it and doesn't wait. @param extraFlags for this and all later lives @param armed failpoints, as in etcd-program.ts */
  spawn(extraFlags: readonly string[] = this.#extraFlags, armed = ''): void {
    this.#extraFlags = extraFlags
    const { dataDir, flags = [], program = 'ours', namespace, control, failpoints, environment } = this.#options
    const command = [
      ...(namespace === undefined ? [] : ['setpriv', '--pdeathsig', 'KILL', 'nsenter', `--net=/run/netns/${namespace}`]), ...(program === 'ours' ? [process.execPath, '--disable-proto=delete', programOf(this.#options)] : [originalEtcd, '--logger=zap', '--log-level=warn']),
      '--data-dir', dataDir, '--listen-client-urls', this.endpoint, '--advertise-client-urls', this.endpoint, '--snapshot-count', '1000', ...flags, ...extraFlags,
    ]
    mkdirSync(dirname(dataDir), { recursive: true })
    if (existsSync(this.#logFile)) truncateSync(this.#logFile)
    const log = openSync(this.#logFile, 'a')
    const child = spawn(command[0] ?? '', command.slice(1), {
      stdio: ['ignore', log, log, ...(program === 'ours' ? ['ipc' as const] : [])],
      env: { ...process.env, NODE_COMPILE_CACHE: compileCache, ...environment, ...(control === undefined ? {} : { K8TS_CONTROL: control }), ...(failpoints ? { K8TS_FAILPOINTS: armed } : {}) },
    })
    closeSync(log)
    this.#child = child
    this.#expectsEnd = false
    child.on('message', (message) => this.onFailpoint?.(message as FailpointMessage)) // cast: etcd-program.ts sends nothing else
    this.#exit = new Promise((done) => {
      child.once('error', (error) => done(error.message))
      child.once('exit', (code, by) => {
        if (!this.#expectsEnd) this.unexpectedEnds.push(`${dataDir} ended with ${by ?? `code ${code}`}: ${this.errors}`)
        done(by ?? `code ${code}`)
      })
    })
  }

  /** Resolves when it serves; any answer will do. @throws when it ends instead */
  async untilServing(withinMs = this.#readyWithinMs): Promise<void> {
    for (const deadline = realClock.monotonic() + withinMs; ;) {
      try {
        await this.admin.status(1000)
        return
      } catch (error) {
        if (!this.isRunning) throw new Error(`etcd ended at its start (${await this.#exit}): ${this.errors}`, { cause: error })
        if (realClock.monotonic() > deadline) throw new Error(`etcd is not ready after ${withinMs} ms: ${this.errors}`, { cause: error })
        await delay(20)
      }
    }
  }

  /** Resolves when it can read what is acknowledged: it has a leader and has caught up. */
  async untilHealthy(withinMs = this.#readyWithinMs): Promise<void> {
    await this.untilServing(withinMs)
    using client = new RemoteEtcdClient({ endpoints: [this.endpoint], clock: realClock })
    for (const deadline = realClock.monotonic() + withinMs; ;) {
      try {
        await client.range({ key: Buffer.from('health') }, AbortSignal.timeout(2000))
        return
      } catch (error) {
        if (!this.isRunning) throw new Error(`etcd ended (${await this.#exit}): ${this.errors}`, { cause: error })
        if (realClock.monotonic() > deadline) throw new Error(`${this.endpoint} reads nothing after ${withinMs} ms (${String(error)}): ${this.errors}`, { cause: error })
        await delay(30)
      }
    }
  }

  async start(): Promise<void> {
    await this.prepare()
    this.spawn()
    await this.untilHealthy(defaultReadyWithinMs)
  }

  async recover(): Promise<void> {
    if (this.isRunning) this.signal('SIGCONT')
    else this.spawn()
    await this.untilHealthy()
  }

  /** Its end is what a test is about. */
  expectEnd(): void { this.#expectsEnd = true }

  signal(name: 'SIGSTOP' | 'SIGCONT' | 'SIGTERM'): void {
    if (name === 'SIGTERM') this.#expectsEnd = true
    this.#child?.kill(name)
  }

  tell(message: FailpointMessage): void { this.#child?.send?.(message, () => {}) }

  async kill(): Promise<void> {
    this.#expectsEnd = true
    this.#child?.kill('SIGKILL')
    await this.#exit
  }

  hashKV(revision: number): Promise<RevisionHash> { return this.admin.hashKV(revision) }

  async [Symbol.asyncDispose](): Promise<void> { await this.kill() }
}

const firstPort = 20_000
const ports = 10_000
const given = new Set<number>()

/** None of those that the kernel gives to clients: a client that asks where nobody listens could get that very port, and be its own server. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = firstPort + randomInteger(realRandom, ports)
    if (given.has(port)) continue
    given.add(port)
    const isFree = await new Promise<boolean>((done) => {
      const server = createServer().once('error', () => done(false)).listen(port, '127.0.0.1', () => server.close(() => done(true)))
    })
    if (isFree) return port
  }
}

/** One etcd without others, on this machine's loopback. */
export async function singleEtcd(options: Omit<EtcdProcessOptions, 'endpoint'>): Promise<EtcdProcess> {
  const peerUrl = `http://127.0.0.1:${await freePort()}`
  return new EtcdProcess({
    ...options, endpoint: `http://127.0.0.1:${await freePort()}`,
    flags: ['--listen-peer-urls', peerUrl, '--initial-advertise-peer-urls', peerUrl, '--initial-cluster', `default=${peerUrl}`, ...options.flags ?? []],
  })
}
