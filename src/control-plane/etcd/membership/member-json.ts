// Members as the original writes them in JSON: in the context of a membership change, in the database, and as a peer's answer under /members.
//
// Ids are plain numbers beyond 2^53 there, so both directions are by hand: JSON.stringify can't write them and JSON.parse would round them.
// Fields stand in the original's order and empty ones are left out as it leaves them out: entries and databases are the same byte for byte.
// Upstream: etcd/server/etcdserver/api/membership/member.go, cluster.go (ConfigChangeContext)
import { isJsonObject, type JsonObject, type JsonValue } from '../../../lib/base/json.ts'
import type { ClusterMember } from './cluster-member.ts'

/** Bytes that should be a member in JSON are not. */
export class MemberJsonError extends Error {
  override readonly name = 'MemberJsonError'
}

export interface MemberChangeContext {
  readonly member: ClusterMember
  /** A learner becomes a voter; of the member only the id means something. */
  readonly isPromote: boolean
}

export function encodeMember(member: ClusterMember): string { return `{${fieldsOf(member, member.peerUrls)}}` }

/** What goes with the change that makes a learner a voter. */
export function encodePromotion(id: bigint): string { return `{"id":${id},"peerURLs":null,"isPromote":true}` }

export function encodeMembers(members: readonly ClusterMember[]): string { return `[${members.map(encodeMember).join(',')}]` }

/** @throws MemberJsonError */
export function decodeMember(text: string): ClusterMember { return memberOf(parse(text)) }

/** @throws MemberJsonError */
export function decodeMembers(text: string): readonly ClusterMember[] {
  const value = parse(text)
  if (value === null) return []
  if (!Array.isArray(value)) throw new MemberJsonError(`expected a list of members, got ${shorten(text)}`)
  return value.map(memberOf)
}

/** @throws MemberJsonError */
export function decodeMemberChange(text: string): MemberChangeContext {
  const value = parse(text)
  return { member: memberOf(value), isPromote: isJsonObject(value) && value['isPromote'] === true }
}

function fieldsOf(member: ClusterMember, peerUrls: readonly string[]): string {
  const fields = [`"id":${member.id}`, `"peerURLs":${listOf(peerUrls)}`]
  if (member.isLearner) fields.push('"isLearner":true')
  if (member.name !== '') fields.push(`"name":${quote(member.name)}`)
  if (member.clientUrls.length > 0) fields.push(`"clientURLs":${listOf(member.clientUrls)}`)
  return fields.join(',')
}

function listOf(texts: readonly string[]): string { return `[${texts.map(quote).join(',')}]` }

/** Go escapes what could end a script element too. */
function quote(text: string): string {
  return JSON.stringify(text).replace(/[<>&\u2028\u2029]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** Ids become strings first. Inside a string the quotes around `id` would be escaped, so the pattern finds fields only. */
function parse(text: string): JsonValue {
  try {
    return JSON.parse(text.replace(/"id"\s*:\s*(\d+)/g, '"id":"$1"')) as JsonValue // cast: what JSON.parse gives
  } catch (error) {
    throw new MemberJsonError(`not JSON: ${shorten(text)}`, { cause: error })
  }
}

const largestId = 2n ** 64n - 1n

function memberOf(value: JsonValue | undefined): ClusterMember {
  if (!isJsonObject(value)) throw new MemberJsonError('a member is not an object')
  const id = value['id'] ?? '0'
  if (typeof id !== 'string' || !/^\d+$/.test(id) || BigInt(id) > largestId) throw new MemberJsonError('a member has no usable id')
  const name = value['name'] ?? ''
  if (typeof name !== 'string') throw new MemberJsonError("a member's name is not a text")
  return { id: BigInt(id), name, peerUrls: textsOf(value, 'peerURLs'), clientUrls: textsOf(value, 'clientURLs'), isLearner: value['isLearner'] === true }
}

function textsOf(object: JsonObject, field: string): readonly string[] {
  const value = object[field] ?? []
  if (!Array.isArray(value)) throw new MemberJsonError(`a member's ${field} is not a list`)
  return value.map((text: JsonValue) => {
    if (typeof text !== 'string') throw new MemberJsonError(`a member's ${field} is not a list of texts`)
    return text
  })
}

function shorten(text: string): string { return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text) }
