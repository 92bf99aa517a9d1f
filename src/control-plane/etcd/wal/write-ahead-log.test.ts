import { test } from 'node:test'
import assert from 'node:assert/strict'
import { seededRandom, randomInteger } from '../../../lib/base/random.ts'
import { silentLogger } from '../../../lib/component-base/log.ts'
import { SimulatedDisk } from '../../../lib/testing/simulated-disk.ts'
import { StorageError } from '../disk/disk.ts'
import { emptyConfState, type Entry, type HardState } from '../raft/messages.ts'
import type { SnapshotMark } from './raft-messages.ts'
import { readSnapshotMarks } from './read-log.ts'
import { WriteAheadLog, type RecoveredLog } from './write-ahead-log.ts'

const folder = '/wal'
const identity = { memberId: 0xabcdef0123456789n, clusterId: 7n }

function optionsOf(disk: SimulatedDisk): { disk: SimulatedDisk; folder: string; logger: typeof silentLogger; segmentBytes: number; zeroedBytes: number } {
  return { disk, folder, logger: silentLogger, segmentBytes: 6000, zeroedBytes: 2048 }
}

function entry(index: number, term: number, text = `${index} of ${term}`): Entry { return { type: 0, term, index, data: Buffer.from(text) } }
function state(term: number, commit: number, vote = 3n): HardState { return { term, vote, commit } }

async function reopen(disk: SimulatedDisk, snapshot: SnapshotMark = { index: 0, term: 0 }): Promise<RecoveredLog & { readonly replayed: string[] }> {
  const replayed: string[] = []
  const recovered = await WriteAheadLog.open({ ...optionsOf(disk), snapshot, replay: ({ index, data }) => { replayed.push(`${index}: ${Buffer.from(data).toString()}`) } })
  return { ...recovered, replayed }
}

const texts = (entries: readonly Entry[]): string[] => entries.map(({ index, data }) => `${index}: ${Buffer.from(data).toString()}`)

test('what is committed is replayed, what is not is the tail, and later entries replace it', async () => {
  const disk = new SimulatedDisk(seededRandom(1))
  {
    await using log = await WriteAheadLog.create(optionsOf(disk), { identity, entries: [entry(1, 1)], hardState: state(1, 1, 0n) })
    await log.append({ entries: [entry(2, 2), entry(3, 2), entry(4, 2)], hardState: state(2, 2) })
    await log.append({ entries: [entry(5, 2)], hardState: state(2, 5) })
  }
  {
    const { log, replayed, tail, hardState } = await reopen(disk)
    await using owned = log
    assert.deepEqual(replayed, ['1: 1 of 1', '2: 2 of 2', '3: 3 of 2', '4: 4 of 2'], 'a commit index never speaks of its own write')
    assert.deepEqual(texts(tail), ['5: 5 of 2'])
    assert.deepEqual(hardState, state(2, 4))
    assert.deepEqual(log.identity, identity)
    // A leader of term 3 has something else from 5 on; the commit index may not speak of it yet.
    await owned.append({ entries: [entry(5, 3), entry(6, 3)], hardState: state(3, 5) })
  }
  {
    const { log, replayed, tail, hardState } = await reopen(disk)
    await using owned = log
    assert.deepEqual([replayed, texts(tail), hardState], [['1: 1 of 1', '2: 2 of 2', '3: 3 of 2', '4: 4 of 2'], ['5: 5 of 3', '6: 6 of 3'], state(3, 4)])
    assert.equal(owned.lastIndex, 6)
    await owned.append({ entries: [], hardState: state(3, 6) })
  }
  const { log, replayed, tail } = await reopen(disk)
  await using owned = log
  void owned
  assert.deepEqual([replayed.at(-1), tail], ['6: 6 of 3', []])
})

test('what is behind the saved state is known after a restart, too', async () => {
  const disk = new SimulatedDisk(seededRandom(1))
  const mark = { index: 2, term: 2 }
  {
    await using log = await WriteAheadLog.create(optionsOf(disk), { identity, entries: [entry(1, 1)], hardState: state(1, 1) })
    await log.append({ entries: [entry(2, 2, 'x'.repeat(1000))], hardState: state(2, 2) })
    log.markSnapshot(mark)
    assert.equal(log.bytesSinceSnapshot, 0)
    await log.append({ entries: [entry(3, 2, 'y'.repeat(300)), entry(4, 2)], hardState: state(2, 2) })
    assert.ok(log.bytesSinceSnapshot >= 300)
  }
  const { log } = await reopen(disk, mark)
  await using owned = log
  assert.ok(owned.bytesSinceSnapshot >= 300 && owned.bytesSinceSnapshot < 1000, `${owned.bytesSinceSnapshot} bytes`)
})

test('a state from the leader takes the place of the log', async () => {
  const disk = new SimulatedDisk(seededRandom(1))
  const mark = { index: 100, term: 4, confState: { ...emptyConfState, voters: [1n, 2n, identity.memberId], learners: [9n] } }
  {
    await using log = await WriteAheadLog.create(optionsOf(disk), { identity, entries: [entry(1, 1)], hardState: state(1, 1) })
    await log.append({ entries: [entry(2, 2), entry(3, 2)], hardState: state(2, 1) })
    await log.append({ snapshot: mark, entries: [entry(101, 4)], hardState: state(4, 100) })
    await log.append({ entries: [entry(102, 4)], hardState: state(4, 101) })
  }
  assert.deepEqual(await readSnapshotMarks(disk, folder), [{ index: 0, term: 0 }, mark])
  const { log, replayed, tail } = await reopen(disk, mark)
  await using owned = log
  void owned
  assert.deepEqual([replayed, texts(tail)], [['101: 101 of 4'], ['102: 102 of 4']])
  await assert.rejects(reopen(disk), { reason: 'CorruptLog' }, 'without that state the log is of no use')
})

test('marks count only as far as the log knows of the commit', async () => {
  const disk = new SimulatedDisk(seededRandom(1))
  await using log = await WriteAheadLog.create(optionsOf(disk), { identity, entries: [entry(1, 1)], hardState: state(1, 1) })
  await log.append({ entries: [entry(2, 1), entry(3, 1)], hardState: state(1, 1) })
  log.markSnapshot({ index: 3, term: 1 })
  await log.append({ entries: [entry(4, 1)], hardState: state(1, 2) })
  assert.deepEqual((await readSnapshotMarks(disk, folder)).map(({ index }) => index), [0])
  await log.append({ entries: [], hardState: state(1, 3) })
  assert.deepEqual((await readSnapshotMarks(disk, folder)).map(({ index }) => index), [0, 3])
})

/** A follower's life: entries that come, are replaced and committed, in writes of several sizes. */
function script(seed: number): { readonly entries: readonly Entry[]; readonly hardState: HardState }[] {
  const random = seededRandom(seed)
  const batches: { readonly entries: readonly Entry[]; readonly hardState: HardState }[] = []
  let last = 1
  let commit = 1
  let term = 1
  for (let i = 0; i < 30; i++) {
    if (random.float() < 0.2) {
      term++
      last = commit + randomInteger(random, last - commit + 1)
    }
    const entries = Array.from({ length: randomInteger(random, 4) }, (_, j) => entry(last + 1 + j, term, 'x'.repeat(1 + randomInteger(random, 200))))
    last += entries.length
    commit += randomInteger(random, last - commit + 1)
    batches.push({ entries, hardState: state(term, commit) })
  }
  return batches
}

test('power cuts at every operation, with entries that are replaced: what was written is there, the commit index never runs ahead', async () => {
  let cuts = 0
  for (let at = 1; at < 60; at++) {
    const random = seededRandom(at)
    const disk = new SimulatedDisk(random)
    const log = await WriteAheadLog.create(optionsOf(disk), { identity, entries: [entry(1, 1)], hardState: state(1, 1) })
    let written: readonly Entry[] = [entry(1, 1)]
    let maybe: readonly Entry[] = written
    let vote = state(1, 1)
    let wanted = vote
    const off = new Promise<'off'>((resolve) => { disk.onPowerCut = () => resolve('off') })
    disk.cutPowerAt(at)
    const work = (async () => {
      for (const batch of script(at)) {
        const first = batch.entries[0]
        maybe = first ? [...written.filter(({ index }) => index < first.index), ...batch.entries] : written
        wanted = batch.hardState
        await log.append(batch)
        written = maybe
        vote = batch.hardState
        await log.afterWrite()
      }
      return 'done' as const
    })()
    if (await Promise.race([off, work]) === 'off') cuts++
    else await log[Symbol.asyncDispose]()
    const { log: again, replayed, tail, hardState } = await reopen(disk.isOff ? disk.reboot() : disk)
    await again[Symbol.asyncDispose]()
    const found = [...replayed, ...texts(tail)]
    const [whole, before] = [texts(maybe), texts(written)]
    // The write that was under way is there in part: from its first entry on, the old ones are gone.
    const common = whole.findIndex((text, i) => text !== before[i])
    const isPart = (expected: readonly string[]): boolean => found.every((text, i) => text === expected[i])
    assert.ok((isPart(before) && found.length === before.length) || (isPart(whole) && (common < 0 || found.length >= common)), `cut at ${at}: ${found.length} entries found, ${before.length} or ${whole.length} expected`)
    assert.ok(hardState.term >= vote.term && hardState.term <= wanted.term && replayed.length <= wanted.commit, `cut at ${at}: ${JSON.stringify([replayed.length, hardState.term])}`)
  }
  assert.ok(cuts > 30, `${cuts} cuts`)
})

test('a flipped bit in what a later write stands behind is named', async () => {
  const disk = new SimulatedDisk(seededRandom(1))
  {
    await using log = await WriteAheadLog.create({ ...optionsOf(disk), segmentBytes: 60_000 }, { identity, entries: [entry(1, 1)], hardState: state(1, 1) })
    // Nothing of it is committed: a follower that acknowledged it must not forget it.
    for (let i = 2; i < 12; i++) await log.append({ entries: [entry(i, 1, `${i}`.repeat(20))], hardState: state(1, 1) })
  }
  const path = disk.paths.find((name) => name.endsWith('.wal'))
  assert.ok(path)
  const whole = disk.peek(path)
  let end = whole.length
  while (whole[end - 1] === 0) end--
  let silent = 0
  for (let byte = 0; byte < end; byte += 3) {
    const bytes = Buffer.from(whole)
    bytes[byte]! ^= 1 << (byte % 8) // cast: below the length
    const copy = new SimulatedDisk(seededRandom(1))
    copy.poke(path, bytes)
    try {
      const { log, tail } = await reopen(copy)
      await log[Symbol.asyncDispose]()
      assert.equal(tail.at(-1)?.index, 11, `byte ${byte} of ${end}`)
      silent++
    } catch (error) {
      assert.ok(error instanceof StorageError && error.reason === 'CorruptLog', String(error))
    }
  }
  assert.ok(silent < 10, `${silent} were not noticed, though nothing is missing`)
})

test('a hard state that one bit makes an entry of takes nothing\'s place: no checksum covers the type of a record', async () => {
  for (const vote of [identity.memberId, 3n]) {
    const disk = new SimulatedDisk(seededRandom(1))
    {
      await using log = await WriteAheadLog.create({ ...optionsOf(disk), segmentBytes: 60_000 }, { identity, entries: [entry(1, 1)], hardState: state(1, 1, vote) })
      await log.append({ entries: [entry(2, 2), entry(3, 2)], hardState: state(2, 1, vote) })
      // As at a stop: only what is committed. Read as an entry, its index is that of the last one, and its type a membership change.
      await log.append({ entries: [], hardState: state(2, 3, vote) })
      await log.append({ entries: [entry(4, 2)], hardState: state(2, 3, vote) })
    }
    const path = disk.paths.find((name) => name.endsWith('.wal'))
    assert.ok(path)
    const whole = disk.peek(path)
    const states = Array.from({ length: Math.floor(whole.length / 8) }, (_, i) => i * 8).filter((at) => whole[at + 8] === 0x08 && whole[at + 9] === 3 && whole[at + 10] === 0x10)
    assert.equal(states.length, 4)
    // The vote stands where an entry's term would: a small one is only told by the hard states that follow.
    for (const at of vote === 3n ? states.slice(0, -1) : states) {
      const bytes = Buffer.from(whole)
      bytes[at + 9] = 2
      const copy = new SimulatedDisk(seededRandom(1))
      copy.poke(path, bytes)
      await assert.rejects(reopen(copy), (error: unknown) => error instanceof StorageError && error.reason === 'CorruptLog', `the state at byte ${at}, vote ${vote}`)
    }
  }
})

/** A log whose last write begins eight bytes before the end of a sector, with a record whose length is one bit. */
async function logWithHeadAlone(writesBehind: number): Promise<{ readonly disk: SimulatedDisk; readonly path: string; readonly head: number }> {
  for (let filler = 0; filler < 600; filler++) {
    const disk = new SimulatedDisk(seededRandom(1))
    {
      await using log = await WriteAheadLog.create({ ...optionsOf(disk), segmentBytes: 60_000 }, { identity, entries: [entry(1, 1)], hardState: state(1, 1) })
      await log.append({ entries: [entry(2, 1, 'f'.repeat(filler))], hardState: state(1, 1) })
      await log.append({ entries: [entry(3, 1, 'x'.repeat(128 - 18))], hardState: state(1, 1) })
      for (let i = 0; i < writesBehind; i++) await log.append({ entries: [entry(4 + i, 1)], hardState: state(1, 1) })
    }
    const path = disk.paths.find((name) => name.endsWith('.wal'))
    assert.ok(path)
    const bytes = disk.peek(path)
    for (let head = 504; head < bytes.length; head += 512) if (bytes.readUInt32LE(head) === 128 && bytes.includes('xxx', head) && bytes.indexOf('xxx') < head + 40) return { disk, path, head }
  }
  throw new Error('no such log was found')
}

test('a sector with nothing but the length of an unfinished write can be lost alone: that is no damage, unless a later write stands behind it', async () => {
  const last = await logWithHeadAlone(0)
  const whole = Buffer.from(last.disk.peek(last.path))
  const without = Buffer.from(whole)
  without.fill(0, last.head, last.head + 8)
  last.disk.poke(last.path, without)
  const { log, tail } = await reopen(last.disk)
  await log[Symbol.asyncDispose]()
  assert.deepEqual(tail.map(({ index }) => index), [2, 3], 'a whole entry is kept')
  assert.ok(last.disk.peek(last.path).equals(whole), 'the original reads the log too')

  const middle = await logWithHeadAlone(2)
  const damaged = Buffer.from(middle.disk.peek(middle.path))
  damaged.fill(0, middle.head, middle.head + 8)
  middle.disk.poke(middle.path, damaged)
  await assert.rejects(reopen(middle.disk), (error: unknown) => error instanceof StorageError && error.reason === 'CorruptLog')
})
