// The second API's errors: a number, its text, and the HTTP status that goes with it. Upstream: etcd v3.5, server/etcdserver/api/v2error
import type { V2Failure } from './v2-request.ts'

const texts: { readonly [code: number]: readonly [message: string, status: number] } = {
  100: ['Key not found', 404], 101: ['Compare failed', 412], 102: ['Not a file', 403], 104: ['Not a directory', 400], 105: ['Key already exists', 412], 107: ['Root is read only', 400],
  108: ['Directory not empty', 403], 110: ['The request requires user authentication', 401], 201: ['PrevValue is Required in POST form', 400],
  202: ['The given TTL in POST form is not a number', 400], 203: ['The given index in POST form is not a number', 400], 209: ['Invalid field', 400], 210: ['Invalid POST form', 400],
  211: ['Value provided on refresh', 400], 212: ['A TTL must be provided on refresh', 400], 300: ['Raft Internal Error', 500], 301: ['During Leader Election', 500],
  400: ['watcher is cleared due to etcd recovery', 400], 401: ['The event in requested index is outdated and cleared', 400],
}

export function describeFailure(failure: V2Failure): { readonly status: number; readonly body: string } {
  const [message, status] = texts[failure.errorCode] ?? ['Internal error', 500]
  return { status, body: `${JSON.stringify({ errorCode: failure.errorCode, message, ...(failure.cause ? { cause: failure.cause } : {}), index: failure.index })}\n` }
}
