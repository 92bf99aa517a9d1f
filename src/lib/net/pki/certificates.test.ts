import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import { seededRandom } from '../../base/random.ts'
import { createAuthority, issueCertificate } from './certificates.ts'

const validity = { notBeforeMs: Date.UTC(2026, 0, 1), notAfterMs: Date.UTC(2056, 0, 1) }

test('a certificate is signed by its authority and carries its subject, groups and names', () => {
  const random = seededRandom(1)
  const authority = createAuthority('kubernetes', validity, random)
  const issued = issueCertificate(authority, 'kubernetes', { subject: { commonName: 'system:node:a', organizations: ['system:nodes', 'second'] }, names: ['localhost', '10.96.0.1', '::1'], usages: ['server', 'client'], random, ...validity })
  const certificate = new X509Certificate(issued.certificatePem)
  const root = new X509Certificate(authority.certificatePem)
  assert.equal(certificate.verify(root.publicKey), true)
  assert.equal(certificate.checkIssued(root), true)
  assert.equal(root.ca, true)
  assert.equal(certificate.ca, false)
  assert.equal(certificate.subject, 'O=system:nodes\nO=second\nCN=system:node:a')
  assert.equal(certificate.subjectAltName, 'DNS:localhost, IP Address:10.96.0.1, IP Address:0:0:0:0:0:0:0:1')
  assert.equal(certificate.checkPrivateKey(issued.key), true)
  assert.equal(certificate.validTo, 'Jan  1 00:00:00 2056 GMT')
})

test('another authority does not verify it', () => {
  const random = seededRandom(2)
  const authority = createAuthority('kubernetes', validity, random)
  const other = createAuthority('kubernetes', validity, random)
  const issued = issueCertificate(authority, 'kubernetes', { subject: { commonName: 'a' }, usages: ['client'], random, ...validity })
  assert.equal(new X509Certificate(issued.certificatePem).verify(new X509Certificate(other.certificatePem).publicKey), false)
})
