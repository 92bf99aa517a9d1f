// Services of type LoadBalancer with externalTrafficPolicy Local have a health check port: load balancers ask each node there whether it has
// endpoints of its own. Upstream: pkg/proxy/healthcheck/service_health.go
import { createServer } from 'node:http'
import type { Server } from 'node:http'
import type { Logger } from '../../lib/component-base/log.ts'
import type { ServicePortInfo } from './service-ports.ts'

export interface HealthCheckServers extends Disposable {
  update(infos: readonly ServicePortInfo[]): void
}

export function createHealthCheckServers(options: { readonly logger: Logger; isHealthy(): boolean }): HealthCheckServers {
  const servers = new Map<number, { readonly server: Server; readonly state: { namespace: string; service: string; localEndpoints: number } }>()
  const open = (port: number, namespace: string, service: string, localEndpoints: number): void => {
    const state = { namespace, service, localEndpoints }
    const server = createServer((_, response) => {
      const healthy = options.isHealthy()
      const ok = state.localEndpoints > 0 && healthy
      response.writeHead(ok ? 200 : 503, { 'content-type': 'application/json', 'x-content-type-options': 'nosniff', 'x-load-balancing-endpoint-weight': String(state.localEndpoints) })
      response.end(JSON.stringify({ service: { namespace: state.namespace, name: state.service }, localEndpoints: state.localEndpoints, serviceProxyHealthy: healthy }))
    })
    server.on('error', (error) => options.logger.error('Failed to open a health check port', error, { service: `${namespace}/${service}`, port }))
    server.listen(port)
    servers.set(port, { server, state })
  }
  const close = (port: number): void => {
    const entry = servers.get(port)
    entry?.server.close()
    entry?.server.closeAllConnections()
    servers.delete(port)
  }
  return {
    update(infos) {
      const wanted = new Map<number, ServicePortInfo>()
      for (const info of infos) if (info.healthCheckNodePort > 0) wanted.set(info.healthCheckNodePort, info)
      for (const port of [...servers.keys()]) if (!wanted.has(port)) close(port)
      for (const [port, info] of wanted) {
        const entry = servers.get(port)
        if (!entry) { open(port, info.namespace, info.service, info.localEndpoints.length); continue }
        Object.assign(entry.state, { namespace: info.namespace, service: info.service, localEndpoints: info.localEndpoints.length })
      }
    },
    [Symbol.dispose]() { for (const port of [...servers.keys()]) close(port) },
  }
}
