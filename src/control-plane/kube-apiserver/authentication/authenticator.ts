// Who is calling: the first authenticator that knows the credential decides. A bad credential is a refusal, no credential is anonymous.
// Upstream: pkg/kubeapiserver/authenticator/config.go
import { createHash } from 'node:crypto'
import type { Clock } from '../../../lib/base/clock.ts'
import type { UserInfo } from '../registry/strategy.ts'
import type { ServiceAccountTokens } from './service-account-tokens.ts'

/** What the TLS layer knows of the client. */
export interface PeerCertificate {
  /** The chain leads to the client CA. */
  readonly verified: boolean
  readonly commonName: string
  readonly organizations: readonly string[]
  readonly extendedKeyUsages: readonly string[]
  /** Hex SHA-256 of the DER form. */
  readonly fingerprint: string
  readonly der: Uint8Array
}

export interface Credentials {
  readonly certificate: PeerCertificate | undefined
  readonly bearerToken: string | undefined
  /** Lower-case names; what a front proxy says of its client is in them. */
  readonly headers?: { readonly [name: string]: string }
}

export interface StaticToken { readonly token: string; readonly user: UserInfo }

export interface AuthenticatorOptions {
  readonly clock: Clock
  readonly staticTokens: readonly StaticToken[]
  readonly serviceAccounts: ServiceAccountTokens
  /** Front proxies: certificates of this authority and these names may say who their client is. */
  readonly frontProxy?: FrontProxy
  /** Bootstrap tokens, from Secrets in kube-system. */
  readonly bootstrapToken?: (token: string) => UserInfo | undefined
  readonly anonymous: boolean
}

export interface FrontProxy {
  /** True when the certificate's chain leads to the front proxies' authority. */
  verify(certificate: PeerCertificate): boolean
  /** Common names; empty: whichever. */
  readonly allowedNames: readonly string[]
}

const clientAuth = '1.3.6.1.5.5.7.3.2'
const anyUsage = '2.5.29.37.0'
const cacheMs = 10_000
const cacheLimit = 4096

export const anonymousUser: UserInfo = { name: 'system:anonymous', uid: '', groups: ['system:unauthenticated'], extra: {} }

export class Authenticator {
  readonly #options: AuthenticatorOptions
  /** By SHA-256, so that no token lies about in memory longer than it must and comparing tells nothing by its time. */
  readonly #static: ReadonlyMap<string, UserInfo>
  readonly #cache = new Map<string, { readonly user: UserInfo; readonly until: number }>()

  constructor(options: AuthenticatorOptions) {
    this.#options = options
    this.#static = new Map(options.staticTokens.map(({ token, user }) => [digest(token), withAuthenticated(user)]))
  }

  /** The user, or undefined for a refusal (401). */
  authenticate({ certificate, bearerToken, headers = {} }: Credentials): UserInfo | undefined {
    let refused = false
    const { frontProxy } = this.#options
    const proxied = headers['x-remote-user'] ?? ''
    if (certificate && frontProxy && proxied !== '' && (frontProxy.allowedNames.length === 0 || frontProxy.allowedNames.includes(certificate.commonName)) && frontProxy.verify(certificate)) return proxiedUser(proxied, headers)
    if (certificate) {
      const user = certificateUser(certificate)
      if (user) return user
      refused = true
    }
    if (bearerToken !== undefined && bearerToken !== '') return this.tokenUser(bearerToken)
    return refused || !this.#options.anonymous ? undefined : anonymousUser
  }

  tokenUser(token: string): UserInfo | undefined {
    const id = digest(token)
    const known = this.#static.get(id)
    if (known) return known
    const now = this.#options.clock.monotonic()
    const cached = this.#cache.get(id)
    if (cached && cached.until > now) return cached.user
    const checked = this.#options.serviceAccounts.check(token)
    if (checked.result === 'invalid') return undefined
    const user = checked.result === 'user' ? checked.user : this.#options.bootstrapToken?.(token)
    if (!user) return undefined
    if (this.#cache.size >= cacheLimit) this.#cache.clear()
    this.#cache.set(id, { user, until: now + cacheMs })
    return user
  }
}

function certificateUser(certificate: PeerCertificate): UserInfo | undefined {
  const { verified, commonName, organizations, extendedKeyUsages, fingerprint } = certificate
  if (!verified || commonName === '') return undefined
  if (extendedKeyUsages.length > 0 && !extendedKeyUsages.includes(clientAuth) && !extendedKeyUsages.includes(anyUsage)) return undefined
  if (extendedKeyUsages.length === 0) return undefined
  return { name: commonName, uid: '', groups: withGroup(organizations), extra: { 'authentication.kubernetes.io/credential-id': [`X509SHA256=${fingerprint}`] } }
}

function proxiedUser(name: string, headers: { readonly [name: string]: string }): UserInfo {
  const list = (text: string | undefined): string[] => (text ?? '').split(',').map((v) => v.trim()).filter((v) => v !== '')
  const extra: { [key: string]: readonly string[] } = {}
  for (const [header, value] of Object.entries(headers)) if (header.startsWith('x-remote-extra-')) extra[decodeKey(header.slice('x-remote-extra-'.length))] = list(value)
  return { name, uid: headers['x-remote-uid'] ?? '', groups: withGroup(list(headers['x-remote-group'])), extra }
}

function decodeKey(text: string): string {
  try { return decodeURIComponent(text).toLowerCase() } catch { return text.toLowerCase() }
}

const digest = (token: string): string => createHash('sha256').update(token).digest('hex')
const withGroup = (groups: readonly string[]): readonly string[] => (groups.includes('system:authenticated') ? groups : [...groups, 'system:authenticated'])
export const withAuthenticated = (user: UserInfo): UserInfo => ({ ...user, groups: withGroup(user.groups) })

/** `token,user,uid,"group1,group2"` per line. @throws Error with the line's number */
export function parseTokenFile(text: string): readonly StaticToken[] {
  const tokens: StaticToken[] = []
  text.split('\n').forEach((line, i) => {
    if (line.trim() === '') return
    const [token = '', name = '', uid, groups = ''] = parseCsvLine(line)
    if (uid === undefined) throw new Error(`token file line ${i + 1}: must have at least 3 columns (token, user name, user uid)`)
    if (token === '') return
    tokens.push({ token, user: { name, uid, groups: groups === '' ? [] : groups.split(',').map((g) => g.trim()), extra: {} } })
  })
  return tokens
}

function parseCsvLine(line: string): string[] {
  return [...line.replace(/\r$/, '').matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map((m) => (m[1] !== undefined ? m[1].replaceAll('""', '"') : m[2] ?? '').trim())
}
