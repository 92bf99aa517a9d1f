// kubectl cluster-info: where the control plane and the cluster's own services are. Upstream: kubectl/pkg/cmd/clusterinfo
import { styleText } from 'node:util'
import { isJsonObject } from '../../../lib/base/json.ts'
import { defineCommand } from '../command.ts'

export const clusterInfoCommand = defineCommand({
  name: 'cluster-info', group: 'Cluster Management Commands', short: 'Display cluster information', usage: '[flags] [options]', flags: {},
  async run(context) {
    const session = context.session()
    const paint = (style: 'green' | 'yellow', text: string): string => (context.stdout.isTTY ? styleText(style, text) : text)
    const list = await session.request('GET', '/api/v1/namespaces/kube-system/services?labelSelector=kubernetes.io%2Fcluster-service%3Dtrue')
    const server = session.transportOptions.server
    context.out(`${paint('green', 'Kubernetes control plane')} is running at ${paint('yellow', server)}\n`)
    for (const service of Array.isArray(list['items']) ? list['items'].filter(isJsonObject) : []) {
      const metadata = isJsonObject(service['metadata']) ? service['metadata'] : {}
      const labels = isJsonObject(metadata['labels']) ? metadata['labels'] : {}
      const spec = isJsonObject(service['spec']) ? service['spec'] : {}
      const port = Array.isArray(spec['ports']) ? spec['ports'].filter(isJsonObject)[0] : undefined
      const scheme = port && (Number(port['port']) === 443 || String(port['name'] ?? '').includes('https')) ? 'https:' : ''
      const name = `${scheme}${String(metadata['name'])}${port?.['name'] ? `:${String(port['name'])}` : ''}`
      context.out(`${paint('green', String(labels['kubernetes.io/name'] ?? metadata['name']))} is running at ${paint('yellow', `${server}/api/v1/namespaces/kube-system/services/${name}/proxy`)}\n`)
    }
    context.out("\nTo further debug and diagnose cluster problems, use 'kubectl cluster-info dump'.\n")
    return 0
  },
})
