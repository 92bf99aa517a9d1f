// What happens in the cluster, as far as it can make a refused pod schedulable. Each plugin says which of these could lift its refusal.
// Upstream: kube-scheduler framework/events.go, types.go (ClusterEvent)

export type EventResource = 'AssignedPod' | 'UnscheduledPod' | 'Node' | 'PersistentVolume' | 'PersistentVolumeClaim' | 'StorageClass' | 'CSINode' | 'Namespace' | 'Service' | '*'
export type EventAction = 'Add' | 'Delete' | 'Update' | 'UpdateNodeAllocatable' | 'UpdateNodeLabel' | 'UpdateNodeTaint' | 'UpdateNodeCondition' | 'UpdateNodeImages'
  | 'UpdatePodLabel' | 'UpdatePodScaleDown' | 'UpdatePodSchedulingGatesEliminated' | 'UpdatePodToleration' | '*'

export interface ClusterEvent {
  readonly resource: EventResource
  readonly action: EventAction
  /** For logs. */
  readonly label: string
}

export const clusterEvent = (resource: EventResource, action: EventAction): ClusterEvent => ({ resource, action, label: `${resource}${action}` })

/** The objects behind an event, where there are any. */
export interface EventObjects {
  readonly old?: unknown
  readonly new?: unknown
}

/** True when an event of kind `happened` is one of those that `registered` names. */
export function eventMatches(registered: { readonly resource: EventResource; readonly action: EventAction }, happened: ClusterEvent): boolean {
  const resource = registered.resource === '*' || happened.resource === '*' || registered.resource === happened.resource
  const action = registered.action === '*' || happened.action === '*' || registered.action === happened.action
    || (registered.action === 'Update' && happened.action.startsWith('Update'))
  return resource && action
}
