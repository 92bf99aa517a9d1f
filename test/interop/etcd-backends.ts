// The etcds that kube-apiserver has to run on, as processes: ours and the original, of one member and of three, over TLS with client certificates,
// and the old one of Debian in the clear. Members can be stopped, killed and started again, each with its data.
import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync, openSync, closeSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { realClock } from '../../src/lib/async/real-clock.ts'
import { realRandom } from '../../src/lib/async/real-random.ts'
import { seededRandom } from '../../src/lib/base/random.ts'
import { decodeProto3, encodeProto3 } from '../../src/lib/base/protobuf/proto3.ts'
import { etcdTable } from '../../src/lib/etcd-api/generated/table.ts'
import type { StatusResponse } from '../../src/lib/etcd-api/generated/types.ts'
import { RemoteEtcdClient } from '../../src/lib/etcd-client/remote-etcd-client.ts'
import { GrpcChannel, type ClientTls } from '../../src/lib/net/grpc/grpc-channel.ts'
import { createAuthority, issueCertificate } from '../../src/lib/net/pki/certificates.ts'
import { freePorts } from './free-port.ts'

export { freePorts }

const root = resolve(import.meta.dirname, '../..')
export const originalEtcd = resolve(import.meta.dirname, '.bin/etcd')
export const debianEtcd = '/usr/bin/etcd'

export type EtcdProgram = 'ours' | 'original' | 'debian'

export interface BackendKind {
  readonly name: string
  readonly program: EtcdProgram
  readonly members: 1 | 3
  readonly tls: boolean
  /** Why it can't be had here; undefined: it can. */
  readonly missing: string | undefined
}

const missingOriginal = existsSync(originalEtcd) ? undefined : `not built at ${originalEtcd}: run test/interop/build-originals.sh`
const missingDebian = existsSync(debianEtcd) ? undefined : `no ${debianEtcd}: install etcd-server`
if (process.env['CI'] && missingOriginal !== undefined) throw new Error(missingOriginal)

export const backendKinds: readonly BackendKind[] = [
  { name: 'our etcd over TLS', program: 'ours', members: 1, tls: true, missing: undefined },
  { name: 'three of our etcds over TLS', program: 'ours', members: 3, tls: true, missing: undefined },
  { name: 'the original etcd over TLS', program: 'original', members: 1, tls: true, missing: missingOriginal },
  { name: 'three original etcds over TLS', program: 'original', members: 3, tls: true, missing: missingOriginal },
  { name: "Debian's etcd 3.4", program: 'debian', members: 1, tls: false, missing: missingDebian },
]

/** PEM files of a cluster's certificates. */
export interface Pki {
  readonly ca: string
  readonly server: { readonly cert: string; readonly key: string }
  readonly client: { readonly cert: string; readonly key: string }
}

/** An authority, and a certificate of it for servers (and peers) on this machine and one for a client. */
export function makePki(folder: string, seed = 11): Pki {
  const random = seededRandom(seed)
  const validity = { notBeforeMs: Date.UTC(2020, 0, 1), notAfterMs: Date.UTC(2045, 0, 1) }
  const authority = createAuthority('etcd-ca', validity, random)
  mkdirSync(folder, { recursive: true })
  const write = (name: string, text: string): string => { writeFileSync(join(folder, name), text); return join(folder, name) }
  const pair = (name: string, commonName: string, usages: readonly ('server' | 'client')[]): { cert: string; key: string } => {
    const made = issueCertificate(authority, 'etcd-ca', { subject: { commonName }, names: ['localhost', '127.0.0.1'], usages: [...usages], random, ...validity })
    return { cert: write(`${name}.crt`, made.certificatePem), key: write(`${name}.key`, made.keyPem) }
  }
  return { ca: write('ca.crt', authority.certificatePem), server: pair('server', 'etcd', ['server', 'client']), client: pair('client', 'kube-apiserver-etcd-client', ['client']) }
}

export function clientTlsOf(pki: Pki): ClientTls {
  return { ca: readFileSync(pki.ca, 'utf8'), cert: readFileSync(pki.client.cert, 'utf8'), key: readFileSync(pki.client.key, 'utf8') }
}

const endsWithinMs = 15_000

/** One member as a process. */
export class Member {
  readonly name: string
  readonly clientUrl: string
  readonly #command: readonly string[]
  readonly #log: string
  readonly #tls: ClientTls | undefined
  #child: ChildProcess | undefined
  #exited: Promise<void> = Promise.resolve()

  constructor(name: string, clientUrl: string, command: readonly string[], log: string, tls: ClientTls | undefined) {
    this.name = name
    this.clientUrl = clientUrl
    this.#command = command
    this.#log = log
    this.#tls = tls
  }

  get isRunning(): boolean { return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null }

  start(): void {
    const [program = '', ...args] = this.#command
    const log = openSync(this.#log, 'a')
    const child = spawn(program, args, { stdio: ['ignore', log, log], cwd: root })
    closeSync(log)
    this.#child = child
    this.#exited = new Promise((done) => { child.once('exit', () => { done() }) })
  }

  /** SIGTERM and SIGKILL end it, SIGSTOP and SIGCONT hold it. Resolves when it has ended, where it does. */
  async signal(signal: 'SIGTERM' | 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): Promise<void> {
    this.#child?.kill(signal)
    if (signal !== 'SIGTERM' && signal !== 'SIGKILL') return
    const late = new AbortController()
    await Promise.race([this.#exited, delay(endsWithinMs, undefined, { signal: late.signal, ref: false }).then(() => { throw new Error(`${this.name} does not end on ${signal} in ${endsWithinMs} ms:\n${this.lastWords()}`) })])
    late.abort()
  }

  /** What it says of itself; undefined while it doesn't answer. */
  async status(): Promise<{ readonly isLeader: boolean; readonly hasLeader: boolean; readonly version: string } | undefined> {
    using channel = new GrpcChannel({ target: this.clientUrl, clock: realClock, ...(this.#tls && { tls: this.#tls }) })
    try {
      const answer = decodeProto3<StatusResponse>(etcdTable, 'StatusResponse', await channel.unary('/etcdserverpb.Maintenance/Status', encodeProto3(etcdTable, 'StatusRequest', {}), { signal: AbortSignal.timeout(2000) }))
      return { isLeader: (answer.leader ?? 0n) !== 0n && answer.leader === answer.header?.memberId, hasLeader: (answer.leader ?? 0n) !== 0n, version: answer.version ?? '' }
    } catch {
      return undefined
    }
  }

  lastWords(): string { return existsSync(this.#log) ? readFileSync(this.#log, 'utf8').split('\n').slice(-15).join('\n') : '' }
}

export interface Backend extends AsyncDisposable {
  readonly kind: BackendKind
  readonly members: readonly Member[]
  readonly endpoints: readonly string[]
  readonly pki: Pki | undefined
  readonly tls: ClientTls | undefined
  readonly folder: string
  /** A client of all members. */
  client(endpoints?: readonly string[]): RemoteEtcdClient
  leader(): Promise<Member>
  /** All members run, and have a leader. */
  untilHealthy(): Promise<void>
}

const startedWithinMs = 30_000

/** A cluster that nobody else uses, with nothing in it. */
export async function startBackend(kind: BackendKind): Promise<Backend> {
  const folder = mkdtempSync(join(tmpdir(), 'k8ts-backend-'))
  const pki = kind.tls ? makePki(join(folder, 'pki')) : undefined
  const tls = pki && clientTlsOf(pki)
  const scheme = kind.tls ? 'https' : 'http'
  const ports = await freePorts(kind.members * 2)
  const names = Array.from({ length: kind.members }, (_, i) => `etcd-${i}`)
  const peerUrl = (i: number): string => `${scheme}://127.0.0.1:${ports[i * 2 + 1] ?? 0}`
  const cluster = names.map((name, i) => `${name}=${peerUrl(i)}`).join(',')
  const program = kind.program === 'ours' ? [process.execPath, '--disable-proto=delete', join(root, 'src/cmd/main.ts'), 'etcd'] : [kind.program === 'original' ? originalEtcd : debianEtcd]
  const members = names.map((name, i) => {
    const url = `${scheme}://127.0.0.1:${ports[i * 2] ?? 0}`
    const flags = [
      '--name', name, '--data-dir', join(folder, name), '--listen-client-urls', url, '--advertise-client-urls', url, '--listen-peer-urls', peerUrl(i), '--initial-advertise-peer-urls', peerUrl(i),
      '--initial-cluster', cluster, '--initial-cluster-state', 'new', '--initial-cluster-token', 'suite', '--log-level', 'warn', ...(kind.program === 'debian' ? ['--logger', 'zap'] : []),
      ...(pki ? ['--cert-file', pki.server.cert, '--key-file', pki.server.key, '--trusted-ca-file', pki.ca, '--client-cert-auth', '--peer-cert-file', pki.server.cert, '--peer-key-file', pki.server.key, '--peer-trusted-ca-file', pki.ca, '--peer-client-cert-auth'] : []),
    ]
    return new Member(name, url, [...program, ...flags], join(folder, `${name}.log`), tls)
  })
  const clients: RemoteEtcdClient[] = []
  const endpoints = members.map((member) => member.clientUrl)
  const backend: Backend = {
    kind, members, endpoints, pki, tls, folder,
    client(to = endpoints) {
      const client = new RemoteEtcdClient({ endpoints: to, clock: realClock, random: realRandom, ...(tls && { tls }) })
      clients.push(client)
      return client
    },
    async leader() {
      for (const deadline = realClock.monotonic() + startedWithinMs; realClock.monotonic() < deadline; await delay(50)) {
        for (const member of members) if (member.isRunning && (await member.status())?.isLeader) return member
      }
      throw new Error(`${kind.name}: no leader in ${startedWithinMs} ms`)
    },
    async untilHealthy() {
      for (const deadline = realClock.monotonic() + startedWithinMs; ; await delay(50)) {
        const statuses = await Promise.all(members.map((member) => member.status()))
        if (statuses.every((status) => status?.hasLeader)) return
        const ended = members.find((member) => !member.isRunning)
        if (ended || realClock.monotonic() > deadline) throw new Error(`${kind.name} ${ended ? `has ended (${ended.name})` : 'does not start'}:\n${(ended ?? members[0])?.lastWords() ?? ''}`)
      }
    },
    async [Symbol.asyncDispose]() {
      for (const client of clients) client[Symbol.dispose]()
      await Promise.all(members.map(async (member) => { if (member.isRunning) { await member.signal('SIGCONT'); await member.signal('SIGKILL') } }))
      rmSync(folder, { recursive: true, force: true })
    },
  }
  for (const member of members) member.start()
  try {
    await backend.untilHealthy()
  } catch (error) {
    await backend[Symbol.asyncDispose]()
    throw error
  }
  return backend
}
