// Tokens that stand for a user after the password was checked once: simple ones (random text, known to the members that applied the request
// that made them, five minutes after their last use) or signed ones (JWT). Upstream: etcd/server/auth/{simple_token,jwt}.go
import type { Clock } from '../../../lib/base/clock.ts'
import { randomInteger, type Random } from '../../../lib/base/random.ts'
import type { Caller } from '../auth/caller.ts'

export interface TokenProvider {
  /** The random part that travels in the log; empty when tokens don't need one. */
  newPrefix(): string
  /** The token for a user, made while the log's entry `index` is applied. */
  assign(username: string, authRevision: number, prefix: string, index: number): string
  /** Whose token it is; undefined when it doesn't count (any more). */
  identify(token: string, authRevision: number): Caller | undefined
  /** Forgets a user's tokens, or all. */
  invalidate(username: string | undefined): void
}

const letters = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'
const prefixLetters = 16
const defaultTtlMs = 300_000
/** Tokens that are kept; the oldest go first. */
const tokenLimit = 100_000

export class SimpleTokens implements TokenProvider {
  readonly #clock: Clock
  readonly #random: Random
  readonly #ttlMs: number
  /** In the order of their last use. */
  readonly #tokens = new Map<string, { readonly username: string; readonly expiresAtMs: number }>()

  constructor(clock: Clock, random: Random, ttlMs = defaultTtlMs) {
    this.#clock = clock
    this.#random = random
    this.#ttlMs = ttlMs
  }

  newPrefix(): string { return Array.from({ length: prefixLetters }, () => letters.charAt(randomInteger(this.#random, letters.length))).join('') }

  assign(username: string, _: number, prefix: string, index: number): string {
    const token = `${prefix}.${index}`
    this.#use(token, username)
    return token
  }

  identify(token: string, authRevision: number): Caller | undefined {
    const found = this.#tokens.get(token)
    if (!found || found.expiresAtMs <= this.#clock.monotonic()) return undefined
    this.#use(token, found.username)
    return { username: found.username, authRevision }
  }

  #use(token: string, username: string): void {
    const now = this.#clock.monotonic()
    this.#tokens.delete(token)
    this.#tokens.set(token, { username, expiresAtMs: now + this.#ttlMs })
    for (const [oldest, { expiresAtMs }] of this.#tokens) {
      if (expiresAtMs > now && this.#tokens.size <= tokenLimit) break
      this.#tokens.delete(oldest)
    }
  }

  invalidate(username: string | undefined): void {
    for (const [token, owner] of this.#tokens) if (username === undefined || owner.username === username) this.#tokens.delete(token)
  }
}
