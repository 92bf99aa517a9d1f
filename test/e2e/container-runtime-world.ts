// A place for the container runtime's e2e tests: a network namespace and a mount namespace of its own, folders under /tmp, and the runtime's
// own program running in them. Afterwards it says what was left behind.
import { spawn, spawnSync } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { realClock } from '../../src/lib/async/real-clock.ts'
import { sleep } from '../../src/lib/base/clock.ts'
import { connectCri } from '../../src/lib/cri-api/cri-client.ts'
import type { CriClient } from '../../src/lib/cri-api/cri-client.ts'

export const root = resolve(import.meta.dirname, '../..')
export const signal = new AbortController().signal

/** Why these tests can't run here, or false. */
export function whySkip(): string | false {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'real containers need root on Linux'
  for (const program of ['crun', 'conmon', 'ip', 'iptables', 'nsenter', 'unshare']) {
    if (spawnSync('which', [program]).status !== 0) return `needs ${program} (apt-get install crun conmon iproute2 iptables)`
  }
  return false
}

function must(program: string, args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr}`)
  return stdout
}

export class RuntimeWorld {
  readonly dir = mkdtempSync('/tmp/k8ts-cr-')
  readonly #name = `k8ts-cr-${process.pid}-${this.dir.slice(-4)}`
  readonly cgroup = `/${this.#name}`
  readonly socket = join(this.dir, 'cri.sock')
  #child: ChildProcess | undefined
  #holder: ChildProcess | undefined
  #log = ''
  #isReady = false

  /** Namespaces that live as long as the world, as a node's do: a killed runtime starts again inside them. */
  constructor() {
    must('ip', ['netns', 'add', this.#name])
    must('nsenter', [`--net=/run/netns/${this.#name}`, 'ip', 'link', 'set', 'lo', 'up'])
    const prepare = 'if [ -f /sys/fs/cgroup/unified/cgroup.controllers ]; then mount --bind /dev/null /sys/fs/cgroup/unified/cgroup.controllers; fi; echo ready; exec sleep 1000'
    this.#holder = spawn('nsenter', [`--net=/run/netns/${this.#name}`, 'unshare', '-m', '--propagation', 'private', 'sh', '-c', prepare], { stdio: ['ignore', 'pipe', 'inherit'] })
  }

  /** Runs a program in the namespaces. */
  command(program: string, args: readonly string[]): readonly [string, readonly string[]] {
    const namespaces = `/proc/${this.#holder?.pid}/ns`
    return ['nsenter', [`--net=${namespaces}/net`, `--mount=${namespaces}/mnt`, program, ...args]]
  }

  inside(program: string, args: readonly string[]): string { const [command, all] = this.command(program, args); return must(command, all) }

  /** The mount namespace exists. */
  async ready(): Promise<void> {
    const out = this.#holder?.stdout
    if (!out || this.#isReady) return
    await new Promise((resolve) => out.once('data', resolve))
    this.#isReady = true
  }

  async start(...flags: string[]): Promise<CriClient> {
    await this.ready()
    const [command, args] = this.command(process.execPath, [
      '--disable-proto=delete', '--disable-warning=ExperimentalWarning', join(root, 'src/cmd/main.ts'), 'container-runtime', '--root', join(this.dir, 'root'), '--state', join(this.dir, 'run'), '--socket', this.socket,
      '--cgroup-parent', this.cgroup, '--pod-cidr', '10.233.5.0/24', '--cluster-cidr', '10.233.0.0/16', ...flags,
    ])
    const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] })
    this.#child = child
    await new Promise<void>((ready, failed) => {
      child.stderr.on('data', (chunk: Buffer) => { this.#log += chunk.toString(); if (this.#log.includes('serving CRI')) { this.#log = ''; ready() } })
      child.on('exit', (code) => failed(new Error(`container-runtime ended with ${code}: ${this.#log}`)))
    })
    return connectCri(this.socket, realClock)
  }

  get pid(): number { return this.#child?.pid ?? 0 }

  /** Ends the runtime (not the containers). */
  async end(name: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const child = this.#child
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const gone = new Promise((resolve) => child.once('exit', resolve))
    child.kill(name)
    await gone
  }

  /** What is still there of pods: mounts, interfaces, cgroups, processes, rules, files. */
  leftovers(): readonly string[] {
    const left: string[] = []
    const pid = this.#holder?.pid
    for (const line of readFileSync(`/proc/${pid}/mounts`, 'utf8').split('\n')) if (line.includes(this.dir)) left.push(`mount ${line.split(' ')[1]}`)
    for (const line of this.inside('ip', ['-br', 'link']).split('\n')) if (line.startsWith('veth')) left.push(`interface ${line.split(' ')[0]}`)
    for (const line of this.inside('iptables', ['-t', 'nat', '-S']).split('\n')) if (line.includes('--dport')) left.push(`rule ${line}`)
    const hierarchies = existsSync('/sys/fs/cgroup/cgroup.controllers') ? ['/sys/fs/cgroup'] : readdirSync('/sys/fs/cgroup').map((name) => `/sys/fs/cgroup/${name}`)
    for (const hierarchy of hierarchies) {
      const parent = join(hierarchy, this.cgroup)
      if (existsSync(parent)) for (const entry of readdirSync(parent, { withFileTypes: true })) if (entry.isDirectory()) left.push(`cgroup ${join(parent, entry.name)}`)
    }
    for (const name of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
      let line = ''
      try { line = readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ') } catch { continue }
      if (line.includes(this.dir) && line.startsWith('/usr/bin/conmon')) left.push(`process ${line}`)
    }
    for (const folder of ['root/containers', 'root/sandboxes', 'root/trash', 'run/bundles', 'run/pods', 'run/exits', 'run/oci']) {
      const path = join(this.dir, folder)
      if (existsSync(path)) for (const name of readdirSync(path)) left.push(`file ${folder}/${name}`)
    }
    return left
  }

  /** Waits, in small steps, until `check` says yes. */
  async eventually<T>(what: string, check: () => Promise<T | undefined | false> | T | undefined | false, limitMs = 5000): Promise<T> {
    const until = realClock.monotonic() + limitMs
    for (;;) {
      const found = await check()
      if (found) return found
      if (realClock.monotonic() > until) throw new Error(`not within ${limitMs} ms: ${what}`)
      await sleep(realClock, 15, signal)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end('SIGKILL')
    const [command, args] = this.command(process.execPath, ['--disable-proto=delete', join(root, 'src/cmd/main.ts'), 'container-runtime', '--root', join(this.dir, 'root'), '--state', join(this.dir, 'run'), '--cgroup-parent', this.cgroup, '--tear-down'])
    spawnSync(command, args)
    this.#holder?.kill('SIGKILL')
    spawnSync('ip', ['netns', 'del', this.#name])
    rmSync(this.dir, { recursive: true, force: true })
  }
}
