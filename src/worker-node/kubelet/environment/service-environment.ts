// The variables by which a pod finds Services: `{NAME}_SERVICE_HOST`, `{NAME}_SERVICE_PORT[_{PORT}]` and Docker's link variables.
// Upstream: pkg/kubelet/envvars, pkg/kubelet/kubelet_pods.go (getServiceEnvVarMap)
import type { Service } from '../../../lib/api/generated/types/core-v1.ts'

const toName = (text: string): string => text.toUpperCase().replaceAll('-', '_')

function isClusterIp(ip: string | undefined): ip is string { return ip !== undefined && ip !== '' && ip !== 'None' }

/**
 * Variables of the Services that a pod in `namespace` sees: its own namespace's when `enableServiceLinks`, and always the API's
 * (`default/kubernetes`), which its namespace's Service of that name shadows.
 */
export function serviceEnvironment(services: readonly Service[], namespace: string, enableServiceLinks: boolean): { readonly [name: string]: string } {
  const chosen = new Map<string, Service>()
  for (const service of services) {
    if (!isClusterIp(service.spec.clusterIP)) continue
    const { name, namespace: home = 'default' } = service.metadata
    if (home === 'default' && name === 'kubernetes' && !chosen.has(name)) chosen.set(name, service)
    else if (home === namespace && enableServiceLinks) chosen.set(name, service)
  }
  const out: Record<string, string> = {}
  for (const service of [...chosen.values()].toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))) {
    const prefix = toName(service.metadata.name)
    const host = service.spec.clusterIP ?? ''
    const ports = service.spec.ports ?? []
    const first = ports[0]
    out[`${prefix}_SERVICE_HOST`] = host
    if (!first) continue
    out[`${prefix}_SERVICE_PORT`] = String(first.port)
    for (const port of ports) if (port.name) out[`${prefix}_SERVICE_PORT_${toName(port.name)}`] = String(port.port)
    const urlHost = host.includes(':') ? `[${host}]` : host
    ports.forEach((port, i) => {
      const protocol = port.protocol ?? 'TCP'
      const link = `${prefix}_PORT_${port.port}_${protocol}`
      const url = `${protocol.toLowerCase()}://${urlHost}:${port.port}`
      if (i === 0) out[`${prefix}_PORT`] = url
      out[link] = url
      out[`${link}_PROTO`] = protocol.toLowerCase()
      out[`${link}_PORT`] = String(port.port)
      out[`${link}_ADDR`] = host
    })
  }
  return out
}
