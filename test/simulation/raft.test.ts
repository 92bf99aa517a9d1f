// Raft under every kind of bad luck that a seed can think of, with its invariants checked after each step; and control builds, each with one rule
// switched off, which the same checks must catch: a check that can't fail proves nothing.
//
// RAFT_SEEDS=10000 runs more seeds, RAFT_SEED=123 one alone.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SimulatedCluster, type BrokenRule, type SimulationStatistics } from './raft-cluster.ts'

const sizes = [1, 3, 5] as const
const sizeOf = (seed: number): number => sizes[seed % sizes.length] ?? 3
const rounds = 300
// Every fourth story is a storm: short reigns, one entry a message.
const isStormy = (seed: number): boolean => seed % 4 === 3

function runSeed(seed: number, size: number, broken?: BrokenRule): SimulationStatistics {
  try {
    return new SimulatedCluster({ seed, size, rounds, storm: broken === undefined ? isStormy(seed) : seed % 2 === 1, ...(broken && { broken }) }).run()
  } catch (error) {
    throw new Error(`seed ${seed}, ${size} members`, { cause: error })
  }
}

test('clusters of 1, 3 and 5 members keep the invariants under any weather', () => {
  const only = process.env['RAFT_SEED']
  const seeds = only === undefined ? Array.from({ length: Number(process.env['RAFT_SEEDS'] ?? 600) }, (_, i) => i) : [Number(only)]
  const total: Record<string, number> = {}
  for (const seed of seeds) for (const [name, count] of Object.entries(runSeed(seed, sizeOf(seed)))) total[name] = (total[name] ?? 0) + count
  console.log(`${seeds.length} seeds: ${JSON.stringify(total)}`)
  // The stories are about something.
  for (const name of ['elections', 'commits', 'crashes', 'reads', 'membershipChanges', 'snapshotsInstalled']) {
    if (seeds.length >= 300) assert.ok((total[name] ?? 0) > seeds.length / 2, `${name} happen`)
  }
})

const brokenRules: readonly BrokenRule[] = [
  'voteWithoutLogCheck', 'commitOlderTermByCount', 'acknowledgeBeforePersisting', 'readWithoutQuorum', 'forgetVote', 'appendWithoutPreviousCheck',
  'hardStateBeforeEntries', 'countOwnUnwrittenEntries', 'overlappingMembershipChanges',
]

for (const broken of brokenRules) {
  test(`control build ${broken} is caught`, () => {
    for (let seed = 0; seed < 2000; seed++) {
      try {
        runSeed(seed, seed % 4 < 2 ? 5 : 3, broken)
      } catch (error) {
        const { cause } = error as Error // cast: runSeed throws Error only
        console.log(`${broken}: seed ${seed}: ${String(cause)}`)
        return
      }
    }
    assert.fail('no seed noticed')
  })
}
