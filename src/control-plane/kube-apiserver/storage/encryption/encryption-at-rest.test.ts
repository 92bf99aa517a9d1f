import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { seededRandom } from '../../../../lib/base/random.ts'
import { silentLogger } from '../../../../lib/component-base/log.ts'
import { SimulatedClock } from '../../../../lib/testing/simulated-clock.ts'
import { EncryptionAtRest } from './encryption-at-rest.ts'
import type { KmsService } from './kms-service.ts'
import { openSecretbox, sealSecretbox } from './secretbox.ts'
import { startsWith } from './value-transformer.ts'

const forever = new AbortController().signal
const hex = (text: string): Buffer => Buffer.from(text, 'hex')
const place = Buffer.from('/registry/secrets/default/a')
const secret = Buffer.from('{"kind":"Secret","apiVersion":"v1","data":{"a":"c2VjcmV0"}}')
const keyOf = (byte: number, length = 32): string => Buffer.alloc(length, byte).toString('base64')

/** A plugin that turns bytes around and names its key. */
class FakePlugin implements KmsService {
  keyId = 'k1'
  healthz = 'ok'
  reachable = true
  readonly calls: string[] = []
  #answer<T>(call: string, value: T): Promise<T> {
    this.calls.push(call)
    return this.reachable ? Promise.resolve(value) : Promise.reject(new Error('connection refused'))
  }
  status(): ReturnType<KmsService['status']> { return this.#answer('status', { version: 'v2', healthz: this.healthz, keyId: this.keyId }) }
  encrypt({ plaintext }: Parameters<KmsService['encrypt']>[0]): ReturnType<KmsService['encrypt']> {
    return this.#answer('encrypt', { ciphertext: Uint8Array.from(plaintext).reverse(), keyId: this.keyId, annotations: { 'version.encryption.example.com': Buffer.from('1') } })
  }
  decrypt({ ciphertext }: Parameters<KmsService['decrypt']>[0]): ReturnType<KmsService['decrypt']> { return this.#answer('decrypt', { plaintext: Uint8Array.from(ciphertext).reverse() }) }
  [Symbol.dispose](): void { this.calls.push('closed') }
}

interface Setup { file: string; readonly clock: SimulatedClock; readonly plugin: FakePlugin; readonly encryption: EncryptionAtRest }

async function open(file: string, reload = false, plugin = new FakePlugin(), seed = 3): Promise<Setup> {
  const clock = new SimulatedClock()
  const setup = { file, clock, plugin }
  const encryption = await EncryptionAtRest.open({ readFile: () => Buffer.from(setup.file), reload, clock, random: seededRandom(seed), logger: silentLogger, connectKms: () => plugin }, forever)
  return Object.assign(setup, { encryption })
}

const configuration = (resources: string, ...providers: readonly string[]): string => `kind: EncryptionConfiguration\napiVersion: apiserver.config.k8s.io/v1\nresources:\n- resources: [${resources}]\n  providers:\n${providers.map((provider) => `  - ${provider}\n`).join('')}`
const keys = (type: string, ...named: readonly (readonly [string, string])[]): string => `{${type}: {keys: [${named.map(([name, value]) => `{name: ${name}, secret: ${value}}`).join(', ')}]}}`
const kms = '{kms: {apiVersion: v2, name: vault, endpoint: "unix:///run/vault.sock"}}'

test('secretbox is NaCl’s', () => {
  // The vector of NaCl's own tests (tests/secretbox.c).
  const key = hex('1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389')
  const nonce = hex('69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37')
  const message = hex('be075fc53c81f2d5cf141316ebeb0c7b5228c52a4c62cbd44b66849b64244ffce5ecbaaf33bd751a1ac728d45e6c61296cdc3c01233561f41db66cce314adb310e3be8250c46f06dceea3a7fa1348057e2f6556ad6b1318a024a838f21af1fde048977eb48f59ffd4924ca1c60902e52f0a089bc76897040e082f937763848645e0705')
  const sealed = hex('f3ffc7703f9400e52a7dfb4b3d3305d98e993b9f48681273c29650ba32fc76ce48332ea7164d96a4476fb8c531a1186ac0dfc17c98dce87b4da7f011ec48c97271d2c20f9b928fe2270d6fb863d51738b48eeee314a7cc8ab932164548e526ae90224368517acfeabd6bb3732bc0e9da99832b61ca01b6de56244a9e88d5f9b37973f622a43d14a6599b1f654cb45a74e355a5')
  assert.deepEqual(Buffer.from(sealSecretbox(message, nonce, key)), sealed)
  assert.deepEqual(Buffer.from(openSecretbox(sealed, nonce, key) ?? []), message)
  for (let length = 0; length < 150; length++) {
    const text = Buffer.alloc(length, 0xff)
    const box = sealSecretbox(text, nonce, key)
    assert.deepEqual(Buffer.from(openSecretbox(box, nonce, key) ?? [1]), text)
    const bit = Uint8Array.from(box)
    bit[length % bit.length]! ^= 1 << (length % 8) // cast: inside the box
    assert.equal(openSecretbox(bit, nonce, key), undefined)
  }
})

describe('providers', () => {
  for (const [type, size] of [['aescbc', 16], ['aescbc', 24], ['aescbc', 32], ['aesgcm', 16], ['aesgcm', 24], ['aesgcm', 32], ['secretbox', 32]] as const) {
    test(`${type} with ${size * 8} bits`, async () => {
      const { encryption } = await open(configuration('secrets', keys(type, ['one', keyOf(1, size)]), '{identity: {}}'))
      const transformer = encryption.transformerFor('', 'secrets')
      const stored = transformer.toStorage(secret, place)
      assert.ok(startsWith(stored, `k8s:enc:${type}:v1:one:`))
      assert.equal(Buffer.from(stored).indexOf('Secret'), -1)
      const read = transformer.fromStorage(stored, place)
      assert.deepEqual([Buffer.from(read.data), read.stale], [secret, false])
      assert.notDeepEqual(transformer.toStorage(secret, place), stored, 'a nonce is used once')
      // What is there in the clear is read, and due to be written again.
      assert.deepEqual(transformer.fromStorage(secret, place), { data: secret, stale: true })
      const damaged = Uint8Array.from(stored)
      damaged[damaged.length - 1]! ^= 1 // cast: not empty
      if (type === 'aescbc') assert.notDeepEqual(tryRead(() => transformer.fromStorage(damaged, place).data), secret)
      else assert.throws(() => transformer.fromStorage(damaged, place), { name: 'TransformError' })
      assert.throws(() => transformer.fromStorage(stored.subarray(0, 30), place), { name: 'TransformError' })
      if (type === 'aesgcm') assert.throws(() => transformer.fromStorage(stored, Buffer.from('/registry/secrets/default/b')), /message authentication failed/, 'a value belongs to its key')
    })
  }

  test('the first writes, all read; a key that is gone is missed', async () => {
    const old = await open(configuration('secrets', keys('aescbc', ['one', keyOf(1)])))
    const before = old.encryption.transformerFor('', 'secrets').toStorage(secret, place)
    const rotated = (await open(configuration('secrets', keys('aescbc', ['two', keyOf(2)], ['one', keyOf(1)])))).encryption.transformerFor('', 'secrets')
    assert.deepEqual(rotated.fromStorage(before, place), { data: secret, stale: true })
    assert.ok(startsWith(rotated.toStorage(secret, place), 'k8s:enc:aescbc:v1:two:'))
    // The same provider twice: each is tried.
    const twice = (await open(configuration('secrets', keys('aesgcm', ['x', keyOf(3)]), keys('aescbc', ['two', keyOf(2)]), keys('aescbc', ['one', keyOf(1)])))).encryption.transformerFor('', 'secrets')
    assert.deepEqual(twice.fromStorage(before, place), { data: secret, stale: true })
    const without = (await open(configuration('secrets', keys('aescbc', ['two', keyOf(2)])))).encryption
    assert.throws(() => without.transformerFor('', 'secrets').fromStorage(before, place), { message: 'no matching key was found for the provided AES transformer' })
    assert.throws(() => without.transformerFor('', 'secrets').fromStorage(secret, place), { message: 'no matching prefix found' })
    assert.throws(() => without.transformerFor('', 'configmaps').fromStorage(before, place), { message: 'identity transformer tried to read encrypted data' })
    // On the way back to plain text: identity first, and it lets the others read.
    const plain = (await open(configuration('secrets', '{identity: {}}', keys('aescbc', ['one', keyOf(1)])))).encryption.transformerFor('', 'secrets')
    assert.deepEqual(plain.fromStorage(before, place), { data: secret, stale: true })
    assert.equal(plain.toStorage(secret, place), secret)
  })

  test('a resource is found by its name, its group’s star, then by *.*', async () => {
    const { encryption } = await open(`kind: EncryptionConfiguration
apiVersion: apiserver.config.k8s.io/v1
resources:
- {resources: [secrets], providers: [${keys('aescbc', ['exact', keyOf(1)])}]}
- {resources: ['*.', '*.apps'], providers: [${keys('aescbc', ['group', keyOf(1)])}]}
- {resources: ['*.*'], providers: [${keys('aescbc', ['all', keyOf(1)])}]}
`)
    const used = (group: string, resource: string): string => Buffer.from(encryption.transformerFor(group, resource).toStorage(secret, place)).toString('latin1').split(':')[4] ?? ''
    assert.deepEqual([used('', 'secrets'), used('', 'pods'), used('apps', 'deployments'), used('batch', 'jobs'), used('other', 'secrets')], ['exact', 'group', 'group', 'all', 'all'])
  })
})

function tryRead(read: () => Uint8Array): Uint8Array | undefined { try { return read() } catch { return undefined } }

test('a configuration that can’t be meant is refused', async () => {
  const key = keys('aescbc', ['one', keyOf(1)])
  const cases: readonly (readonly [string, RegExp])[] = [
    ['', /is empty/],
    ['kind: Other\napiVersion: v1', /no kind "Other" is registered for version "v1"/],
    ['kind: EncryptionConfiguration\napiVersion: apiserver.config.k8s.io/v1', /^resources: Required value: at least one resources is required$/],
    [configuration('secrets', key).replace('resources:\n', 'resource:\n'), /strict decoding error: unknown field "resource"/],
    [configuration('secrets', '{aescbc: {keys: [{name: one, sekret: x}]}}'), /unknown field "resources\[0\]\.providers\[0\]\.aescbc\.keys\[0\]\.sekret"/],
    [configuration('secrets'), /providers: Required value: at least one resources\[0\]\.providers is required/],
    [configuration('', key), /at least one resources\[0\]\.resources is required/],
    [configuration('secrets', '{}'), /provider does not contain any of the expected providers: KMS, AESGCM, AESCBC, Secretbox, Identity/],
    [configuration('secrets', `{identity: {}, ${key.slice(1)}`), /more than one provider specified in a single element/],
    [configuration('secrets', '{aesgcm: {keys: []}}'), /at least one keys is required/],
    [configuration('secrets', keys('aescbc', ['one', keyOf(1, 17)])), /^resources\[0\]\.providers\[0\]\.aescbc\.keys\[0\]\.secret: Invalid value: "REDACTED": secret is not of the expected length, got 17, expected one of \[16 24 32\]$/],
    [configuration('secrets', keys('secretbox', ['one', keyOf(1, 16)])), /got 16, expected one of \[32\]/],
    [configuration('secrets', keys('aescbc', ['one', '"?"'])), /secrets must be base64 encoded/],
    [configuration('secrets', keys('aescbc', ['""', keyOf(1)])), /name is a mandatory field for a key/],
    [configuration('Secrets', key), /resource name should not contain capital letters/],
    [configuration("'*'", key), /use '\*\.' to encrypt all the resources/],
    [configuration('secrets, secrets', key), /the same resource cannot be specified multiple times/],
    [configuration("secrets, '*.'", key), /using overlapping resources/],
    [configuration("'*.*', configmaps", key), /using overlapping resources/],
    [configuration('events.events.k8s.io', key), /stored using the 'events' API group/],
    [configuration("'secrets.*'", key), /encrypting the same resource across groups is not supported/],
    [`${configuration("'*.'", key)}- {resources: [secrets], providers: [{identity: {}}]}\n`, /^resource "secrets" is masked by earlier rule "\*\."$/],
    [configuration('secrets', '{kms: {name: a, endpoint: "unix:///x"}}'), /KMSv1 is deprecated/],
    [configuration('secrets', '{kms: {apiVersion: v2, name: "a:b", endpoint: "http://x", timeout: 0s, cachesize: 3}}'), /must not contain ':'.*cachesize is not supported in v2.*timeout should be a positive value.*unsupported scheme "http"/],
    [configuration('secrets', kms, kms), /duplicate KMS provider name vault/],
  ]
  for (const [file, message] of cases) await assert.rejects(open(file), (error) => error instanceof Error && error.name === 'EncryptionConfigError' && message.test(error.message), file)
})

test('a changed file is taken once a minute; one that can’t be used is not', async () => {
  const setup = await open(configuration('secrets', keys('aescbc', ['one', keyOf(1)])), true)
  const transformer = setup.encryption.transformerFor('', 'secrets')
  const before = transformer.toStorage(secret, place)
  let changes = 0
  setup.encryption.onChange(() => { changes++ })
  const minute = async (): Promise<void> => { await setup.clock.advance(60_000); await setup.encryption.reloadNow() }
  assert.equal(setup.encryption.check?.(), undefined)
  await minute()
  assert.equal(changes, 0)
  setup.file = configuration('secrets', keys('aescbc', ['two', keyOf(2)], ['one', keyOf(1)]))
  await minute()
  assert.equal(changes, 1)
  assert.ok(startsWith(transformer.toStorage(secret, place), 'k8s:enc:aescbc:v1:two:'), 'whoever holds the transformer has the new one')
  assert.deepEqual(transformer.fromStorage(before, place), { data: secret, stale: true })
  setup.file = 'kind: Nothing'
  await minute()
  assert.ok(startsWith(transformer.toStorage(secret, place), 'k8s:enc:aescbc:v1:two:'))
  assert.equal(changes, 1)
})

describe('KMS v2', () => {
  test('one seed serves all writes; another server asks for it once; a new key makes what is there stale', async () => {
    const { encryption, plugin, clock } = await open(configuration('secrets', kms))
    const transformer = encryption.transformerFor('', 'secrets')
    const stored = [1, 2, 3].map(() => transformer.toStorage(secret, place))
    assert.ok(stored.every((value) => startsWith(value, 'k8s:enc:kms:v2:vault:')))
    for (const value of stored) assert.deepEqual(transformer.fromStorage(value, place), { data: secret, stale: false })
    assert.deepEqual(plugin.calls, ['status', 'encrypt'])
    assert.throws(() => transformer.fromStorage(stored[0] ?? secret, Buffer.from('/other')), /message authentication failed/)

    const other = await open(configuration('secrets', kms), false, new FakePlugin(), 4)
    const reader = other.encryption.transformerFor('', 'secrets')
    assert.throws(() => reader.fromStorage(stored[0] ?? secret, place), /failed to decrypt DEK/)
    await Promise.all(stored.map((value) => reader.prepare?.(value)))
    for (const value of stored) { assert.equal(reader.prepare?.(value), undefined); assert.equal(Buffer.compare(reader.fromStorage(value, place).data, secret), 0) }
    assert.deepEqual(other.plugin.calls, ['status', 'encrypt', 'decrypt'])

    plugin.keyId = 'k2'
    await clock.advance(60_000)
    assert.deepEqual(transformer.fromStorage(stored[0] ?? secret, place), { data: secret, stale: true })
    assert.deepEqual(transformer.fromStorage(transformer.toStorage(secret, place), place), { data: secret, stale: false })
  })

  test('without the plugin reads go on, writes for three minutes', async () => {
    const { encryption, plugin, clock } = await open(configuration('secrets', kms))
    const transformer = encryption.transformerFor('', 'secrets')
    const stored = transformer.toStorage(secret, place)
    plugin.reachable = false
    await clock.advance(60_000)
    assert.match(encryption.check?.() ?? '', /kms-provider-0: connection refused/)
    transformer.toStorage(secret, place)
    await clock.advance(121_000)
    assert.throws(() => transformer.toStorage(secret, place), /encryptedDEKSource of the KMS plugin vault has expired/)
    assert.deepEqual(transformer.fromStorage(stored, place), { data: secret, stale: false })
    plugin.reachable = true
    await clock.advance(10_000)
    assert.equal(encryption.check?.(), undefined)
    transformer.toStorage(secret, place)
  })

  test('a plugin that is not well from the start is waited for', async () => {
    const plugin = new FakePlugin()
    plugin.healthz = 'no disk'
    const { encryption, clock } = await open(configuration('secrets', kms, '{identity: {}}'), false, plugin)
    const transformer = encryption.transformerFor('', 'secrets')
    assert.match(encryption.check?.() ?? '', /got unexpected healthz status: no disk/)
    assert.throws(() => transformer.toStorage(secret, place), /has not given a key yet/)
    plugin.healthz = 'ok'
    await clock.advance(10_000)
    assert.ok(startsWith(transformer.toStorage(secret, place), 'k8s:enc:kms:v2:vault:'))
  })
})
