// Label and field selectors as the fake API server reads them: enough of the grammar for tests of components.
import { isJsonObject } from '../base/json.ts'
import type { JsonObject, JsonValue } from '../base/json.ts'

/** True when `labels` meet a selector such as `app=web,tier in (a,b),!old,x!=y`. */
export function matchesLabels(selector: string, labels: JsonObject): boolean {
  return splitTerms(selector).every((term) => {
    const set = /^(\S+)\s+(in|notin)\s+\(([^)]*)\)$/.exec(term)
    if (set) {
      const [, key = '', operator, values = ''] = set
      const listed = values.split(',').map((v) => v.trim()).includes(String(labels[key] ?? ''))
      return operator === 'in' ? labels[key] !== undefined && listed : labels[key] === undefined || !listed
    }
    if (term.startsWith('!')) return labels[term.slice(1).trim()] === undefined
    const compare = /^([^=!<>\s]+)\s*(!=|==|=|>|<)\s*(.*)$/.exec(term)
    if (!compare) return labels[term] !== undefined
    const [, key = '', operator, value = ''] = compare
    const actual = labels[key]
    switch (operator) {
      case '!=': return actual !== value
      case '>': return Number(actual) > Number(value)
      case '<': return Number(actual) < Number(value)
      default: return actual === value
    }
  })
}

/** True when the object's fields meet a selector such as `spec.nodeName=n1,status.phase!=Failed`; an absent field is ''. */
export function matchesFields(selector: string, object: JsonObject): boolean {
  return selector.split(',').filter((term) => term !== '').every((term) => {
    const [, path = '', operator, value = ''] = /^([^=!]+)(!=|==|=)(.*)$/.exec(term) ?? []
    let at: JsonValue | undefined = object
    for (const part of path.split('.')) at = isJsonObject(at) ? at[part] : undefined
    const same = String(at ?? '') === value
    return operator === '!=' ? !same : same
  })
}

/** Splits at commas outside parentheses. */
function splitTerms(selector: string): readonly string[] {
  const terms: string[] = []
  let depth = 0
  let term = ''
  for (const letter of selector) {
    if (letter === '(') depth++
    if (letter === ')') depth--
    if (letter === ',' && depth === 0) { terms.push(term.trim()); term = '' } else term += letter
  }
  terms.push(term.trim())
  return terms.filter((t) => t !== '')
}
