// The keys API of etcd's version 2 over HTTP: `/v2/keys/…`. Servers have it up to 3.5 with --enable-v2, and ours. Upstream: client/v2/keys.go
import type { ClusterAnswer, HttpCluster } from './http-cluster.ts'

export interface KeyNode {
  readonly key?: string
  readonly value?: string
  readonly dir?: boolean
  readonly nodes?: readonly KeyNode[]
  readonly createdIndex?: number
  readonly modifiedIndex?: number
  readonly ttl?: number
  readonly expiration?: string
}

export interface KeysAnswer { readonly action: string; readonly node: KeyNode; readonly prevNode?: KeyNode; /** The store's index when it answered. */ readonly index: number }

/** The server refused: its number, words and index. */
export class KeysError extends Error {
  override readonly name = 'KeysError'
  readonly errorCode: number
  constructor(errorCode: number, message: string, cause: string, index: number) {
    super(`${errorCode}: ${message} (${cause}) [${index}]`)
    this.errorCode = errorCode
  }
}

export interface KeysQuery { readonly [name: string]: string | undefined }

export class KeysClient {
  readonly #cluster: HttpCluster
  constructor(cluster: HttpCluster) { this.#cluster = cluster }

  /** @param form the body of a change, as a form. @throws KeysError, ClusterUnavailable */
  async call(method: 'GET' | 'PUT' | 'POST' | 'DELETE', key: string, query: KeysQuery, form?: KeysQuery, signal?: AbortSignal): Promise<KeysAnswer> {
    const path = `/v2/keys${key.startsWith('/') ? key : `/${key}`}`.split('/').map(encodeURIComponent).join('/')
    const search = encode(query)
    const body = form && { type: 'application/x-www-form-urlencoded', text: encode(form) }
    return interpret(await this.#cluster.send(method, `${path}${search ? `?${search}` : ''}`, body, signal, query['wait'] === 'true'))
  }
}

function encode(values: KeysQuery): string {
  const out = new URLSearchParams()
  for (const [name, value] of Object.entries(values).sort(([a], [b]) => (a < b ? -1 : 1))) if (value !== undefined) out.append(name, value)
  return out.toString()
}

function interpret({ status, body, index }: ClusterAnswer): KeysAnswer {
  if (body === '') throw new Error('client: response is invalid: unexpected end of JSON input')
  let parsed: unknown
  try {
    parsed = JSON.parse(body)
  } catch (error) {
    throw new Error('client: response is invalid json. The endpoint is probably not valid etcd cluster endpoint', { cause: error })
  }
  if (status === 200 || status === 201) return { ...(parsed as Omit<KeysAnswer, 'index'>), index } // cast: the API's answer
  const { errorCode = 0, message = '', cause = '', index: at = 0 } = parsed as { errorCode?: number; message?: string; cause?: string; index?: number } // cast: the API's error
  throw new KeysError(errorCode, message, cause, at)
}
