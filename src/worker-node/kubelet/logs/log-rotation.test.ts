import assert from 'node:assert/strict'
import { gunzipSync } from 'node:zlib'
import { test } from 'node:test'
import { silentLogger } from '../../../lib/component-base/log.ts'
import { SimulatedClock } from '../../../lib/testing/simulated-clock.ts'
import { CriError } from '../../../lib/cri-api/cri-services.ts'
import { createMemoryDisk } from '../host/memory-disk.ts'
import { rotateIfLarge } from './log-rotation.ts'

test('a large log is renamed by the time, older ones are compressed, the oldest go', async () => {
  const clock = new SimulatedClock()
  const disk = createMemoryDisk({ now: () => 0 })
  let refuse = false
  const runtime = { async reopenContainerLog() { if (refuse) throw new CriError('Internal', 'no'); await disk.writeFile('/logs/0.log', new Uint8Array(), 0o640); return {} } }
  const options = { clock, logger: silentLogger, runtime, disk, cache: { all: () => [] }, maxBytes: 10, maxFiles: 3 }
  const rotate = (): Promise<boolean> => rotateIfLarge(options, 'id', '/logs/0.log', new AbortController().signal)
  await disk.makeDirectory('/logs')
  await disk.writeFile('/logs/0.log', Buffer.from('short'), 0o640)
  assert.equal(await rotate(), false)
  for (const text of ['first generation', 'second generation', 'third generation']) {
    await disk.writeFile('/logs/0.log', Buffer.from(text), 0o640)
    assert.equal(await rotate(), true)
    await clock.advance(1000)
  }
  assert.deepEqual(await disk.list('/logs'), ['0.log', '0.log.20260101-000001.gz', '0.log.20260101-000002'])
  assert.equal(gunzipSync(await disk.readFile('/logs/0.log.20260101-000001.gz')).toString(), 'second generation')
  refuse = true
  await disk.writeFile('/logs/0.log', Buffer.from('fourth generation'), 0o640)
  await assert.rejects(rotate())
  assert.equal(Buffer.from(await disk.readFile('/logs/0.log')).toString(), 'fourth generation', 'the runtime goes on writing where it did')
})
