import { test } from 'node:test'
import assert from 'node:assert/strict'
import { ManifestError, choosePlatform, parseImageConfig, parseManifest } from './manifest.ts'
import { parseChallenge } from './registry-http.ts'
import { addImage, findImage, noImages, removeImage, toCriImage } from './image-records.ts'

const digest = (letter: string): string => `sha256:${letter.repeat(64)}`
const encode = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value))

test('manifests and indexes; what is neither is refused', () => {
  const layer = { digest: digest('a'), size: 5 }
  assert.equal(parseManifest(encode({ schemaVersion: 2, config: layer, layers: [layer] })).kind, 'manifest')
  assert.equal(parseManifest(encode({ manifests: [layer] })).kind, 'index')
  const bad = [[], null, 1, {}, { schemaVersion: 1 }, { config: layer, layers: [{ digest: 'sha256:x', size: 1 }] }, { config: layer, layers: [{ digest: digest('a'), size: -1 }] }, { config: layer, layers: [{ digest: '../../etc', size: 1 }] }]
  for (const document of bad) assert.throws(() => parseManifest(encode(document)), ManifestError)
  assert.throws(() => parseManifest(Buffer.from('[')), ManifestError)
  assert.throws(() => parseManifest(Buffer.from(`{"manifests":${'['.repeat(1000)}${']'.repeat(1000)}}`)), ManifestError)
  assert.throws(() => parseImageConfig(encode({ rootfs: { diff_ids: ['sha256:../../x'] } })), ManifestError)
  assert.deepEqual(parseImageConfig(encode({ config: { Cmd: null, User: 7, Env: ['A=b'] }, rootfs: { diff_ids: [digest('a')] } })).config, { Env: ['A=b'] })
})

test('the platform of an index', () => {
  const entry = (architecture: string, variant = '', os = 'linux') => ({ digest: digest('a'), size: 1, mediaType: '', platform: { os, architecture, variant }, annotations: {} })
  assert.equal(choosePlatform([entry('arm64'), entry('amd64', '', 'windows'), entry('amd64')], 'x64')?.platform?.os, 'linux')
  assert.equal(choosePlatform([entry('arm64', 'v8')], 'arm64')?.platform?.variant, 'v8')
  assert.equal(choosePlatform([entry('arm64')], 'x64'), undefined)
})

test('records: names, digests, shortened ids; removing one name keeps the image', () => {
  const image = { id: digest('b'), manifestDigest: digest('c'), diffIds: [], config: {}, sizeBytes: 3, pinned: false }
  const records = addImage(noImages, image, ['a.b/c:1', 'a.b/c:2', `a.b/c@${digest('c')}`])
  for (const name of ['a.b/c:1', digest('b'), 'b'.repeat(64), 'b'.repeat(12), `a.b/c@${digest('c')}`]) assert.equal(findImage(records, name)?.id, image.id, name)
  for (const name of ['', 'a.b/c', 'b'.repeat(4), '__proto__', 'constructor']) assert.equal(findImage(records, name), undefined, name)
  assert.deepEqual(toCriImage(records, image).repoTags, ['a.b/c:1', 'a.b/c:2'])
  const one = removeImage(records, 'a.b/c:1')
  assert.deepEqual(Object.keys(one.names), ['a.b/c:2', `a.b/c@${digest('c')}`])
  assert.deepEqual(removeImage(one, 'a.b/c:2'), noImages)
  assert.deepEqual(removeImage(records, image.id), noImages)
})

test('authentication challenges', () => {
  const challenge = parseChallenge('Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/nginx:pull"')
  assert.deepEqual([challenge?.scheme, challenge?.parameters.get('realm'), challenge?.parameters.get('scope')], ['bearer', 'https://auth.docker.io/token', 'repository:library/nginx:pull'])
  assert.equal(parseChallenge('Basic realm=x')?.scheme, 'basic')
  assert.equal(parseChallenge(undefined), undefined)
})
