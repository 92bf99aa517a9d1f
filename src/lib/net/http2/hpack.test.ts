// The examples of RFC 7541, appendix C, as bytes; and blocks that must be refused.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { encodeHeaders, encodeInteger, HpackDecoder, HpackError } from './hpack.ts'
import { decodeHuffman } from './huffman.ts'

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex')
const decoder = (options: { maxListBytes?: number; maxTableBytes?: number } = {}): HpackDecoder => new HpackDecoder({ maxListBytes: 65_536, ...options })

test('C.1: integers', () => {
  assert.deepEqual([...encodeInteger(0, 5, 10)], [0x0a])
  assert.deepEqual([...encodeInteger(0, 5, 1337)], [0x1f, 0x9a, 0x0a])
  assert.deepEqual([...encodeInteger(0, 8, 42)], [0x2a])
})

test('C.2: single fields', () => {
  assert.deepEqual(decoder().decode(hex('400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572')).fields, [['custom-key', 'custom-header']])
  const without = decoder()
  assert.deepEqual(without.decode(hex('040c 2f73 616d 706c 652f 7061 7468')).fields, [[':path', '/sample/path']])
  assert.deepEqual(without.decode(hex('1008 7061 7373 776f 7264 0673 6563 7265 74')).fields, [['password', 'secret']])
  assert.deepEqual(without.entries, [])
  assert.deepEqual(without.decode(hex('82')).fields, [[':method', 'GET']])
})

const requests = [
  [[':method', 'GET'], [':scheme', 'http'], [':path', '/'], [':authority', 'www.example.com']],
  [[':method', 'GET'], [':scheme', 'http'], [':path', '/'], [':authority', 'www.example.com'], ['cache-control', 'no-cache']],
  [[':method', 'GET'], [':scheme', 'https'], [':path', '/index.html'], [':authority', 'www.example.com'], ['custom-key', 'custom-value']],
]

test('C.3 and C.4: requests on one connection, plain and Huffman-coded', () => {
  const plain = ['8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d', '8286 84be 5808 6e6f 2d63 6163 6865', '8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65']
  const coded = ['8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff', '8286 84be 5886 a8eb 1064 9cbf', '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf']
  for (const blocks of [plain, coded]) {
    const d = decoder()
    blocks.forEach((block, i) => assert.deepEqual(d.decode(hex(block)).fields, requests[i]))
    assert.equal(d.tableBytes, 164)
    assert.deepEqual(d.entries.toReversed(), [['custom-key', 'custom-value'], ['cache-control', 'no-cache'], [':authority', 'www.example.com']])
  }
})

test('C.5: a table of 256 bytes forgets its oldest entries', () => {
  const d = decoder({ maxTableBytes: 256 })
  d.decode(hex('4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d'))
  assert.equal(d.tableBytes, 222)
  assert.deepEqual(d.decode(hex('4803 3330 37c1 c0bf')).fields, [[':status', '307'], ['cache-control', 'private'], ['date', 'Mon, 21 Oct 2013 20:13:21 GMT'], ['location', 'https://www.example.com']])
  assert.equal(d.tableBytes, 222)
  assert.deepEqual(d.entries[0], ['cache-control', 'private'])
})

test('blocks that must be refused', () => {
  const bad: { readonly [what: string]: string } = {
    'index 0': '80', 'index beyond the tables': 'c6', 'string longer than the block': '0005 6162', 'integer without end': '7f ff ff ff ff ff ff ff ff 01', 'block ends in a literal': '40',
    'table larger than allowed': '3f e2 1f', 'table size after a field': '82 20', 'padding longer than 7 bits': '00 81 ff 81 ff', 'padding of zeros': '00 81 18 00', 'end-of-string code': '00 84 ff ff ff ff 00',
  }
  for (const [what, block] of Object.entries(bad)) assert.throws(() => decoder().decode(hex(block)), HpackError, what)
})

test('a list larger than allowed is told, and the table stays in step', () => {
  const d = decoder({ maxListBytes: 100 })
  const { tooLarge } = d.decode(Buffer.concat([encodeHeaders([['a', 'x'.repeat(90)]]), hex('4001 6201 63')]))
  assert.ok(tooLarge)
  assert.deepEqual(d.decode(hex('be')), { fields: [['b', 'c']], tooLarge: false })
})

test('what is encoded is decoded', () => {
  fc.assert(fc.property(fc.array(fc.tuple(fc.stringMatching(/^[a-z-]{1,20}$/), fc.stringMatching(/^[ -~]{0,300}$/)), { maxLength: 8 }), (fields) => {
    const d = decoder()
    assert.deepEqual(d.decode(encodeHeaders(fields)).fields, fields)
    assert.equal(d.generation, 0)
  }), { seed: 7541, numRuns: 200 })
})

test('any bytes are decoded or refused; Huffman never yields more than 8/5 of its bytes', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 80 }), (input) => {
    const d = decoder({ maxListBytes: 1000, maxTableBytes: 200 })
    try { d.decode(input) } catch (error) { assert.ok(error instanceof HpackError) }
    assert.ok(d.tableBytes <= 200)
    assert.ok((decodeHuffman(input, 0, input.length)?.length ?? 0) <= input.length * 8 / 5)
  }), { seed: 7541, numRuns: 5000 })
})
