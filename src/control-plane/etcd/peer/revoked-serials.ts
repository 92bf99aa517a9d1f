// Serial numbers in a certificate revocation list. As the original, no more is taken from it: whose certificates it revokes is not asked.
// Upstream: etcd/client/pkg/transport/listener_tls.go (checkCRL); the form is RFC 5280, section 5.1
import { X509Certificate } from 'node:crypto'

/** The file is no revocation list. */
export class RevocationListError extends Error {
  override readonly name = 'RevocationListError'
}

interface Element { readonly tag: number; readonly start: number; readonly end: number }

const tags = { integer: 0x02, sequence: 0x30, utcTime: 0x17, generalizedTime: 0x18 } as const

function readElement(bytes: Buffer, at: number, end: number): Element {
  const tag = bytes[at]
  const first = bytes[at + 1]
  if (tag === undefined || first === undefined || at + 2 > end) throw new RevocationListError('the revocation list is cut off')
  if (first < 0x80) return checkEnd({ tag, start: at + 2, end: at + 2 + first }, end)
  const lengthBytes = first & 0x7f
  if (lengthBytes === 0 || lengthBytes > 4 || at + 2 + lengthBytes > end) throw new RevocationListError('a length in the revocation list is not DER')
  const start = at + 2 + lengthBytes
  return checkEnd({ tag, start, end: start + bytes.readUIntBE(at + 2, lengthBytes) }, end)
}

function checkEnd(element: Element, end: number): Element {
  if (element.end > end) throw new RevocationListError('the revocation list is cut off')
  return element
}

function enter(bytes: Buffer, element: Element): Element {
  if (element.tag !== tags.sequence) throw new RevocationListError('this is no revocation list')
  return readElement(bytes, element.start, element.end)
}

/** In DER, or in PEM around it. Serials as `normalizeSerial` gives them. @throws RevocationListError */
export function readRevokedSerials(file: Buffer): ReadonlySet<string> {
  const pem = /-----BEGIN X509 CRL-----([A-Za-z0-9+/=\s]+)-----END X509 CRL-----/.exec(file.toString('latin1'))
  const bytes = pem?.[1] === undefined ? file : Buffer.from(pem[1], 'base64')
  const body = enter(bytes, readElement(bytes, 0, bytes.length))
  if (body.tag !== tags.sequence) throw new RevocationListError('this is no revocation list')
  const serials = new Set<string>()
  // An optional version, the algorithm, the issuer, one or two times, then the list.
  let seenTime = false
  for (let at = body.start; at < body.end;) {
    const element = readElement(bytes, at, body.end)
    at = element.end
    if (element.tag === tags.utcTime || element.tag === tags.generalizedTime) seenTime = true
    else if (seenTime && element.tag === tags.sequence) {
      for (let entryAt = element.start; entryAt < element.end;) {
        const entry = readElement(bytes, entryAt, element.end)
        const serial = enter(bytes, entry)
        if (serial.tag !== tags.integer) throw new RevocationListError('a revoked certificate has no serial number')
        serials.add(normalizeSerial(bytes.toString('hex', serial.start, serial.end)))
        entryAt = entry.end
      }
      break
    }
  }
  return serials
}

/** Upper case without zeros in front. */
export function normalizeSerial(hex: string): string { return hex.toUpperCase().replace(/^0+(?=.)/, '') }

/** True when the certificate, or one that stands behind it, is revoked. */
export function isRevoked(certificate: X509Certificate, serials: ReadonlySet<string>): boolean {
  if (serials.size === 0) return false
  const seen = new Set<string>()
  for (let c: X509Certificate | undefined = certificate; c !== undefined && !seen.has(c.fingerprint256); c = c.issuerCertificate) {
    seen.add(c.fingerprint256)
    if (serials.has(normalizeSerial(c.serialNumber))) return true
  }
  return false
}
