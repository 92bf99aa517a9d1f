// Signs the tokens of legacy Secrets for service accounts with the key of --service-account-private-key-file.
// Upstream: kubernetes/pkg/serviceaccount/jwt.go
import { createHash, createPrivateKey, createPublicKey, sign } from 'node:crypto'
import type { KeyObject } from 'node:crypto'

/** @param pem an RSA or P-256, P-384 or P-521 key. @throws when it is another kind of key. */
export function createTokenSigner(pem: string): (claims: { readonly [claim: string]: string }) => string {
  const key = createPrivateKey(pem)
  const { algorithm, hash } = algorithmOf(key)
  const keyId = createHash('sha256').update(createPublicKey(key).export({ type: 'spki', format: 'der' })).digest('base64url')
  return (claims) => {
    const body = `${encode({ alg: algorithm, kid: keyId })}.${encode(claims)}`
    // JOSE wants the two numbers of an ECDSA signature side by side, not wrapped in DER.
    return `${body}.${sign(hash, Buffer.from(body), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
  }
}

function encode(value: object): string { return Buffer.from(JSON.stringify(value)).toString('base64url') }

function algorithmOf(key: KeyObject): { readonly algorithm: string, readonly hash: string } {
  if (key.asymmetricKeyType === 'rsa') return { algorithm: 'RS256', hash: 'sha256' }
  switch (key.asymmetricKeyDetails?.namedCurve) {
    case 'prime256v1': return { algorithm: 'ES256', hash: 'sha256' }
    case 'secp384r1': return { algorithm: 'ES384', hash: 'sha384' }
    case 'secp521r1': return { algorithm: 'ES512', hash: 'sha512' }
    default: throw new Error('the service account key must be an RSA or an ECDSA key')
  }
}
