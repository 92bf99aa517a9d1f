// What `--auth-token` says: `simple`, or `jwt,sign-method=RS256,priv-key=…,pub-key=…,ttl=10m`.
import type { Clock } from '../../../lib/base/clock.ts'
import type { Random } from '../../../lib/base/random.ts'
import { AuthTokenOptionsError, JwtTokens } from './jwt-tokens.ts'
import { SimpleTokens, type TokenProvider } from './token-provider.ts'

export interface TokenSettings {
  readonly clock: Clock
  readonly random: Random
  /** Of simple tokens, milliseconds. */
  readonly ttlMs?: number
  readonly readFile: (path: string) => Buffer
}

/** @throws AuthTokenOptionsError */
export function parseAuthToken(text: string, settings: TokenSettings): TokenProvider {
  const [type = '', ...pairs] = text.split(',')
  const options = new Map<string, string>()
  for (const pair of pairs) {
    const [name = '', value, ...more] = pair.split('=')
    if (value === undefined || more.length > 0 || options.has(name)) throw new AuthTokenOptionsError(`auth: invalid auth options: ${JSON.stringify(pair)}`)
    options.set(name, value)
  }
  switch (type) {
    case 'simple': return new SimpleTokens(settings.clock, settings.random, settings.ttlMs)
    case 'jwt': return new JwtTokens(options, settings.clock, settings.readFile)
    default: throw new AuthTokenOptionsError(`auth: invalid auth options: unknown token type ${JSON.stringify(type)}`)
  }
}
