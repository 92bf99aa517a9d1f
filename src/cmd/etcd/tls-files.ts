// TLS of the client port and between members, from the flags: files that are read again while the member runs, or certificates made here.
import { realClock } from '../../lib/async/real-clock.ts'
import { realRandom } from '../../lib/async/real-random.ts'
import { join } from 'node:path'
import type { SecureVersion } from 'node:tls'
import { PeerTls, selfSignedCertificate, type PeerTlsOptions } from '../../control-plane/etcd/peer/peer-tls.ts'
import { FlagError } from '../../lib/component-base/flags.ts'
import type { Logger } from '../../lib/component-base/log.ts'
import type { ServerTls } from '../../lib/net/grpc/grpc-server.ts'
import type { EtcdSettings } from './check-settings.ts'
import { parseMemberUrl } from '../../control-plane/etcd/membership/parse-urls.ts'

const refreshMs = 10_000

/** What the client port demands and shows; undefined without certificates. @throws when a file can't be read */
export async function loadClientTls(flags: EtcdSettings, dataDir: string, allowedCns: readonly string[], logger: Logger): Promise<PeerTlsOptions | undefined> {
  const common = limitsOf(flags)
  if (flags['cert-file'] || flags['key-file']) {
    if (flags['auto-tls']) logger.warn('ignoring client auto TLS since certs given')
    const [shown, shownKey] = [flags['client-cert-file'], flags['client-key-file']]
    if ((shown === '') !== (shownKey === '')) throw new FlagError(`ClientKeyFile and ClientCertFile must both be present or both absent: key: ${shownKey}, cert: ${shown}]`)
    return {
      ...common, certFile: flags['cert-file'], keyFile: flags['key-file'], clientCertFile: shown, clientKeyFile: shownKey, trustedCaFile: flags['trusted-ca-file'], clientCertAuth: flags['client-cert-auth'], crlFile: flags['client-crl-file'],
      allowedCommonNames: allowedCns, allowedHostnames: flags['client-cert-allowed-hostname'], skipClientSanVerification: true,
    }
  }
  if (!flags['auto-tls']) return undefined
  return { ...common, ...await selfSigned(join(dataDir, 'fixtures', 'client'), [...flags['listen-client-urls'], ...flags['listen-client-http-urls']], flags), isSelfSigned: true, skipClientSanVerification: true }
}

export async function loadPeerTls(flags: EtcdSettings, dataDir: string, logger: Logger): Promise<PeerTlsOptions | undefined> {
  const common = limitsOf(flags)
  if (flags['peer-cert-file'] || flags['peer-key-file'] || flags['peer-trusted-ca-file'] || flags['peer-client-cert-file']) {
    if (flags['peer-auto-tls']) logger.warn('ignoring peer auto TLS since certs given')
    return {
      ...common, certFile: flags['peer-cert-file'], keyFile: flags['peer-key-file'], clientCertFile: flags['peer-client-cert-file'], clientKeyFile: flags['peer-client-key-file'],
      trustedCaFile: flags['peer-trusted-ca-file'], clientCertAuth: flags['peer-client-cert-auth'], crlFile: flags['peer-crl-file'], allowedCommonNames: flags['peer-cert-allowed-cn'],
      allowedHostnames: flags['peer-cert-allowed-hostname'], skipClientSanVerification: flags['peer-skip-client-san-verification'],
    }
  }
  if (!flags['peer-auto-tls']) return undefined
  return { ...common, ...await selfSigned(join(dataDir, 'fixtures', 'peer'), flags['listen-peer-urls'], flags), isSelfSigned: true }
}

function selfSigned(folder: string, urls: readonly string[], flags: EtcdSettings): Promise<{ readonly certFile: string; readonly keyFile: string }> {
  return selfSignedCertificate(folder, urls.map((url) => parseMemberUrl(url).host).filter((host) => host !== ''), flags['self-signed-cert-validity'], realClock, realRandom)
}

/** The client port's, for lib/net/grpc. Renewed files are taken over while it serves. */
export async function serverTlsOf(options: PeerTlsOptions, logger: Logger): Promise<ServerTls> {
  const tls = await PeerTls.load(options)
  const { cert, key, ca, minVersion, maxVersion, ciphers, rejectUnauthorized = false } = tls.serverOptions()
  if (!isFile(cert) || !isFile(key)) throw new FlagError('a certificate and its key are both needed')
  return {
    cert, key, ...(isFile(ca) ? { ca } : {}), requireClientCertificate: rejectUnauthorized,
    limits: { ...(minVersion && { minVersion }), ...(maxVersion && { maxVersion }), ...(ciphers && { ciphers }) },
    checkClient: (socket) => tls.checkClient(socket),
    onRenewed: (use) => refreshRegularly(tls, () => use(tls.serverContext()), logger),
  }
}

function isFile(value: unknown): value is Buffer | string { return Buffer.isBuffer(value) || typeof value === 'string' }

/** Looks for renewed files every ten seconds. */
export function refreshRegularly(tls: PeerTls, onChange: () => void, logger: Logger): Disposable {
  let ended = false
  let timer = realClock.setTimer(refreshMs, look, { keepAlive: false })
  function look(): void {
    tls.refresh().then((changed) => { if (changed && !ended) { logger.info('certificates were renewed'); onChange() } }, (error: unknown) => logger.error('certificates were not read again; the old ones stay', error))
      .finally(() => { if (!ended) timer = realClock.setTimer(refreshMs, look, { keepAlive: false }) })
  }
  return { [Symbol.dispose]: () => { ended = true; timer[Symbol.dispose]() } }
}

export function limitsOf(flags: Pick<EtcdSettings, 'tls-min-version' | 'tls-max-version' | 'cipher-suites'>): Pick<PeerTlsOptions, 'minVersion' | 'maxVersion' | 'cipherSuites'> {
  const versions: { readonly [name: string]: SecureVersion } = { 'TLS1.2': 'TLSv1.2', 'TLS1.3': 'TLSv1.3' }
  const maxVersion = versions[flags['tls-max-version']]
  return {
    minVersion: versions[flags['tls-min-version']] ?? 'TLSv1.2', ...(maxVersion && { maxVersion }),
    ...(flags['cipher-suites'].length > 0 ? { cipherSuites: flags['cipher-suites'].map(openSslName).join(':') } : {}),
  }
}

/** Suites that Go knows, as OpenSSL calls them. Those of TLS 1.3 are called alike by both. */
const openSslNames: { readonly [name: string]: string } = {
  TLS_RSA_WITH_AES_128_CBC_SHA: 'AES128-SHA', TLS_RSA_WITH_AES_256_CBC_SHA: 'AES256-SHA', TLS_RSA_WITH_AES_128_CBC_SHA256: 'AES128-SHA256',
  TLS_RSA_WITH_AES_128_GCM_SHA256: 'AES128-GCM-SHA256', TLS_RSA_WITH_AES_256_GCM_SHA384: 'AES256-GCM-SHA384',
  TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA: 'ECDHE-ECDSA-AES128-SHA', TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA: 'ECDHE-ECDSA-AES256-SHA',
  TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA: 'ECDHE-RSA-AES128-SHA', TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA: 'ECDHE-RSA-AES256-SHA',
  TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256: 'ECDHE-ECDSA-AES128-SHA256', TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256: 'ECDHE-RSA-AES128-SHA256',
  TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256: 'ECDHE-RSA-AES128-GCM-SHA256', TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: 'ECDHE-ECDSA-AES128-GCM-SHA256',
  TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384: 'ECDHE-RSA-AES256-GCM-SHA384', TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384: 'ECDHE-ECDSA-AES256-GCM-SHA384',
  TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256: 'ECDHE-RSA-CHACHA20-POLY1305', TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: 'ECDHE-ECDSA-CHACHA20-POLY1305',
  TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305: 'ECDHE-RSA-CHACHA20-POLY1305', TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305: 'ECDHE-ECDSA-CHACHA20-POLY1305',
  TLS_AES_128_GCM_SHA256: 'TLS_AES_128_GCM_SHA256', TLS_AES_256_GCM_SHA384: 'TLS_AES_256_GCM_SHA384', TLS_CHACHA20_POLY1305_SHA256: 'TLS_CHACHA20_POLY1305_SHA256',
}

/** @throws FlagError */
export function openSslName(suite: string): string {
  const name = openSslNames[suite]
  if (name === undefined) throw new FlagError(`unexpected TLS cipher suite ${JSON.stringify(suite)}`)
  return name
}
