// Where the members of a cluster of version 2 say that they are: `/v2/members`. Clients ask before their first request.
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { ClusterUnavailable, type KeysOptions } from './keys-api.ts'

/** The members' addresses; the given ones when the server does not tell. @throws ClusterUnavailable */
export async function synchronizeEndpoints(options: KeysOptions, signal: AbortSignal): Promise<readonly string[]> {
  const problems: string[] = []
  for (const endpoint of options.endpoints) {
    try {
      const body = await read(new URL('/v2/members', /^https?:\/\//.test(endpoint) ? endpoint : `http://${endpoint}`), options, signal)
      return membersOf(body) ?? options.endpoints
    } catch (error) {
      problems.push(describe(error))
    }
  }
  throw new ClusterUnavailable(problems)
}

/** A failure to connect in Go's words. */
function describe(error: unknown): string {
  const { code, address, port, message } = error as { readonly code?: string; readonly address?: string; readonly port?: number; readonly message?: string } // cast: errors of the network have these
  return code === 'ECONNREFUSED' ? `dial tcp ${address}:${port}: connect: connection refused` : String(message)
}

function membersOf(body: string): readonly string[] | undefined {
  try {
    const { members } = JSON.parse(body) as { readonly members?: readonly { readonly clientURLs?: readonly string[] }[] } // cast: the API's answer
    return members?.flatMap((member) => member.clientURLs ?? [])
  } catch {
    return undefined
  }
}

function read(url: URL, { tls, user, timeoutMs }: KeysOptions, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { signal, ...(timeoutMs === undefined ? {} : { timeout: timeoutMs }), ...(user ? { auth: user } : {}) }
    const request = url.protocol === 'https:' ? httpsRequest(url, { ...options, ...(tls?.ca ? { ca: tls.ca } : {}), ...(tls?.cert ? { cert: tls.cert } : {}), ...(tls?.key ? { key: tls.key } : {}), rejectUnauthorized: !tls?.insecureSkipVerify }) : httpRequest(url, options)
    request.on('timeout', () => request.destroy(new Error('client: request timed out')))
    request.on('error', reject)
    request.on('response', (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () => resolve(Buffer.concat(chunks).toString('utf8')))
    })
    request.end()
  })
}
