// How fast nodes may be evicted, zone by zone. When much of a zone is silent at once, the network is the likelier culprit than the nodes: eviction slows
// down or stops; when everything is silent, it is we who are cut off, and nothing is evicted at all.
// Upstream: kubernetes/pkg/controller/nodelifecycle (ComputeZoneState, handleDisruption)
import type { Node } from '../../../../lib/api/generated/types/core-v1.ts'
import type { ControllerSettings } from '../shared/settings.ts'

export type ZoneState = 'Normal' | 'PartialDisruption' | 'FullDisruption'

export interface Zone {
  readonly state: ZoneState
  /** Nodes that may be evicted now; at most one is saved up. */
  readonly tokens: number
  readonly refilledMs: number
}

export function zoneOf(node: Node): string {
  const labels = node.metadata.labels ?? {}
  const region = labels['topology.kubernetes.io/region'] ?? labels['failure-domain.beta.kubernetes.io/region'] ?? ''
  const zone = labels['topology.kubernetes.io/zone'] ?? labels['failure-domain.beta.kubernetes.io/zone'] ?? ''
  return `${region}:${zone}`
}

export function zoneStateOf(ready: number, notReady: number, unhealthyZoneThreshold: number): ZoneState {
  if (ready === 0 && notReady > 0) return 'FullDisruption'
  if (notReady > 2 && notReady / (notReady + ready) >= unhealthyZoneThreshold) return 'PartialDisruption'
  return 'Normal'
}

/** Nodes per second. */
function rateOf(state: ZoneState, size: number, settings: ControllerSettings): number {
  switch (state) {
    case 'Normal': case 'FullDisruption': return settings.nodeEvictionRate
    case 'PartialDisruption': return size > settings.largeClusterSizeThreshold ? settings.secondaryNodeEvictionRate : 0
  }
}

export function refillZone(old: Zone | undefined, state: ZoneState, size: number, settings: ControllerSettings, now: number): Zone {
  const rate = rateOf(state, size, settings)
  if (!old) return { state, tokens: 1, refilledMs: now }
  return { state, tokens: Math.min(1, old.tokens + ((now - old.refilledMs) / 1000) * rate), refilledMs: now }
}

/** True when a node of the zone may be evicted now. */
export function mayEvict(zone: Zone, size: number, settings: ControllerSettings): boolean {
  // Ten seconds at a tenth per second make one, whatever binary fractions say.
  return zone.tokens >= 1 - 1e-6 && rateOf(zone.state, size, settings) > 0
}
