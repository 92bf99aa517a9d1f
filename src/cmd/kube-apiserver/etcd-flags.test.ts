import { test } from 'node:test'
import assert from 'node:assert/strict'
import { parseWatchCacheSizes, uncachedResources } from './etcd-flags.ts'

test('which resources are read from etcd', () => {
  const uncached = (cache: boolean, ...sizes: readonly string[]): readonly string[] => {
    const is = uncachedResources({ 'watch-cache': cache, 'watch-cache-sizes': sizes })
    return [['', 'pods'], ['', 'secrets'], ['apps', 'deployments']].filter(([group = '', resource = '']) => is?.(group, resource)).map(([, resource = '']) => resource)
  }
  assert.deepEqual(uncached(true), [])
  assert.deepEqual(uncached(false, 'pods#100'), ['pods', 'secrets', 'deployments'])
  assert.deepEqual(uncached(true, 'pods#0', 'secrets#100', 'deployments.apps#0'), ['pods', 'deployments'])
  assert.deepEqual(uncached(true, 'pods#0', 'pods#7'), [])
})

test('sizes that are none', () => {
  for (const [text, message] of [['pods', 'invalid value'], ['pods#1#2', 'invalid value'], ['pods#', 'invalid size'], ['pods#x', 'invalid size'], ['pods#-1', 'cannot be negative']] as const) {
    assert.match(String(parseWatchCacheSizes([text])), new RegExp(`^--watch-cache-sizes: .*${message}.*: ${text}$`))
  }
})
