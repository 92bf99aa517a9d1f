// What a decoded header list must look like to be a request, and the object that handlers get. Upstream: RFC 9113, section 8
import type { HeaderField } from './hpack.ts'

/** As node:http2 gives them: pseudo-headers too, repeated ones joined. Without prototype. */
export type RequestHeaders = { readonly [name: string]: string | string[] | undefined }

const pseudoHeaders = new Set([':method', ':path', ':scheme', ':authority'])
const connectionHeaders = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade'])
// Lower-case token characters; a name with anything else makes the request malformed.
const validName = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/

/** The headers of a request, or undefined when the list is malformed. */
export function requestHeaders(fields: readonly HeaderField[]): RequestHeaders | undefined {
  const headers = collect(fields, true)
  if (!headers || headers[':method'] === undefined) return undefined
  if (headers[':method'] === 'CONNECT') return undefined
  return headers[':scheme'] !== undefined && headers[':path'] !== undefined && headers[':path'] !== '' ? headers : undefined
}

/** True when `fields` may follow a request's body. */
export function areTrailers(fields: readonly HeaderField[]): boolean { return collect(fields, false) !== undefined }

function collect(fields: readonly HeaderField[], pseudoAllowed: boolean): RequestHeaders | undefined {
  const headers = Object.create(null) as { [name: string]: string | string[] } // cast: an object without prototype
  let regular = false
  for (const [name, value] of fields) {
    if (name.startsWith(':')) {
      if (!pseudoAllowed || regular || !pseudoHeaders.has(name) || headers[name] !== undefined) return undefined
      headers[name] = value
      continue
    }
    regular = true
    if (!validName.test(name) || connectionHeaders.has(name) || (name === 'te' && value !== 'trailers') || hasForbidden(value)) return undefined
    const before = headers[name]
    if (before === undefined) headers[name] = name === 'set-cookie' ? [value] : value
    else if (Array.isArray(before)) before.push(value)
    else headers[name] = `${before}${name === 'cookie' ? '; ' : ', '}${value}`
  }
  return headers
}

function hasForbidden(value: string): boolean { return value.includes('\0') || value.includes('\n') || value.includes('\r') }
