import { test } from 'node:test'
import assert from 'node:assert/strict'
import { closeSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PathError, openFileBeneath, openFolderBeneath, openRoot, splitPath } from './open-beneath.ts'

const skip = process.platform === 'linux' ? false : 'needs /proc/self/fd'

test('a folder is a world: no name, symlink or ".." leads out of it', { skip }, (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'k8ts-beneath-'))
  t.after(() => rmSync(dir, { recursive: true }))
  const world = join(dir, 'world')
  mkdirSync(join(world, 'etc/deep'), { recursive: true })
  writeFileSync(join(dir, 'secret'), 'outside')
  writeFileSync(join(world, 'etc/passwd'), 'inside')
  writeFileSync(join(world, 'secret'), 'inside too')
  const links: readonly (readonly [string, string])[] = [
    ['absolute', '/etc'], ['relative', 'etc/deep/..'], ['up', '../../../../..'], ['out', dir], ['loop', 'loop'], ['file', '/etc/passwd'], ['outfile', '../secret'], ['descriptors', '/proc/self/fd'],
  ]
  for (const [name, target] of links) symlinkSync(target, join(world, name))
  using root = openRoot(world)
  const read = (path: string): string | undefined => { const fd = openFileBeneath(root, path); if (fd === undefined) return undefined; try { return readFileSync(fd, 'utf8') } finally { closeSync(fd) } }
  assert.equal(read('etc/passwd'), 'inside')
  assert.equal(read('absolute/passwd'), 'inside')
  assert.equal(read('relative/passwd'), 'inside')
  assert.equal(read('file'), 'inside')
  assert.equal(read('up/secret'), 'inside too', 'above the root is the root')
  assert.equal(read('outfile'), 'inside too')
  assert.equal(read('../secret'), 'inside too')
  assert.equal(read('out/secret'), undefined, 'an absolute target counts from the root')
  assert.equal(read('descriptors/0'), undefined)
  assert.throws(() => read('loop'), PathError)
  assert.throws(() => read('loop/x'), PathError)
  assert.throws(() => read('etc/passwd/x'), PathError)
  {
    using made = openFolderBeneath(root, ['up', 'new', 'sub'], { create: true })
    writeFileSync(made.path('x'), '')
    assert.throws(() => made.path('a/b'), PathError)
    assert.throws(() => made.path('..'), PathError)
  }
  assert.deepEqual(readdirSync(join(world, 'new/sub')), ['x'])
  assert.deepEqual(readdirSync(dir).toSorted(), ['secret', 'world'])
  for (const bad of ['..', 'a/../b', 'a/..', 'a\0b']) assert.throws(() => splitPath(bad), PathError, bad)
  assert.deepEqual(splitPath('/a//./b/'), ['a', 'b'])
})
