// Taints keep pods away from a node; tolerations let them on all the same. Upstream: component-helpers/scheduling/corev1
import type { Taint, Toleration } from '../../../lib/api/generated/types/core-v1.ts'

export function tolerates(toleration: Toleration, taint: Taint): boolean {
  if (toleration.effect && toleration.effect !== taint.effect) return false
  if (toleration.key && toleration.key !== taint.key) return false
  switch (toleration.operator ?? '') {
    case '': case 'Equal': return (toleration.key ?? '') !== '' && (toleration.value ?? '') === (taint.value ?? '')
    case 'Exists': return true
    case 'Gt': return compareIntegers(taint.value, toleration.value) > 0
    case 'Lt': return compareIntegers(taint.value, toleration.value) < 0
    default: return false
  }
}

/** NaN when one of them is no integer. */
function compareIntegers(a: string | undefined, b: string | undefined): number {
  const whole = /^-?\d{1,15}$/
  return whole.test(a ?? '') && whole.test(b ?? '') ? Number(a) - Number(b) : Number.NaN
}

export function toleratesTaint(tolerations: readonly Toleration[], taint: Taint): boolean {
  for (const toleration of tolerations) if (tolerates(toleration, taint)) return true
  return false
}

/** The first taint that forbids placing (NoSchedule, NoExecute) and that nothing tolerates. */
export function findUntoleratedTaint(taints: readonly Taint[] | undefined, tolerations: readonly Toleration[]): Taint | undefined {
  for (const taint of taints ?? []) {
    if ((taint.effect === 'NoSchedule' || taint.effect === 'NoExecute') && !toleratesTaint(tolerations, taint)) return taint
  }
  return undefined
}

/** How many taints of effect PreferNoSchedule nothing tolerates. */
export function countUntoleratedPreferences(taints: readonly Taint[] | undefined, tolerations: readonly Toleration[]): number {
  let count = 0
  for (const taint of taints ?? []) if (taint.effect === 'PreferNoSchedule' && !toleratesTaint(tolerations.filter((t) => !t.effect || t.effect === 'PreferNoSchedule'), taint)) count++
  return count
}
