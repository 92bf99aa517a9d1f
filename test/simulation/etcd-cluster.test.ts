// Simulated lives of clusters, by seed. K8TS_SEEDS=<count> runs more of them, K8TS_SEED=<first> others.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { simulateEtcdCluster, type ClusterControlFault, type ClusterSimulationCounts } from './etcd-cluster-simulation.ts'
import { useQuickTurns } from './quick-turns.ts'

useQuickTurns()
const firstSeed = Number(process.env['K8TS_SEED'] ?? 1)
const seeds = Number(process.env['K8TS_SEEDS'] ?? 1000)

test(`${seeds} seeds of 1, 3 and 5 members: crashes at every write, flipped bits, partitions, loss, delays, stalls, clock jumps, slow disks, membership changes`, async (t) => {
  const sum: Partial<ClusterSimulationCounts> & { [size: string]: number } = {}
  for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
    const { violations, counts, size } = await simulateEtcdCluster(seed)
    assert.deepEqual(violations, [], `seed ${seed}`)
    sum[`of ${size}`] = (sum[`of ${size}`] ?? 0) + 1
    for (const [name, count] of Object.entries(counts)) sum[name] = (sum[name] ?? 0) + count
  }
  t.diagnostic(JSON.stringify(sum))
  const { crashes = 0, partitions = 0, membershipChanges = 0, acknowledged = 0, operations = 0 } = sum
  assert.ok(crashes > seeds && partitions > seeds && membershipChanges > seeds / 4 && acknowledged > operations / 2, `it went through what it is about: ${JSON.stringify(sum)}`)
})

test('the same seed gives the same run', async () => {
  for (let seed = firstSeed; seed < firstSeed + 6; seed++) assert.deepEqual(await simulateEtcdCluster(seed), await simulateEtcdCluster(seed), `seed ${seed}`)
})

const controls: { readonly [fault in ClusterControlFault]: RegExp } = {
  'early-acknowledgement': /acknowledged, but|was heard of|refuses its own data|nobody asked|stale|differs|goes back|ended by itself|holds/,
  'read-without-quorum': /stale/,
  'dropped-event': /is not (resumable|reliable|atomic)/,
  'forgotten-lease': /holds|lease/,
  'diverged-member': /holds|differs|is not|changed/,
}

for (const [fault, expected] of Object.entries(controls)) {
  test(`control: ${fault} is noticed`, async () => {
    const found: string[] = []
    for (let seed = 1; seed <= 60 && !found.some((text) => expected.test(text)); seed++) found.push(...(await simulateEtcdCluster(seed, fault as ClusterControlFault)).violations) // cast: a key of the table
    assert.ok(found.some((text) => expected.test(text)), `noticed: ${found.slice(0, 3).join('; ')}`)
  })
}
