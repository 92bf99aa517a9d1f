// A worker node's mount namespace, pinned under /run so that a node process that died can be started again inside it: its containers and
// their mounts are still there. And the end of a node: every process in it, its cgroups, its pins.
import { existsSync, mkdirSync, readFileSync, readdirSync, readlinkSync, rmSync, rmdirSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { runCommand, tryCommand } from './run-command.ts'

/** What a mount namespace needs before programs run in it (see shared/reference/linux-host.md): crun refuses a hybrid cgroup layout. */
const prepareScript = [
  'mount --make-rprivate /',
  'if [ -f /sys/fs/cgroup/unified/cgroup.controllers ]; then mount --bind /dev/null /sys/fs/cgroup/unified/cgroup.controllers; fi',
  // iptables' lock is shared by all who see the same file, whatever their network namespace.
  'touch /run/xtables.lock "$1/xtables.lock"; mount --bind "$1/xtables.lock" /run/xtables.lock',
  // Mounts made for pods must be seen by containers that ask for propagation.
  'mkdir -p "$2"; mount --bind "$2" "$2"; mount --make-rshared "$2"',
].join('\n')

/** Makes and pins the namespace. @param runDir the node's folder under /run; @param dataDir the node's folder for pods and images */
export async function createMountNamespace(pin: string, runDir: string, dataDir: string): Promise<void> {
  const folder = dirname(pin)
  mkdirSync(folder, { recursive: true })
  mkdirSync(dataDir, { recursive: true })
  // The pin must not propagate into the namespace that it pins.
  await runCommand('mount', ['--bind', folder, folder])
  await runCommand('mount', ['--make-private', folder])
  writeFileSync(pin, '')
  await runCommand('unshare', [`--mount=${pin}`, '--propagation', 'private', '--', 'sh', '-ec', prepareScript, 'sh', runDir, dataDir])
}

/** Command line that runs a program inside a node. */
export function enterNode(networkNamespace: string, mountPin: string, command: readonly string[]): readonly string[] {
  return ['nsenter', `--net=${networkNamespace}`, `--mount=${mountPin}`, '--', ...command]
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
    await tryCommand('sleep', ['0.02'])
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

/** Lets go of the pinned namespace and removes the node's folder under /run. */
export async function removeMountNamespace(pin: string, runDir: string): Promise<void> {
  await tryCommand('umount', [pin])
  await tryCommand('umount', ['-l', dirname(pin)])
  rmSync(runDir, { recursive: true, force: true })
}
