// The writing end: one write for a turn, heartbeats, what happens when the reader doesn't keep up, goes, or dials again.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { Writable } from 'node:stream'
import { silentLogger } from '../../../lib/component-base/log.ts'
import { SimulatedClock } from '../../../lib/testing/simulated-clock.ts'
import { makeMessage, type Message } from '../raft/messages.ts'
import { PeerFigures } from './peer-metrics.ts'
import { PeerStatus } from './peer-status.ts'
import type { PeerTimeouts } from './peer-timeouts.ts'
import { MessageFrameReader, MessageFrameWriter } from './stream-frames.ts'
import { StreamWriter } from './stream-writer.ts'

/** Takes bytes when it is told to. */
class Pipe extends Writable {
  readonly writes: Buffer[] = []
  isStuck = false
  #resume: (() => void) | undefined
  constructor() { super({ highWaterMark: 16 << 10 }) }
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.writes.push(chunk)
    if (this.isStuck) this.#resume = done
    else done()
  }
  flow(): void {
    this.isStuck = false
    this.#resume?.()
  }
  get messages(): readonly Message[] {
    const found: Message[] = []
    const reader = new MessageFrameReader((message) => found.push(message))
    for (const write of this.writes) reader.push(write)
    return found
  }
}

const turn = (): Promise<void> => new Promise((resolve) => { setImmediate(resolve) })
const heartbeat = (term: number, size = 0): Message => makeMessage({ type: 'MsgHeartbeat', from: 1n, to: 2n, term, context: size > 0 ? Buffer.alloc(size) : undefined })

function open(timeouts?: PeerTimeouts): { readonly writer: StreamWriter; readonly clock: SimulatedClock; readonly status: PeerStatus; readonly figures: PeerFigures; readonly lost: number[] } {
  const clock = new SimulatedClock()
  const figures = new PeerFigures(2n)
  const status = new PeerStatus(2n, clock, silentLogger, figures)
  const lost: number[] = []
  return { writer: new StreamWriter({ kind: 'message', clock, status, figures, ...(timeouts && { timeouts }), unreachable: () => lost.push(clock.monotonic()) }), clock, status, figures, lost }
}

test('what is said in one turn is one write, in order', async () => {
  const { writer, figures, status } = open()
  const pipe = new Pipe()
  assert.equal(writer.send(heartbeat(1)), false)
  writer.attach(pipe, new MessageFrameWriter())
  for (let term = 1; term <= 100; term++) assert.ok(writer.send(heartbeat(term)))
  await turn()
  assert.equal(pipe.writes.length, 1)
  assert.deepEqual(pipe.messages.map((m) => m.term), Array.from({ length: 100 }, (_, i) => i + 1))
  assert.equal(figures.sentBytes, pipe.writes[0]?.length)
  assert.ok(status.sinceMs !== undefined)
  writer.detach()
  assert.ok(pipe.destroyed && !writer.isWorking)
})

test('heartbeats show that the connection lives', async () => {
  const { writer, clock } = open()
  const pipe = new Pipe()
  writer.attach(pipe, new MessageFrameWriter())
  for (let i = 0; i < 3; i++) {
    await clock.advance(1667)
    await turn()
  }
  assert.deepEqual(pipe.writes.map((write) => write.toString('hex')), Array(3).fill('00000000000000020808'))
  writer.detach()
  await clock.advance(60_000)
  await turn()
  assert.equal(pipe.writes.length, 3)
})

test('messages wait for a slow reader up to a bound, and come in order', async () => {
  const { writer, clock, figures } = open()
  const pipe = new Pipe()
  pipe.isStuck = true
  writer.attach(pipe, new MessageFrameWriter())
  let sent = 0
  while (writer.send(heartbeat(sent + 1, 1000))) {
    sent++
    if (sent % 50 === 0) await turn()
    assert.ok(sent < 6000)
  }
  assert.ok(sent > 4096, `${sent} were taken`)
  assert.ok(pipe.writableLength < 2 << 20, 'bytes that wait are bounded')
  await clock.advance(2000)
  pipe.flow()
  for (let i = 0; pipe.messages.length < sent && i < 100; i++) await turn()
  assert.deepEqual(pipe.messages.map((m) => m.term), Array.from({ length: sent }, (_, i) => i + 1))
  assert.ok(writer.send(heartbeat(1)))
  assert.equal(figures.sendFailures, 0)
  writer.detach()
})

test('what one turn says beyond the backlog goes out too, when the socket takes everything at once', async () => {
  const { writer } = open()
  const pipe = new Pipe()
  writer.attach(pipe, new MessageFrameWriter())
  for (let term = 1; term <= 3000; term++) assert.ok(writer.send(heartbeat(term, 1000)))
  await turn()
  assert.equal(pipe.messages.length, 3000)
  writer.detach()
})

test('a reader that takes nothing for five seconds is given up, and told of', async () => {
  const { writer, clock, status, lost } = open()
  const pipe = new Pipe()
  pipe.isStuck = true
  writer.attach(pipe, new MessageFrameWriter())
  for (let i = 0; i < 2000; i++) writer.send(heartbeat(1, 1000))
  await turn()
  for (let i = 0; i < 5; i++) await clock.advance(1667)
  assert.ok(pipe.destroyed && !writer.isWorking)
  assert.equal(status.sinceMs, undefined)
  assert.equal(lost.length, 1)
})

test('both times can be longer: heartbeats come later, and a stuck reader is borne longer', async () => {
  const { writer, clock } = open({ readMs: 30_000, writeMs: 60_000 })
  const pipe = new Pipe()
  writer.attach(pipe, new MessageFrameWriter())
  await clock.advance(9999)
  await turn()
  assert.equal(pipe.writes.length, 0)
  await clock.advance(1)
  await turn()
  assert.equal(pipe.writes.length, 1)
  pipe.isStuck = true
  for (let i = 0; i < 2000; i++) writer.send(heartbeat(1, 1000))
  await turn()
  for (let i = 0; i < 5; i++) await clock.advance(10_000)
  assert.ok(!pipe.destroyed)
  for (let i = 0; i < 3; i++) await clock.advance(10_000)
  assert.ok(pipe.destroyed)
})

test('a new connection takes the place of the old one; a closed one is noticed', async () => {
  const { writer, status, figures } = open()
  const old = new Pipe()
  const fresh = new Pipe()
  writer.attach(old, new MessageFrameWriter())
  writer.send(heartbeat(1))
  await turn()
  writer.attach(fresh, new MessageFrameWriter())
  writer.send(heartbeat(2))
  await turn()
  assert.ok(old.destroyed)
  assert.deepEqual([old.messages.map((m) => m.term), fresh.messages.map((m) => m.term)], [[1], [2]])
  assert.ok(status.sinceMs !== undefined, 'the end of the old one is no loss')
  fresh.destroy()
  await turn()
  assert.ok(!writer.isWorking)
  assert.equal(status.sinceMs, undefined)
  assert.equal(figures.disconnections, 1)
  assert.equal(writer.send(heartbeat(3)), false)
})
