import { test } from 'node:test'
import assert from 'node:assert/strict'
import { adviceOn } from './connect-etcd.ts'
import { normalisePrefix, parseOverrides } from './etcd-flags.ts'

const flags = { 'etcd-servers': ['https://10.0.0.1:2379'], 'etcd-cafile': '/ca.crt', 'etcd-certfile': '' }
const coded = (message: string, code: string): Error => Object.assign(new Error(message), { code })
const wrapped = (cause: Error): Error => new Error('etcdclient: no available endpoints', { cause: new Error('connection error', { cause }) })

test('errors that trying again does not end come with what to do; others are waited out', () => {
  assert.match(adviceOn(wrapped(coded('unable to verify the first certificate', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE')), flags) ?? '', /--etcd-cafile is \/ca\.crt\): give the authority that signed etcd's certificate/)
  assert.match(adviceOn(wrapped(coded('ssl3_read_bytes:tlsv13 alert certificate required:\nSSL alert number 116\n', 'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED')), flags) ?? '', /does not accept this server's certificate \(ssl3_read_bytes.*no --etcd-certfile is given\): give a certificate in --etcd-certfile and --etcd-keyfile that etcd's --trusted-ca-file has signed/)
  assert.match(adviceOn(wrapped(coded('sslv3 alert bad certificate', 'ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE')), { ...flags, 'etcd-certfile': '/c.crt' }) ?? '', /--etcd-certfile is \/c\.crt/)
  assert.match(adviceOn(wrapped(coded('Host: 10.0.0.1 is not in the cert', 'ERR_TLS_CERT_ALTNAME_INVALID')), flags) ?? '', /is for another name .*: use one of its names in --etcd-servers/)
  assert.match(adviceOn(wrapped(coded('certificate has expired', 'CERT_HAS_EXPIRED')), flags) ?? '', /renew it, or set this machine's clock/)
  assert.match(adviceOn(wrapped(coded('wrong version number', 'ERR_SSL_WRONG_VERSION_NUMBER')), flags) ?? '', /does not speak TLS there .*: write http:\/\//)
  assert.equal(adviceOn(wrapped(coded('connect ECONNREFUSED', 'ECONNREFUSED')), flags), undefined)
  assert.equal(adviceOn(new Error('etcdserver: request timed out'), flags), undefined)
})

test('overrides and prefixes, as the original reads them', () => {
  assert.deepEqual(parseOverrides(['/events#http://a:1;http://b:2', 'apps/deployments#https://c:3']), [
    { resource: '/events', servers: ['http://a:1', 'http://b:2'] }, { resource: 'apps/deployments', servers: ['https://c:3'] },
  ])
  for (const wrong of ['events#http://a', '/events', '/events#', '/events#a#b', '/events#not a url']) assert.equal(typeof parseOverrides([wrong]), 'string', wrong)
  assert.deepEqual(['/registry', 'registry', '/registry/', 'a/b/', '/', ''].map(normalisePrefix), ['/registry', '/registry', '/registry', '/a/b', '', ''])
})
