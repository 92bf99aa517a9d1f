// A worker node's mount and cgroup namespaces, pinned under /run so that a node process that died can be started again inside them: its
// containers and their mounts are still there. And the end of a node: every process in it, its cgroups, its pins.
import { existsSync, mkdirSync, readFileSync, readdirSync, readlinkSync, rmSync, rmdirSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { runCommand, runSuccessfully } from '../../lib/async/run-command.ts'

/**
 * Enters the node's own control group in every hierarchy (making it first, with cpusets copied down, because v1 starts them empty), then
 * starts what follows as arguments. $1 is the group's path.
 */
const enterCgroupScript = [
  'group=$1; shift; leaf=$1; shift',
  'make() { at=$1; rest=${2#/}; while [ -n "$rest" ]; do step=${rest%%/*}; case $rest in */*) rest=${rest#*/} ;; *) rest= ;; esac; up=$at; at=$at/$step; mkdir -p "$at";',
  '  for f in cpuset.cpus cpuset.mems; do if [ -f "$at/$f" ] && [ -f "$up/$f" ] && [ -z "$(cat "$at/$f")" ]; then cat "$up/$f" > "$at/$f" 2>/dev/null || :; fi; done; done; }',
  'if [ -f /sys/fs/cgroup/cgroup.controllers ]; then hierarchies=/sys/fs/cgroup; else hierarchies=$(ls -d /sys/fs/cgroup/*/ | sed "s,/$,,"); fi',
  'for h in $hierarchies; do [ -L "$h" ] && continue; [ -f "$h/cgroup.procs" ] || continue; make "$h" "$group$leaf"; echo $$ > "$h$group$leaf/cgroup.procs"; done',
  'exec "$@"',
].join('\n')

/** What the new namespace needs before programs run in it. $1: the node's run folder, $2: its data folder. */
const prepareScript = [
  'mount --make-rprivate /',
  // The node's own view of the control groups: its group is the root, so that every node has its own /kubepods; and without cgroup2's
  // unified mount beside v1, which crun refuses.
  'if [ -f /sys/fs/cgroup/cgroup.controllers ]; then mount -t cgroup2 cgroup2 /sys/fs/cgroup; else',
  '  umount -R /sys/fs/cgroup 2>/dev/null || :',
  '  mount -t tmpfs -o mode=755,nosuid,nodev,noexec tmpfs /sys/fs/cgroup',
  '  while IFS=: read -r number controllers path; do [ -n "$controllers" ] || continue; name=${controllers#name=}; mkdir "/sys/fs/cgroup/$name"',
  '    case $controllers in name=*) options=none,$controllers ;; *) options=$controllers ;; esac; mount -t cgroup -o "$options" cgroup "/sys/fs/cgroup/$name"',
  '    case $name in *,*) for one in $(echo "$name" | tr , " "); do ln -s "$name" "/sys/fs/cgroup/$one"; done ;; esac',
  '  done < /proc/self/cgroup',
  'fi',
  // iptables' lock is shared by all who see the same file, whatever their network namespace.
  'touch /run/xtables.lock "$1/xtables.lock"; mount --bind "$1/xtables.lock" /run/xtables.lock',
  // Mounts made for pods must be seen by containers that ask for propagation.
  'mkdir -p "$2"; mount --bind "$2" "$2"; mount --make-rshared "$2"',
].join('\n')

/** Makes and pins the mount and cgroup namespaces. @param runDir the node's folder under /run; @param dataDir the node's folder for pods and images */
export async function createNodeNamespaces(pins: NodePins, runDir: string, dataDir: string, cgroup: string): Promise<void> {
  const folder = dirname(pins.mount)
  mkdirSync(folder, { recursive: true })
  mkdirSync(dataDir, { recursive: true })
  // The pins must not propagate into the namespace that they pin.
  await runSuccessfully('mount', ['--bind', folder, folder])
  await runSuccessfully('mount', ['--make-private', folder])
  for (const pin of [pins.mount, pins.cgroup]) writeFileSync(pin, '')
  await runSuccessfully('sh', ['-ec', enterCgroupScript, 'sh', cgroup, '', 'unshare', `--mount=${pins.mount}`, `--cgroup=${pins.cgroup}`, '--propagation', 'private', '--', 'sh', '-ec', prepareScript, 'sh', runDir, dataDir])
}

export interface NodePins {
  readonly mount: string
  readonly cgroup: string
  readonly network: string
}

/** Command line that runs a program inside a node: its processes stand in the group's leaf `system`, beside the pods'. */
export function enterNode(pins: NodePins, cgroup: string, command: readonly string[]): readonly string[] {
  return ['sh', '-ec', enterCgroupScript, 'sh', cgroup, '/system', 'nsenter', `--net=${pins.network}`, `--mount=${pins.mount}`, `--cgroup=${pins.cgroup}`, '--', ...command]
}

/** Ends every process of a node: those in its namespaces and those in its cgroups. Resolves when none is left. */
export async function killNodeProcesses(networkNamespace: string, mountPin: string, cgroup: string): Promise<void> {
  for (let round = 0; round < 100; round++) {
    const pids = new Set([...processesInNamespaces([networkNamespace, mountPin]), ...processesInCgroup(cgroup)])
    pids.delete(process.pid)
    if (pids.size === 0) return
    for (const pid of pids) {
      try {
        process.kill(pid, 'SIGKILL')
      } catch {
        continue // it ended between the look and the kill
      }
    }
    await runCommand('sleep', ['0.02'])
  }
}

function processesInNamespaces(pins: readonly string[]): readonly number[] {
  const inodes = new Set(pins.filter((p) => existsSync(p)).map((p) => statSync(p).ino))
  if (inodes.size === 0) return []
  const own = ['net', 'mnt'].map((kind) => statSync(`/proc/self/ns/${kind}`).ino)
  for (const inode of own) inodes.delete(inode)
  const found: number[] = []
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    for (const kind of ['net', 'mnt']) {
      try {
        const inode = Number(/\[(\d+)\]/.exec(readlinkSync(`/proc/${entry}/ns/${kind}`))?.[1])
        if (inodes.has(inode)) { found.push(Number(entry)); break }
      } catch {
        break // it ended
      }
    }
  }
  return found
}

/** Every cgroup hierarchy's root: the v1 controllers side by side, or v2's only one. */
function cgroupRoots(): readonly string[] {
  const top = '/sys/fs/cgroup'
  if (!existsSync(top)) return []
  if (existsSync(join(top, 'cgroup.controllers'))) return [top]
  return readdirSync(top, { withFileTypes: true }).filter((e) => e.isDirectory()).map((e) => join(top, e.name))
}

function* cgroupFolders(cgroup: string): Generator<string> {
  for (const root of cgroupRoots()) {
    const folder = join(root, cgroup)
    if (!existsSync(folder)) continue
    const inside = readdirSync(folder, { withFileTypes: true, recursive: true }).filter((e) => e.isDirectory()).map((e) => join(e.parentPath, e.name))
    yield* inside.sort((a, b) => b.length - a.length)
    yield folder
  }
}

function processesInCgroup(cgroup: string): readonly number[] {
  const found: number[] = []
  for (const folder of cgroupFolders(cgroup)) {
    try {
      found.push(...readFileSync(join(folder, 'cgroup.procs'), 'utf8').split('\n').filter((line) => line !== '').map(Number))
    } catch {
      continue // it was removed meanwhile
    }
  }
  return found
}

/** Removes a cgroup and everything below it, in every hierarchy. Call it when no process is left. */
export function removeCgroups(cgroup: string): void {
  for (const folder of cgroupFolders(cgroup)) {
    try {
      rmdirSync(folder)
    } catch {
      continue // still busy: a zombie holds it until it is reaped; the next `k8ts down` gets it
    }
  }
}

/** Lets go of the pinned namespaces and removes the node's folder under /run. */
export async function removeNodeNamespaces(mountPin: string, runDir: string): Promise<void> {
  await runCommand('umount', [mountPin])
  await runCommand('umount', [join(dirname(mountPin), 'cgroup')])
  await runCommand('umount', ['-l', dirname(mountPin)])
  rmSync(runDir, { recursive: true, force: true })
}
