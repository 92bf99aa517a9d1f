// The table of strategies, one per served resource: what the API server's generic endpoints look up by `group/resource`.
// Upstream: pkg/registry/*/rest/storage_*.go
import { servedResources } from '../../../lib/api/generated/resources.ts'
import type { ApiObject } from '../../../lib/client/api-client.ts'
import { createStrategy } from './generic-strategy.ts'
import type { KindRules } from './generic-strategy.ts'
import { kindRules } from './kind-rules.ts'
import type { ResourceStrategy, StrategyTable } from './strategy.ts'

const noRules: KindRules<ApiObject> = {}

/** A resource that is served in several versions has the strategy of the version that is listed first, which is the preferred one. */
export function createStrategies(): StrategyTable {
  const table = new Map<string, ResourceStrategy>()
  for (const info of servedResources) {
    const key = `${info.group}/${info.resource}`
    if (!table.has(key)) table.set(key, createStrategy(info, kindRules[key] ?? noRules))
  }
  return table
}
