// The token that an etcd with authentication gives for a user and a password, taken when first needed and again when it is no longer good.
// Upstream: etcd/client/v3/credentials, retry_interceptor.go
import type { EtcdError } from '../etcd-api/etcd-error.ts'

export interface EtcdUser { readonly name: string; readonly password: string }

/** Errors that a new token may end. */
export function wantsNewToken(error: EtcdError): boolean {
  return (error.reason === 'Unauthenticated' && error.message === 'etcdserver: invalid auth token') || isOldRevision(error.message)
}

/** The users or roles have changed since the token was given. */
const isOldRevision = (message: string): boolean => message === 'etcdserver: revision of auth store is old'

/** The same for the reason of a refused watch. */
export function isTokenProblem(cancelReason: string): boolean {
  return cancelReason === 'etcdserver: invalid auth token' || isOldRevision(cancelReason)
}

export class AuthToken {
  readonly #authenticate: () => Promise<string>
  #token: Promise<string> | undefined

  /** @param authenticate asks the server; '' where authentication is off */
  constructor(authenticate: () => Promise<string>) { this.#authenticate = authenticate }

  /** One request for all who wait. */
  get(): Promise<string> {
    if (this.#token) return this.#token
    const asked = this.#authenticate()
    this.#token = asked
    asked.catch(() => { if (this.#token === asked) this.#token = undefined })
    return asked
  }

  /** Forgets a token that was refused, unless there is a newer one already. */
  async renew(refused: string): Promise<void> {
    const held = this.#token
    if (held && await held.catch(() => refused) === refused && this.#token === held) this.#token = undefined
  }
}
