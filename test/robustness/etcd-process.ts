// Our etcd as a process of its own, to be killed, stopped and started again on the same data.
import { spawn, type ChildProcess } from 'node:child_process'
import { createServer } from 'node:net'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { realClock } from '../../src/lib/async/real-clock.ts'
import { decodeProto3, encodeProto3 } from '../../src/lib/base/protobuf/proto3.ts'
import { etcdTable } from '../../src/lib/etcd-api/generated/table.ts'
import { RemoteEtcdClient } from '../../src/lib/etcd-client/remote-etcd-client.ts'
import { GrpcChannel } from '../../src/lib/net/grpc/grpc-channel.ts'

const root = resolve(import.meta.dirname, '../..')
interface HashAnswer { readonly hash?: number; readonly compactRevision?: number; readonly hashRevision?: number }
interface AlarmAnswer { readonly alarms?: readonly { readonly memberID?: bigint; readonly alarm?: string }[] }

const readyWithinMs = 20_000

export interface EtcdProcessOptions {
  readonly dataDir: string
  readonly port: number
  readonly flags?: readonly string[]
  /** A control build: the name of a fault that control-etcd.ts puts in. */
  readonly control?: string
}

export class EtcdProcess {
  readonly endpoint: string
  readonly #options: EtcdProcessOptions
  #child: ChildProcess | undefined
  #exit: Promise<string> = Promise.resolve('not started')
  #errors = ''

  constructor(options: EtcdProcessOptions) {
    this.#options = options
    this.endpoint = `http://127.0.0.1:${options.port}`
  }

  /** How it ended, once it has; what it last said. */
  get exit(): Promise<string> { return this.#exit }
  get isRunning(): boolean { return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null }
  get errors(): string { return this.#errors }

  /** Resolves when it serves. @throws when it ends instead */
  async start(): Promise<void> {
    const { dataDir, port, flags = [], control } = this.#options
    const program = control === undefined
      ? [join(root, 'bin/k8ts.mjs'), 'etcd', '--data-dir', dataDir, '--listen-client-urls', this.endpoint, '--advertise-client-urls', this.endpoint, '--snapshot-count', '1000', ...flags]
      : [join(root, 'test/robustness/control-etcd.ts'), control, dataDir, String(port)]
    const child = spawn(process.execPath, ['--disable-proto=delete', '--disable-warning=ExperimentalWarning', ...program], { stdio: ['ignore', 'ignore', 'pipe'] })
    this.#child = child
    this.#errors = ''
    child.stderr.on('data', (data: Buffer) => { this.#errors = (this.#errors + data.toString()).slice(-4000) })
    this.#exit = new Promise((done) => { child.once('exit', (code, by) => done(by ?? `code ${code}`)) })
    using probe = new RemoteEtcdClient({ endpoints: [this.endpoint], clock: realClock })
    const deadline = realClock.monotonic() + readyWithinMs
    for (;;) {
      try {
        await probe.status(AbortSignal.timeout(2000))
        return
      } catch (error) {
        if (!this.isRunning) throw new Error(`etcd ended at its start (${await this.#exit}): ${this.#errors}`, { cause: error })
        if (realClock.monotonic() > deadline) throw new Error(`etcd is not ready after ${readyWithinMs} ms: ${this.#errors}`, { cause: error })
        await delay(20)
      }
    }
  }

  signal(name: 'SIGSTOP' | 'SIGCONT' | 'SIGTERM'): void { this.#child?.kill(name) }

  async kill(): Promise<void> {
    this.#child?.kill('SIGKILL')
    await this.#exit
  }

  /** The hash of all readable revisions up to `revision`. */
  async hashKV(revision: number): Promise<{ readonly hash: number; readonly compactRevision: number; readonly hashRevision: number }> {
    const { hash = 0, compactRevision = 0, hashRevision = 0 } = await this.#ask<HashAnswer>('HashKV', { revision })
    return { hash, compactRevision, hashRevision }
  }

  /** The alarms that are raised. */
  async alarms(): Promise<readonly string[]> { return ((await this.#ask<AlarmAnswer>('Alarm', { action: 'GET' })).alarms ?? []).map(({ alarm = '' }) => alarm) }

  async disarm(): Promise<void> {
    for (const { memberID = 0n, alarm } of (await this.#ask<AlarmAnswer>('Alarm', { action: 'GET' })).alarms ?? []) await this.#ask('Alarm', { action: 'DEACTIVATE', memberID, alarm })
  }

  async #ask<T>(method: string, request: object): Promise<T> {
    using channel = new GrpcChannel({ target: this.endpoint, clock: realClock })
    return decodeProto3<T>(etcdTable, `${method}Response`, await channel.unary(`/etcdserverpb.Maintenance/${method}`, encodeProto3(etcdTable, `${method}Request`, request), { signal: AbortSignal.timeout(10_000) }))
  }

  async [Symbol.asyncDispose](): Promise<void> { await this.kill() }
}

export function freePort(): Promise<number> {
  return new Promise((done, failed) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => { if (address !== null && typeof address === 'object') done(address.port); else failed(new Error('no port')) })
    })
  })
}
