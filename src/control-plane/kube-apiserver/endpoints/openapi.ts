// /openapi/v2 and /openapi/v3: the API's description, made from the schema when somebody asks, and then kept as bytes.
// Upstream: kube-openapi/pkg/handler, handler3
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Descriptions } from '../../../lib/api/openapi/definitions.ts'
import { buildOpenApiV2 } from '../../../lib/api/openapi/openapi-v2.ts'
import { encodeOpenApiV2Protobuf } from '../../../lib/api/openapi/openapi-v2-protobuf.ts'
import { buildOpenApiV3, buildOpenApiV3Index, openApiV3Names } from '../../../lib/api/openapi/openapi-v3.ts'
import { schemaText } from '../../../lib/api/generated/schema-text.ts'
import type { JsonObject } from '../../../lib/base/json.ts'
import type { Answer, ApiCall } from './api-call.ts'
import { jsonAnswer } from './api-call.ts'
import { kubernetesVersion } from './version.ts'

/** The first is what answers say; the other is what older clients ask for. */
const protobufTypes = ['application/com.github.proto-openapi.spec.v2.v1.0+protobuf', 'application/com.github.proto-openapi.spec.v2@v1.0+protobuf']
const yearSeconds = 365 * 24 * 3600

export interface OpenApiPaths {
  v2(call: ApiCall): Answer
  v3Index(call: ApiCall): Answer
  /** undefined: no such document. */
  v3(name: string, call: ApiCall): Answer | undefined
}

/** @param served names of the documents of what this server serves: `api/v1`, `apis/apps/v1`, … */
export function openApiPaths(served: ReadonlySet<string>): OpenApiPaths {
  const descriptions = readDescriptions()
  const options = { version: kubernetesVersion.gitVersion, ...(descriptions && { descriptions }) }
  let schemaHash: string | undefined
  // A document is known by what it is made of, so that the index needn't make them all.
  const hashOf = (name: string): string => {
    schemaHash ??= createHash('sha512').update(schemaText).digest('hex')
    return createHash('sha512').update(`${schemaHash} ${options.version} ${descriptions ? 'described' : ''} ${name}`).digest('hex').toUpperCase()
  }
  const made = new Map<string, Uint8Array>()
  const bytesOf = (name: string, build: () => JsonObject): Uint8Array => {
    let bytes = made.get(name)
    if (!bytes) made.set(name, bytes = Buffer.from(JSON.stringify(build())))
    return bytes
  }
  const answer = (call: ApiCall, bytes: Uint8Array, hash: string, headers: { readonly [name: string]: string } = {}, contentType = 'application/json'): Answer => {
    const etag = `"${hash}"`
    const common = { etag, vary: 'Accept', ...headers }
    if ((call.headers['if-none-match'] ?? '').split(',').some((tag) => tag.trim() === etag)) return { type: 'bytes', status: 304, contentType: '', bytes: new Uint8Array(), headers: common }
    return { type: 'bytes', status: 200, contentType, bytes, headers: common }
  }
  const acceptable = (call: ApiCall): boolean => {
    const accept = call.headers['accept'] ?? ''
    return accept === '' || accept.split(',').some((clause) => ['application/json', '*/*', 'application/*'].includes(clause.split(';')[0]?.trim() ?? ''))
  }
  const notAcceptable: Answer = { type: 'bytes', status: 406, contentType: '', bytes: new Uint8Array() }
  const names = new Set(openApiV3Names().filter((name) => !/^apis?\/./.test(name) || served.has(name)))
  return {
    v2(call) {
      for (const clause of (call.headers['accept'] ?? '*/*').split(',')) {
        const type = clause.split(';')[0]?.trim() ?? ''
        if (protobufTypes.includes(type)) {
          let bytes = made.get('v2 protobuf')
          if (!bytes) made.set('v2 protobuf', bytes = encodeOpenApiV2Protobuf(buildOpenApiV2(options)))
          return answer(call, bytes, hashOf('v2'), {}, protobufTypes[0])
        }
        if (['application/json', '*/*', 'application/*'].includes(type)) return answer(call, bytesOf('v2', () => buildOpenApiV2(options)), hashOf('v2'))
      }
      return notAcceptable
    },
    v3Index: (call) => answer(call, bytesOf('v3', () => index(buildOpenApiV3Index(hashOf), names)), hashOf('v3')),
    v3(name, call) {
      if (!names.has(name)) return undefined
      if (!acceptable(call)) return notAcceptable
      const hash = hashOf(name)
      const asked = call.query.get('hash')
      if (asked !== null && asked !== '' && asked !== hash) return jsonAnswer(301, {}, { location: `/openapi/v3/${name}?hash=${hash}` })
      const bytes = bytesOf(`v3/${name}`, () => buildOpenApiV3(name, options) ?? {})
      return answer(call, bytes, hash, asked === hash ? { 'cache-control': 'public, immutable', expires: new Date(call.nowMs + yearSeconds * 1000).toUTCString() } : {})
    },
  }
}

/** The index without what isn't served. */
function index(all: JsonObject, names: ReadonlySet<string>): JsonObject {
  const paths = all['paths'] as JsonObject // cast: the builder's own form
  return { paths: Object.fromEntries(Object.entries(paths).filter(([name]) => names.has(name))) }
}

/** The texts of types and fields, where `npm run build` has put them: beside the bundle, or in dist/ of a clone. */
function readDescriptions(): Descriptions | undefined {
  for (const path of [join(import.meta.dirname, 'descriptions.json'), join(import.meta.dirname, '../../../../dist/descriptions.json')]) {
    // cast: made by tools/build-descriptions.ts
    if (existsSync(path)) return JSON.parse(readFileSync(path, 'utf8')) as Descriptions
  }
  return undefined
}
