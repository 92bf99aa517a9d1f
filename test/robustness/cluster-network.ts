// A network for the members of a cluster, all of it made here and removed again: a namespace with a bridge, a namespace per member, and one link
// into the namespace of the tests, over which clients ask. Faults are packet rules in a member's namespace: what a peer sends is dropped at the
// receiver, so that to the sender it is lost, not refused. Clients are never cut off.
//
// Needs root, iproute2 and nftables. Names carry the process id: what a killed run left is removed by the next.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { realRandom } from '../../src/lib/async/real-random.ts'
import { randomInteger } from '../../src/lib/base/random.ts'

/** Why there can't be such a network here; undefined when there can. */
export function networkMissing(): string | undefined {
  if (process.getuid?.() !== 0) return 'namespaces need root'
  for (const program of ['ip', 'nft', 'nsenter', 'setpriv']) if (spawnSync('sh', ['-c', `command -v ${program}`]).status !== 0) return `there is no ${program}`
  return undefined
}

/** 198.18.0.0/15 in pieces of 256. */
const subnets = 512
const namespacePattern = /^k8ts(\d+)-/
let networks = 0

export class ClusterNetwork implements Disposable {
  readonly #id: string
  #link: string
  /** The first three numbers of all addresses; from the range for benchmarks (RFC 2544), which nothing else uses. */
  #subnet: string
  readonly #members = new Set<number>()
  /** Per member whose packets it drops, and of how many in a hundred of the others'. */
  readonly #dropped = new Map<number, ReadonlySet<number>>()
  #lossPercent = 0

  constructor() {
    removeLeftovers()
    this.#id = `k8ts${process.pid}-${++networks}`
    ip(`netns add ${this.#switch}`)
    // The link's name is the claim on the subnet, also against other runs that begin at the same moment.
    for (let tries = 1; ; tries++) {
      const number = randomInteger(realRandom, subnets)
      this.#link = `k8tsnet${number}`
      this.#subnet = `198.${18 + (number >> 8)}.${number & 255}`
      const { status, stderr } = spawnSync('ip', ['link', 'add', this.#link, 'type', 'veth', 'peer', 'name', 'tests', 'netns', this.#switch], { encoding: 'utf8' })
      if (status === 0) break
      if (tries === subnets) throw new Error(`no network can be made: ${stderr}`)
    }
    ip(`address add ${this.#subnet}.254/24 dev ${this.#link}`, `link set ${this.#link} up`)
    ip(`-netns ${this.#switch}`, 'link add bridge type bridge', 'link set bridge up', 'link set tests master bridge up')
  }

  get #switch(): string { return `${this.#id}-s` }
  namespaceOf(member: number): string { return `${this.#id}-m${member}` }
  addressOf(member: number): string { return `${this.#subnet}.${member + 1}` }

  addMember(member: number): void {
    const namespace = this.namespaceOf(member)
    this.#members.add(member)
    ip(`netns add ${namespace}`)
    ip(`-netns ${namespace}`, `link add eth0 type veth peer name m${member} netns ${this.#switch}`, `address add ${this.addressOf(member)}/24 dev eth0`, 'link set eth0 up', 'link set lo up')
    ip(`-netns ${this.#switch}`, `link set m${member} master bridge up`)
  }

  /** What `from` sends to `to` is lost from now on, and only that. */
  drop(from: readonly number[], to: readonly number[]): void {
    for (const member of to) {
      this.#dropped.set(member, new Set([...this.#dropped.get(member) ?? [], ...from.filter((other) => other !== member)]))
      this.#write(member)
    }
  }

  /** Two groups hear nothing of each other. */
  partition(one: readonly number[], other: readonly number[]): void {
    this.drop(one, other)
    this.drop(other, one)
  }

  /** So many of a hundred packets between members are lost, at every member. */
  lose(percent: number): void {
    this.#lossPercent = percent
    for (const member of this.#members) this.#write(member)
  }

  /** What members send, to clients too, goes out no faster than this; the rest waits, up to a quarter of a second, or is lost. */
  throttle(kilobitsPerSecond: number): void {
    for (const member of this.#members) run('nsenter', [`--net=/run/netns/${this.namespaceOf(member)}`, 'tc', 'qdisc', 'replace', 'dev', 'eth0', 'root', 'tbf', 'rate', `${kilobitsPerSecond}kbit`, 'burst', '32kbit', 'latency', '250ms'])
  }

  heal(): void {
    this.#lossPercent = 0
    this.#dropped.clear()
    for (const member of this.#members) {
      this.#write(member)
      spawnSync('nsenter', [`--net=/run/netns/${this.namespaceOf(member)}`, 'tc', 'qdisc', 'del', 'dev', 'eth0', 'root'])
    }
  }

  #write(member: number): void {
    const peers = [...this.#members].filter((other) => other !== member)
    const dropped = [...this.#dropped.get(member) ?? []]
    const rules = [
      ...(dropped.length > 0 ? [`ip saddr { ${dropped.map((other) => this.addressOf(other)).join(', ')} } drop`] : []),
      ...(this.#lossPercent > 0 && peers.length > 0 ? [`ip saddr { ${peers.map((other) => this.addressOf(other)).join(', ')} } numgen random mod 100 < ${this.#lossPercent} drop`] : []),
    ]
    run('nsenter', [`--net=/run/netns/${this.namespaceOf(member)}`, 'nft', '-f', '-'], `table ip fault\ndelete table ip fault\ntable ip fault {\n  chain in {\n    type filter hook input priority 0\n    ${rules.join('\n    ')}\n  }\n}\n`)
  }

  /** Processes in the namespaces must be gone. */
  [Symbol.dispose](): void {
    spawnSync('ip', ['link', 'del', this.#link])
    for (const member of this.#members) spawnSync('ip', ['netns', 'del', this.namespaceOf(member)])
    spawnSync('ip', ['netns', 'del', this.#switch])
  }
}

/** Commands of `ip`, in one call; a first one like `-netns x` is its options. */
function ip(...commands: readonly string[]): void {
  const options = commands[0]?.startsWith('-') ? commands[0].split(' ') : []
  run('ip', [...options, '-batch', '-'], (options.length > 0 ? commands.slice(1) : commands).join('\n'))
}

function run(program: string, args: readonly string[], input = ''): void {
  const { status, stderr, error } = spawnSync(program, args, { input, encoding: 'utf8' })
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} (${input}): ${error?.message ?? stderr}`)
}

function removeLeftovers(): void {
  if (!existsSync('/run/netns')) return
  for (const name of readdirSync('/run/netns')) {
    const owner = namespacePattern.exec(name)?.[1]
    if (owner !== undefined && !existsSync(`/proc/${owner}`)) spawnSync('ip', ['netns', 'del', name])
  }
}
