import assert from 'node:assert/strict'
import { test } from 'node:test'
import { YamlError, parseYamlBody, parseYamlDocuments } from './yaml.ts'
import { formatYaml } from './yaml-writer.ts'

test('scalars mean what sigs.k8s.io/yaml takes them for', () => {
  const [document] = parseYamlDocuments('a: yes\nb: 0777\nc: 0x1f\nd: 22:22\ne: 2026-01-02\nf: 1_000\ng: 08\nh: "yes"\ni: 1.5e3\nj: ~\nk: off\nl: 9007199254740993\nm: !!str 12\n')
  assert.deepEqual(document, { a: true, b: 511, c: 31, d: '22:22', e: '2026-01-02', f: 1000, g: 8, h: 'yes', i: 1500, j: null, k: false, l: 9007199254740993n, m: '12' })
})

test('documents, merges and JSON', () => {
  assert.deepEqual(parseYamlDocuments('---\na: 1\n---\n---\nb: [1, {c: d}]\n'), [{ a: 1 }, { b: [1, { c: 'd' }] }])
  assert.deepEqual(parseYamlDocuments('{"a": {"b": [true, null]}}'), [{ a: { b: [true, null] } }])
})

test('an alias bomb, duplicate keys and broken text are refused', () => {
  const bomb = ['a: &a [x,x,x,x,x,x,x,x,x]', ...'bcdefghi'.split('').map((c, i) => `${c}: &${c} [${Array(9).fill(`*${'abcdefgh'[i]}`).join(',')}]`)].join('\n')
  assert.throws(() => parseYamlDocuments(`${bomb}\n${Array.from({ length: 60 }, (_, i) => `k${i}: *i`).join('\n')}`), YamlError)
  assert.throws(() => parseYamlDocuments('a: 1\na: 2\n'), YamlError)
  assert.throws(() => parseYamlDocuments('a: [1\nb: 2'), YamlError)
})

test('__proto__ is a key like any other', () => {
  const [document] = parseYamlDocuments('__proto__: {polluted: true}\n')
  assert.deepEqual(Object.keys(document as object), ['__proto__'])
  assert.equal(({} as Record<string, unknown>)['polluted'], undefined)
})

test('written as kubectl writes it', () => {
  assert.equal(formatYaml({ kind: 'Pod', apiVersion: 'v1', metadata: { labels: { b: 'true', a: '12' }, name: 'x' }, spec: { containers: [{ name: 'c', args: ['-a', '- b', 'c: d', '#e'] }], empty: [], none: {} } }),
    'apiVersion: v1\nkind: Pod\nmetadata:\n  labels:\n    a: "12"\n    b: "true"\n  name: x\nspec:\n  containers:\n  - args:\n    - -a\n    - \'- b\'\n    - \'c: d\'\n    - \'#e\'\n    name: c\n  empty: []\n  none: {}\n')
  assert.equal(formatYaml({ data: { text: 'one\ntwo\n', bare: 'one\ntwo' } }), 'data:\n  bare: |-\n    one\n    two\n  text: |\n    one\n    two\n')
})

test('long text is folded at a space past column 80, indented under its key', () => {
  const text = Array.from({ length: 30 }, (_, i) => `word${i}`).join(' ')
  const written = formatYaml({ message: text })
  assert.ok(written.split('\n').length > 2)
  assert.match(written, /\n  word/)
  assert.deepEqual(parseYamlDocuments(written), [{ message: text }])
})

test('what is written reads back the same', () => {
  for (const value of ['', ' lead', 'trail ', 'a: b', '- x', '?', ':', '"q"', "it's", 'tab\there', 'ü', '\u0001', 'null', '1e3', '0x10', '<<', '~', 'multi\n\nline\n\n', '  x\ny', '%a', '@b', '`c', '!d', '&e', '*f', '|', '>', '=', '{', '[a', 'x#y', 'x #y', '2026-01-01', '22:22', '.5', 'y', 'N'])
    assert.deepEqual(parseYamlDocuments(formatYaml({ k: value, l: [value] })), [{ k: value, l: [value] }], JSON.stringify(value))
})

test('aliases of aliases are refused before they fill the memory; a few aliases are nothing', () => {
  const bomb = [`a: &a [${'x,'.repeat(9)}]`, ...[...'bcdefghij'].map((name, i, all) => `${name}: &${name} [${`*${i === 0 ? 'a' : all[i - 1]},`.repeat(9)}]`)].join('\n')
  for (const read of [parseYamlDocuments, parseYamlBody]) assert.throws(() => read(bomb), (error) => error instanceof YamlError && error.message.endsWith('yaml: document contains excessive aliasing'))
  assert.throws(() => parseYamlDocuments('a: &a [*a]'), YamlError)
  assert.deepEqual(parseYamlDocuments('a: &a {x: [1, 2]}\nb: *a\nc: [*a, *a]'), [{ a: { x: [1, 2] }, b: { x: [1, 2] }, c: [{ x: [1, 2] }, { x: [1, 2] }] }])
})

test('a body: its first document, with the last of duplicate keys, and where they were', () => {
  assert.deepEqual(parseYamlBody('a: 1\nb: {c: 1}\na: 2\n---\nd: 1\n'), { value: { a: 2, b: { c: 1 } }, duplicate: 'line 3: key "a" already set in map' })
  assert.deepEqual(parseYamlBody('x: yes'), { value: { x: true }, duplicate: undefined })
  assert.deepEqual(parseYamlBody(''), { value: null, duplicate: undefined })
  assert.throws(() => parseYamlBody('a: ['), (error) => error instanceof YamlError && error.message.startsWith('yaml: line 1: '))
})
