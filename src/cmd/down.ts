// k8ts down: stops the cluster of this machine and takes away what it left, also after a kill -9.
import { rmSync } from 'node:fs'
import { realClock } from '../lib/async/real-clock.ts'
import { cleanUpCluster } from './cluster/clean-up.ts'
import { clusterPaths } from './cluster/cluster-paths.ts'
import { isProcessAlive, readClusterState } from './cluster/cluster-state.ts'
import { createProgress } from './cluster/progress.ts'
import { runComponent } from './run-component.ts'
import { sleep } from '../lib/base/clock.ts'

const stopTimeoutMs = 30_000

export function run(args: readonly string[]): Promise<number> {
  return runComponent({
    name: 'down',
    description: 'Stops the cluster that `k8ts cluster` started on this machine and removes its processes, namespaces, mounts, interfaces, rules and cgroups. Its data stays unless you say otherwise.',
    flags: {
      name: { type: 'string', default: 'k8ts', usage: 'name of the cluster' },
      'data-dir': { type: 'string', usage: 'folder of its data' },
      'delete-data': { type: 'bool', usage: 'remove its objects, images and certificates too' },
    },
    async main({ flags }, _logger, signal) {
      const paths = clusterPaths(flags.name, process.getuid?.() === 0, flags['data-dir'] || undefined)
      const progress = createProgress(realClock, process.stdout)
      const state = readClusterState(paths.state)
      if (!state) progress.say(`no cluster named ${flags.name} runs here`)
      else {
        if (isProcessAlive(state.pid)) {
          process.kill(state.pid, 'SIGTERM')
          const endMs = realClock.monotonic() + stopTimeoutMs
          while (isProcessAlive(state.pid) && realClock.monotonic() < endMs) await sleep(realClock, 50, signal)
          if (isProcessAlive(state.pid)) process.kill(state.pid, 'SIGKILL')
        }
        // The cluster cleans up after itself; when it was killed, this does it.
        const left = readClusterState(paths.state)
        if (left) await cleanUpCluster(left, paths.state)
        progress.done('stopped')
      }
      if (flags['delete-data']) { rmSync(paths.data, { recursive: true, force: true }); progress.done('data removed', paths.data) }
      return 0
    },
  }, args)
}
