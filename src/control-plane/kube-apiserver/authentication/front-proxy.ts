// Front proxies: the aggregator of another API server, or an authenticating proxy. A certificate of their own authority is what makes their word count.
// Upstream: apiserver/pkg/authentication/request/headerrequest
import { X509Certificate } from 'node:crypto'
import type { Clock } from '../../../lib/base/clock.ts'
import type { FrontProxy, PeerCertificate } from './authenticator.ts'

/** @param authorities PEM, any number of certificates */
export function frontProxy(authorities: string, allowedNames: readonly string[], clock: Clock): FrontProxy {
  const trusted = (authorities.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? []).map((pem) => new X509Certificate(pem))
  const known = new Map<string, boolean>()
  return {
    allowedNames,
    verify({ fingerprint, der }: PeerCertificate): boolean {
      let verified = known.get(fingerprint)
      if (verified === undefined) {
        const certificate = new X509Certificate(der)
        verified = trusted.some((authority) => certificate.checkIssued(authority) && certificate.verify(authority.publicKey))
        if (known.size > 1000) known.clear()
        known.set(fingerprint, verified)
      }
      if (!verified) return false
      const now = clock.now()
      const certificate = new X509Certificate(der)
      return Date.parse(certificate.validFrom) <= now && now <= Date.parse(certificate.validTo)
    },
  }
}
