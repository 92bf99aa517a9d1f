// A pod stays five minutes on a node that isn't ready or can't be reached, unless it says otherwise.
// Upstream: plugin/pkg/admission/defaulttolerationseconds
import type { Toleration } from '../../../lib/api/generated/types/core-v1.ts'
import type { AdmissionPlugin } from './admission.ts'
import { asPod, isPodWrite, withPodSpec } from './pod-selection.ts'

const seconds = 300
const notReady = 'node.kubernetes.io/not-ready'
const unreachable = 'node.kubernetes.io/unreachable'

export const defaultTolerationSeconds: AdmissionPlugin = {
  name: 'DefaultTolerationSeconds',
  handles: isPodWrite,
  mutate(_request, object) {
    const pod = asPod(object)
    const have = pod.spec.tolerations ?? []
    const tolerates = (key: string): boolean => have.some((t) => (t.key === key || (t.key ?? '') === '') && (t.effect === 'NoExecute' || (t.effect ?? '') === ''))
    const added: Toleration[] = [notReady, unreachable].filter((key) => !tolerates(key)).map((key) => ({ key, operator: 'Exists', effect: 'NoExecute', tolerationSeconds: seconds }))
    return added.length === 0 ? pod : withPodSpec(pod, { tolerations: [...have, ...added] })
  },
}
