// Selectors of specs, read once. What cannot be read (the API server refuses it long before) selects nothing.
import { nothing, selectorOf } from '../../../../lib/apimachinery/label-selector.ts'
import type { LabelSelector, LabelSelectorObject } from '../../../../lib/apimachinery/label-selector.ts'

const known = new WeakMap<object, LabelSelector>()

export function readSelector(object: LabelSelectorObject | undefined): LabelSelector {
  if (object === undefined) return nothing
  let selector = known.get(object)
  if (!selector) {
    const parsed = selectorOf(object)
    selector = parsed.ok ? parsed.selector : nothing
    known.set(object, selector)
  }
  return selector
}
