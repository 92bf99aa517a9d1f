// Selectors of specs, read once. What cannot be read (the API server refuses it long before) selects nothing.
import { nothing, selectorFromLabels, selectorOf } from '../../../../lib/apimachinery/label-selector.ts'
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

/** A selector that is a map, as Services and ReplicationControllers have it; an empty one selects nothing. */
export function readMapSelector(labels: { readonly [key: string]: string } | undefined): LabelSelector {
  if (labels === undefined || Object.keys(labels).length === 0) return nothing
  let selector = known.get(labels)
  if (!selector) known.set(labels, selector = selectorFromLabels(labels))
  return selector
}
