import { test } from 'node:test'
import assert from 'node:assert/strict'
import { seededRandom } from '../../lib/base/random.ts'
import { parseGoDuration } from '../../lib/component-base/flags.ts'
import { silentLogger } from '../../lib/component-base/log.ts'
import { SimulatedClock } from '../../lib/testing/simulated-clock.ts'
import { compactAutomatically, parseAutoCompaction } from './auto-compaction.ts'
import { openEtcd } from './embedded.ts'

const signal = new AbortController().signal
const key = Buffer.from('k')

test('periodic: what is older than the retention is compacted, the rest can be read', async () => {
  const clock = new SimulatedClock()
  await using etcd = await openEtcd({ disk: 'memory', clock, random: seededRandom(1), logger: silentLogger })
  const stop = new AbortController()
  const running = compactAutomatically(etcd.client, { mode: 'periodic', retentionMs: 60_000 }, clock, silentLogger, stop.signal)
  for (let minute = 0; minute < 5; minute++) {
    await etcd.client.txn({ compare: [], success: [{ type: 'put', key, value: key }], failure: [] }, signal)
    await clock.advance(60_000)
  }
  stop.abort()
  await running
  const { compactedRevision, revision } = etcd.internals.member.machine.store
  assert.deepEqual([revision, compactedRevision], [6, 5])
})

test('what the flags mean', () => {
  assert.equal(parseAutoCompaction('periodic', '0', parseGoDuration), undefined)
  assert.deepEqual(parseAutoCompaction('periodic', '2', parseGoDuration), { mode: 'periodic', retentionMs: 7_200_000 })
  assert.deepEqual(parseAutoCompaction('periodic', '5m', parseGoDuration), { mode: 'periodic', retentionMs: 300_000 })
  assert.deepEqual(parseAutoCompaction('revision', '1000', parseGoDuration), { mode: 'revision', retention: 1000 })
  assert.throws(() => parseAutoCompaction('revision', '5m', parseGoDuration), RangeError)
  assert.throws(() => parseAutoCompaction('weekly', '1', parseGoDuration), RangeError)
})
