import { test } from 'node:test'
import assert from 'node:assert/strict'
import { seededRandom, randomInteger } from '../../base/random.ts'
import { OutputStage } from './output-stage.ts'

test('what a socket still has to write stays as it is, however buffers go round among connections', () => {
  const random = seededRandom(7)
  /** A socket that takes some writes at once, and others some time later, in order. */
  class SlowSocket {
    writableLength = 0
    destroyed = false
    readonly waiting: { readonly bytes: Buffer; readonly copy: Buffer; readonly written: () => void }[] = []
    readonly got: Buffer[] = []
    write(bytes: Buffer, written: () => void = () => {}): boolean {
      if (this.writableLength === 0 && random.float() < 0.5) { this.got.push(Buffer.from(bytes)); queue.push(written); return true }
      this.writableLength += bytes.length
      this.waiting.push({ bytes, copy: Buffer.from(bytes), written })
      return false
    }
    finishSome(count: number): void {
      for (const { bytes, copy, written } of this.waiting.splice(0, count)) {
        assert.ok(bytes.equals(copy), 'nobody has written over it')
        this.writableLength -= bytes.length
        this.got.push(copy)
        written()
      }
    }
    end(): void {}
    destroy(): void {}
  }
  const queue: (() => void)[] = []
  const connections = Array.from({ length: 5 }, () => {
    const socket = new SlowSocket()
    return { socket, stage: new OutputStage(socket, (run) => queue.push(run)), said: [] as number[] }
  })
  let next = 0
  for (let round = 0; round < 1500; round++) {
    const { socket, stage, said } = connections[randomInteger(random, connections.length)]! // cast: one of them
    const size = [1, 20, 3000, 60_000, 200_000][randomInteger(random, round % 50 === 0 ? 5 : 4)] ?? 1
    next = (next + 1) % 251
    stage.write(new Uint8Array(size).fill(next))
    said.push(next, size)
    if (random.float() < 0.3) for (const run of queue.splice(0)) run()
    if (random.float() < 0.3) socket.finishSome(randomInteger(random, 4))
  }
  for (const { socket, stage, said } of connections) {
    stage.flush()
    socket.finishSome(Infinity)
    const expected = Buffer.concat(said.flatMap((value, i) => (i % 2 === 0 ? [Buffer.alloc(said[i + 1] ?? 0, value)] : [])))
    assert.ok(Buffer.concat(socket.got).equals(expected), 'all of it, in order')
  }
})
