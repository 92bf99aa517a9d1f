// A new node takes no pods until somebody has seen that it is ready.
// Upstream: plugin/pkg/admission/nodetaint
import type { Node } from '../../../lib/api/generated/types/core-v1.ts'
import type { AdmissionPlugin } from './admission.ts'
import { isResource } from './admission.ts'

const taint = { key: 'node.kubernetes.io/not-ready', effect: 'NoSchedule' }

export const taintNodesByCondition: AdmissionPlugin = {
  name: 'TaintNodesByCondition',
  handles: (request) => request.operation === 'CREATE' && isResource(request, '', 'nodes'),
  mutate(_request, object) {
    const node = object as Node // cast: handles() has looked at the resource
    const taints = node.spec?.taints ?? []
    if (taints.some((t) => t.key === taint.key && t.effect === taint.effect)) return node
    return { ...node, spec: { ...node.spec, taints: [...taints, taint] } }
  },
}
