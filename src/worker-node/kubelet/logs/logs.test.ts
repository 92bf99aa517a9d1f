import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SimulatedClock } from '../../../lib/testing/simulated-clock.ts'
import { createMemoryDisk } from '../host/memory-disk.ts'
import { parseLogLine } from './log-line.ts'
import { tailLog } from './log-tail.ts'
import { readLogs } from './read-logs.ts'
import type { ReadLogOptions } from './read-logs.ts'

const all: ReadLogOptions = { follow: false, tailLines: undefined, sinceMs: undefined, timestamps: false, limitBytes: undefined, stream: 'All' }
const never = new AbortController().signal
const log = `2026-01-01T00:00:01.5Z stdout F one
2026-01-01T00:00:02.123456789+00:00 stderr F two
2026-01-01T00:00:03Z stdout P thr
2026-01-01T00:00:03Z stdout F ee
nonsense
2026-01-01T00:00:04Z stdout F 
`

async function read(text: string, options: Partial<ReadLogOptions>): Promise<string> {
  const clock = new SimulatedClock()
  const disk = createMemoryDisk({ now: () => 0 })
  await disk.writeFile('/log', Buffer.from(text), 0o640)
  let out = ''
  for await (const piece of readLogs({ disk, clock, path: '/log', isRunning: () => false }, { ...all, ...options }, never)) out += Buffer.from(piece).toString()
  return out
}

test('lines', () => {
  assert.deepEqual(parseLogLine(Buffer.from('t stdout P:x a b')), { time: 't', stream: 'stdout', partial: true, content: Buffer.from('a b') })
  assert.equal(parseLogLine(Buffer.from('t other F x')), undefined)
  assert.equal(parseLogLine(Buffer.from('t')), undefined)
})

test('options', async () => {
  assert.equal(await read(log, {}), 'one\ntwo\nthree\n\n')
  assert.equal(await read(log, { timestamps: true }), '2026-01-01T00:00:01.500000000Z one\n2026-01-01T00:00:02.123456789Z two\n2026-01-01T00:00:03.000000000Z three\n2026-01-01T00:00:04.000000000Z \n')
  assert.equal(await read(log, { tailLines: 1 }), '\n')
  assert.equal(await read(log, { tailLines: 0 }), '')
  assert.equal(await read(log, { tailLines: 100 }), 'one\ntwo\nthree\n\n')
  assert.equal(await read(log, { sinceMs: Date.UTC(2026, 0, 1, 0, 0, 3) }), 'three\n\n')
  assert.equal(await read(log, { limitBytes: 6 }), 'one\ntw')
  assert.equal(await read(log, { stream: 'Stderr' }), 'two\n')
  assert.equal(await read(log.repeat(5000), { tailLines: 5003 }), `two\nthree\n\n${'one\ntwo\nthree\n\n'.repeat(833)}`, 'tails over several pieces')
})

test('following goes on over a rotation and ends with the container', async () => {
  const clock = new SimulatedClock()
  const disk = createMemoryDisk({ now: () => 0 })
  const line = (text: string): string => `2026-01-01T00:00:01Z stdout F ${text}\n`
  let running = true
  await disk.writeFile('/log', Buffer.from(line('1')), 0o640)
  let out = ''
  const reading = (async () => { for await (const piece of readLogs({ disk, clock, path: '/log', isRunning: () => running }, { ...all, follow: true }, never)) out += Buffer.from(piece).toString() })()
  await clock.advance(1000)
  assert.equal(out, '1\n')
  await disk.writeFile('/log', Buffer.from(line('1') + line('2')), 0o640)
  await disk.rename('/log', '/log.old')
  await disk.writeFile('/log', Buffer.from(line('3')), 0o640)
  await disk.writeFile('/log.old', Buffer.from(line('1') + line('2') + line('2b')), 0o640)
  await clock.advance(1000)
  assert.equal(out, '1\n2\n2b\n3\n')
  await disk.writeFile('/log', Buffer.from(line('3') + line('4')), 0o640)
  running = false
  await clock.advance(1000)
  await reading
  assert.equal(out, '1\n2\n2b\n3\n4\n')
})

test('the tail for termination messages', async () => {
  const disk = createMemoryDisk({ now: () => 0 })
  await disk.writeFile('/log', Buffer.from(log), 0o640)
  assert.equal(await tailLog(disk, '/log', 80, 2048), 'one\ntwo\nthree\n\n')
  assert.equal(await tailLog(disk, '/log', 80, 6), 'hree\n\n')
  assert.equal(await tailLog(disk, '/none', 80, 6), '')
})
