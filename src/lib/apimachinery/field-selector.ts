// Field selectors: `spec.nodeName=a,status.phase!=Running`, with `\` escaping `\`, `,` and `=` in values.
// Which fields a kind lets one select is its strategy's affair; a field that it doesn't know is refused with `fieldNotSupportedError`.
// Upstream: apimachinery/pkg/fields

export interface FieldRequirement {
  readonly field: string
  readonly operator: '=' | '!='
  readonly value: string
}

export interface FieldSelector { readonly requirements: readonly FieldRequirement[] }

export type ParsedFieldSelector = { readonly ok: true; readonly selector: FieldSelector } | { readonly ok: false; readonly error: string }

export const everyField: FieldSelector = { requirements: [] }

export function parseFieldSelector(text: string): ParsedFieldSelector {
  const requirements: FieldRequirement[] = []
  for (const term of splitTerms(text).sort()) {
    if (term === '') continue
    const at = term.search(/!=|=/)
    if (at < 0) return { ok: false, error: `invalid selector: '${text}'; can't understand '${term}'` }
    const operator = term.startsWith('!=', at) ? '!=' : term.startsWith('==', at) ? '==' : '='
    const value = unescapeValue(term.slice(at + operator.length))
    if ('error' in value) return { ok: false, error: value.error }
    const field = term.slice(0, at)
    if (field !== '' || value.text !== '') requirements.push({ field, operator: operator === '!=' ? '!=' : '=', value: value.text })
  }
  return { ok: true, selector: { requirements } }
}

/** Splits at commas that aren't escaped. */
function splitTerms(text: string): string[] {
  const terms: string[] = []
  let start = 0
  for (let i = 0; i < text.length; i++) {
    const c = text.charAt(i)
    if (c === '\\') i++
    else if (c === ',') { terms.push(text.slice(start, i)); start = i + 1 }
  }
  return [...terms, text.slice(start)]
}

function unescapeValue(text: string): { readonly text: string } | { readonly error: string } {
  let out = ''
  for (let i = 0; i < text.length; i++) {
    const c = text.charAt(i)
    if (c === '\\') {
      const escaped = text.charAt(++i)
      if (escaped !== '\\' && escaped !== ',' && escaped !== '=') return { error: `invalid field selector: invalid escape sequence: \\${escaped}` }
      out += escaped
    } else if (c === ',' || c === '=') return { error: `invalid field selector: unescaped character in value: ${c.charCodeAt(0)}` }
    else out += c
  }
  return { text: out }
}

/** True when the object's selectable fields fulfil every requirement; a field that it lacks counts as empty. */
export function fieldsMatch(selector: FieldSelector, fields: { readonly [field: string]: string | undefined }): boolean {
  return selector.requirements.every(({ field, operator, value }) => (operator === '=') === ((fields[field] ?? '') === value))
}

/** The value that the selector demands for a field, when it does. */
export function requiredFieldValue(selector: FieldSelector, field: string): string | undefined {
  return selector.requirements.find((requirement) => requirement.field === field && requirement.operator === '=')?.value
}

export function formatFieldSelector(selector: FieldSelector): string {
  return selector.requirements.map(({ field, operator, value }) => `${field}${operator}${value.replace(/[\\,=]/g, '\\$&')}`).join(',')
}

/** What the API server answers (400) for a field that can't be selected. */
export const fieldNotSupportedError = (field: string): string => `field label not supported: ${field}`
