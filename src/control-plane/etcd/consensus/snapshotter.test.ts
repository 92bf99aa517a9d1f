import { test } from 'node:test'
import assert from 'node:assert/strict'
import { isWorthSaving } from './snapshotter.ts'

const megabyte = 2 ** 20
const rule = { leastLogBytes: 4 * megabyte, pauseMs: 300_000 }

/** Writes a megabyte a second, of which `stateAfter` says what becomes of the state; gives what was saved, and what a start would have had to read at most, as a multiple of the state. */
function run(seconds: number, stateAfter: (writtenBytes: number) => number): { readonly saves: number; readonly savedPerWritten: number; readonly mostRead: number } {
  let [savedBytes, logBytes, savedMs, saves, allSavedBytes, mostRead] = [0, 0, -Infinity, 0, 0, 0]
  for (let second = 1; second <= seconds; second++) {
    logBytes += megabyte
    const stateBytes = stateAfter(second * megabyte)
    if (stateBytes > 2 * rule.leastLogBytes) mostRead = Math.max(mostRead, (savedBytes + logBytes) / stateBytes)
    if (!isWorthSaving({ ...rule, savedBytes, logBytes, stateBytes, sinceSavedMs: second * 1000 - savedMs })) continue
    saves++
    allSavedBytes += stateBytes
    ;[savedBytes, logBytes, savedMs] = [stateBytes, 0, second * 1000]
  }
  return { saves, savedPerWritten: allSavedBytes / (seconds * megabyte), mostRead }
}

test('a store that only grows is saved once it is worth a file, and then only every few minutes and when it has doubled', () => {
  const quick = run(299, (written) => written)
  assert.equal(quick.saves, 1, 'nothing would be gained by more')
  assert.ok(quick.savedPerWritten < 0.02)
  assert.equal(quick.mostRead, 1)
  const long = run(6000, (written) => written)
  assert.ok(long.saves >= 4 && long.saves <= 6, `${long.saves} saves of what doubles every time`)
})

test('a store that stays as large as it is: a start reads at most half as much again, and two bytes are saved for one of the log', () => {
  const steady = run(6000, (written) => Math.min(written, 200 * megabyte))
  assert.ok(steady.mostRead <= 1.51, `a start reads ${steady.mostRead} times the state`)
  assert.ok(steady.savedPerWritten <= 2, `${steady.savedPerWritten} bytes for one`)
  assert.ok(steady.saves > 50)
})

test('a small store waits for the least length of the log', () => {
  const small = run(400, () => 1000)
  assert.equal(small.saves, 100)
})
