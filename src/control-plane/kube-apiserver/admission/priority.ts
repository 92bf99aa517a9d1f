// Priority classes become numbers: a pod's class by name, or the global default, or zero. Among classes only one may be the default.
// Upstream: plugin/pkg/admission/priority
import type { PriorityClass } from '../../../lib/api/generated/types/scheduling-v1.ts'
import { priorityClasses } from '../../../lib/client/resource-keys.ts'
import { forbidden } from '../endpoints/api-errors.ts'
import type { ServedResource } from '../endpoints/served-resource.ts'
import { cachedKind } from '../endpoints/server-context.ts'
import { objectKey } from '../storage/storage-keys.ts'
import type { AdmissionPlugin } from './admission.ts'
import { isResource } from './admission.ts'
import { asPod, isPodWrite, withPodSpec } from './pod-selection.ts'

const group = 'scheduling.k8s.io'

export function priority(stored: ReadonlyMap<string, ServedResource>): AdmissionPlugin {
  const classes = cachedKind(stored, priorityClasses)
  const globalDefault = (): PriorityClass | undefined => classes.list().filter((c) => c.globalDefault).toSorted((a, b) => a.value - b.value)[0]
  return {
    name: 'Priority',
    handles: (request) => isPodWrite(request) || ((request.operation === 'CREATE' || request.operation === 'UPDATE') && isResource(request, group, 'priorityclasses')),
    async mutate(request, object) {
      if (!isPodWrite(request)) return object
      const pod = asPod(object)
      if (request.operation === 'UPDATE') {
        // Once given, a priority stays, though an update that leaves it out isn't wrong.
        const old = request.oldObject && asPod(request.oldObject)
        if (!old) return pod
        const { priority: oldPriority, preemptionPolicy } = old.spec
        if (pod.spec.priority === undefined && oldPriority !== undefined && pod.spec.priorityClassName === old.spec.priorityClassName) return withPodSpec(pod, { priority: oldPriority, ...(pod.spec.preemptionPolicy === undefined && preemptionPolicy !== undefined && { preemptionPolicy }) })
        return pod
      }
      const name = pod.spec.priorityClassName ?? ''
      const refuse = (why: string): Error => forbidden({ group: '', resource: 'pods' }, request.name, why)
      let chosen: PriorityClass | undefined
      if (name === '') chosen = globalDefault()
      else {
        chosen = classes.get('', name) ?? ((await stored.get(`${group}/priorityclasses`)?.store.get(objectKey('', name), request.signal))?.object as PriorityClass | undefined) // cast: the classes' store
        if (!chosen) throw refuse(`no PriorityClass with name ${name} was found`)
      }
      const value = chosen?.value ?? 0
      const policy = chosen?.preemptionPolicy ?? 'PreemptLowerPriority'
      if (pod.spec.priority !== undefined && pod.spec.priority !== value) throw refuse(`the integer value of priority (${pod.spec.priority}) must not be provided in pod spec; priority admission controller computed ${value} from the given PriorityClass name`)
      if (pod.spec.preemptionPolicy !== undefined && pod.spec.preemptionPolicy !== policy) throw refuse(`the string value of PreemptionPolicy (${pod.spec.preemptionPolicy}) must not be provided in pod spec; priority admission controller computed ${policy} from the given PriorityClass name`)
      return withPodSpec(pod, { ...(chosen && { priorityClassName: chosen.metadata.name }), priority: value, preemptionPolicy: policy })
    },
    validate(request) {
      if (!isResource(request, group, 'priorityclasses')) return
      const wanted = request.object as PriorityClass | undefined // cast: handles() has looked at the resource
      if (!wanted?.globalDefault) return
      const current = globalDefault()
      if (current && current.metadata.name !== wanted.metadata.name) throw forbidden({ group, resource: 'priorityclasses' }, request.name, `PriorityClass ${current.metadata.name} is already marked as globalDefault. Only one PriorityClass can be marked as globalDefault`)
    },
  }
}
