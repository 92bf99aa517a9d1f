// What clients must not get away with: each request is refused with the original's status, reason, message and causes, over HTTP/1.1, over HTTP/2 and
// inside the process alike, and etcd's revision stays where it was.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createAuthority } from '../../src/lib/net/pki/certificates.ts'
import { seededRandom } from '../../src/lib/base/random.ts'
import { startHttpsWorld, nobodyToken } from './api-server-https.ts'
import type { HttpsRequest, HttpsWorld } from './api-server-https.ts'
import { json, jsonPatch, mapsPath, mergePatch, podOf, podsPath, strategicPatch } from './api-server-world.ts'
import type { Loose } from './api-server-world.ts'

interface BadRequest {
  readonly what: string
  readonly method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  readonly path: string
  /** Text and bytes as they are, objects as JSON. */
  readonly body?: string | Uint8Array | object
  readonly headers?: { readonly [name: string]: string }
  readonly status: number
  readonly reason: string
  readonly message: string | RegExp
  /** Reason and field of each cause. */
  readonly causes?: readonly (readonly [reason: string, field: string])[]
  /** What only exists on the wire. */
  readonly wireOnly?: boolean
}

const deploymentsPath = '/apis/apps/v1/namespaces/default/deployments'
const yaml = { 'content-type': 'application/yaml' }
const protobuf = { 'content-type': 'application/vnd.kubernetes.protobuf' }
const apply = { 'content-type': 'application/apply-patch+yaml' }
const deployment = (name: string): object => ({
  metadata: { name }, spec: { replicas: 1, selector: { matchLabels: { a: 'b' } }, template: { metadata: { labels: { a: 'b' } }, spec: { containers: [{ name: 'c', image: 'example.com/i:1' }] } } },
})
const subdomain = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
const labelValue = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
const namePart = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
const token = (content: object): string => Buffer.from(JSON.stringify(content)).toString('base64url')
const generic = 'the server rejected our request due to an error in our request'
const modified = (what: string): string => `Operation cannot be fulfilled on ${what}: the object has been modified; please apply your changes to the latest version and try again`

const post = (what: string, body: BadRequest['body'], reason: string, message: string | RegExp, more: Partial<BadRequest> = {}): BadRequest => ({
  what, method: 'POST', path: mapsPath, ...(body !== undefined && { body }), headers: json, status: reason === 'Invalid' ? 422 : reason === 'UnsupportedMediaType' ? 415 : 400, reason, message, ...more,
})
const unrecognized = (why: string, summary: string): string => `the object provided is unrecognized (must be of type ConfigMap): ${why} (${summary})`
const unparsable = (why: string, summary: string): string => unrecognized(`couldn't get version/kind; json parse error: ${why}`, summary)

const bodies: readonly BadRequest[] = [
  post('unfinished JSON', '{"metadata":{"name":"b"}', 'BadRequest', unparsable('unexpected end of JSON input', '{"metadata":{"name":"b"}')),
  post('a comma too many', '{"metadata":{"name":"b"},}', 'BadRequest', unparsable("invalid character '}' looking for beginning of object key string", '{"metadata":{"name":"b"},}')),
  post('no JSON', 'hello', 'BadRequest', unparsable("invalid character 'h' looking for beginning of value", '68656c6c6f')),
  post('something after the end', '{"metadata":{"name":"b"}} x', 'BadRequest', unparsable("invalid character 'x' after top-level value", '{"metadata":{"name":"b"}} x')),
  post('no body', '', 'BadRequest', unparsable('unexpected end of JSON input', '<empty>')),
  post('a list', '[]', 'BadRequest', /json: cannot unmarshal array into Go value of type struct/),
  post('null is an object without a name', 'null', 'Invalid', 'ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required', { causes: [['FieldValueRequired', 'metadata.name']] }),
  post('10,000 levels', `{"metadata":{"name":"b"},"a":${'['.repeat(10_000)}${']'.repeat(10_000)}}`, 'BadRequest', unparsable("invalid character '[' exceeded max depth", '{"metadata":{"name":"b"},"a":[ ...')),
  post('100,000 levels that never end', '{"a":'.repeat(100_000), 'BadRequest', /exceeded max depth/),
  post('200,001 keys', `{"metadata":{"name":"b"},"data":{${Array.from({ length: 200_000 }, (_, i) => `"k${i}":""`).join()}}}`, 'BadRequest', /the document has more than 200000 keys/),
  post('a kind that is a number', { kind: 5 }, 'BadRequest', unparsable('json: cannot unmarshal number into Go struct field .kind of type string', '{"kind":5}')),
  post('an apiVersion that is an object', { apiVersion: {} }, 'BadRequest', unparsable('json: cannot unmarshal object into Go struct field .apiVersion of type string', '{"apiVersion":{}}')),
  post('another kind', { kind: 'Secret', apiVersion: 'v1', metadata: { name: 'b' } }, 'BadRequest', 'Secret in version "v1" cannot be handled as a ConfigMap: converting (v1.Secret) to (core.ConfigMap): unknown conversion'),
  post('another group’s kind', { kind: 'Deployment', apiVersion: 'apps/v1', metadata: { name: 'b' } }, 'BadRequest', 'Deployment in version "v1" cannot be handled as a ConfigMap: converting (v1.Deployment) to (core.ConfigMap): unknown conversion'),
  post('a kind that nobody knows', { kind: 'Foo', apiVersion: 'v1', metadata: { name: 'b' } }, 'BadRequest', /^Foo in version "v1" cannot be handled as a ConfigMap: no kind "Foo" is registered for version "v1" in scheme /),
  post('a type that is no kind', { kind: 'PodSpec', apiVersion: 'v1', metadata: { name: 'b' } }, 'BadRequest', /no kind "PodSpec" is registered for version "v1"/),
  post('another version', { kind: 'ConfigMap', apiVersion: 'v2', metadata: { name: 'b' } }, 'BadRequest', /^ConfigMap in version "v2" cannot be handled as a ConfigMap: no kind "ConfigMap" is registered for version "v2" in scheme /),
  post('a version that is none', { kind: 'ConfigMap', apiVersion: 'a/b/c' }, 'BadRequest', unrecognized('unexpected GroupVersion string: a/b/c', '{"kind":"ConfigMap","apiVersio ...')),
  post('a version that another path serves', { kind: 'Event', apiVersion: 'events.k8s.io/v1', metadata: { name: 'b' } }, 'BadRequest', 'the API version in the data (events.k8s.io/v1) does not match the expected API version (v1)', { path: '/api/v1/namespaces/default/events' }),
  post('unknown and duplicate fields, strictly', '{"metadata":{"name":"b","foo":1},"dat":{},"data":{"x":"1","x":"2"}}', 'BadRequest', 'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: unknown field "metadata.foo", unknown field "dat", duplicate field "data.x"', { path: `${mapsPath}?fieldValidation=Strict` }),
  post('keys are case-sensitive', '{"Metadata":{"name":"b"}}', 'BadRequest', /strict decoding error: unknown field "Metadata"/, { path: `${mapsPath}?fieldValidation=Strict` }),
  post('unknown and duplicate fields in YAML, strictly', 'metadata: {name: b, foo: 1}\ndata: {}\ndata: {}\n', 'BadRequest', 'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: yaml: unmarshal errors:\n  line 3: key "data" already set in map, unknown field "metadata.foo"', { path: `${mapsPath}?fieldValidation=Strict`, headers: yaml }),
  post('a field validation that is none', {}, 'Invalid', 'CreateOptions.meta.k8s.io "" is invalid: fieldValidation: Unsupported value: "Foo": supported values: "", "Ignore", "Warn", "Strict"', { path: `${mapsPath}?fieldValidation=Foo`, causes: [['FieldValueNotSupported', 'fieldValidation']] }),
  post('a dry run that is none', { metadata: { name: 'b' } }, 'Invalid', 'CreateOptions.meta.k8s.io "" is invalid: dryRun: Unsupported value: ["Some"]: supported values: "All"', { path: `${mapsPath}?dryRun=Some`, causes: [['FieldValueNotSupported', 'dryRun']] }),
  post('a field manager that can’t be printed', { metadata: { name: 'b' } }, 'Invalid', /fieldManager: Invalid value: .*should only contain printable characters/, { path: `${mapsPath}?fieldManager=a%07`, causes: [['FieldValueInvalid', 'fieldManager']] }),
  post('a field manager that is too long', { metadata: { name: 'b' } }, 'Invalid', /fieldManager: Too long: may not be more than 128 bytes/, { path: `${mapsPath}?fieldManager=${'a'.repeat(129)}`, causes: [['FieldValueTooLong', 'fieldManager']] }),
  post('a number for a text', { metadata: { name: 'b' }, data: { x: 1 } }, 'BadRequest', 'ConfigMap in version "v1" cannot be handled as a ConfigMap: json: cannot unmarshal number into Go struct field ConfigMap.data of type string'),
  post('a number for an object', { metadata: 5 }, 'BadRequest', /json: cannot unmarshal number into Go struct field ConfigMap.metadata of type v1.ObjectMeta$/),
  post('a list for a text', { metadata: { name: ['b'] } }, 'BadRequest', /json: cannot unmarshal array into Go struct field ObjectMeta.metadata.name of type string$/),
  post('an integer beyond 64 bits', '{"metadata":{"name":"b","generation":99999999999999999999}}', 'BadRequest', /cannot unmarshal number 99999999999999999999/),
  post('bytes that are no base64', { metadata: { name: 'b' }, binaryData: { x: '!!' } }, 'BadRequest', /cannot be handled as a ConfigMap: illegal base64 data at input byte 0$/),
  post('a time that is none', { metadata: { name: 'b', creationTimestamp: 'yesterday' } }, 'BadRequest', /parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": cannot parse "yesterday" as "2006"$/),
  post('a quantity that is none', podOf('b', { containers: [{ name: 'c', image: 'i', resources: { requests: { cpu: 'much' } } }] }), 'BadRequest', "Pod in version \"v1\" cannot be handled as a Pod: quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'", { path: podsPath }),
  post('less than nothing', podOf('b', { containers: [{ name: 'c', image: 'i', resources: { requests: { cpu: '-1' } } }] }), 'Invalid', 'Pod "b" is invalid: spec.containers[0].resources.requests[cpu]: Invalid value: "-1": must be greater than or equal to 0', { path: podsPath, causes: [['FieldValueInvalid', 'spec.containers[0].resources.requests[cpu]']] }),
  post('neither name nor base', { metadata: {} }, 'Invalid', 'ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required', { causes: [['FieldValueRequired', 'metadata.name']] }),
  ...['Not Valid', '..', 'a/b', '-a', 'ä', 'constructor_', '%2e'].map((name) => post(`the name ${name}`, { metadata: { name } }, 'Invalid', `ConfigMap ${JSON.stringify(name)} is invalid: metadata.name: Invalid value: ${JSON.stringify(name)}: ${subdomain}`, { causes: [['FieldValueInvalid', 'metadata.name']] })),
  post('a name of 254', { metadata: { name: 'a'.repeat(254) } }, 'Invalid', /metadata.name: Invalid value: "a+": must be no more than 253 (?:characters|bytes)$/, { causes: [['FieldValueInvalid', 'metadata.name']] }),
  post('a label’s value', { metadata: { name: 'b', labels: { a: '-bad' } } }, 'Invalid', `ConfigMap "b" is invalid: metadata.labels: Invalid value: "-bad": ${labelValue}`, { causes: [['FieldValueInvalid', 'metadata.labels']] }),
  post('a label’s key', { metadata: { name: 'b', labels: { 'b@d': 'x' } } }, 'Invalid', `ConfigMap "b" is invalid: metadata.labels: Invalid value: "b@d": ${namePart}`, { causes: [['FieldValueInvalid', 'metadata.labels']] }),
  post('a label __proto__', '{"metadata":{"name":"b","labels":{"__proto__":"x"}}}', 'Invalid', `ConfigMap "b" is invalid: metadata.labels: Invalid value: "__proto__": ${namePart}`, { causes: [['FieldValueInvalid', 'metadata.labels']] }),
  post('an annotation’s key', { metadata: { name: 'b', annotations: { 'b@d': 'x' } } }, 'Invalid', `ConfigMap "b" is invalid: metadata.annotations: Invalid value: "b@d": ${namePart}`, { causes: [['FieldValueInvalid', 'metadata.annotations']] }),
  post('annotations of more than 256 KiB', { metadata: { name: 'b', annotations: { x: 'x'.repeat(262_144) } } }, 'Invalid', 'ConfigMap "b" is invalid: metadata.annotations: Too long: may not be more than 262144 bytes', { causes: [['FieldValueTooLong', 'metadata.annotations']] }),
  post('data of more than 1 MiB', { metadata: { name: 'b' }, data: { x: 'x'.repeat(1_048_577) } }, 'Invalid', 'ConfigMap "b" is invalid: : Too long: may not be more than 1048576 bytes', { causes: [['FieldValueTooLong', '']] }),
  post('two owners that both control', { metadata: { name: 'b', ownerReferences: ['x', 'y'].map((name) => ({ apiVersion: 'v1', kind: 'Pod', name, uid: name, controller: true })) } }, 'Invalid', /metadata.ownerReferences: Invalid value: .*Only one reference can have Controller set to true/, { causes: [['FieldValueInvalid', 'metadata.ownerReferences']] }),
  { what: 'two containers of one name', method: 'POST', path: podsPath, headers: json, body: podOf('b', { containers: [{ name: 'c', image: 'i' }, { name: 'c', image: 'j' }] }), status: 422, reason: 'Invalid', message: 'Pod "b" is invalid: spec.containers[1].name: Duplicate value: "c"', causes: [['FieldValueDuplicate', 'spec.containers[1].name']] },
  post('a name that is taken', { metadata: { name: 'a' } }, 'AlreadyExists', 'configmaps "a" already exists', { status: 409 }),
  post('a new object with a version', { metadata: { name: 'b', resourceVersion: '1' } }, '', 'resourceVersion should not be set on objects to be created', { status: 500 }),
  post('another namespace than the path’s', { metadata: { name: 'b', namespace: 'other' } }, 'BadRequest', 'the namespace of the provided object does not match the namespace sent on the request'),
  post('a namespace for what has none', { metadata: { name: 'b', namespace: 'other' } }, 'BadRequest', 'the namespace of the provided object does not match the namespace sent on the request', { path: '/api/v1/nodes' }),
  post('a namespace that isn’t there', { metadata: { name: 'b' } }, 'NotFound', 'namespaces "nowhere" not found', { path: '/api/v1/namespaces/nowhere/configmaps', status: 404 }),
  post('CBOR', 'x', 'UnsupportedMediaType', 'the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf', { headers: { 'content-type': 'application/cbor' } }),
  post('plain text', 'x', 'UnsupportedMediaType', /^the body of the request was in an unknown format - accepted media types include: application\/json, /, { headers: { 'content-type': 'text/plain' } }),
  post('unfinished YAML', 'a: [', 'BadRequest', /^the object provided is unrecognized \(must be of type ConfigMap\): yaml: line 1: .* \(613a205b\)$/, { headers: yaml }),
  post('an unknown alias', 'a: *b', 'BadRequest', /yaml: /, { headers: yaml }),
  post('an alias of itself', 'a: &a [*a]', 'BadRequest', /yaml: /, { headers: yaml }),
  post('an alias bomb', aliasBomb(), 'BadRequest', /yaml: document contains excessive aliasing/, { headers: yaml }),
  post('deep YAML', `${'['.repeat(10_000)}${']'.repeat(10_000)}`, 'BadRequest', /yaml: /, { headers: yaml }),
  post('no protobuf', 'garbage', 'BadRequest', unrecognized('provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]', '67617262616765'), { headers: protobuf }),
  post('half a prefix', 'k8s', 'BadRequest', unrecognized('provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]', '6b3873'), { headers: protobuf }),
  post('a prefix and no more', 'k8s\0', 'BadRequest', unrecognized('empty body', '6b387300'), { headers: protobuf }),
  post('a truncated envelope', 'k8s\0\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12\x7f', 'BadRequest', /^the object provided is unrecognized \(must be of type ConfigMap\): unexpected EOF \(6b387300/, { headers: protobuf }),
  post('a truncated object', 'k8s\0\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12\x03\x0a\x7fx', 'BadRequest', 'ConfigMap in version "v1" cannot be handled as a ConfigMap: unexpected EOF', { headers: protobuf }),
  post('another kind in the envelope', 'k8s\0\x0a\x0c\x0a\x02v1\x12\x06Secret\x12\0', 'BadRequest', 'Secret in version "v1" cannot be handled as a ConfigMap: converting (v1.Secret) to (core.ConfigMap): unknown conversion', { headers: protobuf }),
  post('another version in the envelope', 'k8s\0\x0a\x0f\x0a\x02v2\x12\x09ConfigMap\x12\0', 'BadRequest', /no kind "ConfigMap" is registered for version "v2"/, { headers: protobuf }),
]

/** Nine levels of nine: 430 million values from 500 bytes. */
function aliasBomb(): string {
  const names = [...'bcdefghij']
  return [`a: &a [${'x,'.repeat(9)}]`, ...names.map((name, i) => `${name}: &${name} [${`*${i === 0 ? 'a' : names[i - 1]},`.repeat(9)}]`)].join('\n')
}

const get = (what: string, query: string, reason: string, message: string | RegExp, more: Partial<BadRequest> = {}): BadRequest => ({
  what, path: `${mapsPath}?${query}`, status: reason === 'Invalid' ? 422 : reason === 'NotAcceptable' ? 406 : 400, reason, message, ...more,
})
const labels = (selector: string, message: string): BadRequest => get(`the label selector ${selector}`, `labelSelector=${encodeURIComponent(selector)}`, 'BadRequest', message)
const fields = (selector: string, message: string): BadRequest => get(`the field selector ${selector}`, `fieldSelector=${encodeURIComponent(selector)}`, 'BadRequest', message)
const continued = (text: string, message: string): BadRequest => get(`the continue token ${text}`, `continue=${encodeURIComponent(text)}`, 'BadRequest', `invalid continue token: continue key is not valid: ${message}`)
const accepted = 'only the following media types are accepted: '
const media = 'application/json, application/yaml, application/vnd.kubernetes.protobuf'

const reads: readonly BadRequest[] = [
  labels('a==b==c', "found '==', expected: ',' or 'end of string'"), labels('=b', "found '=', expected: !, identifier, or 'end of string'"), labels('a in', "unable to parse requirement: found '' expected: '('"),
  labels('a in (b', "unable to parse requirement: found '', expected: ',' or ')'"), labels('!', "unable to parse requirement: found '', expected: identifier"), labels('a notin b', "unable to parse requirement: found 'b' expected: '('"),
  labels('a>b', "unable to parse requirement: values[0]: Invalid value: \"b\": for 'Gt', 'Lt' operators, the value must be an integer"), labels('x@y=1', `unable to parse requirement: <nil>: Invalid value: "x@y": ${namePart}`),
  labels('a=-b', `unable to parse requirement: values[0][a]: Invalid value: "-b": ${labelValue}`), labels(',', "found ',', expected: !, identifier, or 'end of string'"), labels('a,,b', "found ',', expected: identifier after ','"), labels('a,', "found '', expected: identifier after ','"),
  labels('a b', "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
  fields('spec.foo=b', 'field label not supported: spec.foo'), fields('metadata.name', "invalid selector: 'metadata.name'; can't understand 'metadata.name'"), fields('metadata.name=a\\', 'invalid field selector: invalid escape sequence: \\'),
  fields('metadata.name=a\\q', 'invalid field selector: invalid escape sequence: \\q'), fields('metadata.name=b=c', 'invalid field selector: unescaped character in value: 61'), fields('__proto__=x', 'field label not supported: __proto__'),
  continued('!!', 'illegal base64 data at input byte 0'), continued(token({ v: 'v1', rv: 5, start: 'a' }), 'server does not recognize this encoded version v1'),
  continued(token({ v: 'meta.k8s.io/v1', rv: 0, start: 'a' }), 'incorrect encoded start resourceVersion (version meta.k8s.io/v1)'), continued(token({ v: 'meta.k8s.io/v1', rv: 5, start: '' }), 'encoded start key empty (version meta.k8s.io/v1)'),
  continued(token({ v: 'meta.k8s.io/v1', rv: 5, start: '../x' }), '../x'), continued(Buffer.from('{"v":').toString('base64url'), 'unexpected end of JSON input'),
  get('a continue token and a version', `resourceVersion=5&continue=${token({ v: 'meta.k8s.io/v1', rv: 5, start: 'a' })}`, 'BadRequest', 'specifying resource version is not allowed when using continue'),
  ...['x', '-1', '1.5', '0x10', '%201'].flatMap((version) => ['', '&watch=1'].map((watch) => get(`the version ${version}${watch}`, `resourceVersion=${version}${watch}`, 'BadRequest', /^invalid resource version: resourceVersion: Invalid value: ".*": strconv.ParseUint: parsing ".*": invalid syntax$/))),
  get('a version beyond 64 bits', 'resourceVersion=99999999999999999999', 'BadRequest', 'invalid resource version: resourceVersion: Invalid value: "99999999999999999999": strconv.ParseUint: parsing "99999999999999999999": value out of range'),
  get('a limit that is none', 'limit=x', 'BadRequest', 'strconv.ParseInt: parsing "x": invalid syntax'), get('a timeout of a watch that is none', 'watch=1&timeoutSeconds=x', 'BadRequest', 'strconv.ParseInt: parsing "x": invalid syntax'),
  get('a timeout that is none', 'timeout=x', 'BadRequest', 'invalid timeout specified in the request URL', { wireOnly: true }),
  get('a match without a version', 'resourceVersionMatch=Exact', 'Invalid', 'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided', { causes: [['FieldValueForbidden', 'resourceVersionMatch']] }),
  get('an unknown match', 'resourceVersionMatch=Foo&resourceVersion=1', 'Invalid', 'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Unsupported value: "Foo": supported values: "Exact", "NotOlderThan", ""', { causes: [['FieldValueNotSupported', 'resourceVersionMatch']] }),
  get('exactly any version', 'resourceVersionMatch=Exact&resourceVersion=0', 'Invalid', 'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch "exact" is forbidden for resourceVersion "0"', { causes: [['FieldValueForbidden', 'resourceVersionMatch']] }),
  get('initial events of a list', 'sendInitialEvents=true', 'Invalid', 'ListOptions.meta.k8s.io "" is invalid: sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list', { causes: [['FieldValueForbidden', 'sendInitialEvents']] }),
  get('initial events without a match', 'watch=1&sendInitialEvents=true', 'Invalid', 'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan', { causes: [['FieldValueForbidden', 'resourceVersionMatch']] }),
  get('HTML', '', 'NotAcceptable', accepted + media, { headers: { accept: 'text/html' }, wireOnly: true }), get('CBOR', '', 'NotAcceptable', accepted + media, { headers: { accept: 'application/cbor' }, wireOnly: true }),
  get('one object’s metadata of a list', '', 'NotAcceptable', new RegExp(`^${accepted}`), { headers: { accept: 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1' }, wireOnly: true }),
  // What can't be answered isn't done.
  post('a create whose answer nobody could read', { metadata: { name: 'unread' } }, 'NotAcceptable', accepted + media, { status: 406, headers: { ...json, accept: 'text/html' }, wireOnly: true }),
  { what: 'a delete whose answer nobody could read', method: 'DELETE', path: `${mapsPath}/a`, headers: { accept: 'text/html' }, status: 406, reason: 'NotAcceptable', message: accepted + media, wireOnly: true },
]

/** @param made the stored ConfigMap `a` */
function writes(made: Loose, stored: Loose): readonly BadRequest[] {
  const put = (what: string, metadata: object, status: number, reason: string, message: string, path = `${mapsPath}/a`): BadRequest => ({ what, method: 'PUT', path, body: { ...made, metadata: { ...made.metadata, ...metadata } }, headers: json, status, reason, message })
  const patch = (what: string, headers: BadRequest['headers'], body: BadRequest['body'], status: number, reason: string, message: string | RegExp, more: Partial<BadRequest> = {}): BadRequest => ({ what, method: 'PATCH', path: `${mapsPath}/a?fieldValidation=Strict`, ...(headers && { headers }), ...(body !== undefined && { body }), status, reason, message, ...more })
  const operations = (what: string, body: unknown, status = 422, message: string | RegExp = generic): BadRequest => patch(`JSON patch: ${what}`, jsonPatch, typeof body === 'string' ? body : JSON.stringify(body), status, status === 422 ? 'Invalid' : status === 413 ? 'RequestEntityTooLarge' : status === 409 ? 'Conflict' : 'BadRequest', message)
  const strategic = (what: string, body: object, status: number, message: string | RegExp): BadRequest => patch(`strategic merge patch: ${what}`, strategicPatch, JSON.stringify(body), status, status === 422 ? 'Invalid' : 'BadRequest', message, { path: `${deploymentsPath}/d` })
  const remove = (what: string, query: string, body: BadRequest['body'], status: number, reason: string, message: string | RegExp, more: Partial<BadRequest> = {}): BadRequest => ({ what: `delete: ${what}`, method: 'DELETE', path: `${mapsPath}/a${query}`, ...(body !== undefined && { body, headers: json }), status, reason, message, ...more })
  const uid = made.metadata.uid
  const mismatch = `Operation cannot be fulfilled on configmaps "a": Precondition failed: UID in precondition: other, UID in object meta: ${uid}`
  return [
    put('an old version', { resourceVersion: '1' }, 409, 'Conflict', modified('configmaps "a"')),
    put('another uid', { uid: 'other' }, 409, 'Conflict', mismatch),
    put('another name', { name: 'x' }, 400, 'BadRequest', 'the name of the object (x) does not match the name on the URL (a)'),
    put('another namespace', { namespace: 'x' }, 400, 'BadRequest', 'the namespace of the provided object does not match the namespace sent on the request'),
    put('no name', { name: '' }, 400, 'BadRequest', 'the name of the object (a based on URL) was undeterminable: name must be provided'),
    put('something that isn’t there', { name: 'q', uid: '', resourceVersion: '' }, 404, 'NotFound', 'configmaps "q" not found', `${mapsPath}/q`),
    { what: 'a selector that can’t change', method: 'PUT', path: `${deploymentsPath}/d`, headers: json, body: { ...stored, spec: { ...stored.spec, selector: { matchLabels: { a: 'b', c: 'd' } }, template: { ...stored.spec.template, metadata: { labels: { a: 'b', c: 'd' } } } } }, status: 422, reason: 'Invalid',
      message: 'Deployment.apps "d" is invalid: spec.selector: Invalid value: {"matchLabels":{"a":"b","c":"d"}}: field is immutable', causes: [['FieldValueInvalid', 'spec.selector']] },
    { what: 'data that can’t change', method: 'PATCH', path: `${mapsPath}/fixed`, headers: mergePatch, body: '{"data":{"x":"2"}}', status: 422, reason: 'Invalid', message: 'ConfigMap "fixed" is invalid: data: Forbidden: field is immutable when `immutable` is set', causes: [['FieldValueForbidden', 'data']] },
    patch('plain text', { 'content-type': 'text/plain' }, '{}', 415, 'UnsupportedMediaType', 'the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml'),
    patch('JSON, but what patch?', json, '{}', 415, 'UnsupportedMediaType', /accepted media types include: application\/json-patch\+json/),
    operations('unfinished', '[{"op"', 400, 'invalid JSON patch'), operations('no list', {}, 400, 'error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp'),
    operations('no operation', [5], 400, 'error decoding patch: json: cannot unmarshal number into Go value of type handlers.jsonPatchOp'), operations('a path that is a number', [{ op: 'add', path: 5 }], 400, 'error decoding patch: json: cannot unmarshal number into Go struct field jsonPatchOp.path of type string'),
    operations('nothing in it', [{}]), operations('an unknown operation', [{ op: 'frob', path: '/data/x' }]), operations('a test that fails', [{ op: 'test', path: '/data/x', value: '2' }]), operations('a path that isn’t there', [{ op: 'remove', path: '/data/y' }]),
    operations('a parent that isn’t there', [{ op: 'add', path: '/foo/bar/baz', value: 1 }]), operations('__proto__', [{ op: 'add', path: '/__proto__/polluted', value: 1 }]), operations('constructor', [{ op: 'add', path: '/constructor/prototype/polluted', value: 1 }]),
    operations('the whole object away', [{ op: 'replace', path: '', value: 5 }]), operations('into itself', [{ op: 'move', from: '/data', path: '/data/x/y' }]),
    operations('10,001 operations', Array.from({ length: 10_001 }, () => ({ op: 'test', path: '/data/x', value: '1' })), 413, 'Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001'),
    operations('copies without end', [{ op: 'add', path: '/data/big', value: 'x'.repeat(100_000) }, ...Array.from({ length: 200 }, (_, i) => ({ op: 'copy', from: '/data/big', path: `/data/c${i}` }))]),
    operations('another kind', [{ op: 'replace', path: '/kind', value: 'Secret' }], 422, / "" is invalid: patch: Invalid value: .*converting \(v1.Secret\) to \(core.ConfigMap\): unknown conversion$/), operations('no kind', [{ op: 'remove', path: '/kind' }], 422, /patch: Invalid value: .*Object 'Kind' is missing in/),
    operations('a number for a map', [{ op: 'replace', path: '/data', value: 5 }], 422, /patch: Invalid value: .*: json: cannot unmarshal number into Go struct field ConfigMap.data of type map\[string\]string$/),
    operations('an unknown field', [{ op: 'add', path: '/foo', value: 1 }], 422, /patch: Invalid value: .*: strict decoding error: unknown field "foo"$/),
    operations('another name', [{ op: 'replace', path: '/metadata/name', value: 'b' }], 400, 'the name of the object (b) does not match the name on the URL (a)'), operations('another uid', [{ op: 'replace', path: '/metadata/uid', value: 'other' }], 409, mismatch),
    ...[mergePatch, strategicPatch].flatMap((headers) => {
      const says = headers === mergePatch ? 'error decoding patch: ' : ''
      const label = headers['content-type'].slice('application/'.length)
      return [
        patch(`${label}: unfinished`, headers, '{', 400, 'BadRequest', 'invalid JSON patch'),
        patch(`${label}: a list`, headers, '[]', 400, 'BadRequest', `${says}json: cannot unmarshal array into Go value of type map[string]interface {}`),
        patch(`${label}: deep`, headers, `${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}`, 400, 'BadRequest', /exceeded max depth/),
        patch(`${label}: an old version`, headers, '{"metadata":{"resourceVersion":"1"}}', 409, 'Conflict', modified('configmaps "a"')),
        patch(`${label}: another name`, headers, '{"metadata":{"name":"x"}}', 400, 'BadRequest', 'the name of the object (x) does not match the name on the URL (a)'),
        patch(`${label}: another namespace`, headers, '{"metadata":{"namespace":"x"}}', 400, 'BadRequest', 'the namespace of the object (x) does not match the namespace on the request (default)'),
        patch(`${label}: another uid`, headers, '{"metadata":{"uid":"other"}}', 409, 'Conflict', mismatch),
        patch(`${label}: a label`, headers, '{"metadata":{"labels":{"a":"-"}}}', 422, 'Invalid', `ConfigMap "a" is invalid: metadata.labels: Invalid value: "-": ${labelValue}`, { causes: [['FieldValueInvalid', 'metadata.labels']] }),
        patch(`${label}: an unknown field`, headers, '{"foo":{"a":[1,true,null,"x"]}}', 422, 'Invalid', / "" is invalid: patch: Invalid value: .*: strict decoding error: unknown field "foo"$/, { causes: [['FieldValueInvalid', 'patch']] }),
        patch(`${label}: __proto__`, headers, '{"__proto__":{"polluted":1}}', 422, 'Invalid', /strict decoding error: unknown field "__proto__"$/),
        patch(`${label}: duplicate fields`, headers, '{"data":{"x":"1","x":"1"}}', 422, 'Invalid', /strict decoding error: duplicate field "data.x"$/),
        patch(`${label}: forced`, headers, '{}', 422, 'Invalid', 'PatchOptions.meta.k8s.io "" is invalid: force: Forbidden: may not be specified for non-apply patch', { path: `${mapsPath}/a?force=true`, causes: [['FieldValueForbidden', 'force']] }),
        patch(`${label}: something that isn’t there`, headers, '{}', 404, 'NotFound', 'configmaps "q" not found', { path: `${mapsPath}/q` }),
      ]
    }),
    strategic('an unknown directive', { spec: { template: { spec: { containers: [{ $patch: 'frob', name: 'c' }] } } } }, 400, /^unknown patch type: "?frob/),
    strategic('an item without its key', { spec: { template: { spec: { containers: [{ image: 'x' }] } } } }, 400, /does not contain declared merge key: name$/),
    strategic('$retainKeys that is no list', { spec: { strategy: { $retainKeys: 'x' } } }, 400, 'invalid patch format of retainKeys'), strategic('more than $retainKeys', { spec: { strategy: { $retainKeys: ['type'], rollingUpdate: {} } } }, 422, generic),
    strategic('an order that is no list', { spec: { template: { spec: { '$setElementOrder/containers': 'x' } } } }, 400, /./), strategic('items that the order doesn’t name', { spec: { template: { spec: { '$setElementOrder/containers': [{ name: 'q' }], containers: [{ name: 'z', image: 'y' }] } } } }, 400, /^The order in patch list/),
    strategic('a text for a number', { spec: { replicas: 'x' } }, 422, ' "" is invalid: patch: Invalid value: "map[spec:map[replicas:x]]": unrecognized type: int32'), strategic('a number for a label', { metadata: { labels: { a: 1 } } }, 422, ' "" is invalid: patch: Invalid value: "map[metadata:map[labels:map[a:1]]]": unrecognized type: string'),
    strategic('a text for a list', { spec: { template: { spec: { containers: 'x' } } } }, 422, ' "" is invalid: patch: Invalid value: "map[spec:map[template:map[spec:map[containers:x]]]]": cannot restore slice from string'),
    patch('apply: nobody', apply, '{}', 422, 'Invalid', 'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch', { path: `${mapsPath}/a`, causes: [['FieldValueRequired', 'fieldManager']] }),
    ...([
      ['no version', '{}', 400, 'BadRequest', 'Incorrect version specified in apply patch. Specified patch version: , expected: v1'], ['another version', 'apiVersion: v2\nkind: ConfigMap', 400, 'BadRequest', 'Incorrect version specified in apply patch. Specified patch version: v2, expected: v1'],
      ['another kind', 'apiVersion: v1\nkind: Secret', 400, 'BadRequest', 'failed to create typed patch object (default/a; /v1, Kind=Secret): no corresponding type for /v1, Kind=Secret'],
      ['managed fields', 'apiVersion: v1\nkind: ConfigMap\nmetadata: {managedFields: [{}]}', 400, 'BadRequest', 'metadata.managedFields must be nil'], ['unfinished', 'a: [', 400, 'BadRequest', /^error encoding patch: yaml: line 1: /],
      ['a list', '- a', 400, 'BadRequest', 'error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}'], ['an alias bomb', aliasBomb(), 400, 'BadRequest', /excessive aliasing/],
      ['an unknown field', 'apiVersion: v1\nkind: ConfigMap\nfoo: 1', 400, 'BadRequest', 'failed to create typed patch object (default/a; /v1, Kind=ConfigMap): .foo: field not declared in schema'],
      ['another name', 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: q}', 400, 'BadRequest', 'the name of the object (q) does not match the name on the URL (a)'],
    ] as const).map(([what, body, status, reason, message]) => patch(`apply: ${what}`, apply, body, status, reason, message, { path: `${mapsPath}/a?fieldManager=m` })),
    remove('another uid', '', { preconditions: { uid: 'other' } }, 409, 'Conflict', mismatch), remove('an old version', '', { preconditions: { resourceVersion: '1' } }, 409, 'Conflict', `Operation cannot be fulfilled on configmaps "a": Precondition failed: ResourceVersion in precondition: 1, ResourceVersion in object meta: ${made.metadata.resourceVersion}`),
    remove('an unknown policy', '', { propagationPolicy: 'x' }, 422, 'Invalid', /propagationPolicy: Unsupported value: "x": supported values: "Foreground", "Background", "Orphan", "nil"$/, { causes: [['FieldValueNotSupported', 'propagationPolicy']] }),
    remove('two policies', '?orphanDependents=true&propagationPolicy=Orphan', undefined, 422, 'Invalid', /orphanDependents and deletionPropagation cannot be both set$/, { causes: [['FieldValueInvalid', 'propagationPolicy']] }),
    remove('a grace that is none', '?gracePeriodSeconds=x', undefined, 400, 'BadRequest', 'strconv.ParseInt: parsing "x": invalid syntax'), remove('unfinished options', '', '{', 400, 'BadRequest', /^the object provided is unrecognized \(must be of type DeleteOptions\)/),
    remove('options of another kind', '', { kind: 'Pod', apiVersion: 'v1' }, 400, 'BadRequest', /Pod/), remove('options in CBOR', '', 'x', 415, 'UnsupportedMediaType', /^the body of the request was in an unknown format/, { headers: { 'content-type': 'application/cbor' } }),
    remove('options in YAML, of another group', '', 'apiVersion: policy/v1\nkind: DeleteOptions\npreconditions: {uid: other}\n', 409, 'Conflict', mismatch, { headers: yaml }),
    remove('a system namespace', '', undefined, 403, 'Forbidden', 'namespaces "default" is forbidden: this namespace may not be deleted', { path: '/api/v1/namespaces/default' }),
    remove('a collection by a bad selector', '', undefined, 400, 'BadRequest', "unable to parse requirement: found '=', expected: identifier", { path: `${mapsPath}?labelSelector=a%3D%3D%3D` }),
    remove('something that isn’t there', '', undefined, 404, 'NotFound', 'configmaps "q" not found', { path: `${mapsPath}/q` }),
    ...(['POST', 'PUT', 'PATCH', 'DELETE'] as const).map((method): BadRequest => ({ what: `${method} where it has no meaning`, method, path: method === 'POST' ? `${mapsPath}/a` : method === 'DELETE' ? '/api/v1/namespaces' : mapsPath, status: 405, reason: 'MethodNotAllowed', message: 'the server does not allow this method on the requested resource' })),
    ...['/api/v1/foos', '/api/v1/namespaces/default/foos', `${mapsPath}/a/foo`, `${mapsPath}/a/status`, '/api/v1/namespaces/default/nodes', '/apis/apps/v1/foos'].map((path): BadRequest => ({ what: path, path, status: 404, reason: 'NotFound', message: 'the server could not find the requested resource' })),
  ]
}

async function worldWithObjects(): Promise<{ readonly https: HttpsWorld; readonly made: Loose; readonly stored: Loose }> {
  const https = await startHttpsWorld()
  await https.ask(201, { method: 'POST', path: '/api/v1/namespaces/default/serviceaccounts', body: { metadata: { name: 'default' } } })
  const made = await https.ask(201, { method: 'POST', path: mapsPath, body: { metadata: { name: 'a' }, data: { x: '1' } } })
  await https.ask(201, { method: 'POST', path: mapsPath, body: { metadata: { name: 'fixed' }, data: { x: '1' }, immutable: true } })
  const stored = await https.ask(201, { method: 'POST', path: deploymentsPath, body: deployment('d') })
  return { https, made, stored }
}

function check(bad: BadRequest, over: string, status: number, answer: Loose): void {
  const where = `${bad.what} (${over}): ${JSON.stringify(answer)?.slice(0, 1000)}`
  assert.equal(status, bad.status, where)
  assert.equal(answer?.kind, 'Status', where)
  assert.equal(answer.apiVersion, 'v1', where)
  assert.equal(answer.status, 'Failure', where)
  assert.equal(answer.reason ?? '', bad.reason, where)
  assert.equal(answer.code, bad.status, where)
  if (typeof bad.message === 'string') assert.equal(answer.message, bad.message, where)
  else assert.match(answer.message, bad.message, where)
  if (bad.causes) {
    // An update checks metadata more than once; the message says it once.
    const causes = new Map<string, readonly unknown[]>((answer.details?.causes ?? []).map((cause: Loose) => [JSON.stringify(cause), [cause.reason, cause.field]]))
    assert.deepEqual([...causes.values()], bad.causes, where)
  }
  for (const cause of answer.details?.causes ?? []) assert.ok(typeof cause.message === 'string' && answer.message.includes(cause.message), where)
}

async function checkAll(https: HttpsWorld, cases: readonly BadRequest[]): Promise<void> {
  const before = await https.world.revision()
  for (const bad of cases) {
    for (const http2 of [false, true]) {
      const { method = 'GET', path, body, headers } = bad
      const request: HttpsRequest = { method, path, http2, ...(body !== undefined && { body: typeof body === 'string' ? Buffer.from(body, 'utf8') : body }), ...(headers && { headers }) }
      const answer = await https.send(request)
      check(bad, http2 ? 'HTTP/2' : 'HTTP/1.1', answer.status, answer.json)
      assert.equal(answer.headers['content-type'], 'application/json', bad.what)
    }
    if (!bad.wireOnly) {
      const bytes = bad.body === undefined ? undefined : typeof bad.body === 'string' ? Buffer.from(bad.body) : bad.body instanceof Uint8Array ? bad.body : Buffer.from(JSON.stringify(bad.body))
      const answer = await https.world.call(bad.method ?? 'GET', bad.path, bytes, bad.headers)
      check(bad, 'in process', answer.status, answer.body.kind === 'object' ? answer.body.object : undefined)
    }
    assert.equal(await https.world.revision(), before, `${bad.what} has written something`)
  }
  assert.equal(({} as Loose).polluted, undefined)
}

test('bodies that are none, are too much, or say something impossible', async () => {
  const { https } = await worldWithObjects()
  await using world = https
  await checkAll(world, bodies)
})

test('selectors, tokens, versions and media types', async () => {
  const { https } = await worldWithObjects()
  await using world = https
  await checkAll(world, reads)
  // There is no stream of YAML, but the refusal can be told in it.
  const { status, text } = await world.send({ path: `${mapsPath}?watch=1`, headers: { accept: 'application/yaml' } })
  assert.equal(status, 406)
  assert.match(text, /^message: '?only the following media types are accepted: application\/json;stream=watch, application\/vnd\.kubernetes\.protobuf;stream=watch'?$/m)
})

test('updates, patches, deletes, and what there is no path for', async () => {
  const { https, made, stored } = await worldWithObjects()
  await using world = https
  await checkAll(world, writes(made, stored))
})

test('unknown and duplicate fields: a warning for each, or not a word', async () => {
  await using https = await startHttpsWorld()
  const body = '{"metadata":{"name":"b","foo":1},"dat":{},"data":{"x":"1","x":"2"}}'
  for (const http2 of [false, true]) {
    for (const query of ['', '&fieldValidation=Warn']) {
      const answer = await https.send({ method: 'POST', path: `${mapsPath}?dryRun=All${query}`, headers: json, body, http2 })
      assert.equal(answer.status, 201)
      assert.equal(answer.json.data.x, '2')
      assert.equal(String(answer.headers['warning']), '299 - "unknown field \\"metadata.foo\\"", 299 - "unknown field \\"dat\\"", 299 - "duplicate field \\"data.x\\""')
    }
    const answer = await https.send({ method: 'POST', path: `${mapsPath}?dryRun=All&fieldValidation=Ignore`, headers: json, body, http2 })
    assert.deepEqual([answer.status, answer.headers['warning']], [201, undefined])
  }
})

test('a body of more than 3 MiB: 413, however it is sent', async () => {
  await using https = await startHttpsWorld()
  const before = await https.world.revision()
  for (const http2 of [false, true]) {
    for (const [method, path] of [['POST', mapsPath], ['PUT', `${mapsPath}/a`], ['PATCH', `${mapsPath}/a`], ['DELETE', `${mapsPath}/a`]] as const) {
      const answer = await https.send({ method, path, headers: method === 'PATCH' ? mergePatch : json, body: Buffer.alloc(4 << 20, 0x20), http2 })
      assert.deepEqual([answer.status, answer.json.reason, answer.json.message], [413, 'RequestEntityTooLarge', 'Request entity too large: limit is 3145728'], `${method} ${http2}`)
    }
  }
  const piece = `10000\r\n${'x'.repeat(0x10000)}\r\n`
  const text = await https.raw(`POST ${mapsPath} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer admin-token\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n${piece.repeat(64)}0\r\n\r\n`)
  assert.match(text, /^HTTP\/1.1 413 /)
  assert.equal(await https.world.revision(), before)
})

test('names of the language are names like others', async () => {
  await using https = await startHttpsWorld()
  const data = '{"__proto__":"a","constructor":"b","toString":"c","hasOwnProperty":"d"}'
  const labelled = '{"constructor":"x","toString":"y","valueOf":"z"}'
  for (const [name, http2] of [['one', false], ['two', true]] as const) {
    const made = await https.send({ method: 'POST', path: mapsPath, headers: json, body: `{"metadata":{"name":"${name}","labels":${labelled},"annotations":{"constructor":"x"}},"data":${data}}`, http2 })
    assert.equal(made.status, 201, made.text)
    for (const accept of ['application/json', 'application/yaml', 'application/vnd.kubernetes.protobuf']) {
      const { text } = await https.send({ path: `${mapsPath}/${name}`, headers: { accept }, http2 })
      for (const key of ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf']) assert.ok(text.includes(key), `${key} in ${accept}`)
    }
    const patched = await https.send({ method: 'PATCH', path: `${mapsPath}/${name}`, headers: name === 'one' ? mergePatch : strategicPatch, body: '{"data":{"__proto__":"changed"},"metadata":{"labels":{"constructor":null}}}' })
    assert.equal(patched.status, 200, patched.text)
    assert.deepEqual(Object.entries(patched.json.data), [['__proto__', 'changed'], ['constructor', 'b'], ['toString', 'c'], ['hasOwnProperty', 'd']].sort(([a], [b]) => Object.keys(patched.json.data).indexOf(a as string) - Object.keys(patched.json.data).indexOf(b as string)))
    assert.deepEqual(patched.json.metadata.labels, { toString: 'y', valueOf: 'z' })
  }
  assert.equal((await https.ask(200, { path: `${mapsPath}?labelSelector=valueOf%3Dz` })).items.length, 2)
  assert.equal((await https.ask(200, { path: `${mapsPath}?labelSelector=hasOwnProperty` })).items.length, 0)
  assert.equal((await https.send({ method: 'PATCH', path: `${mapsPath}/one`, headers: jsonPatch, body: '[{"op":"add","path":"/metadata/labels/constructor","value":"c"}]' })).json.metadata.labels.constructor, 'c')
  assert.equal(Object.getPrototypeOf({}), Object.prototype)
  assert.equal(({} as Loose).polluted, undefined)
})

test('bytes that are no UTF-8 become the replacement character, as in the original, and stay it', async () => {
  await using https = await startHttpsWorld()
  const body = Buffer.concat([Buffer.from('{"metadata":{"name":"u"},"data":{"x":"a'), Buffer.from([0xff, 0xfe]), Buffer.from('b","y":"\\ud800"}}')])
  await https.ask(201, { method: 'POST', path: mapsPath, headers: json, body })
  const { json: read } = await https.send({ path: `${mapsPath}/u` })
  assert.deepEqual(read.data, { x: 'a\ufffd\ufffdb', y: '\ufffd' })
  assert.deepEqual((await https.world.ask(200, 'GET', `${mapsPath}/u`)).data.x, read.data.x)
})

test('an expired page, and a version that isn’t there yet', async () => {
  await using https = await startHttpsWorld()
  const { world } = https
  for (const name of ['a', 'b', 'c']) await https.ask(201, { method: 'POST', path: mapsPath, body: { metadata: { name } } })
  const first = await https.ask(200, { path: `${mapsPath}?limit=1` })
  await https.ask(201, { method: 'POST', path: mapsPath, body: { metadata: { name: 'd' } } })
  const now = await world.revision()
  await world.etcd.compact(now, new AbortController().signal)
  const gone = await https.ask(410, { path: `${mapsPath}?limit=1&continue=${first.metadata.continue}` })
  assert.equal(gone.reason, 'Expired')
  assert.match(gone.message, /^The provided continue parameter is too old to display a consistent list result\. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results\./)
  const rest = await https.ask(200, { path: `${mapsPath}?continue=${gone.metadata.continue}` })
  assert.deepEqual(rest.items.map((item: Loose) => item.metadata.name), ['b', 'c', 'd'])
  const exact = await https.ask(410, { path: `${mapsPath}?resourceVersion=1&resourceVersionMatch=Exact` })
  assert.equal(exact.reason, 'Expired')
  for (const path of [`${mapsPath}?resourceVersion=999999`, `${mapsPath}/a?resourceVersion=999999`, `${mapsPath}?resourceVersion=18446744073709551615`]) {
    const asked = https.send({ path })
    for (let i = 0; i < 50; i++) { await world.clock.advance(100); await new Promise<void>((resolve) => { setImmediate(resolve) }) }
    const { status, json: late, headers } = await asked
    assert.deepEqual([status, late.reason, late.details.causes, headers['retry-after']], [504, 'Timeout', [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }], '1'])
    assert.match(late.message, /^Timeout: Too large resource version: \d+, current: \d+$/)
  }
  assert.equal(await world.revision(), now)
})

test('credentials: missing, wrong, forged', async () => {
  await using https = await startHttpsWorld()
  const before = await https.world.revision()
  const other = createAuthority('kubernetes', { notBeforeMs: Date.UTC(2020, 0, 1), notAfterMs: Date.UTC(2045, 0, 1) }, seededRandom(9))
  for (const http2 of [false, true]) {
    for (const bad of [{ token: 'wrong' }, { token: 'a.b.c' }, { token: null, certificate: https.clientCertificate('admin', ['system:masters'], other) }, { token: 'wrong', path: '/healthz' }]) {
      const { status, json: answer } = await https.send({ path: mapsPath, http2, ...bad })
      assert.deepEqual([status, answer], [401, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message: 'Unauthorized', reason: 'Unauthorized', code: 401 }])
    }
    for (const none of [{}, { headers: { authorization: 'Basic eDp5' } }, { headers: { authorization: 'Bearer ' } }]) {
      const { status, json: answer } = await https.send({ path: mapsPath, http2, token: null, ...none })
      assert.deepEqual([status, answer.message], [403, 'configmaps is forbidden: User "system:anonymous" cannot list resource "configmaps" in API group "" in the namespace "default"'])
    }
    assert.equal((await https.send({ path: mapsPath, http2, token: null, certificate: https.clientCertificate('boss', ['system:masters']) })).status, 200)
  }
  assert.equal(await https.world.revision(), before)
})

test('without anonymous access a missing credential is 401', async () => {
  await using https = await startHttpsWorld({ anonymousAuth: false })
  assert.equal((await https.send({ path: '/healthz', token: null })).status, 401)
})

test('RBAC’s refusals, word for word, before anything is read or looked up', async () => {
  await using https = await startHttpsWorld()
  const before = await https.world.revision()
  const cases: readonly [method: string, path: string, message: string, details: object][] = [
    ['GET', mapsPath, 'configmaps is forbidden: User "nobody" cannot list resource "configmaps" in API group "" in the namespace "default"', { kind: 'configmaps' }],
    ['GET', `${mapsPath}/a`, 'configmaps "a" is forbidden: User "nobody" cannot get resource "configmaps" in API group "" in the namespace "default"', { name: 'a', kind: 'configmaps' }],
    ['GET', '/api/v1/nodes', 'nodes is forbidden: User "nobody" cannot list resource "nodes" in API group "" at the cluster scope', { kind: 'nodes' }],
    ['GET', `${mapsPath}?watch=1`, 'configmaps is forbidden: User "nobody" cannot watch resource "configmaps" in API group "" in the namespace "default"', { kind: 'configmaps' }],
    ['POST', mapsPath, 'configmaps is forbidden: User "nobody" cannot create resource "configmaps" in API group "" in the namespace "default"', { kind: 'configmaps' }],
    ['PATCH', `${deploymentsPath}/d/scale`, 'deployments.apps "d" is forbidden: User "nobody" cannot patch resource "deployments/scale" in API group "apps" in the namespace "default"', { name: 'd', group: 'apps', kind: 'deployments' }],
    ['DELETE', mapsPath, 'configmaps is forbidden: User "nobody" cannot deletecollection resource "configmaps" in API group "" in the namespace "default"', { kind: 'configmaps' }],
    ['GET', '/api/v1/foos', 'foos is forbidden: User "nobody" cannot list resource "foos" in API group "" at the cluster scope', { kind: 'foos' }],
    ['GET', '/nope', 'forbidden: User "nobody" cannot get path "/nope"', {}],
    ['POST', '/metrics', 'forbidden: User "nobody" cannot post path "/metrics"', {}],
  ]
  for (const http2 of [false, true]) {
    for (const [method, path, message, details] of cases) {
      const { status, json: answer } = await https.send({ method, path, http2, token: nobodyToken, headers: { accept: 'text/html' }, ...(method === 'GET' ? {} : { body: '{' }) })
      assert.deepEqual([status, answer.reason, answer.message, answer.details], [403, 'Forbidden', message, details])
    }
  }
  const { json: escaped, headers } = await https.send({ path: mapsPath, token: null, certificate: https.clientCertificate('<b>&co') })
  assert.equal(escaped.message, 'configmaps is forbidden: User "&lt;b&gt;&amp;co" cannot list resource "configmaps" in API group "" in the namespace "default"')
  assert.equal(headers['x-content-type-options'], 'nosniff')
  assert.equal(await https.world.revision(), before)
})

test('paths that nothing serves: a page outside the API', async () => {
  await using https = await startHttpsWorld()
  for (const path of ['/nope', '/api/v2', '/apis/foo', '/apis/foo/v1', '/apis/foo/v1/bars', '/apis/apps/v9/deployments', '/healthz/nope', '/openapi/v3/nope']) {
    for (const http2 of [false, true]) {
      const { status, text, headers } = await https.send({ path, http2 })
      assert.deepEqual([status, text, headers['content-type'], headers['x-content-type-options']], [404, '404 page not found\n', 'text/plain; charset=utf-8', 'nosniff'], path)
    }
  }
  for (const [method, path] of [['POST', '/version'], ['POST', '/apis'], ['DELETE', '/apis/apps/v1'], ['PUT', '/api'], ['POST', '/api/v1/componentstatuses'], ['OPTIONS', mapsPath]] as const) {
    const { status, json: answer } = await https.send({ method, path })
    assert.deepEqual([status, answer.reason, answer.message, answer.details], [405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource', {}], `${method} ${path}`)
  }
  assert.equal((await https.send({ path: '/api/v1/%zz' })).status, 400)
  assert.equal((await https.world.call('GET', '/api/v1/%zz')).status, 400)
})

test('as much as a body may hold takes no longer than it must', async () => {
  await using https = await startHttpsWorld()
  await https.ask(201, { method: 'POST', path: '/api/v1/namespaces/default/serviceaccounts', body: { metadata: { name: 'default' } } })
  await https.ask(201, { method: 'POST', path: podsPath, body: podOf('p') })
  const before = await https.world.revision()
  const long = 'a-'.repeat(400_000)
  const requests: readonly HttpsRequest[] = [
    { method: 'POST', path: mapsPath, body: { metadata: { name: long, labels: { [`${long}!`]: `${long}!` } } } },
    { method: 'POST', path: podsPath, body: podOf('b', { containers: [{ name: 'c', image: long, resources: { requests: { cpu: '1'.repeat(1_000_000) } } }] }) },
    { method: 'POST', path: mapsPath, body: { metadata: { name: 'b', ownerReferences: Array.from({ length: 20_000 }, (_, i) => ({ apiVersion: 'v1', kind: 'Pod', name: 'x', uid: `u${i}`, controller: i < 2 })) } } },
    { method: 'POST', path: `${podsPath}?dryRun=All`, body: podOf('b', { containers: Array.from({ length: 10_000 }, (_, i) => ({ name: `c${i}`, image: 'i' })) }) },
    { method: 'PATCH', path: `${podsPath}/p?dryRun=All`, headers: strategicPatch, body: { spec: { containers: Array.from({ length: 20_000 }, (_, i) => ({ name: `c${i}`, image: 'i' })) } } },
    { path: mapsPath, headers: { accept: '1,'.repeat(400_000) } }, { path: `${mapsPath}?labelSelector=${'a%2C'.repeat(100_000)}` },
    { method: 'POST', path: mapsPath, headers: yaml, body: '- '.repeat(1_000_000) }, { method: 'POST', path: mapsPath, headers: yaml, body: `a: ${'1'.repeat(2_500_000)}` }, { method: 'POST', path: mapsPath, headers: yaml, body: '&a '.repeat(800_000) },
  ]
  for (const request of requests) {
    // The processor's time, not the clock's: the machine may be busy with others.
    const started = process.cpuUsage()
    const { status } = await https.send(request)
    assert.ok(status < 500, `${request.path}: ${status}`)
    const { user } = process.cpuUsage(started)
    assert.ok(user < 10_000_000, `${request.method} ${request.path.slice(0, 100)} took ${user / 1000} ms`)
  }
  assert.equal(await https.world.revision(), before)
})

test('a body that never comes isn’t waited for', async () => {
  await using https = await startHttpsWorld()
  const asked = https.raw(`POST ${mapsPath} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer admin-token\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{`)
  let done = false
  void asked.finally(() => { done = true })
  for (let i = 0; i < 2000 && !done; i++) { await https.world.clock.advance(1000); await new Promise<void>((resolve) => { setImmediate(resolve) }) }
  const text = await asked
  assert.match(text, /^HTTP\/1\.1 504 /)
  assert.match(text, /"message":"Timeout: request did not complete within the allotted timeout","reason":"Timeout"/)
})

test('headers: as much as Go takes, and no more', async () => {
  await using https = await startHttpsWorld()
  assert.equal((await https.send({ path: '/version', headers: { 'x-long': 'x'.repeat(500_000) } })).status, 200)
  assert.equal((await https.send({ path: '/version', headers: Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`x-${i}`, 'y'])) })).status, 200)
  // Node's own client sends no more than 64 KiB.
  assert.equal((await https.send({ path: '/version', headers: Object.fromEntries(Array.from({ length: 1500 }, (_, i) => [`x-${i}`, 'y'])), http2: true })).status, 200)
  // The answer may be lost when the server hangs up on a client that is still sending.
  const text = await https.raw(`GET /version HTTP/1.1\r\nHost: x\r\nx-long: ${'x'.repeat(1 << 20)}\r\n\r\n`).catch(() => '')
  assert.match(text, /^$|^HTTP\/1\.1 431 Request Header Fields Too Large\r\n/)
  await assert.rejects(https.send({ path: '/version', headers: { 'x-long': 'x'.repeat(2 << 20) }, http2: true }))
  assert.equal((await https.send({ path: '/version' })).status, 200)
})

test('bytes that are no HTTP', async () => {
  await using https = await startHttpsWorld()
  for (const bytes of ['GARBAGE\r\n\r\n', 'GET / HTTP/9.9\r\n\r\n', `POST ${mapsPath} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, `POST ${mapsPath} HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n`]) {
    assert.match(await https.raw(bytes), /^HTTP\/1\.1 400 Bad Request\r\n/, bytes)
  }
  assert.equal((await https.send({ path: '/version' })).status, 200)
})

test('kubectl apply: a bomb of aliases is refused by the client itself, at once', async () => {
  await using https = await startHttpsWorld()
  const before = await https.world.revision()
  const folder = mkdtempSync(join(tmpdir(), 'bad-input-'))
  try {
    const admin = https.clientCertificate('admin', ['system:masters'])
    const base64 = (text: string): string => Buffer.from(text).toString('base64')
    writeFileSync(join(folder, 'config'), JSON.stringify({
      apiVersion: 'v1', kind: 'Config', 'current-context': 'c', contexts: [{ name: 'c', context: { cluster: 'c', user: 'u' } }],
      clusters: [{ name: 'c', cluster: { server: `https://127.0.0.1:${https.port}`, 'certificate-authority-data': base64(https.caPem) } }], users: [{ name: 'u', user: { 'client-certificate-data': base64(admin.certificatePem), 'client-key-data': base64(admin.keyPem) } }],
    }))
    writeFileSync(join(folder, 'bomb.yaml'), `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bomb}\n${aliasBomb()}\n`)
    const kubectl = (...args: readonly string[]): Promise<{ readonly code: number; readonly output: string }> => new Promise((resolve) => {
      execFile(join(import.meta.dirname, '../../k8ts'), ['kubectl', '--kubeconfig', join(folder, 'config'), ...args], { timeout: 20_000 }, (error, stdout, stderr) => { resolve({ code: error ? Number(error.code ?? 1) : 0, output: stdout + stderr }) })
    })
    const { code, output } = await kubectl('apply', '-f', join(folder, 'bomb.yaml'))
    assert.equal(code, 1, output)
    assert.match(output, /yaml: document contains excessive aliasing/)
    writeFileSync(join(folder, 'good.yaml'), 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: good}\ndata: {a: &a x, b: *a}\n')
    const good = await kubectl('apply', '-f', join(folder, 'good.yaml'), '--dry-run=server')
    assert.match(good.output, /configmap\/good created \(server dry run\)/)
    assert.equal(await https.world.revision(), before)
  } finally {
    rmSync(folder, { recursive: true })
  }
})
