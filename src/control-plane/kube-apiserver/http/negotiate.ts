// Which form an answer takes: the first clause of Accept that the server knows. Clauses it doesn't understand are passed over, not refused.
// Upstream: apiserver/pkg/endpoints/handlers/negotiation
import { notAcceptable } from '../endpoints/api-errors.ts'

export type MediaType = 'application/json' | 'application/yaml' | 'application/vnd.kubernetes.protobuf'
export const mediaTypes: readonly MediaType[] = ['application/json', 'application/yaml', 'application/vnd.kubernetes.protobuf']

export type Transform = 'Table' | 'PartialObjectMetadata' | 'PartialObjectMetadataList'

export interface Negotiated {
  readonly mediaType: MediaType
  readonly transform?: Transform
  /** Version of meta.k8s.io, with `transform`. */
  readonly metaVersion: 'v1' | 'v1beta1'
  readonly pretty: boolean
}

interface Clause { readonly type: string; readonly parameters: ReadonlyMap<string, string>; readonly quality: number; readonly specificity: number; readonly order: number }

/** Nobody means more; a header may be a megabyte. */
const mostClauses = 100

function parseAccept(header: string): Clause[] {
  return header.split(',', mostClauses).map((text, order): Clause => {
    const [type = '', ...rest] = text.split(';').map((part) => part.trim())
    const parameters = new Map(rest.map((part) => { const at = part.indexOf('='); return [part.slice(0, at < 0 ? undefined : at).toLowerCase(), at < 0 ? '' : part.slice(at + 1).replace(/^"|"$/g, '')] as const }))
    const quality = Number(parameters.get('q') ?? '1')
    parameters.delete('q')
    return { type: type.toLowerCase(), parameters, quality: Number.isFinite(quality) ? quality : 0, specificity: type === '*/*' ? 0 : type.endsWith('/*') ? 1 : 2, order }
  }).filter((clause) => clause.type !== '' && clause.quality > 0)
    .sort((a, b) => b.quality - a.quality || b.specificity - a.specificity || a.order - b.order)
}

export type AnswerShape = 'object' | 'list' | 'watch' | 'plain'

/**
 * @param shape `plain`: no transform applies (Status, subresources, discovery)
 * @throws ApiError 406
 */
export function negotiate(header: string | undefined, shape: AnswerShape, pretty: boolean): Negotiated {
  if (header === undefined || header.trim() === '') return { mediaType: 'application/json', metaVersion: 'v1', pretty }
  for (const clause of parseAccept(header)) {
    const found = accept(clause, shape)
    if (found) return { ...found, pretty: pretty || clause.parameters.get('pretty') === '1' }
  }
  throw notAcceptable(shape === 'watch' ? ['application/json;stream=watch', 'application/vnd.kubernetes.protobuf;stream=watch'] : mediaTypes)
}

function accept({ type, parameters }: Clause, shape: AnswerShape): Omit<Negotiated, 'pretty'> | undefined {
  const mediaType = type === '*/*' || type === 'application/*' ? 'application/json' : mediaTypes.find((known) => known === type)
  if (!mediaType) return undefined
  const stream = parameters.get('stream')
  if (stream !== undefined && stream !== 'watch') return undefined
  if (shape === 'watch' && mediaType === 'application/yaml') return undefined
  const as = parameters.get('as')
  const group = parameters.get('g')
  const version = parameters.get('v')
  if (as === undefined && group === undefined && version === undefined) return { mediaType, metaVersion: 'v1' }
  if (shape === 'plain' || group !== 'meta.k8s.io' || (version !== 'v1' && version !== 'v1beta1')) return undefined
  switch (as) {
    case 'Table': return mediaType === 'application/vnd.kubernetes.protobuf' ? undefined : { mediaType, transform: 'Table', metaVersion: version }
    case 'PartialObjectMetadata':
      if (shape === 'list') throw notAcceptable(mediaTypes)
      return { mediaType, transform: 'PartialObjectMetadata', metaVersion: version }
    case 'PartialObjectMetadataList':
      if (shape !== 'list') throw notAcceptable(mediaTypes)
      return { mediaType, transform: 'PartialObjectMetadataList', metaVersion: version }
    default: return undefined
  }
}

/** `?pretty=true`, and people's own tools. */
export function wantsPretty(query: URLSearchParams, userAgent: string): boolean {
  const asked = query.get('pretty')
  if (asked !== null) return !['false', '0'].includes(asked)
  return /^(?:curl|Wget|Mozilla\/5\.0)/.test(userAgent)
}
