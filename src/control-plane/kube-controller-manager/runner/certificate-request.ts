// Reads a PKCS#10 certificate request: who it is for, under which names, with which key, and whether the sender holds that key.
// Source: RFC 2986, RFC 5280, ITU-T X.690.
import { createPublicKey, verify } from 'node:crypto'

export interface CertificateRequest {
  readonly commonName: string
  readonly organizations: readonly string[]
  readonly dnsNames: readonly string[]
  readonly ipAddresses: readonly string[]
  readonly emailAddresses: readonly string[]
  readonly uris: readonly string[]
  /** SPKI, DER. */
  readonly publicKey: Uint8Array
}

/** The bytes are no certificate request, or its signature is not by the key in it. */
export class CertificateRequestError extends Error {
  override readonly name = 'CertificateRequestError'
}

interface DerNode { readonly tag: number, readonly content: Buffer, /** With tag and length. */ readonly whole: Buffer }

function fail(message: string): never { throw new CertificateRequestError(message) }

/** The values in `bytes`, one after the other. */
function readDer(bytes: Buffer): readonly DerNode[] {
  const nodes: DerNode[] = []
  for (let at = 0; at < bytes.length;) {
    const tag = bytes[at] ?? 0
    let length = bytes[at + 1] ?? fail('cut short')
    let head = 2
    if (length >= 0x80) {
      const count = length & 0x7f
      if (count === 0 || count > 4 || at + 2 + count > bytes.length) fail('bad length')
      length = bytes.readUIntBE(at + 2, count)
      head += count
    }
    const end = at + head + length
    if (end > bytes.length) fail('cut short')
    nodes.push({ tag, content: bytes.subarray(at + head, end), whole: bytes.subarray(at, end) })
    at = end
  }
  return nodes
}

function nodeAt(nodes: readonly DerNode[], index: number, tag: number): DerNode {
  const node = nodes[index]
  if (node?.tag !== tag) fail('not a certificate request')
  return node
}

function oidOf(content: Buffer): string {
  const [first = 0] = content
  const arcs = [Math.floor(first / 40), first % 40]
  let value = 0
  for (const byte of content.subarray(1)) {
    value = value * 128 + (byte & 0x7f)
    if (byte < 0x80) { arcs.push(value); value = 0 }
  }
  return arcs.join('.')
}

const signatureHashes: { readonly [oid: string]: string | null } = {
  '1.2.840.10045.4.3.2': 'sha256', '1.2.840.10045.4.3.3': 'sha384', '1.2.840.10045.4.3.4': 'sha512',
  '1.2.840.113549.1.1.11': 'sha256', '1.2.840.113549.1.1.12': 'sha384', '1.2.840.113549.1.1.13': 'sha512', '1.3.101.112': null,
}

/** @param pem one CERTIFICATE REQUEST block. @throws CertificateRequestError */
export function parseCertificateRequest(pem: string): CertificateRequest {
  const block = /-----BEGIN (?:NEW )?CERTIFICATE REQUEST-----([A-Za-z0-9+/=\s]+)-----END (?:NEW )?CERTIFICATE REQUEST-----/.exec(pem)
  if (!block) fail('PEM block type must be CERTIFICATE REQUEST')
  const outer = readDer(nodeAt(readDer(Buffer.from(block[1] ?? '', 'base64')), 0, 0x30).content)
  const info = nodeAt(outer, 0, 0x30)
  const fields = readDer(info.content)
  nodeAt(fields, 0, 0x02)
  const subject = nodeAt(fields, 1, 0x30)
  const key = nodeAt(fields, 2, 0x30)
  checkSignature(info, key, outer)
  const names = subjectNames(subject)
  return { ...names, ...alternativeNames(fields[3]), publicKey: key.whole }
}

function checkSignature(info: DerNode, key: DerNode, outer: readonly DerNode[]): void {
  const algorithm = oidOf(nodeAt(readDer(nodeAt(outer, 1, 0x30).content), 0, 0x06).content)
  const signature = nodeAt(outer, 2, 0x03).content.subarray(1)
  const hash = signatureHashes[algorithm]
  if (hash === undefined) fail(`unknown signature algorithm ${algorithm}`)
  let good = false
  try {
    good = verify(hash, info.whole, createPublicKey({ key: key.whole, format: 'der', type: 'spki' }), signature)
  } catch (cause) {
    throw new CertificateRequestError('unreadable public key', { cause })
  }
  if (!good) fail('the signature is not by the key in the request')
}

function subjectNames(subject: DerNode): { readonly commonName: string, readonly organizations: readonly string[] } {
  let commonName = ''
  const organizations: string[] = []
  for (const set of readDer(subject.content)) {
    for (const pair of readDer(set.content)) {
      const [type, value] = readDer(pair.content)
      if (type?.tag !== 0x06 || !value) fail('bad subject')
      const text = value.content.toString('utf8')
      const oid = oidOf(type.content)
      if (oid === '2.5.4.3') commonName = text
      if (oid === '2.5.4.10') organizations.push(text)
    }
  }
  return { commonName, organizations }
}

function alternativeNames(attributes: DerNode | undefined): Pick<CertificateRequest, 'dnsNames' | 'ipAddresses' | 'emailAddresses' | 'uris'> {
  const names = { dnsNames: [] as string[], ipAddresses: [] as string[], emailAddresses: [] as string[], uris: [] as string[] } // cast: empty lists
  if (attributes?.tag !== 0xa0) return names
  for (const attribute of readDer(attributes.content)) {
    const [type, values] = readDer(attribute.content)
    if (!type || !values || oidOf(type.content) !== '1.2.840.113549.1.9.14') continue
    for (const extensions of readDer(values.content)) {
      for (const extension of readDer(extensions.content)) {
        const parts = readDer(extension.content)
        const value = parts.at(-1)
        if (!parts[0] || oidOf(parts[0].content) !== '2.5.29.17' || value?.tag !== 0x04) continue
        for (const name of readDer(nodeAt(readDer(value.content), 0, 0x30).content)) {
          switch (name.tag) {
            case 0x81: names.emailAddresses.push(name.content.toString('latin1')); break
            case 0x82: names.dnsNames.push(name.content.toString('latin1')); break
            case 0x86: names.uris.push(name.content.toString('latin1')); break
            case 0x87: names.ipAddresses.push(addressOf(name.content)); break
          }
        }
      }
    }
  }
  return names
}

function addressOf(bytes: Buffer): string {
  if (bytes.length === 4) return [...bytes].join('.')
  if (bytes.length !== 16) fail('bad IP address')
  return Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(i * 2).toString(16)).join(':')
}
