// Watches that share: whatever the order in which they come, go, fall behind and become one, each of them is told every event of its time, once.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { randomInteger, seededRandom, type Random } from '../../../lib/base/random.ts'
import type { ResponseHeader, WatchResponse } from '../../../lib/etcd-api/generated/types.ts'
import { EventBatch, SharedWatch, WatchGroup, type Receiver } from './shared-watch.ts'

class Listener implements Receiver {
  readonly token = ''
  readonly start: number
  next: number
  shared: SharedWatch | undefined
  readonly heard: number[] = []
  compacted = false
  told = 0

  constructor(start: number) {
    this.start = start
    this.next = start
  }

  events(batch: EventBatch): void {
    for (const { kv } of batch.events) if ((kv?.modRevision ?? 0) >= this.next) this.heard.push(kv?.modRevision ?? 0)
    this.next = Math.max(this.next, batch.lastRevision + 1)
  }

  progress(header: ResponseHeader): void { this.told = header.revision ?? 0 }
  canceled({ compactRevision = 0 }: WatchResponse): void { this.compacted = compactRevision > 0 }
  lostLeader(): void {}
}

/** A member with a key that is written at some of its revisions, and the proxy's watches of it. */
class World {
  readonly written: number[] = []
  revision = 1
  compacted = 0
  readonly open = new Map<SharedWatch, number>()
  readonly group: WatchGroup
  readonly listeners = new Set<Listener>()

  constructor() {
    this.group = new WatchGroup({ key: Uint8Array.of(1), rangeEnd: undefined, open: (shared) => this.open.set(shared, shared.next), coalesced: () => {}, empty: () => {} })
  }

  /** Closed ones hear nothing. */
  live(): SharedWatch[] {
    for (const shared of this.open.keys()) if (!this.group.shared.has(shared)) this.open.delete(shared)
    return [...this.open.keys()]
  }

  write(touches: boolean): void {
    this.revision++
    if (touches) this.written.push(this.revision)
  }

  /** At most `most` revisions. */
  deliver(shared: SharedWatch, most: number): void {
    const from = this.open.get(shared) ?? 0
    if (from < this.compacted) { this.open.delete(shared); shared.canceled({ canceled: true, compactRevision: this.compacted }, false); return }
    const events = this.written.filter((revision) => revision >= from).slice(0, most)
    const last = events.at(-1)
    if (last === undefined) { shared.caughtUpWith({ revision: this.revision }, true); this.open.set(shared, Math.max(from, this.revision + 1)); return }
    this.open.set(shared, last + 1)
    shared.deliver(new EventBatch({ revision: this.revision }, events.map((modRevision) => ({ kv: { modRevision } }))))
  }

  settle(): void { for (let i = 0; i < 5; i++) for (const shared of this.live()) this.deliver(shared, 1000) }
}

function step(world: World, random: Random): void {
  const live = world.live()
  const listeners = [...world.listeners]
  const one = listeners[randomInteger(random, listeners.length || 1)]
  const shared = live[randomInteger(random, live.length || 1)]
  switch (randomInteger(random, 12)) {
    case 0: case 1: case 2: world.write(random.float() < 0.6); break
    case 3: case 4: case 5: case 6: if (shared) world.deliver(shared, 1 + randomInteger(random, 3)); break
    case 7: case 8: {
      const listener = new Listener(random.float() < 0.5 ? world.revision + 1 : world.compacted + 1 + randomInteger(random, world.revision + 5))
      world.listeners.add(listener)
      world.group.add(listener)
      break
    }
    // Too slow for a while.
    case 9: if (one?.shared) world.group.remove(one); else if (one && !one.compacted) world.group.add(one); break
    // The connection breaks: each goes on behind what it has told.
    case 10: for (const each of live) world.open.set(each, each.next); break
    default: if (random.float() < 0.2) world.compacted = Math.max(world.compacted, world.revision - 3)
  }
}

function play(seed: number): World {
  const random = seededRandom(seed)
  const world = new World()
  for (let i = 0; i < 300; i++) step(world, random)
  for (const listener of world.listeners) if (!listener.shared && !listener.compacted) world.group.add(listener)
  world.settle()
  return world
}

function check(world: World, seed: number): void {
  for (const { start, heard, compacted } of world.listeners) {
    const expected = world.written.filter((revision) => revision >= start)
    if (compacted) assert.deepEqual(heard, expected.slice(0, heard.length), `seed ${seed}: from ${start}, until it was compacted`)
    else assert.deepEqual(heard, expected, `seed ${seed}: from ${start}`)
  }
}

test('each watch hears every event of its time once, whatever comes between; in the end one watch at the member is enough', () => {
  let most = 0
  for (let seed = 1; seed <= 300; seed++) {
    const world = play(seed)
    check(world, seed)
    most = Math.max(most, world.listeners.size)
    const still = [...world.listeners].some(({ compacted }) => !compacted)
    assert.equal(world.live().length, still ? 1 : 0, `seed ${seed}: everybody has caught up`)
  }
  assert.ok(most > 30)
})

test('a proxy that moved watches without looking who has told more would be found out', () => {
  const { takeFrom } = SharedWatch.prototype
  SharedWatch.prototype.takeFrom = function (this: SharedWatch, other: SharedWatch) {
    // The wrong way round: those who have heard less join the one that has told more.
    takeFrom.call(this, other)
    const least = Math.min(this.next, other.next)
    if (least < Math.max(this.next, other.next)) this.next = Math.max(this.next, other.next)
    for (const receiver of this.receivers) receiver.next = Math.max(receiver.next, this.next)
  }
  try {
    assert.throws(() => { for (let seed = 1; seed <= 300; seed++) check(play(seed), seed) })
  } finally {
    SharedWatch.prototype.takeFrom = takeFrom
  }
})

test('a watch from now on joins one that has caught up; one from the past gets its own until it has', () => {
  const world = new World()
  for (let i = 0; i < 10; i++) world.write(true)
  const add = (start: number): Listener => { const listener = new Listener(start); world.listeners.add(listener); world.group.add(listener); return listener }
  const [first] = [add(12)]
  world.settle()
  const many = Array.from({ length: 100 }, () => add(12))
  assert.equal(world.live().length, 1)
  const past = add(3)
  const alsoPast = add(3)
  assert.equal(past.shared, alsoPast.shared, 'who asks the same of the past shares that too')
  assert.equal(world.live().length, 2)
  world.write(true)
  world.settle()
  assert.equal(world.live().length, 1)
  assert.equal(past.heard.length, 10)
  for (const listener of [first, ...many]) assert.deepEqual(listener?.heard, [12])
})
