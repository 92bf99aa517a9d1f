// SIGKILL under load: whatever the killed process had acknowledged is there afterwards.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { realClock } from '../../src/lib/async/real-clock.ts'
import { realRandom } from '../../src/lib/async/real-random.ts'
import { silentLogger } from '../../src/lib/component-base/log.ts'
import { openEtcd } from '../../src/control-plane/etcd/embedded.ts'

const signal = new AbortController().signal
const rounds = 4
const writers = 16

test('SIGKILL under load loses nothing acknowledged', { timeout: 60_000 }, async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'k8ts-kill-'))
  try {
    const acknowledged = new Map<string, number>()
    let revision = 0
    for (let round = 0; round < rounds; round++) {
      const killAfter = 300 + round * 400
      await new Promise<void>((resolve, reject) => {
        const child = fork(join(import.meta.dirname, 'etcd-kill-child.ts'), [dataDir, String(round)], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
        let count = 0
        child.on('message', (message) => {
          // The child tells only what has been acknowledged to it.
          const { writer, value, at } = message as { writer: number; value: number; at: number } // cast: the child sends this
          acknowledged.set(`r${round}-w${writer}`, value)
          revision = Math.max(revision, at)
          if (++count === killAfter) child.kill('SIGKILL')
        })
        child.on('exit', (_, by) => { if (by === 'SIGKILL') resolve(); else reject(new Error('the child ended by itself')) })
      })
      await using etcd = await openEtcd({ disk: { dataDir }, clock: realClock, random: realRandom, logger: silentLogger })
      for (const [key, value] of acknowledged) {
        const { kvs } = await etcd.client.range({ key: Buffer.from(key) }, signal)
        const found = kvs[0] ? Number.parseInt(Buffer.from(kvs[0].value).toString(), 10) : -1
        assert.ok(found >= value, `${key}: found ${found}, acknowledged ${value}`)
      }
      assert.ok((await etcd.client.status(signal)).revision >= revision)
    }
    assert.equal(acknowledged.size, rounds * writers)
  } finally {
    rmSync(dataDir, { recursive: true, force: true })
  }
})
