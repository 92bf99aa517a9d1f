// A single etcd on a data folder, ours or an original of any version, and what has to be found in the folder whoever opens it.
import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { realClock } from '../../src/lib/async/real-clock.ts'
import { RemoteEtcdClient } from '../../src/lib/etcd-client/remote-etcd-client.ts'
import { freePort, originalEtcdctl, run } from './etcd-pair.ts'

const main = resolve(import.meta.dirname, '../../src/cmd/main.ts')
export const signal = new AbortController().signal
export const oursCommand = [process.execPath, '--disable-proto=delete', '--disable-warning=ExperimentalWarning', main, 'etcd']

export interface Running extends AsyncDisposable {
  readonly url: string
  /** As a power cut for the program: nothing is written any more. */
  kill(): Promise<void>
}

export interface Member { readonly name: string; readonly clientPort: number; readonly peerPort: number }

export async function memberNamed(name: string): Promise<Member> { return { name, clientPort: await freePort(), peerPort: await freePort() } }

export async function start(command: readonly string[], dataDir: string, member: Member, more: readonly string[] = []): Promise<Running> {
  const [program = '', ...args] = command
  const url = `http://127.0.0.1:${member.clientPort}`
  const peer = `http://127.0.0.1:${member.peerPort}`
  const child: ChildProcess = spawn(program, [...args, '--name', member.name, '--data-dir', dataDir, '--listen-client-urls', url, '--advertise-client-urls', url, '--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer,
    '--initial-cluster', `${member.name}=${peer}`, '--snapshot-count', '100', ...more], { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (data: Buffer) => { output = (output + data.toString()).slice(-6000) })
  const exited = new Promise<void>((done) => { child.once('exit', () => done()) })
  const end = async (how: NodeJS.Signals): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) child.kill(how)
    await exited
  }
  for (let i = 0; ; i++) {
    const answer = await fetch(`${url}/health`).catch(() => undefined)
    if (answer?.ok) break
    if (i === 150 || child.exitCode !== null) { await end('SIGKILL'); throw new Error(`${program} did not start on ${dataDir}: ${output}`) }
    await new Promise((done) => setTimeout(done, 100))
  }
  return { url, kill: () => end('SIGKILL'), [Symbol.asyncDispose]: () => end('SIGTERM') }
}

export async function etcdctl(url: string, ...args: readonly string[]): Promise<string> {
  const { code, out, err } = await run(originalEtcdctl, ['--endpoints', url, ...args])
  assert.equal(code, 0, `etcdctl ${args.join(' ')}: ${err}`)
  return out
}

export async function work(url: string, from: number, to: number): Promise<void> {
  using client = new RemoteEtcdClient({ endpoints: [url], clock: realClock })
  for (let i = from; i < to; i += 20) {
    await Promise.all(Array.from({ length: 20 }, (_, j) => client.txn({ compare: [], success: [{ type: 'put', key: Buffer.from(`key${(i + j) % 31}`), value: Buffer.from(`value ${i + j} `.repeat((i + j) % 40)) }], failure: [] }, signal)))
  }
  await client.txn({ compare: [], success: [{ type: 'deleteRange', key: Buffer.from(`key${from % 31}`) }, { type: 'put', key: Buffer.from('last'), value: Buffer.from(String(to)) }], failure: [] }, signal)
}

/** What has to be the same whoever serves the folder. */
export async function describe(url: string): Promise<object> {
  const [hash] = JSON.parse(await etcdctl(url, 'endpoint', 'hashkv', '-w', 'json')) as [{ readonly HashKV: { readonly hash: number; readonly compact_revision: number; readonly header: { readonly revision: number } } }]
  const leases = (await etcdctl(url, 'lease', 'list')).split('\n').slice(1).filter((line) => line !== '').sort()
  const attached = await Promise.all(leases.map(async (id) => /attached keys\((.*)\)/.exec(await etcdctl(url, 'lease', 'timetolive', id, '--keys'))?.[1]))
  return {
    hash: hash.HashKV.hash, revision: hash.HashKV.header.revision, compacted: hash.HashKV.compact_revision, leases, attached, users: await etcdctl(url, 'user', 'get', 'u'), role: await etcdctl(url, 'role', 'get', 'r'),
    alarms: await etcdctl(url, 'alarm', 'list'), members: (await etcdctl(url, 'member', 'list')).replaceAll(/http:\S+/g, 'URL'), last: await etcdctl(url, 'get', 'last', '--print-value-only'),
  }
}

export async function withFolder(body: (dataDir: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'k8ts-data-folder-'))
  try {
    await body(join(folder, 'data'))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

export async function fill(url: string): Promise<void> {
  const lease = /lease (\S+) granted/.exec(await etcdctl(url, 'lease', 'grant', '10000'))?.[1] ?? ''
  await etcdctl(url, 'lease', 'grant', '5000')
  await etcdctl(url, 'put', 'leased', 'x', '--lease', lease)
  await etcdctl(url, 'role', 'add', 'r')
  await etcdctl(url, 'role', 'grant-permission', 'r', 'readwrite', 'a', 'b')
  await etcdctl(url, 'user', 'add', 'u:password')
  await etcdctl(url, 'user', 'grant-role', 'u', 'r')
}
