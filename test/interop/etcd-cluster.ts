// Clusters of etcd members as processes with TLS, for clients and between each other: ours, the original's, or some of each. The flags are the same.
import assert from 'node:assert/strict'
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { realClock } from '../../src/lib/async/real-clock.ts'
import { realRandom } from '../../src/lib/async/real-random.ts'
import { RemoteEtcdClient } from '../../src/lib/etcd-client/remote-etcd-client.ts'
import { createAuthority, issueCertificate } from '../../src/lib/net/pki/certificates.ts'
import { freePort, olderEtcd, originalEtcd, originalEtcdctl, type Run } from './etcd-pair.ts'

/** Ours, the original of our version, or one of before (build-older-etcds.sh). */
export type Kind = 'ours' | 'original' | '3.6' | '3.5'

export interface ClusterMemberProcess {
  readonly name: string
  readonly kind: Kind
  readonly clientUrl: string
  readonly peerUrl: string
  readonly dataDir: string
  readonly logFile: string
}

interface Running { readonly child: ChildProcess; readonly exited: Promise<number | null> }

/** What `endpoint status -w json` says of one member. */
export interface MemberStatus { readonly endpoint: string; readonly id: string; readonly leader: string; readonly raftIndex: number; readonly isLearner: boolean; readonly version: string }

const main = resolve(import.meta.dirname, '../../src/cmd/main.ts')
/** On a busy machine others may take the processor away for long. */
const timing = ['--heartbeat-interval', '100', '--election-timeout', '1500']

export class TestCluster implements AsyncDisposable {
  readonly members: ClusterMemberProcess[] = []
  readonly #folder = mkdtempSync(join(tmpdir(), 'k8ts-cluster-'))
  readonly #running = new Map<string, Running>()
  readonly #secure: boolean

  private constructor(secure: boolean) { this.#secure = secure }

  /** @param kinds one for each member */
  static async start(kinds: readonly Kind[], options: { readonly secure?: boolean } = {}): Promise<TestCluster> {
    const cluster = new TestCluster(options.secure ?? true)
    if (cluster.#secure) cluster.#makeCertificates()
    for (const [i, kind] of kinds.entries()) cluster.members.push(await cluster.#plan(`m${i}`, kind))
    try {
      const list = cluster.members.map((member) => `${member.name}=${member.peerUrl}`).join(',')
      for (const member of cluster.members) cluster.run(member, ['--initial-cluster', list, '--initial-cluster-state', 'new', '--initial-cluster-token', 'test'])
      await cluster.healthy()
      return cluster
    } catch (error) {
      const logs = cluster.members.map((member) => `${member.name} (${member.kind}):\n${readFileSync(member.logFile, 'utf8').slice(-3000)}`).join('\n')
      await cluster[Symbol.asyncDispose]()
      throw new Error(`the cluster did not start\n${logs}`, { cause: error })
    }
  }

  async #plan(name: string, kind: Kind): Promise<ClusterMemberProcess> {
    const scheme = this.#secure ? 'https' : 'http'
    return { name, kind, clientUrl: `${scheme}://127.0.0.1:${await freePort()}`, peerUrl: `${scheme}://127.0.0.1:${await freePort()}`, dataDir: join(this.#folder, name), logFile: join(this.#folder, `${name}.log`) }
  }

  #makeCertificates(): void {
    const validity = { notBeforeMs: Date.now() - 3_600_000, notAfterMs: Date.now() + 86_400_000 }
    const authority = createAuthority('test', validity, realRandom)
    const certify = (name: string): void => {
      const pair = issueCertificate(authority, 'test', { subject: { commonName: name }, names: ['127.0.0.1', 'localhost'], usages: ['server', 'client'], random: realRandom, ...validity })
      writeFileSync(this.#file(`${name}.crt`), pair.certificatePem)
      writeFileSync(this.#file(`${name}.key`), pair.keyPem)
    }
    writeFileSync(this.#file('ca.crt'), authority.certificatePem)
    for (const name of ['server', 'peer', 'client']) certify(name)
  }

  #file(name: string): string { return join(this.#folder, name) }

  /** A member more; it does not run yet. */
  async plan(name: string, kind: Kind): Promise<ClusterMemberProcess> {
    const member = await this.#plan(name, kind)
    this.members.push(member)
    return member
  }

  /** Starts a member's process. @param flags how it begins; moot once it has data */
  run(member: ClusterMemberProcess, flags: readonly string[] = []): void {
    const tls = this.#secure ? [
      '--cert-file', this.#file('server.crt'), '--key-file', this.#file('server.key'), '--trusted-ca-file', this.#file('ca.crt'), '--client-cert-auth',
      '--peer-cert-file', this.#file('peer.crt'), '--peer-key-file', this.#file('peer.key'), '--peer-trusted-ca-file', this.#file('ca.crt'), '--peer-client-cert-auth',
    ] : []
    const args = ['--name', member.name, '--data-dir', member.dataDir, '--listen-client-urls', member.clientUrl, '--advertise-client-urls', member.clientUrl, '--listen-peer-urls', member.peerUrl,
      '--initial-advertise-peer-urls', member.peerUrl, '--log-level', 'info', '--snapshot-count', '100', member.kind === '3.5' ? '--experimental-snapshot-catchup-entries' : '--snapshot-catchup-entries', '50', ...timing, ...tls, ...flags]
    const ours = [process.execPath, '--disable-proto=delete', '--disable-warning=ExperimentalWarning', main, 'etcd'] as const
    const [program, ...before] = member.kind === 'ours' ? ours : [member.kind === 'original' ? originalEtcd : olderEtcd(member.kind)]
    const log = openSync(member.logFile, 'a')
    const child = spawn(program, [...before, ...args], { stdio: ['ignore', log, log] })
    closeSync(log)
    this.#running.set(member.name, { child, exited: new Promise((done) => { child.once('exit', (code) => done(code)) }) })
  }

  /** The same member, data and all, run by the other program from now on. */
  become(member: ClusterMemberProcess, kind: Kind): ClusterMemberProcess {
    const other = { ...member, kind }
    this.members[this.members.indexOf(member)] = other
    return other
  }

  /** Ends a process; gives its exit code, null after a kill. */
  async end(member: ClusterMemberProcess, signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null> {
    const running = this.#running.get(member.name)
    assert.ok(running, `${member.name} runs`)
    this.#running.delete(member.name)
    running.child.kill(signal)
    return running.exited
  }

  /** When a process ends by itself. */
  exit(member: ClusterMemberProcess): Promise<number | null> {
    const running = this.#running.get(member.name)
    assert.ok(running, `${member.name} runs`)
    return running.exited.then((code) => { this.#running.delete(member.name); return code })
  }

  get up(): readonly ClusterMemberProcess[] { return this.members.filter((member) => this.#running.has(member.name)) }

  /** The original etcdctl, against these members or all that run. */
  ctl(args: readonly string[], members: readonly ClusterMemberProcess[] = this.up): Promise<Run> {
    const tls = this.#secure ? ['--cacert', this.#file('ca.crt'), '--cert', this.#file('client.crt'), '--key', this.#file('client.key')] : []
    return new Promise((done) => {
      execFile(originalEtcdctl, ['--endpoints', members.map((member) => member.clientUrl).join(','), ...tls, ...args], { timeout: 20_000 }, (error, out, err) => done({ code: error ? Number(error.code ?? 1) : 0, out, err }))
    })
  }

  async ok(args: readonly string[], members?: readonly ClusterMemberProcess[]): Promise<string> {
    const run = await this.ctl(args, members)
    assert.equal(run.code, 0, `etcdctl ${args.join(' ')}: ${run.err}${run.out}`)
    return run.out
  }

  /** Resolves when all these answer reads that a majority has confirmed. */
  async healthy(members: readonly ClusterMemberProcess[] = this.up): Promise<void> {
    await this.eventually(async () => {
      const run = await this.ctl(['endpoint', 'health', '--command-timeout=2s'], members)
      assert.equal(run.code, 0, run.err)
    })
  }

  /** @param access flags that say who asks */
  async statuses(members: readonly ClusterMemberProcess[] = this.up, access: readonly string[] = []): Promise<readonly MemberStatus[]> {
    // Ids exceed what JSON.parse keeps.
    const text = (await this.ok([...access, 'endpoint', 'status', '-w', 'json'], members)).replaceAll(/"(member_id|leader)":(\d+)/g, '"$1":"$2"')
    const list = JSON.parse(text) as { Endpoint: string; Status: { header: { member_id: string }; leader: string; raftIndex: number; isLearner?: boolean; version: string } }[]
    return list.map(({ Endpoint, Status }) => ({ endpoint: Endpoint, id: Status.header.member_id, leader: Status.leader, raftIndex: Status.raftIndex, isLearner: Status.isLearner ?? false, version: Status.version }))
  }

  async leader(access: readonly string[] = []): Promise<ClusterMemberProcess> {
    const status = (await this.statuses(this.up, access)).find(({ id, leader }) => id === leader)
    const member = this.members.find(({ clientUrl }) => clientUrl === status?.endpoint)
    assert.ok(member, 'somebody leads')
    return member
  }

  /** In hexadecimal, as etcdctl takes it. */
  async idOf(member: ClusterMemberProcess): Promise<string> {
    const line = (await this.ok(['member', 'list'])).split('\n').find((text) => text.includes(member.peerUrl))
    assert.ok(line, `${member.name} is listed`)
    return line.split(', ')[0] ?? ''
  }

  /** Of these members or all, also those that don't run now. */
  client(members: readonly ClusterMemberProcess[] = this.members): RemoteEtcdClient {
    const tls = this.#secure ? { tls: { ca: readFileSync(this.#file('ca.crt')), cert: readFileSync(this.#file('client.crt')), key: readFileSync(this.#file('client.key')) } } : {}
    return new RemoteEtcdClient({ endpoints: members.map((member) => member.clientUrl), clock: realClock, ...tls })
  }

  /** Writes many keys, faster than etcdctl could. */
  async fill(prefix: string, count: number, member = this.up[0]): Promise<void> {
    assert.ok(member)
    using client = this.client([member])
    const value = Buffer.alloc(500, 'v')
    for (let i = 0; i < count; i++) await client.txn({ compare: [], success: [{ type: 'put', key: Buffer.from(`${prefix}${i}`), value }], failure: [] }, AbortSignal.timeout(10_000))
  }

  /** Everybody holds the same keys. */
  async equalHashes(members: readonly ClusterMemberProcess[] = this.up): Promise<void> {
    await this.eventually(async () => {
      // While others write, the members are at different revisions.
      const { header: { revision } } = JSON.parse(await this.ok(['get', 'x', '-w', 'json'], members)) as { header: { revision: number } }
      const list = JSON.parse(await this.ok(['endpoint', 'hashkv', `--rev=${revision}`, '-w', 'json'], members)) as { HashKV: { hash: number; hash_revision?: number } }[]
      // 3.5 does not name the revision.
      const hashes = new Set(list.map(({ HashKV }) => `${HashKV.hash_revision ?? revision}:${HashKV.hash}`))
      assert.equal(hashes.size, 1, `hashes ${[...hashes].join(' ')}`)
    })
  }

  /** Tries until it succeeds, or fails as it did last. */
  async eventually(attempt: () => Promise<void>, limitMs = 30_000): Promise<void> {
    const until = Date.now() + limitMs
    for (;;) {
      try {
        await attempt()
        return
      } catch (error) {
        if (Date.now() > until) throw error
        await new Promise((done) => setTimeout(done, 200))
      }
    }
  }

  logOf(member: ClusterMemberProcess): string { return readFileSync(member.logFile, 'utf8') }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.up.map((member) => this.end(member, 'SIGKILL')))
    if (process.env['K8TS_KEEP_LOGS']) { process.stderr.write(`${this.#folder}\n`); return }
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
