// Reads a PKCS #10 certificate request as far as `kubectl describe csr` shows it: the subject and the alternative names.
import { KubectlError } from '../command.ts'

export interface CertificateRequest {
  /** Values by the attribute's short name (`CN`, `O`, …). */
  readonly subject: ReadonlyMap<string, readonly string[]>
  readonly names: { readonly dns: readonly string[]; readonly email: readonly string[]; readonly uri: readonly string[]; readonly ip: readonly string[] }
}

const attributeNames: { readonly [oid: string]: string } = { '2.5.4.3': 'CN', '2.5.4.5': 'serialNumber', '2.5.4.6': 'C', '2.5.4.7': 'L', '2.5.4.8': 'ST', '2.5.4.9': 'street', '2.5.4.10': 'O', '2.5.4.11': 'OU', '2.5.4.17': 'postalCode' }
const extensionRequest = '1.2.840.113549.1.9.14'
const subjectAltName = '2.5.29.17'

interface Element { readonly tag: number; readonly content: Buffer }

/** @throws KubectlError when it is none */
export function parseCertificateRequest(pem: string): CertificateRequest {
  const body = /-----BEGIN (?:NEW )?CERTIFICATE REQUEST-----([\s\S]+?)-----END/.exec(pem)?.[1]
  if (!body) throw new KubectlError('Error parsing CSR: PEM block type must be CERTIFICATE REQUEST')
  const [request] = elementsOf(Buffer.from(body, 'base64'))
  const [info] = request ? elementsOf(request.content) : []
  const parts = info ? elementsOf(info.content) : []
  const subject = new Map<string, string[]>()
  for (const set of parts[1] ? elementsOf(parts[1].content) : []) {
    for (const pair of elementsOf(set.content)) {
      const [oid, value] = elementsOf(pair.content)
      const name = oid && attributeNames[oidOf(oid.content)]
      if (name && value) subject.set(name, [...(subject.get(name) ?? []), value.content.toString(value.tag === 0x1e ? 'utf16le' : 'utf8')])
    }
  }
  const names = { dns: [] as string[], email: [] as string[], uri: [] as string[], ip: [] as string[] }
  for (const attribute of parts[3] ? elementsOf(parts[3].content) : []) {
    const [oid, values] = elementsOf(attribute.content)
    if (!oid || !values || oidOf(oid.content) !== extensionRequest) continue
    for (const extension of elementsOf(values.content).flatMap((list) => elementsOf(list.content))) {
      const pieces = elementsOf(extension.content)
      const octets = pieces.at(-1)
      if (!pieces[0] || !octets || oidOf(pieces[0].content) !== subjectAltName) continue
      for (const name of elementsOf(octets.content).flatMap((list) => elementsOf(list.content))) {
        if (name.tag === 0x82) names.dns.push(name.content.toString('latin1'))
        else if (name.tag === 0x81) names.email.push(name.content.toString('latin1'))
        else if (name.tag === 0x86) names.uri.push(name.content.toString('latin1'))
        else if (name.tag === 0x87) names.ip.push(ipText(name.content))
      }
    }
  }
  return { subject, names }
}

/** The DER values that stand one behind the other. */
function elementsOf(bytes: Buffer): readonly Element[] {
  const found: Element[] = []
  let at = 0
  while (at + 2 <= bytes.length) {
    const tag = bytes[at] ?? 0
    let length = bytes[at + 1] ?? 0
    at += 2
    if (length >= 0x80) {
      const size = length & 0x7f
      if (size > 4 || at + size > bytes.length) break
      length = bytes.readUIntBE(at, size)
      at += size
    }
    found.push({ tag, content: bytes.subarray(at, at + length) })
    at += length
  }
  return found
}

function oidOf(bytes: Buffer): string {
  const numbers: number[] = []
  let value = 0
  for (const byte of bytes) {
    value = value * 128 + (byte & 0x7f)
    if (byte < 0x80) { numbers.push(value); value = 0 }
  }
  const [first = 0, ...rest] = numbers
  const root = Math.min(2, Math.floor(first / 40))
  return [root, first - root * 40, ...rest].join('.')
}

function ipText(bytes: Buffer): string {
  if (bytes.length === 4) return [...bytes].join('.')
  const groups = Array.from({ length: bytes.length / 2 }, (_, i) => bytes.readUInt16BE(i * 2).toString(16))
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1)
}
