import assert from 'node:assert/strict'
import { mkdtemp, mkdir, readFile, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { seededRandom } from '../../../lib/base/random.ts'
import { SimulatedClock } from '../../../lib/testing/simulated-clock.ts'
import { linuxMounter } from '../host/linux-mounter.ts'
import { createMemoryDisk } from '../host/memory-disk.ts'
import { nodeDisk } from '../host/node-disk.ts'
import { DiskError } from '../host/disk.ts'
import { writeAtomically } from './atomic-writer.ts'
import { checkHostPath } from './host-path.ts'
import { configMapFiles, isSafeVolumePath, secretFiles } from './volume-files.ts'
import type { Disk } from '../host/disk.ts'
import type { VolumeFiles } from './volume-files.ts'

const clock = new SimulatedClock()
const files = (map: Record<string, string>, mode = 0o644): VolumeFiles => new Map(Object.entries(map).map(([path, text]) => [path, { data: Buffer.from(text), mode }]))

for (const [name, disk] of [['the real disk', nodeDisk], ['the disk in memory', createMemoryDisk({ now: () => 0 })]] as const) {
  test(`volumes are written at once, on ${name}`, async () => {
    const root = name === 'the real disk' ? await mkdtemp(join(tmpdir(), 'kubelet-volume-')) : '/v'
    try {
      await checkAtomicWriter(disk, root)
    } finally {
      await disk.removeTree(root)
    }
  })
}

async function checkAtomicWriter(disk: Disk, root: string): Promise<void> {
  await disk.makeDirectory(root)
  const options = { disk, clock, random: seededRandom(1) }
  const read = async (path: string): Promise<string> => Buffer.from(await disk.readFile(`${root}/${path}`)).toString()
  assert.equal(await writeAtomically(root, files({ a: '1', 'sub/b': '2' }), options), true)
  assert.equal(await read('a'), '1')
  assert.equal(await read('sub/b'), '2')
  assert.equal(await disk.readlink(`${root}/a`), '..data/a')
  assert.equal(await disk.readlink(`${root}/sub`), '..data/sub')
  const first = await disk.readlink(`${root}/..data`)
  assert.equal(await writeAtomically(root, files({ a: '1', 'sub/b': '2' }), options), false, 'nothing changed, nothing written')
  assert.equal(await disk.readlink(`${root}/..data`), first)
  assert.equal(await writeAtomically(root, files({ a: '1!', c: '3' }, 0o600), options), true)
  assert.deepEqual((await disk.list(root)).filter((n) => !n.startsWith('..2026')), ['..data', 'a', 'c'])
  assert.equal(await read('a'), '1!')
  assert.equal((await disk.stat(`${root}/c`))?.mode, 0o600)
  assert.equal((await disk.list(root)).filter((n) => n.startsWith('..2026')).length, 1, 'the old folder is gone')
  assert.equal(await writeAtomically(root, new Map(), options), true)
  assert.deepEqual((await disk.list(root)).filter((n) => !n.startsWith('..2026')), ['..data'])
}

test('files of ConfigMaps and Secrets', () => {
  const configMap = { metadata: { name: 'c', uid: '', resourceVersion: '', creationTimestamp: '' }, data: { a: 'x' }, binaryData: { b: btoa('\x00\xff') } }
  const all = configMapFiles('c', configMap, undefined, 0o644, false)
  assert.ok(all.ok)
  assert.deepEqual([...all.files].map(([path, f]) => [path, [...f.data]]), [['a', [120]], ['b', [0, 255]]])
  const picked = configMapFiles('c', configMap, [{ key: 'a', path: './x//y', mode: 0o400 }], 0o644, false)
  assert.ok(picked.ok)
  assert.deepEqual([...picked.files].map(([path, f]) => [path, f.mode]), [['x/y', 0o400]])
  assert.deepEqual(configMapFiles('c', configMap, [{ key: 'z', path: 'z' }], 0o644, false), { ok: false, message: 'configmap references non-existent config key: z' })
  assert.deepEqual(configMapFiles('c', undefined, undefined, 0o644, false), { ok: false, message: 'configmap "c" not found' })
  assert.deepEqual(secretFiles('s', undefined, undefined, 0o644, true), { ok: true, files: new Map() })
  for (const path of ['../x', '/x', 'a/../b', '..x', '', 'a\0b']) assert.equal(isSafeVolumePath(path), false, path)
  for (const path of ['x', 'a/b', 'a/..b', '.hidden']) assert.equal(isSafeVolumePath(path), true, path)
})

test('a subPath never leads out of its volume', { skip: process.getuid?.() !== 0 && 'needs root' }, async () => {
  const root = await mkdtemp(join(tmpdir(), 'kubelet-subpath-'))
  const target = join(root, 'target')
  try {
    await mkdir(join(root, 'volume/inside'), { recursive: true })
    await symlink('/etc', join(root, 'volume/out'))
    await symlink('../..', join(root, 'volume/inside/up'))
    for (const path of ['out', 'out/passwd', 'inside/up', '../x', 'inside/../../x']) {
      await assert.rejects(linuxMounter.bindBeneath(join(root, 'volume'), path, target), (error) => error instanceof DiskError && error.reason === 'Forbidden', path)
    }
    assert.deepEqual(await readdir(root), ['volume'], 'nothing was made outside')
  } finally {
    await rm(root, { recursive: true, force: true })
  }
})

test('hostPath types', async () => {
  const root = await mkdtemp(join(tmpdir(), 'kubelet-hostpath-'))
  try {
    await writeFile(join(root, 'file'), 'x')
    assert.equal(await checkHostPath({ path: join(root, 'missing') }, nodeDisk), undefined)
    assert.equal(await checkHostPath({ path: join(root, 'missing'), type: 'Directory' }, nodeDisk), `hostPath type check failed: ${join(root, 'missing')} is not a directory`)
    assert.equal(await checkHostPath({ path: join(root, 'file'), type: 'Directory' }, nodeDisk), `hostPath type check failed: ${join(root, 'file')} is not a directory`)
    assert.equal(await checkHostPath({ path: join(root, 'file'), type: 'File' }, nodeDisk), undefined)
    assert.equal(await checkHostPath({ path: join(root, 'new/deep'), type: 'DirectoryOrCreate' }, nodeDisk), undefined)
    assert.ok((await stat(join(root, 'new/deep'))).isDirectory())
    assert.equal(await checkHostPath({ path: join(root, 'made'), type: 'FileOrCreate' }, nodeDisk), undefined)
    assert.equal(await readFile(join(root, 'made'), 'utf8'), '')
  } finally {
    await rm(root, { recursive: true, force: true })
  }
})
