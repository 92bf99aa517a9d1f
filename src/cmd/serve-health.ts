// /healthz, /livez and /readyz of a component over HTTPS, for probes. With a certificate of its own making unless one is given.
import { createServer } from 'node:https'
import { realClock } from '../lib/async/real-clock.ts'
import { realRandom } from '../lib/async/real-random.ts'
import { createAuthority, issueCertificate } from '../lib/net/pki/certificates.ts'

export interface HealthOptions {
  /** The component's name, for messages and the certificate. */
  readonly name: string
  readonly address: string
  readonly port: number
  /** PEM; both or neither. */
  readonly certificate?: string
  readonly key?: string
  /** What /readyz says. */
  ready(): boolean
}

const dayMs = 24 * 3600 * 1000

export function serveHealth(options: HealthOptions): Disposable {
  const { name, address, port, certificate, key } = options
  const authority = `${name}-ca`
  const validity = { notBeforeMs: realClock.now() - 3_600_000, notAfterMs: realClock.now() + 365 * dayMs }
  const pair = certificate && key ? { certificatePem: certificate, keyPem: key }
    : issueCertificate(createAuthority(authority, validity, realRandom), authority, { subject: { commonName: 'localhost' }, names: ['localhost', '127.0.0.1'], usages: ['server'], random: realRandom, ...validity })
  const server = createServer({ cert: pair.certificatePem, key: pair.keyPem }, (request, response) => {
    const path = request.url?.split('?')[0] ?? ''
    const [code, text] = path === '/healthz' || path === '/livez' ? [200, 'ok'] : path === '/readyz' ? (options.ready() ? [200, 'ok'] : [500, 'not ready\n']) : [404, '404 page not found\n']
    response.writeHead(Number(code), { 'content-type': 'text/plain; charset=utf-8' }).end(text)
  })
  server.on('error', (error) => process.stderr.write(`${name}: no health port: ${error.message}\n`))
  server.listen(port, address)
  return { [Symbol.dispose]: () => { server.close(); server.closeAllConnections() } }
}
