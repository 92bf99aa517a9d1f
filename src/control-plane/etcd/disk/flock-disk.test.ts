// The database is locked for as long as the folder is, through every renaming, so that flock(1) and the original have to wait.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silentLogger } from '../../../lib/component-base/log.ts'
import { withFlock } from './flock-disk.ts'
import { realDisk } from './real-disk.ts'

const isFree = (path: string): Promise<boolean> => new Promise((done) => { execFile('/usr/bin/flock', ['-n', '-x', path, 'true'], (error) => done(error === null)) })

test('the database of a folder in use is locked, also the one that takes its place', { skip: !existsSync('/usr/bin/flock') }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'k8ts-flock-'))
  try {
    mkdirSync(join(folder, 'snap'))
    const path = join(folder, 'snap', 'db')
    const disk = withFlock(realDisk, silentLogger)
    {
      await using lock = await disk.lock(folder)
      await lock.confirmed
      assert.equal(await isFree(path), false)
      for (const name of ['one', 'two']) {
        const temporary = join(folder, 'snap', `tmp.${name}`)
        writeFileSync(temporary, name)
        await disk.rename(temporary, path)
        assert.equal(await isFree(path), false, name)
      }
      await assert.rejects(disk.lock(folder), { reason: 'InUse' })
    }
    assert.equal(await isFree(path), true)
    // Somebody else comes in between.
    const other = spawn('/usr/bin/flock', ['-x', path, 'cat'])
    while (await isFree(path)) await new Promise((turn) => { setImmediate(turn) })
    await assert.rejects(disk.lock(folder), { reason: 'InUse' })
    other.stdin.end()
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})
