// The text for `iptables-restore --noflush` that turns one rule set into another: chains that changed are flushed and written anew, chains
// that went away are flushed and removed, all others are left alone. One commit per table, so that no packet sees half a change. Pure.
import type { Chains, RuleSet } from './iptables-rules.ts'

/** Empty when nothing changes. Without `previous` every chain is written. */
export function restoreInput(previous: RuleSet | undefined, next: RuleSet): string {
  return tableInput('filter', previous?.filter, next.filter) + tableInput('nat', previous?.nat, next.nat)
}

function tableInput(table: string, previous: Chains | undefined, next: Chains): string {
  const changed = [...next].filter(([chain, rules]) => !sameRules(previous?.get(chain), rules))
  const gone = [...(previous?.keys() ?? [])].filter((chain) => !next.has(chain))
  if (changed.length === 0 && gone.length === 0) return ''
  const lines = [`*${table}`]
  for (const [chain] of changed) lines.push(`:${chain} - [0:0]`)
  for (const chain of gone) lines.push(`:${chain} - [0:0]`)
  for (const [chain, rules] of changed) for (const rule of rules) lines.push(`-A ${chain} ${rule}`)
  for (const chain of gone) lines.push(`-X ${chain}`)
  lines.push('COMMIT')
  return `${lines.join('\n')}\n`
}

function sameRules(a: readonly string[] | undefined, b: readonly string[]): boolean {
  return a !== undefined && a.length === b.length && a.every((rule, i) => rule === b[i])
}

/** Chains of ours that `iptables-save` shows but the rule set lacks: left by a proxy that ran before. */
export function staleChains(saved: string, next: RuleSet): { readonly filter: readonly string[]; readonly nat: readonly string[] } {
  const found = { filter: [] as string[], nat: [] as string[] }
  let table = ''
  for (const line of saved.split('\n')) {
    if (line.startsWith('*')) table = line.slice(1)
    const chain = /^:(KUBE-(?:SVC|SVL|EXT|FW|SEP)-\S+)/.exec(line)?.[1]
    if (chain && table === 'nat' && !next.nat.has(chain)) found.nat.push(chain)
    if (chain && table === 'filter' && !next.filter.has(chain)) found.filter.push(chain)
  }
  return found
}
