import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JsonObject } from '../../lib/base/json.ts'
import type { Plugin } from './framework/plugin.ts'
import { builtInPlugins, defaultPlugins } from './plugins/registry.ts'
import { buildProfiles, ConfigurationError, readSchedulerConfiguration } from './scheduler-configuration.ts'

const file = (more: JsonObject): JsonObject => ({ apiVersion: 'kubescheduler.config.k8s.io/v1', kind: 'KubeSchedulerConfiguration', ...more })
const names = (list: readonly { readonly plugin: Plugin }[]): string[] => list.map((e) => e.plugin.name)

test('without a configuration there is one profile with the default plugins and weights', () => {
  const [profile, ...others] = buildProfiles()
  assert.equal(profile?.schedulerName, 'default-scheduler')
  assert.deepEqual(others, [])
  assert.deepEqual(profile.points.score.map((e) => `${e.plugin.name}=${e.weight}`), ['TaintToleration=3', 'NodeAffinity=2', 'NodeResourcesFit=1', 'PodTopologySpread=2', 'InterPodAffinity=2', 'NodeResourcesBalancedAllocation=1', 'ImageLocality=1'])
  assert.deepEqual(names(profile.points.bind), ['DefaultBinder'])
  assert.equal(defaultPlugins.length, builtInPlugins.size)
})

test('plugins are disabled, re-weighted and added, everywhere or at one point', () => {
  const mine: Plugin = { name: 'Mine', filter: () => undefined, score: () => 50 }
  const [profile] = buildProfiles({ profiles: [{ schedulerName: 'own', plugins: {
    multiPoint: { enabled: [{ name: 'Mine', weight: 9 }], disabled: [{ name: 'ImageLocality' }] },
    score: { disabled: [{ name: 'NodeAffinity' }], enabled: [{ name: 'TaintToleration', weight: 8 }] },
    postFilter: { disabled: [{ name: '*' }] } } }] }, new Map([...builtInPlugins, ['Mine', () => mine]]))
  assert.ok(profile)
  assert.deepEqual(profile.points.score.map((e) => `${e.plugin.name}=${e.weight}`), ['TaintToleration=8', 'NodeResourcesFit=1', 'PodTopologySpread=2', 'InterPodAffinity=2', 'NodeResourcesBalancedAllocation=1', 'Mine=9'])
  assert.ok(names(profile.points.filter).includes('NodeAffinity'), 'it still filters')
  assert.equal(names(profile.points.filter).at(-1), 'Mine')
  assert.deepEqual(names(profile.points.postFilter), [])
})

const bad: readonly (readonly [string, JsonObject, RegExp])[] = [
  ['another kind', { apiVersion: 'v1', kind: 'ConfigMap' }, /no kind "ConfigMap" is registered/],
  ['an unknown field', file({ profilez: [] }), /unknown field "profilez"/],
  ['an unknown field of a profile', file({ profiles: [{ plugin: {} }] }), /unknown field "profiles\[0\]\.plugin"/],
  ['a percentage above 100', file({ percentageOfNodesToScore: 101 }), /not in valid range \[0-100\]/],
  ['two profiles of one name', file({ profiles: [{}, { schedulerName: 'default-scheduler' }] }), /Duplicate value: "default-scheduler"/],
  ['a backoff that shrinks', file({ podInitialBackoffSeconds: 5, podMaxBackoffSeconds: 2 }), /must be greater than or equal/],
  ['profiles that are no list', file({ profiles: { a: 1 } }), /must be a list of objects/],
]
for (const [what, value, message] of bad) {
  test(`the configuration is refused for ${what}`, () => assert.throws(() => readSchedulerConfiguration(value), (error) => error instanceof ConfigurationError && message.test(error.message)))
}

test('a plugin nobody knows, and one at a point it has nothing for, are refused', () => {
  assert.throws(() => buildProfiles({ profiles: [{ plugins: { filter: { enabled: [{ name: 'Nope' }] } } }] }), /plugin "Nope" is not registered/)
  assert.throws(() => buildProfiles({ profiles: [{ plugins: { permit: { enabled: [{ name: 'NodeName' }] } } }] }), /"NodeName" does not extend permit plugin/)
  assert.throws(() => buildProfiles({ profiles: [{ plugins: { queueSort: { disabled: [{ name: '*' }] } } }] }), /exactly one queue sort plugin/)
})
