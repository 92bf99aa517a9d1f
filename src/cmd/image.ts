// k8ts image load: puts images from an archive (`docker save`, `skopeo copy … oci-archive:`) on the nodes of this machine's cluster.
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describeError } from '../lib/component-base/log.ts'
import { clusterPaths } from './cluster/cluster-paths.ts'
import { readClusterState } from './cluster/cluster-state.ts'
import { importOnNode } from './cluster/node-control.ts'
import { runComponent } from './run-component.ts'

export function run(args: readonly string[]): Promise<number> {
  return runComponent({
    name: 'image',
    description: 'Puts images from an archive on the nodes: k8ts image load ARCHIVE [--name=NAME].',
    flags: {
      cluster: { type: 'string', default: 'k8ts', usage: 'name of the cluster' },
      name: { type: 'string', usage: 'name for an image that has none in the archive' },
      nodes: { type: 'strings', usage: 'nodes to load it on; all when empty' },
    },
    async main({ flags, args: words }) {
      const [verb, archive] = words
      if (verb !== 'load' || archive === undefined) { process.stderr.write('image: usage: k8ts image load ARCHIVE [--name=NAME] [--nodes=node-1,…]\n'); return 1 }
      const path = resolve(archive)
      if (!existsSync(path)) { process.stderr.write(`image: ${path}: no such file\n`); return 1 }
      const state = readClusterState(clusterPaths(flags.cluster, process.getuid?.() === 0).state)
      const nodes = (state?.nodes ?? []).filter((n) => flags.nodes.length === 0 || flags.nodes.includes(n.name))
      if (nodes.length === 0) { process.stderr.write(`image: no cluster named ${flags.cluster} with real nodes runs here; start one with: k8ts cluster\n`); return 1 }
      for (const node of nodes) {
        try {
          for (const name of await importOnNode(join(node.runDir, 'control.sock'), path, flags.name)) process.stdout.write(`${node.name}: loaded ${name}\n`)
        } catch (error) {
          process.stderr.write(`image: ${node.name}: ${describeError(error)}\n`)
          return 1
        }
      }
      return 0
    },
  }, args)
}
