// The claims a pod names, as `namespace/name`: so that ReadWriteOncePod can be checked without looking at all pods.
import type { PodInfo } from '../framework/pod-info.ts'

export function claimKeysOf(pod: PodInfo): readonly string[] {
  return pod.template.volumes.flatMap(({ persistentVolumeClaim }) => (persistentVolumeClaim ? [`${pod.namespace}/${persistentVolumeClaim.claimName}`] : []))
}
