// TLS between members: both sides show a certificate, and both check the other's.
//
// The dialling side checks the name that it dialled; the dialled side checks that the certificate's names belong to the address it came from
// (certificates without names pass). Beyond that both may be asked to know common names or host names, and revoked serials are refused.
// Files are read again while the member runs: a renewed certificate needs no restart. Upstream: etcd/client/pkg/transport/listener{,_tls}.go
import { X509Certificate } from 'node:crypto'
import { lookup, reverse } from 'node:dns/promises'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { join } from 'node:path'
import { checkServerIdentity, type ConnectionOptions, type PeerCertificate, type SecureContextOptions, type SecureVersion, type TlsOptions, type TLSSocket } from 'node:tls'
import type { Clock } from '../../../lib/base/clock.ts'
import type { Random } from '../../../lib/base/random.ts'
import { createAuthority, issueCertificate } from '../../../lib/net/pki/certificates.ts'
import { isRevoked, readRevokedSerials } from './revoked-serials.ts'

/** Paths of PEM files, and what is demanded of others. */
export interface PeerTlsOptions {
  readonly certFile?: string
  readonly keyFile?: string
  /** What this member shows when it dials; the pair above when absent. */
  readonly clientCertFile?: string
  readonly clientKeyFile?: string
  /** Whose signatures are believed; given, others have to show a certificate. */
  readonly trustedCaFile?: string
  readonly clientCertAuth?: boolean
  /** DER or PEM. */
  readonly crlFile?: string
  /** One of these common names, or one of these host names, must be in the other's certificate. Not both. */
  readonly allowedCommonNames?: readonly string[]
  readonly allowedHostnames?: readonly string[]
  /** Made by `selfSignedCertificate`: the others' can't be checked. */
  readonly isSelfSigned?: boolean
  /** Don't compare a client certificate's names with the address it came from. */
  readonly skipClientSanVerification?: boolean
  /** OpenSSL's names, separated by colons. */
  readonly cipherSuites?: string
  readonly minVersion?: SecureVersion
  readonly maxVersion?: SecureVersion
}

/** The settings contradict each other or a file is of no use. */
export class PeerTlsError extends Error {
  override readonly name = 'PeerTlsError'
}

interface Material {
  readonly cert: Buffer | undefined
  readonly key: Buffer | undefined
  readonly clientCert: Buffer | undefined
  readonly clientKey: Buffer | undefined
  readonly ca: Buffer | undefined
  readonly crl: Buffer | undefined
  readonly revoked: ReadonlySet<string>
}

export class PeerTls {
  readonly #options: PeerTlsOptions
  #material: Material
  /** Rises when a file has changed. */
  generation = 0

  private constructor(options: PeerTlsOptions, material: Material) {
    this.#options = options
    this.#material = material
  }

  /** @throws PeerTlsError, or what reading the files throws */
  static async load(options: PeerTlsOptions): Promise<PeerTls> {
    if (!options.certFile !== !options.keyFile) throw new PeerTlsError('a certificate and its key are both needed')
    if (!options.clientCertFile !== !options.clientKeyFile) throw new PeerTlsError('a client certificate and its key are both needed')
    if ((options.allowedCommonNames ?? []).length > 0 && (options.allowedHostnames ?? []).length > 0) throw new PeerTlsError('allowed common names and allowed host names exclude each other')
    return new PeerTls(options, await readMaterial(options))
  }

  get canListen(): boolean { return this.#material.cert !== undefined }

  /** Reads the files again; true when something changed. The old ones stay when reading fails. @throws what reading throws */
  async refresh(): Promise<boolean> {
    const fresh = await readMaterial(this.#options)
    const old = this.#material
    const changed = (['cert', 'key', 'clientCert', 'clientKey', 'ca', 'crl'] as const).some((name) => fresh[name]?.equals(old[name] ?? Buffer.alloc(0)) !== (old[name] === undefined ? undefined : true))
    if (!changed) return false
    this.#material = fresh
    this.generation++
    return true
  }

  /** For the listening side. */
  serverContext(): SecureContextOptions {
    const { cert, key, ca } = this.#material
    return { ...this.#limits(), ...(cert && { cert }), ...(key && { key }), ...(ca && { ca }) }
  }

  serverOptions(): TlsOptions {
    const needsClient = this.#options.clientCertAuth === true || this.#material.ca !== undefined
    return { ...this.serverContext(), requestCert: needsClient, rejectUnauthorized: needsClient, handshakeTimeout: 10_000 }
  }

  /** For the dialling side. */
  clientOptions(): ConnectionOptions {
    const { cert, key, clientCert, clientKey, ca } = this.#material
    const shown = clientCert ?? cert
    const shownKey = clientKey ?? key
    return {
      ...this.#limits(), ...(shown && { cert: shown }), ...(shownKey && { key: shownKey }), ...(ca && { ca }), rejectUnauthorized: this.#options.isSelfSigned !== true,
      checkServerIdentity: (host, certificate) => checkServerIdentity(host, certificate) ?? this.#refusal(certificate),
    }
  }

  #limits(): SecureContextOptions {
    const { cipherSuites, minVersion, maxVersion } = this.#options
    return { minVersion: minVersion ?? 'TLSv1.2', ...(maxVersion && { maxVersion }), ...(cipherSuites && { ciphers: cipherSuites }) }
  }

  #refusal(certificate: PeerCertificate): Error | undefined {
    const x509 = new X509Certificate(certificate.raw)
    if (!this.#isAllowed(x509)) return new PeerTlsError('the certificate of the dialled member has none of the allowed names')
    return this.#isRevoked(certificate) ? new PeerTlsError('the certificate of the dialled member is revoked') : undefined
  }

  #isRevoked(certificate: PeerCertificate | X509Certificate): boolean {
    return isRevoked(certificate instanceof X509Certificate ? certificate : new X509Certificate(certificate.raw), this.#material.revoked)
  }

  #isAllowed(certificate: X509Certificate): boolean {
    const { allowedCommonNames = [], allowedHostnames = [] } = this.#options
    if (allowedCommonNames.length > 0) return allowedCommonNames.some((name) => name === commonNameOf(certificate))
    return allowedHostnames.length === 0 || allowedHostnames.some((name) => hasName(certificate, name))
  }

  /** Why the one who connected is refused; undefined when it is welcome. Never rejects. */
  async checkClient(socket: TLSSocket): Promise<string | undefined> {
    const certificate = socket.getPeerX509Certificate()
    if (certificate === undefined) return undefined
    if (!this.#isAllowed(certificate)) return 'client certificate authentication failed'
    if (this.#isRevoked(certificate)) return 'the certificate is revoked'
    if (this.#options.skipClientSanVerification === true || socket.remoteAddress === undefined) return undefined
    return checkAddress(certificate, socket.remoteAddress)
  }
}

async function readMaterial(options: PeerTlsOptions): Promise<Material> {
  const read = (path: string | undefined): Promise<Buffer | undefined> => (path ? readFile(path) : Promise.resolve(undefined))
  const [cert, key, clientCert, clientKey, ca, crl] = await Promise.all(
    [options.certFile, options.keyFile, options.clientCertFile, options.clientKeyFile, options.trustedCaFile, options.crlFile].map(read))
  return { cert, key, clientCert, clientKey, ca, crl, revoked: crl === undefined ? new Set() : readRevokedSerials(crl) }
}

function commonNameOf(certificate: X509Certificate): string {
  return /(?:^|\n)CN=(.*)$/m.exec(certificate.subject)?.[1] ?? ''
}

function hasName(certificate: X509Certificate, name: string): boolean {
  return isIP(name) === 0 ? certificate.checkHost(name, { subject: 'never' }) !== undefined : certificate.checkIP(name) !== undefined
}

/** A certificate with names is good only for addresses that these names have. */
async function checkAddress(certificate: X509Certificate, remoteAddress: string): Promise<string | undefined> {
  const address = remoteAddress.startsWith('::ffff:') ? remoteAddress.slice(7) : remoteAddress
  const names = (certificate.subjectAltName ?? '').split(', ')
  const dnsNames = names.flatMap((name) => (name.startsWith('DNS:') ? [name.slice(4)] : []))
  const hasAddresses = names.some((name) => name.startsWith('IP Address:'))
  if (!hasAddresses && dnsNames.length === 0) return undefined
  if (hasAddresses && certificate.checkIP(address) !== undefined) return undefined
  if (dnsNames.length === 0) return `the certificate is not valid for ${address}`
  for (const found of await reverse(address).catch(() => [])) {
    if (dnsNames.some((name) => (name.startsWith('*.') ? found.endsWith(name.slice(1)) : found === name))) return undefined
  }
  for (const name of dnsNames) {
    if (name.startsWith('*.')) continue
    const addresses = await lookup(name, { all: true }).catch(() => [])
    if (addresses.some((a) => a.address === address)) return undefined
  }
  return `${address} does not match any of DNSNames ${JSON.stringify(dnsNames)}`
}

const yearMs = 365 * 24 * 3600 * 1000

/**
 * A certificate for `hosts` (of the listen URLs, ports may follow) that nobody else has signed, made at the first start and kept in `folder`:
 * --peer-auto-tls (<data>/fixtures/peer) and --auto-tls (<data>/fixtures/client).
 */
export async function selfSignedCertificate(folder: string, hosts: readonly string[], validityYears: number, clock: Clock, random: Random): Promise<{ readonly certFile: string; readonly keyFile: string }> {
  const certFile = join(folder, 'cert.pem')
  const keyFile = join(folder, 'key.pem')
  const exists = async (path: string): Promise<boolean> => (await readFile(path).catch(() => undefined)) !== undefined
  if (await exists(certFile) && await exists(keyFile)) return { certFile, keyFile }
  if (validityYears <= 0) throw new PeerTlsError('a self-signed certificate is valid for at least a year')
  const validity = { notBeforeMs: clock.now(), notAfterMs: clock.now() + validityYears * yearMs }
  const names = [...new Set(hosts.map((host) => host.replace(/:\d+$/, '').replace(/^\[|\]$/g, '')))]
  const authority = createAuthority('etcd', validity, random)
  const pair = issueCertificate(authority, 'etcd', { subject: { commonName: '', organizations: ['etcd'] }, names, usages: ['server', 'client'], random, ...validity })
  await mkdir(folder, { recursive: true, mode: 0o700 })
  await writeFile(certFile, pair.certificatePem)
  await writeFile(keyFile, pair.keyPem, { mode: 0o600 })
  return { certFile, keyFile }
}
