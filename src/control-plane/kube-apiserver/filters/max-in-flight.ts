// Limits on requests that are being worked on: so many that read, so many that write. Beyond them: 429, and come back in a second. Watches and other
// long-running requests don't count; nor does who belongs to system:masters.
// Upstream: apiserver/pkg/server/filters/maxinflight.go
import type { UserInfo } from '../registry/strategy.ts'

const readVerbs: ReadonlySet<string> = new Set(['get', 'list', 'watch', 'head'])

export class MaxInFlight {
  readonly #limits: { readonly readOnly: number; readonly mutating: number }
  readonly #current = { readOnly: 0, mutating: 0 }

  /** 0: no limit. */
  constructor(readOnly: number, mutating: number) { this.#limits = { readOnly, mutating } }

  get current(): { readonly readOnly: number; readonly mutating: number } { return this.#current }

  /** What to call when the request is done, or undefined when there are too many. */
  enter(verb: string, user: UserInfo): (() => void) | undefined {
    const kind = readVerbs.has(verb) ? 'readOnly' : 'mutating'
    const limit = this.#limits[kind]
    if (limit > 0 && this.#current[kind] >= limit && !user.groups.includes('system:masters')) return undefined
    this.#current[kind]++
    let left = false
    return () => { if (!left) { left = true; this.#current[kind]-- } }
  }
}
