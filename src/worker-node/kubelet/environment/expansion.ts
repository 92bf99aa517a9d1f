// `$(NAME)` references in commands, arguments and values of variables. `$$` is a dollar sign; a reference to nothing stays as it is written.
// Upstream: third_party/forked/golang/expansion

/** Replaces each `$(NAME)` that `lookup` knows. */
export function expandReferences(text: string, lookup: (name: string) => string | undefined): string {
  let out = ''
  for (let i = 0; i < text.length; i++) {
    const c = text[i]
    if (c !== '$' || i + 1 >= text.length) { out += c; continue }
    const next = text[i + 1]
    if (next === '$') { out += '$'; i++; continue }
    if (next !== '(') { out += `$${next}`; i++; continue }
    const end = text.indexOf(')', i + 2)
    if (end < 0) { out += '$('; i++; continue }
    const name = text.slice(i + 2, end)
    out += lookup(name) ?? `$(${name})`
    i = end
  }
  return out
}

/** As above, and tells which names were not known: for subPathExpr, where that is an error. */
export function expandStrictly(text: string, lookup: (name: string) => string | undefined): { readonly value: string; readonly missing: readonly string[] } {
  const missing: string[] = []
  const value = expandReferences(text, (name) => {
    const found = lookup(name)
    if (found === undefined) missing.push(name)
    return found
  })
  return { value, missing }
}
