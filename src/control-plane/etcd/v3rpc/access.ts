// Who calls, and whether they may: the token that comes with a call, or the name in the client's certificate.
// Upstream: etcd/server/auth/store.go, etcd/server/etcdserver/api/v3rpc/auth.go
import { etcdError } from '../../../lib/etcd-api/etcd-error.ts'
import { nobody, type Caller } from '../auth/caller.ts'
import type { EtcdInternals } from '../embedded.ts'

/** What of a call says who makes it. */
export interface Peer {
  readonly headers: { readonly [name: string]: string | readonly string[] | undefined }
  readonly clientCommonName?: string | undefined
}

/** The token that comes with a call: as gRPC metadata, or in an HTTP header of the gateway's clients. */
export function tokenOf({ headers }: Pick<Peer, 'headers'>): string | undefined {
  const header = headers['token'] ?? headers['authorization']
  return typeof header === 'string' ? header : header?.[0]
}

/** The caller, whom the checks of the auth store then judge. @throws EtcdError invalid token */
export function callerOf(etcd: EtcdInternals, peer: Peer): Caller {
  const { auth } = etcd.member.machine
  if (!auth.enabled) return nobody
  const token = tokenOf(peer)
  if (token !== undefined) {
    const caller = etcd.tokens.identify(token.replace(/^Bearer /, ''), auth.revision)
    if (!caller) throw etcdError('invalidAuthToken')
    return caller
  }
  const name = etcd.clientCertAuth ? peer.clientCommonName : undefined
  return name ? { username: name, authRevision: auth.revision } : nobody
}

/** What a request carries into the log: nothing while everybody may do everything. */
export function loggedCaller(etcd: EtcdInternals, peer: Peer): { readonly caller?: Caller } {
  return etcd.member.machine.auth.enabled ? { caller: callerOf(etcd, peer) } : {}
}

/** @throws EtcdError unless the caller is an administrator, or authentication is off */
export function requireAdmin(etcd: EtcdInternals, peer: Peer): void { etcd.member.machine.auth.checkAdmin(callerOf(etcd, peer)) }

/** @throws EtcdError unless somebody has said who they are, or authentication is off */
export function requireUser(etcd: EtcdInternals, peer: Peer): void { etcd.member.machine.auth.checkKnown(callerOf(etcd, peer)) }
