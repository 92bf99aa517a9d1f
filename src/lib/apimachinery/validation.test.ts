import { test } from 'node:test'
import assert from 'node:assert/strict'
import { isConfigMapKey, isDns1035Label, isDns1123Label, isDns1123Subdomain, isPathSegmentName, isQualifiedName, isRelaxedEnvVarName, isValidIp, isValidLabelValue, isValidPortName } from './validation.ts'
import { canonicalIp, isValidCidr, networkContains, parseCidr, parseIp } from './ip-address.ts'

test('names say what is wrong in the words that clients know', () => {
  assert.deepEqual(isDns1123Label('web-1'), [])
  assert.deepEqual(isDns1123Label('a.b'), ['must not contain dots'])
  assert.deepEqual(isDns1123Label('Web'), ["a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"])
  assert.deepEqual(isDns1123Label('a'.repeat(64)), ['must be no more than 63 characters'])
  assert.deepEqual(isDns1123Subdomain('Foo'), ["a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"])
  assert.equal(isDns1035Label('1a').length, 1)
  assert.equal(isDns1123Label('a\n').length, 1)
})

test('label keys and values', () => {
  for (const good of ['simple', 'example.com/A_b.c', '1234/5678']) assert.deepEqual(isQualifiedName(good), [], good)
  assert.deepEqual(isQualifiedName('/simple'), ['prefix part must be non-empty'])
  for (const bad of ['a/b/c', 'x^', '-a', 'Example.com/a', 'example.com/', 'a'.repeat(64)]) assert.notDeepEqual(isQualifiedName(bad), [], bad)
  assert.deepEqual(isValidLabelValue(''), [])
  assert.deepEqual(isValidLabelValue('a'.repeat(64)), ['must be no more than 63 bytes'])
  assert.equal(isValidLabelValue('a b').length, 1)
})

test('keys, ports, variables, path segments', () => {
  assert.deepEqual(isConfigMapKey('..a'), ["must not start with '..'"])
  assert.equal(isConfigMapKey('a/b').length, 1)
  assert.deepEqual(isValidPortName('http'), [])
  assert.deepEqual(isValidPortName('80'), ['must contain at least one letter (a-z)'])
  assert.deepEqual(isRelaxedEnvVarName('1 x.y'), [])
  assert.equal(isRelaxedEnvVarName('a=b').length, 1)
  assert.deepEqual(isPathSegmentName('a/b%'), ["may not contain '/'", "may not contain '%'"])
})

test('addresses', () => {
  assert.deepEqual(isValidIp('10.0.0.1'), [])
  assert.deepEqual(isValidIp('010.0.0.1'), ['must not have leading 0s'])
  assert.deepEqual(isValidIp('::ffff:1.2.3.4'), ['must not be an IPv4-mapped IPv6 address'])
  assert.deepEqual(isValidIp('2001:DB8::1'), ['must be in canonical form ("2001:db8::1")'])
  for (const bad of ['', '1.2.3', '256.1.1.1', 'fe80::1%eth0', '1::2::3', ':::', '1:2:3:4:5:6:7', 'g::']) assert.equal(parseIp(bad), undefined, bad)
  assert.equal(canonicalIp(parseIp('2001:db8:0:0:1:0:0:1') ?? []), '2001:db8::1:0:0:1')
  assert.equal(canonicalIp(parseIp('::') ?? []), '::')
  assert.equal(canonicalIp(parseIp('64:ff9b::1.2.3.4') ?? []), '64:ff9b::102:304')
  const network = parseCidr('10.96.0.0/12')
  assert.ok(network && networkContains(network, [10, 111, 0, 1]) && !networkContains(network, [10, 112, 0, 1]))
  assert.deepEqual(isValidCidr('10.0.0.1/24'), ['must not have bits set beyond the prefix length'])
  assert.deepEqual(isValidCidr('2001:db8::/64'), [])
})
