// kubectl proxy: the API server on a local port, with this user's credentials. Upgrades (exec, attach) aren't passed on. Upstream: kubectl/pkg/cmd/proxy
import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { rmSync } from 'node:fs'
import { KubectlError, defineCommand } from '../command.ts'
import type { Session } from '../session.ts'

export const proxyCommand = defineCommand({
  name: 'proxy', group: 'Troubleshooting and Debugging Commands', short: 'Run a proxy to the Kubernetes API server', usage: '[--port=PORT] [--api-prefix=prefix] [options]',
  flags: { 'accept-hosts': { type: 'string', default: '^localhost$,^127\\.0\\.0\\.1$,^\\[::1\\]$', usage: 'Patterns of hosts to serve.' }, 'accept-paths': { type: 'string', default: '^.*', usage: 'Patterns of paths to serve.' }, address: { type: 'string', default: '127.0.0.1', usage: 'Address to listen on.' }, 'api-prefix': { type: 'string', default: '/', usage: 'Path under which the API is.' }, 'disable-filter': { type: 'bool', usage: 'Serve every request. Dangerous.' }, port: { type: 'int', short: 'p', default: 8001, usage: 'Port; 0 for any.' }, 'reject-methods': { type: 'string', default: '^$', usage: 'Patterns of methods to refuse.' }, 'reject-paths': { type: 'string', default: '^/api/.*/pods/.*/exec,^/api/.*/pods/.*/attach', usage: 'Patterns of paths to refuse.' }, 'unix-socket': { type: 'string', short: 'u', usage: 'Unix socket to listen on.' } },
  async run(context, { flags }) {
    const session = context.session()
    const patterns = (text: string): readonly RegExp[] => text.split(',').map((p) => new RegExp(p))
    const [hosts, paths, refusedPaths, refusedMethods] = [patterns(flags['accept-hosts']), patterns(flags['accept-paths']), patterns(flags['reject-paths']), patterns(flags['reject-methods'])]
    const prefix = `/${flags['api-prefix'].replace(/^\/+|\/+$/g, '')}`.replace(/\/$/, '')
    const server = createServer((request, response) => {
      const path = (request.url ?? '/').split('?')[0] ?? '/'
      const host = (request.headers.host ?? '').replace(/:\d+$/, '')
      const any = (list: readonly RegExp[], text: string): boolean => list.some((p) => p.test(text))
      const allowed = flags['disable-filter'] || (any(hosts, host) && any(paths, path) && !any(refusedPaths, path) && !any(refusedMethods, request.method ?? ''))
      if (!allowed) { response.writeHead(403, { 'content-type': 'text/plain; charset=utf-8' }).end('Forbidden\n'); return }
      if (prefix !== '' && !path.startsWith(`${prefix}/`)) { response.writeHead(404).end('404 page not found\n'); return }
      forward(session, request, response, prefix)
    })
    if (flags['unix-socket']) rmSync(flags['unix-socket'], { force: true })
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) => reject(new KubectlError(`listen tcp ${flags.address}:${flags.port}: ${error.message}`)))
      if (flags['unix-socket']) server.listen(flags['unix-socket'], resolve)
      else server.listen(flags.port, flags.address, resolve)
    })
    const at = server.address()
    context.out(`Starting to serve on ${typeof at === 'string' ? at : `${at?.address ?? ''}:${at?.port ?? 0}`}\n`)
    await new Promise<void>((resolve) => { if (context.signal.aborted) resolve(); else context.signal.addEventListener('abort', () => resolve(), { once: true }) })
    server.closeAllConnections()
    server.close()
    return 0
  },
})

/** Sends one request on, and the answer back as it comes. */
function forward(session: Session, request: IncomingMessage, response: ServerResponse, prefix: string): void {
  const { transportOptions: t } = session
  const { host: _host, authorization: _authorization, connection: _connection, ...headers } = request.headers
  const options = {
    method: request.method, headers: { ...headers, ...t.headers as { readonly [name: string]: string }, ...(t.token ? { authorization: `Bearer ${t.token}` } : {}) }, rejectUnauthorized: !t.insecureSkipTlsVerify, // cast: impersonation headers
    ...(t.certificateAuthority ? { ca: t.certificateAuthority } : {}), ...(t.clientCertificate ? { cert: t.clientCertificate } : {}), ...(t.clientKey ? { key: t.clientKey } : {}), ...(t.tlsServerName ? { servername: t.tlsServerName } : {}),
  }
  const url = new URL((request.url ?? '/').slice(prefix.length), t.server)
  const upstream = (url.protocol === 'https:' ? requestHttps : requestHttp)(url, options, (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers)
    answer.pipe(response)
  })
  upstream.on('error', (error) => { if (response.headersSent) response.destroy(); else response.writeHead(502).end(`${error.message}\n`) })
  response.on('close', () => upstream.destroy())
  request.pipe(upstream)
}
