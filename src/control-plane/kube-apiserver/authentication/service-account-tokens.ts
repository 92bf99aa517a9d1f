// Tokens of service accounts: issued for an audience and a time, bound to a pod, secret or node, and worth nothing once that is gone.
// Upstream: pkg/serviceaccount/{claims,jwt}.go
import type { Clock } from '../../../lib/base/clock.ts'
import type { Random } from '../../../lib/base/random.ts'
import { randomUuid } from '../../../lib/base/random.ts'
import type { ApiObject } from '../../../lib/client/api-client.ts'
import { nodes, pods, secrets, serviceAccounts } from '../../../lib/client/resource-keys.ts'
import { cachedKind } from '../endpoints/server-context.ts'
import type { ServedResource } from '../endpoints/served-resource.ts'
import type { UserInfo } from '../registry/strategy.ts'
import type { JwtClaims, SigningKey, VerificationKey } from './jwt.ts'
import { peekClaims, signJwt, verifyJwt } from './jwt.ts'

/** A deleted object's tokens work for this long, so that what is shutting down can say so. */
const leewayMs = 60_000

export interface ServiceAccountTokenOptions {
  /** The first signs, all are accepted. */
  readonly issuers: readonly string[]
  readonly signingKey: SigningKey | undefined
  readonly verificationKeys: readonly VerificationKey[]
  /** What tokens for the API server itself are for; default: the issuers. */
  readonly apiAudiences: readonly string[]
  readonly clock: Clock
  readonly random: Random
  readonly stored: ReadonlyMap<string, ServedResource>
}

export interface BoundObject { readonly kind: 'Pod' | 'Secret' | 'Node'; readonly name: string; readonly uid: string }

export interface TokenSpec {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly audiences: readonly string[]
  readonly expirationSeconds: number
  readonly bound?: BoundObject
  /** The node of a bound pod. */
  readonly node?: { readonly name: string; readonly uid: string }
  /** The token lasts longer than its client believes: seconds after which its use is noted. */
  readonly warnAfterSeconds?: number
}

export type TokenCheck =
  | { readonly result: 'user'; readonly user: UserInfo; readonly audiences: readonly string[] }
  /** Somebody else's token: ask the next authenticator. */
  | { readonly result: 'notMine' }
  | { readonly result: 'invalid'; readonly error: string }

export class ServiceAccountTokens {
  readonly options: ServiceAccountTokenOptions
  constructor(options: ServiceAccountTokenOptions) { this.options = options }

  issue(spec: TokenSpec): string {
    const { signingKey, clock, random, issuers } = this.options
    if (!signingKey) throw new Error('no key to sign tokens with')
    const now = Math.floor(clock.now() / 1000)
    const bound = spec.bound && { [spec.bound.kind.toLowerCase()]: { name: spec.bound.name, uid: spec.bound.uid } }
    return signJwt({
      aud: spec.audiences, exp: now + spec.expirationSeconds, iat: now, iss: issuers[0], jti: randomUuid(random),
      'kubernetes.io': {
        namespace: spec.namespace, ...(spec.node && spec.bound?.kind === 'Pod' && { node: spec.node }), ...bound,
        serviceaccount: { name: spec.name, uid: spec.uid }, ...(spec.warnAfterSeconds !== undefined && { warnafter: now + spec.warnAfterSeconds }),
      },
      nbf: now, sub: `system:serviceaccount:${spec.namespace}:${spec.name}`,
    }, signingKey)
  }

  /** @param audiences any of which the token must be for */
  check(token: string, audiences: readonly string[] = this.options.apiAudiences): TokenCheck {
    const peeked = peekClaims(token)
    if (!peeked) return { result: 'notMine' }
    const { iss } = peeked
    const legacy = iss === 'kubernetes/serviceaccount'
    if (typeof iss !== 'string' || (!legacy && !this.options.issuers.includes(iss))) return { result: 'notMine' }
    const verified = verifyJwt(token, this.options.verificationKeys)
    if (!verified.ok) return { result: 'invalid', error: verified.error }
    return legacy ? this.#checkLegacy(token, verified.claims, audiences) : this.#checkBound(verified.claims, audiences)
  }

  #checkBound(claims: JwtClaims, audiences: readonly string[]): TokenCheck {
    const invalid = (error: string): TokenCheck => ({ result: 'invalid', error })
    const nowMs = this.options.clock.now()
    const { exp, nbf, aud, jti } = claims
    if (typeof exp !== 'number' || nowMs > exp * 1000 + leewayMs) return invalid('service account token has expired')
    if (typeof nbf === 'number' && nowMs + leewayMs < nbf * 1000) return invalid('service account token is not valid yet')
    const given = Array.isArray(aud) ? aud.filter((a) => typeof a === 'string') : typeof aud === 'string' ? [aud] : []
    const common = given.filter((a) => audiences.includes(a))
    if (common.length === 0) return invalid(`token audiences ${JSON.stringify(given)} is invalid for the target audiences ${JSON.stringify(audiences)}`)
    const own = record(claims['kubernetes.io'])
    const account = record(own['serviceaccount'])
    const namespace = text(own['namespace'])
    const name = text(account['name'])
    const { stored } = this.options
    const found = cachedKind(stored, serviceAccounts).get(namespace, name)
    if (!alive(found, text(account['uid']), nowMs)) return invalid('Token has been invalidated')
    const extra: { [key: string]: readonly string[] } = typeof jti === 'string' ? { 'authentication.kubernetes.io/credential-id': [`JTI=${jti}`] } : {}
    const pod = record(own['pod'])
    const secret = record(own['secret'])
    const node = record(own['node'])
    if (text(secret['name']) !== '' && !alive(cachedKind(stored, secrets).get(namespace, text(secret['name'])), text(secret['uid']), nowMs)) return invalid('Token has been invalidated')
    if (text(pod['name']) !== '') {
      if (!alive(cachedKind(stored, pods).get(namespace, text(pod['name'])), text(pod['uid']), nowMs)) return invalid('Token has been invalidated')
      extra['authentication.kubernetes.io/pod-name'] = [text(pod['name'])]
      extra['authentication.kubernetes.io/pod-uid'] = [text(pod['uid'])]
    }
    if (text(node['name']) !== '') {
      const isBound = text(pod['name']) === ''
      if (isBound && !alive(cachedKind(stored, nodes).get('', text(node['name'])), text(node['uid']), nowMs)) return invalid('Token has been invalidated')
      extra['authentication.kubernetes.io/node-name'] = [text(node['name'])]
      if (text(node['uid']) !== '') extra['authentication.kubernetes.io/node-uid'] = [text(node['uid'])]
    }
    return { result: 'user', user: accountUser(namespace, name, text(account['uid']), extra), audiences: common }
  }

  /** Tokens in Secrets, made by the token controller: they last as long as the Secret. */
  #checkLegacy(token: string, claims: JwtClaims, audiences: readonly string[]): TokenCheck {
    const invalid = (error: string): TokenCheck => ({ result: 'invalid', error })
    if (!this.options.apiAudiences.some((audience) => audiences.includes(audience))) return invalid('token audiences are invalid for the target audiences')
    const claim = (name: string): string => text(claims[`kubernetes.io/serviceaccount/${name}`])
    const namespace = claim('namespace')
    const name = claim('service-account.name')
    const nowMs = this.options.clock.now()
    const { stored } = this.options
    const secret = cachedKind(stored, secrets).get(namespace, claim('secret.name'))
    if (!secret || secret.metadata.deletionTimestamp !== undefined || secret.metadata.labels?.['kubernetes.io/legacy-token-invalid-since'] !== undefined) return invalid('Token has been invalidated')
    if (Buffer.from(secret.data?.['token'] ?? '', 'base64').toString() !== token) return invalid('Token does not match server\'s copy')
    const account = cachedKind(stored, serviceAccounts).get(namespace, name)
    if (!alive(account, claim('service-account.uid'), nowMs)) return invalid('Token has been invalidated')
    return { result: 'user', user: accountUser(namespace, name, claim('service-account.uid'), {}), audiences: this.options.apiAudiences }
  }
}

export function accountUser(namespace: string, name: string, uid: string, extra: UserInfo['extra']): UserInfo {
  return { name: `system:serviceaccount:${namespace}:${name}`, uid, groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'], extra }
}

function alive(object: ApiObject | undefined, uid: string, nowMs: number): boolean {
  if (!object || object.metadata.uid !== uid) return false
  const deleted = object.metadata.deletionTimestamp
  return deleted === undefined || Date.parse(deleted) > nowMs - leewayMs
}

const record = (value: unknown): { readonly [key: string]: unknown } => (typeof value === 'object' && value !== null ? value as { readonly [key: string]: unknown } : {}) // cast: an object
const text = (value: unknown): string => (typeof value === 'string' ? value : '')
