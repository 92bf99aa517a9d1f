// JSON web tokens as service accounts carry them: signed with ES256 or RS256, never anything else, never unsigned.
import { createHash, createPrivateKey, createPublicKey, sign, verify } from 'node:crypto'
import type { KeyObject } from 'node:crypto'

export type JwtAlgorithm = 'ES256' | 'RS256' | 'ES384' | 'ES512'

export interface SigningKey {
  readonly id: string
  readonly algorithm: JwtAlgorithm
  readonly privateKey: KeyObject
}

export interface VerificationKey {
  readonly id: string
  readonly algorithm: JwtAlgorithm
  readonly publicKey: KeyObject
}

export type JwtClaims = { readonly [claim: string]: unknown }
export type VerifiedJwt = { readonly ok: true; readonly claims: JwtClaims } | { readonly ok: false; readonly error: string }

const hashes: { readonly [A in JwtAlgorithm]: string } = { ES256: 'sha256', RS256: 'sha256', ES384: 'sha384', ES512: 'sha512' }
const curves: { readonly [curve: string]: JwtAlgorithm } = { prime256v1: 'ES256', secp384r1: 'ES384', secp521r1: 'ES512' }

function algorithmOf(key: KeyObject): JwtAlgorithm {
  if (key.asymmetricKeyType === 'rsa') return 'RS256'
  const algorithm = curves[key.asymmetricKeyDetails?.namedCurve ?? '']
  if (algorithm === undefined) throw new TypeError(`keys of type ${key.asymmetricKeyType ?? 'unknown'} can't sign tokens`)
  return algorithm
}

/** base64url(SHA-256 of the DER public key): the `kid` in the header. */
function keyId(publicKey: KeyObject): string {
  return createHash('sha256').update(publicKey.export({ type: 'spki', format: 'der' })).digest('base64url')
}

/** @param pem a private key */
export function signingKey(pem: string): SigningKey {
  const privateKey = createPrivateKey(pem)
  return { id: keyId(createPublicKey(privateKey)), algorithm: algorithmOf(privateKey), privateKey }
}

/** Every key in a PEM file: public keys, private keys (their public halves) and certificates. */
export function verificationKeys(pem: string): readonly VerificationKey[] {
  const blocks = pem.match(/-----BEGIN [A-Z0-9 ]+-----[\s\S]*?-----END [A-Z0-9 ]+-----/g) ?? []
  return blocks.filter((block) => !block.startsWith('-----BEGIN EC PARAMETERS')).map((block) => {
    const publicKey = createPublicKey(block)
    return { id: keyId(publicKey), algorithm: algorithmOf(publicKey), publicKey }
  })
}

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

export function signJwt(claims: JwtClaims, key: SigningKey): string {
  const body = `${encode({ alg: key.algorithm, kid: key.id })}.${encode(claims)}`
  const signature = sign(hashes[key.algorithm], Buffer.from(body), { key: key.privateKey, dsaEncoding: 'ieee-p1363' })
  return `${body}.${signature.toString('base64url')}`
}

/** The claims without any check: to see whose token it is. */
export function peekClaims(token: string): JwtClaims | undefined {
  const parts = token.split('.')
  if (parts.length !== 3) return undefined
  return parsePart(parts[1])
}

export function verifyJwt(token: string, keys: readonly VerificationKey[]): VerifiedJwt {
  const [head, body, signature, more] = token.split('.')
  const header = parsePart(head)
  const claims = parsePart(body)
  if (more !== undefined || !header || !claims || signature === undefined) return { ok: false, error: 'square/go-jose: compact JWS format must have three parts' }
  const data = Buffer.from(`${head}.${body}`)
  const bytes = Buffer.from(signature, 'base64url')
  const named = keys.filter((key) => key.id === header['kid'])
  for (const key of named.length > 0 ? named : keys) {
    // The key says which algorithm is right, not the token.
    if (header['alg'] !== key.algorithm) continue
    if (verify(hashes[key.algorithm], data, { key: key.publicKey, dsaEncoding: 'ieee-p1363' }, bytes)) return { ok: true, claims }
  }
  return { ok: false, error: 'invalid signature' }
}

function parsePart(text: string | undefined): JwtClaims | undefined {
  if (text === undefined) return undefined
  try {
    const value: unknown = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'))
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value as JwtClaims : undefined // cast: an object
  } catch { return undefined }
}

/** The public keys as a JSON Web Key Set, for others who verify tokens. */
export function jwks(keys: readonly VerificationKey[]): unknown {
  return { keys: keys.map((key) => ({ use: 'sig', ...key.publicKey.export({ format: 'jwk' }), kid: key.id, alg: key.algorithm })) }
}
