import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SimulatedClock } from '../testing/simulated-clock.ts'
import { createWorkQueue } from './work-queue.ts'

test('a key is handed out once at a time, and again when it was added while being worked on', async () => {
  const queue = createWorkQueue({ clock: new SimulatedClock() })
  queue.add('a')
  queue.add('a')
  assert.equal(await queue.get(), 'a')
  queue.add('a')
  assert.equal(queue.length, 0)
  queue.done('a')
  assert.equal(await queue.get(), 'a')
  queue.done('a')
  assert.equal(queue.length, 0)
})

test('a failing key waits 5 ms, then twice as long each time, until it is forgotten', async () => {
  const clock = new SimulatedClock()
  const queue = createWorkQueue({ clock })
  for (const delayMs of [5, 10, 20]) {
    queue.addRateLimited('a')
    await clock.advance(delayMs - 1)
    assert.equal(queue.length, 0)
    await clock.advance(1)
    assert.equal(await queue.get(), 'a')
    queue.done('a')
  }
  queue.forget('a')
  assert.equal(queue.failures('a'), 0)
  queue.shutDown()
  assert.equal(await queue.get(), undefined)
})

test('an earlier delayed add wins over a later one', async () => {
  const clock = new SimulatedClock()
  const queue = createWorkQueue({ clock })
  queue.addAfter('a', 1000)
  queue.addAfter('a', 10)
  queue.addAfter('a', 5000)
  await clock.advance(10)
  assert.equal(queue.length, 1)
  assert.equal(queue.delayed, 0)
})
