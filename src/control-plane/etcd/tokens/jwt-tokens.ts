// Signed tokens: whoever has the public key can tell whose they are, so members need no memory of them. `--auth-token jwt,priv-key=…`.
// Upstream: etcd/server/auth/jwt.go
import { createHmac, createPrivateKey, createPublicKey, sign, timingSafeEqual, verify, constants, type KeyObject } from 'node:crypto'
import type { Clock } from '../../../lib/base/clock.ts'
import { isJsonObject, type JsonObject, type JsonValue } from '../../../lib/base/json.ts'
import { parseGoDuration } from '../../../lib/component-base/flags.ts'
import type { Caller } from '../auth/caller.ts'
import type { TokenProvider } from './token-provider.ts'

interface SignMethod { readonly family: 'RSA' | 'PSS' | 'EC' | 'Ed' | 'HMAC'; readonly hash: string | null }

const methods: { readonly [name: string]: SignMethod } = {
  RS256: { family: 'RSA', hash: 'sha256' }, RS384: { family: 'RSA', hash: 'sha384' }, RS512: { family: 'RSA', hash: 'sha512' },
  PS256: { family: 'PSS', hash: 'sha256' }, PS384: { family: 'PSS', hash: 'sha384' }, PS512: { family: 'PSS', hash: 'sha512' },
  ES256: { family: 'EC', hash: 'sha256' }, ES384: { family: 'EC', hash: 'sha384' }, ES512: { family: 'EC', hash: 'sha512' },
  HS256: { family: 'HMAC', hash: 'sha256' }, HS384: { family: 'HMAC', hash: 'sha384' }, HS512: { family: 'HMAC', hash: 'sha512' },
  EdDSA: { family: 'Ed', hash: null },
}
const defaultTtlMs = 300_000

/** The settings of `--auth-token jwt,…` can't be used. */
export class AuthTokenOptionsError extends Error {
  override readonly name = 'AuthTokenOptionsError'
}

export class JwtTokens implements TokenProvider {
  readonly #clock: Clock
  readonly #algorithm: string
  readonly #method: SignMethod
  readonly #ttlMs: number
  readonly #secret: Buffer | undefined
  readonly #privateKey: KeyObject | undefined
  readonly #publicKey: KeyObject | undefined

  /** @param readFile reads the key files that the options name. @throws AuthTokenOptionsError */
  constructor(options: ReadonlyMap<string, string>, clock: Clock, readFile: (path: string) => Buffer) {
    this.#clock = clock
    this.#algorithm = options.get('sign-method') ?? ''
    const method = Object.hasOwn(methods, this.#algorithm) ? methods[this.#algorithm] : undefined
    if (!method) throw new AuthTokenOptionsError(`auth: invalid auth signature method ${JSON.stringify(this.#algorithm)}`)
    this.#method = method
    const ttl = options.get('ttl')
    const ttlMs = ttl ? parseGoDuration(ttl) : defaultTtlMs
    if (ttlMs === undefined) throw new AuthTokenOptionsError(`auth: invalid auth options: ttl ${JSON.stringify(ttl)} is no duration`)
    this.#ttlMs = ttlMs
    const privatePath = options.get('priv-key')
    const publicPath = options.get('pub-key')
    if (method.family === 'HMAC') {
      this.#secret = privatePath ? readFile(privatePath) : Buffer.alloc(0)
      if (this.#secret.length === 0) throw new AuthTokenOptionsError('auth: missing key data')
      return
    }
    if (privatePath) this.#privateKey = createPrivateKey(readFile(privatePath))
    if (publicPath) this.#publicKey = createPublicKey(readFile(publicPath))
    if (this.#privateKey) {
      const derived = createPublicKey(this.#privateKey)
      if (this.#publicKey && !this.#publicKey.equals(derived)) throw new AuthTokenOptionsError("auth: public and private keys don't match")
      this.#publicKey = derived
    }
    if (!this.#publicKey) throw new AuthTokenOptionsError('auth: missing key data')
  }

  newPrefix(): string { return '' }
  invalidate(): void {}

  assign(username: string, authRevision: number): string {
    const expires = Math.floor((this.#clock.now() + this.#ttlMs) / 1000)
    const signed = `${part({ alg: this.#algorithm, typ: 'JWT' })}.${part({ exp: expires, revision: authRevision, username })}`
    return `${signed}.${this.#sign(Buffer.from(signed)).toString('base64url')}`
  }

  identify(token: string): Caller | undefined {
    const [head = '', body = '', signature = '', ...more] = token.split('.')
    if (more.length > 0 || parse(head)?.['alg'] !== this.#algorithm) return undefined
    if (!this.#verify(Buffer.from(`${head}.${body}`), Buffer.from(signature, 'base64url'))) return undefined
    const claims = parse(body)
    const username = claims?.['username']
    const revision = claims?.['revision']
    const expires = claims?.['exp']
    if (typeof username !== 'string' || typeof revision !== 'number') return undefined
    if (expires !== undefined && (typeof expires !== 'number' || expires * 1000 <= this.#clock.now())) return undefined
    return { username, authRevision: revision }
  }

  #sign(data: Buffer): Buffer {
    const { family, hash } = this.#method
    if (this.#secret) return createHmac(hash ?? 'sha256', this.#secret).update(data).digest()
    if (!this.#privateKey) throw new AuthTokenOptionsError('auth: token signing attempted with verify-only key')
    return sign(hash, data, { key: this.#privateKey, ...keyOptions(family) })
  }

  #verify(data: Buffer, signature: Buffer): boolean {
    const { family, hash } = this.#method
    if (this.#secret) {
      const wanted = createHmac(hash ?? 'sha256', this.#secret).update(data).digest()
      return wanted.length === signature.length && timingSafeEqual(wanted, signature)
    }
    return this.#publicKey !== undefined && verify(hash, data, { key: this.#publicKey, ...keyOptions(family) }, signature)
  }
}

function keyOptions(family: SignMethod['family']): object {
  if (family === 'PSS') return { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }
  return family === 'EC' ? { dsaEncoding: 'ieee-p1363' } : {}
}

function part(value: object): string { return Buffer.from(JSON.stringify(value)).toString('base64url') }

function parse(text: string): JsonObject | undefined {
  try {
    const value = JSON.parse(Buffer.from(text, 'base64url').toString('utf8')) as JsonValue // cast: JSON.parse gives JSON
    return isJsonObject(value) ? value : undefined
  } catch {
    return undefined
  }
}
