import { test } from 'node:test'
import assert from 'node:assert/strict'
import { negotiate } from './negotiate.ts'
import type { AnswerShape } from './negotiate.ts'

const choose = (accept: string | undefined, shape: AnswerShape = 'object'): string => {
  try { const { mediaType, transform } = negotiate(accept, shape, false); return transform ? `${mediaType} ${transform}` : mediaType } catch { return '406' }
}

test('the first clause that is understood wins', () => {
  const table = 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json'
  for (const [accept, shape, expected] of [
    [undefined, 'object', 'application/json'], ['*/*', 'object', 'application/json'], ['text/html,application/*;q=0.1', 'object', 'application/json'],
    ['application/vnd.kubernetes.protobuf,application/json', 'object', 'application/vnd.kubernetes.protobuf'], ['application/json;q=0.5,application/yaml', 'object', 'application/yaml'],
    [table, 'list', 'application/json Table'], [table, 'plain', 'application/json'], ['application/yaml', 'watch', '406'], ['application/cbor', 'object', '406'],
    ['application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1', 'watch', 'application/vnd.kubernetes.protobuf PartialObjectMetadata'],
    ['application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1', 'list', '406'], ['application/json;stream=watch', 'watch', 'application/json'], ['application/json;as=Unknown;g=meta.k8s.io;v=v1,application/yaml', 'object', 'application/yaml'],
  ] as const) assert.equal(choose(accept, shape), expected, `${accept} ${shape}`)
})
