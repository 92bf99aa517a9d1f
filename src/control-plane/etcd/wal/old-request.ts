// Requests as versions before 3.5 wrote them into the log: etcdserverpb.Request of the second API, bare. Keys of that API came so, and also what
// members said of themselves and the cluster's version, as keys below /0. Upstream: etcd v3.4, server/etcdserver/{server.go,apply_v2.go}
import type { LoggedRequest } from '../state-machine.ts'
import { authFolder } from '../v2/v2-auth-store.ts'
import { decodeV2Request } from '../v2/v2-request.ts'

const idTag = 0x08
const methodTag = 0x12
const letterA = 0x41

/** Whether an entry's data is such a request: its second field is a method in letters, where newer ones have a message. */
export function isOldRequest(data: Uint8Array): boolean {
  if (data[0] !== idTag) return false
  let at = 1
  while (data[at]! >= 0x80) at++ // cast: undefined compares as false
  return data[at + 1] === methodTag && (data[at + 3] ?? 0) >= letterA
}

/** Undefined when it changes nothing here. @throws WireError */
export function readOldRequest(data: Uint8Array): LoggedRequest | undefined {
  const request = decodeV2Request(data)
  const { method, path = '', value = '' } = request
  if (!path.startsWith('/0/')) return { type: 'v2', request: { ...request, path: ownV2Path(path) } }
  if (method !== 'PUT') return undefined
  if (path === '/0/version') return value === '' ? undefined : { type: 'clusterVersionSet', version: value }
  const id = /^\/0\/members\/([0-9a-f]{1,16})\/attributes$/.exec(path)?.[1]
  const attributes = id === undefined ? undefined : readAttributes(value)
  return id === undefined || attributes === undefined ? undefined : { type: 'clusterMemberAttrSet', memberId: BigInt(`0x${id}`), ...attributes }
}

/** The original keeps keys below /1, users and roles below /2. */
export function ownV2Path(path: string): string {
  const [, part, rest = ''] = /^\/([12])(\/.*)?$/.exec(path) ?? []
  return part === undefined ? path : part === '1' ? (rest === '' ? '/' : rest) : `/${authFolder}${rest}`
}

/** Name and client URLs of a member in JSON; undefined when it is none. */
export function readAttributes(json: string): { readonly name: string; readonly clientUrls: readonly string[] } | undefined {
  try {
    const { name, clientURLs } = JSON.parse(json) as { readonly name?: unknown; readonly clientURLs?: unknown } // cast: looked at below
    return { name: typeof name === 'string' ? name : '', clientUrls: Array.isArray(clientURLs) ? clientURLs.filter((url): url is string => typeof url === 'string') : [] }
  } catch {
    return undefined
  }
}
