// Which nodes a pod selects: nodeSelector and node affinity, compiled. Terms are alternatives, the expressions of a term must all hold.
// Upstream: component-helpers/scheduling/corev1/nodeaffinity
import type { Node, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm } from '../../../lib/api/generated/types/core-v1.ts'
import { labelOf } from './labels.ts'
import type { Labels } from './labels.ts'

export interface CompiledNodeTerm {
  readonly expressions: readonly NodeSelectorRequirement[]
  /** Only `metadata.name` is a field. */
  readonly fields: readonly NodeSelectorRequirement[]
}

/** An empty term matches no node: undefined. */
export function compileNodeTerm(term: NodeSelectorTerm): CompiledNodeTerm | undefined {
  const expressions = term.matchExpressions ?? []
  const fields = term.matchFields ?? []
  return expressions.length + fields.length === 0 ? undefined : { expressions, fields }
}

export function compileNodeSelector(selector: NodeSelector): readonly CompiledNodeTerm[] {
  return (selector.nodeSelectorTerms ?? []).map(compileNodeTerm).filter((term) => term !== undefined)
}

export function matchesNodeTerm(term: CompiledNodeTerm, node: Node): boolean {
  for (const expression of term.expressions) if (!matchesExpression(expression, labelOf(node.metadata.labels, expression.key))) return false
  for (const field of term.fields) {
    if (field.key !== 'metadata.name') return false
    const listed = field.values?.includes(node.metadata.name) ?? false
    if (field.operator === 'In' ? !listed : field.operator === 'NotIn' ? listed : true) return false
  }
  return true
}

export function matchesAnyNodeTerm(terms: readonly CompiledNodeTerm[], node: Node): boolean {
  for (const term of terms) if (matchesNodeTerm(term, node)) return true
  return false
}

export function matchesNodeLabels(selector: Labels | undefined, labels: Labels | undefined): boolean {
  for (const key in selector) if (labelOf(labels, key) !== selector[key]) return false
  return true
}

function matchesExpression(expression: NodeSelectorRequirement, value: string | undefined): boolean {
  const values = expression.values ?? []
  switch (expression.operator) {
    case 'In': return value !== undefined && values.includes(value)
    case 'NotIn': return value === undefined || !values.includes(value)
    case 'Exists': return value !== undefined
    case 'DoesNotExist': return value === undefined
    case 'Gt': case 'Lt': {
      const [bound] = values
      if (value === undefined || values.length !== 1 || bound === undefined || !isInteger(value) || !isInteger(bound)) return false
      return expression.operator === 'Gt' ? BigInt(value) > BigInt(bound) : BigInt(value) < BigInt(bound)
    }
    default: return false
  }
}

const isInteger = (text: string): boolean => /^-?\d{1,19}$/.test(text)

/**
 * Names of the nodes that the terms leave possible by `metadata.name` alone; undefined when some alternative doesn't name any.
 * It spares the look at all other nodes, as for the pods of a DaemonSet.
 */
export function nodeNamesOf(terms: readonly CompiledNodeTerm[]): ReadonlySet<string> | undefined {
  const names = new Set<string>()
  for (const term of terms) {
    const lists = term.fields.filter((f) => f.key === 'metadata.name' && f.operator === 'In').map((f) => f.values ?? [])
    const [first, ...others] = lists
    if (first === undefined) return undefined
    for (const name of first) if (others.every((list) => list.includes(name))) names.add(name)
  }
  return terms.length === 0 ? undefined : names
}
