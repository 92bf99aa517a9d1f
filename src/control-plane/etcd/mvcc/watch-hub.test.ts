import { test } from 'node:test'
import assert from 'node:assert/strict'
import type { EtcdEvent } from '../../../lib/etcd-api/operations.ts'
import { MvccStore } from './mvcc-store.ts'
import { WatchHub, type HubWatch } from './watch-hub.ts'

const b = (text: string): Buffer => Buffer.from(text)

/** A store with its hub; what is deferred happens when `settle` says so. */
function world() {
  const store = new MvccStore({ attach: () => {}, detach: () => {} })
  const queue: (() => void)[] = []
  const hub = new WatchHub(store, (run) => queue.push(run), (run) => queue.push(run))
  const settle = (): void => { for (let next = queue.shift(); next; next = queue.shift()) next() }
  const put = (...keys: readonly string[]): void => {
    for (const key of keys) store.put(b(key), Buffer.alloc(100), 0n)
    store.commit()
  }
  const compact = (revision: number): void => {
    store.compact(revision)
    while (store.scrub(100, 1e6)) { /* in pieces */ }
  }
  return { store, hub, queue, settle, put, compact }
}

class Log {
  readonly lines: string[] = []
  readonly lists: (readonly EtcdEvent[])[] = []
  onEvents: (() => void) | undefined
  created(): void { this.lines.push('created') }
  events(events: readonly EtcdEvent[], revision: number): void {
    this.lines.push(events.length === 0 ? `progress ${revision}` : events.map((event) => event.kv.modRevision).join(' '))
    if (events.length > 0) this.lists.push(events)
    this.onEvents?.()
  }
  closed({ compactRevision }: { readonly compactRevision?: number }): void { this.lines.push(`closed ${compactRevision ?? ''}`) }
}

test('a watch that hears nothing because nothing matches is up to date: no compaction ends it when it is paused or the store is replaced', () => {
  const { store, hub, settle, put, compact } = world()
  const log = new Log()
  const watch = hub.watch({ key: b('quiet') }, log)
  settle()
  for (let i = 0; i < 10; i++) { put('busy'); hub.dispatch() }
  compact(store.revision)
  watch.pause()
  put('busy')
  put('quiet')
  hub.dispatch()
  watch.resume()
  settle()
  assert.deepEqual(log.lines, ['created', '13'])
  for (let i = 0; i < 10; i++) { put('busy'); hub.dispatch() }
  compact(store.revision)
  put('quiet')
  // As when a state comes from the leader: it holds what was never given out here.
  hub.storeReplaced()
  settle()
  assert.deepEqual(log.lines, ['created', '13', '24'])
  put('busy')
  put('busy')
  compact(store.revision)
  hub.storeReplaced()
  settle()
  assert.deepEqual(log.lines, ['created', '13', '24', 'closed 26'], 'what it has not heard of is compacted')
})

test('paused while events are given out: nothing is missed, nothing comes twice', () => {
  const { hub, settle, put } = world()
  const [first, second, other] = [new Log(), new Log(), new Log()]
  const watches: HubWatch[] = []
  // As on a stream that is full: whoever hears first pauses all.
  first.onEvents = () => { for (const watch of watches) watch.pause() }
  watches.push(hub.watch({ key: b('a') }, first), hub.watch({ key: b('a') }, second), hub.watch({ key: b('b') }, other))
  settle()
  put('a', 'b')
  put('b')
  hub.dispatch()
  put('c')
  put('a')
  hub.dispatch()
  for (let round = 0; round < 5; round++) {
    for (const watch of watches) { watch.resume(); watch.pause(); watch.resume() }
    settle()
  }
  assert.deepEqual([first.lines, second.lines, other.lines], [['created', '2', '5'], ['created', '2 5'], ['created', '2 3']])
})

test('progress is told to who has heard of everything: not to a watch that begins ahead of this member', () => {
  const { hub, settle, put } = world()
  const log = new Log()
  // Its client heard of revision 3 from another member.
  const watch = hub.watch({ key: b('a'), startRevision: 4, progressNotify: true }, log)
  settle()
  watch.requestProgress()
  hub.notifyProgress()
  hub.notifyProgress()
  put('a')
  hub.dispatch()
  settle()
  assert.deepEqual(log.lines, ['created'])
  put('a')
  put('a')
  hub.dispatch()
  settle()
  assert.deepEqual(log.lines, ['created', '4', 'progress 4'])
  hub.notifyProgress()
  hub.notifyProgress()
  assert.deepEqual(log.lines, ['created', '4', 'progress 4', 'progress 4'])
})

test('watches of one range that are behind at one place share what is read from history, in pieces', () => {
  const { hub, queue, settle, put } = world()
  const count = 5000
  for (let i = 0; i < count; i++) put(`a${i % 7}`)
  hub.dispatch()
  const logs = Array.from({ length: 15 }, () => new Log())
  for (const log of logs) hub.watch({ key: b('a'), rangeEnd: b('b'), startRevision: 2 }, log)
  queue.shift()?.()
  put('a')
  hub.dispatch()
  settle()
  const [one, ...others] = logs
  assert.ok(one)
  assert.deepEqual(one.lists.flat().map((event) => event.kv.modRevision), Array.from({ length: count + 1 }, (_, i) => i + 2))
  for (const list of one.lists) assert.ok(list.length <= 1400, `${list.length} events in a piece`)
  const shared = new Set(one.lists)
  for (const other of others) {
    assert.equal(other.lists.flat().length, count + 1)
    assert.ok(other.lists.every((list) => shared.has(list)), 'the same lists, which are encoded once')
  }
})
