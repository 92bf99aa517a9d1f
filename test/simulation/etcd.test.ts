// Simulated lives of an etcd, by seed. K8TS_SEEDS=<count> runs more of them, K8TS_SEED=<first> others.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { simulateEtcd, type ControlFault } from './etcd-simulation.ts'
import { useQuickTurns } from './quick-turns.ts'

useQuickTurns()
const firstSeed = Number(process.env['K8TS_SEED'] ?? 1)
const seeds = Number(process.env['K8TS_SEEDS'] ?? 1000)

test(`${seeds} seeds: crashes, torn and lost writes, failing and slow disks, flipped bits, jumping clocks`, async (t) => {
  const sum = { operations: 0, crashes: 0, flips: 0, refusedFlips: 0 }
  for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
    const result = await simulateEtcd(seed)
    assert.deepEqual(result.violations, [], `seed ${seed}`)
    for (const name of ['operations', 'crashes', 'flips', 'refusedFlips'] as const) sum[name] += result[name]
  }
  t.diagnostic(JSON.stringify(sum))
  assert.ok(sum.crashes > seeds * 0.8 && sum.refusedFlips > sum.flips / 2, `it went through what it is about: ${JSON.stringify(sum)}`)
})

test('the same seed gives the same run', async () => {
  for (let seed = firstSeed; seed < firstSeed + 15; seed++) assert.deepEqual(await simulateEtcd(seed), await simulateEtcd(seed), `seed ${seed}`)
  assert.notEqual((await simulateEtcd(firstSeed)).trace, (await simulateEtcd(firstSeed + 1)).trace)
})

const controls: { readonly [fault in ControlFault]: RegExp } = {
  'early-acknowledgement': /lost|was heard of|was acknowledged/,
  'ignored-checksum': /is flipped: (?!an unnamed)/,
  'dropped-event': /is not (resumable|reliable|atomic)|has no change|follows revision/,
  'forgotten-lease': /lease .* (is gone|ended before)/,
}
for (const [fault, expected] of Object.entries(controls)) {
  test(`control: ${fault} is noticed`, async () => {
    const found: string[] = []
    for (let seed = firstSeed; seed < firstSeed + 300 && !found.some((text) => expected.test(text)); seed++) found.push(...(await simulateEtcd(seed, fault as ControlFault)).violations) // cast: a name of the table
    assert.ok(found.some((text) => expected.test(text)), `noticed ${JSON.stringify(found.slice(0, 3))}`)
  })
}
