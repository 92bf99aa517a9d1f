// A volume that is in one zone can be used there only. Upstream: plugins/volumezone
import { labelOf } from '../framework/labels.ts'
import type { Plugin } from '../framework/plugin.ts'
import { stateKey } from '../framework/cycle-state.ts'
import { skip, status } from '../framework/status.ts'
import { claimsOf, volumeOf } from './volume-claims.ts'

const keys = ['topology.kubernetes.io/zone', 'topology.kubernetes.io/region', 'failure-domain.beta.kubernetes.io/zone', 'failure-domain.beta.kubernetes.io/region']
const stable = new Map([[keys[2], keys[0]], [keys[3], keys[1]]])
const refusal = status('unresolvable', 'node(s) had no available volume zone')
interface Demand { readonly key: string; readonly values: readonly string[] }
const demandsKey = stateKey<{ readonly demands: readonly Demand[] }>('PreFilterVolumeZone')

export function volumeZone(): Plugin {
  return {
    name: 'VolumeZone',
    preFilter(state, pod, cluster) {
      const demands: Demand[] = []
      for (const { claim } of claimsOf(pod, cluster.objects)) {
        const labels = claim && volumeOf(claim, cluster.objects)?.metadata.labels
        for (const key of keys) {
          const value = labelOf(labels, key)
          if (value !== undefined) demands.push({ key, values: value.split('__') })
        }
      }
      if (demands.length === 0) return { status: skip }
      state.write(demandsKey, { demands })
      return undefined
    },
    filter(state, _pod, { node }) {
      const labels = node.metadata.labels
      if (!keys.some((key) => labelOf(labels, key) !== undefined)) return undefined
      for (const { key, values } of state.read(demandsKey)?.demands ?? []) {
        const value = labelOf(labels, key) ?? labelOf(labels, stable.get(key) ?? key)
        if (value === undefined || !values.includes(value)) return refusal
      }
      return undefined
    },
    eventsToRegister: () => [
      { resource: 'StorageClass', action: 'Add' }, { resource: 'Node', action: 'Add' }, { resource: 'Node', action: 'UpdateNodeLabel' },
      { resource: 'PersistentVolumeClaim', action: 'Add' }, { resource: 'PersistentVolumeClaim', action: 'Update' }, { resource: 'PersistentVolume', action: 'Add' }, { resource: 'PersistentVolume', action: 'Update' },
    ],
  }
}
