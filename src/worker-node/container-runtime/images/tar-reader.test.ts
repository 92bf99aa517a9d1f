import { test } from 'node:test'
import assert from 'node:assert/strict'
import { TarError, parsePax, readTar } from './tar-reader.ts'
import type { TarEntry } from './tar-reader.ts'
import { writeTar } from './tar-writer.ts'
import { seededRandom } from '../../../lib/base/random.ts'

async function* pieces(bytes: Uint8Array, size: number): AsyncIterable<Uint8Array> { for (let i = 0; i < bytes.length; i += size) yield bytes.subarray(i, i + size) }

async function list(bytes: Uint8Array, size = 100): Promise<readonly (TarEntry & { readonly text: string })[]> {
  const found: (TarEntry & { readonly text: string })[] = []
  await readTar(pieces(bytes, size), async (entry, body) => {
    const chunks: Uint8Array[] = []
    for await (const chunk of body()) chunks.push(chunk)
    found.push({ ...entry, text: Buffer.concat(chunks).toString() })
  })
  return found
}

/** A header block by hand. */
function block(name: string, flag: string, size: number, change: (bytes: Buffer) => void = () => {}): Buffer {
  const out = writeTar([{ type: 'file', name: 'x', mode: 0o644, content: new Uint8Array(0) }]).subarray(0, 512)
  const bytes = Buffer.from(out)
  bytes.fill(0, 0, 100).write(name)
  bytes.write(`${size.toString(8).padStart(11, '0')} `, 124)
  bytes.write(flag, 156)
  change(bytes)
  bytes.fill(32, 148, 156)
  bytes.write(`${bytes.reduce((sum, byte) => sum + byte, 0).toString(8).padStart(6, '0')}\0 `, 148)
  return bytes
}
const padded = (data: Buffer): Buffer => Buffer.concat([data, Buffer.alloc((512 - (data.length % 512)) % 512)])
const record = (key: string, value: Buffer): Buffer => {
  const rest = Buffer.concat([Buffer.from(` ${key}=`), value, Buffer.from('\n')])
  let length = rest.length + 1
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length
  return Buffer.concat([Buffer.from(String(length)), rest])
}

test('reads what the writer wrote, however it is cut', async () => {
  const tar = writeTar([
    { type: 'directory', name: 'd', mode: 0o750 }, { type: 'file', name: 'd/f', mode: 0o4755, content: Buffer.from('x'.repeat(1000)) }, { type: 'symlink', name: 's', linkName: 'd/f' }, { type: 'link', name: 'h', linkName: 'd/f' },
  ])
  for (const size of [1, 7, 512, 100_000]) {
    const found = await list(tar, size)
    assert.deepEqual(found.map((e) => [e.name, e.type, e.mode, e.linkName, e.text.length]), [['d/', 'directory', 0o750, '', 0], ['d/f', 'file', 0o4755, '', 1000], ['s', 'symlink', 0o777, 'd/f', 0], ['h', 'link', 0o777, 'd/f', 0]])
  }
})

test('pax: long names, ids, binary attributes; GNU: long names, base-256 sizes', async () => {
  const long = 'l'.repeat(300)
  const capability = Buffer.from([1, 0, 0, 2, 0, 0xff, 0x80, 0x0a, 0x3d, 0])
  const pax = Buffer.concat([record('path', Buffer.from(long)), record('uid', Buffer.from('3000000')), record('SCHILY.xattr.security.capability', capability)])
  const gnu = Buffer.from(`${'g'.repeat(200)}\0`)
  const tar = Buffer.concat([
    block('PaxHeader', 'x', pax.length), padded(pax), block('short', '0', 2), padded(Buffer.from('ab')), block('././@LongLink', 'L', gnu.length), padded(gnu),
    block('short', '0', 0, (bytes) => { bytes.fill(0, 124, 136); bytes[124] = 0x80; bytes[135] = 3 }), padded(Buffer.from('cde')), Buffer.alloc(1024),
  ])
  const [first, second] = await list(tar)
  assert.deepEqual([first?.name, first?.uid, first?.text], [long, 3_000_000, 'ab'])
  assert.deepEqual(first?.attributes.get('security.capability'), capability)
  assert.deepEqual([second?.name, second?.text], ['g'.repeat(200), 'cde'])
})

test('broken archives are refused, never looped over', async () => {
  const good = writeTar([{ type: 'file', name: 'f', mode: 0o644, content: Buffer.from('data') }])
  await assert.rejects(list(good.subarray(0, 514)), TarError)
  await assert.rejects(list(Buffer.concat([block('x', 'x', 5_000_000), Buffer.alloc(1024)])), TarError)
  for (const text of ['5 a=b', '-5 a=b\n', '0 a=b\n', '99 a=b\n', '7 a=b\n', 'x a=b\n', '5 ab\n']) assert.throws(() => parsePax(Buffer.from(text)), TarError, text)
  const random = seededRandom(7)
  for (let i = 0; i < 2000; i++) {
    const bytes = Buffer.from(good)
    for (let n = 0; n < 3; n++) bytes[Math.floor(random.float() * 600)] = Math.floor(random.float() * 256)
    await list(bytes).catch((error: unknown) => assert.ok(error instanceof TarError, String(error)))
  }
})
