import { test } from 'node:test'
import assert from 'node:assert/strict'
import { explainSchema } from './explain-printer.ts'

const document = { components: { schemas: {
  Tree: { type: 'object', description: 'A tree.', required: ['spec'], properties: { spec: { allOf: [{ $ref: '#/components/schemas/Spec' }], description: 'What it is.' }, child: { $ref: '#/components/schemas/Tree' } } },
  Spec: { type: 'object', properties: { color: { type: 'string', enum: ['', 'a', 'b', 'c', 'd'] }, sizes: { type: 'array', items: { type: 'integer' } }, tags: { type: 'object', additionalProperties: { type: 'string' } } } },
} } }
const tree = document.components.schemas.Tree
const explain = (path: readonly string[], recursive = false): string | undefined => explainSchema(tree, { document, path, recursive, maxDepth: 0 })

test('a kind: its description and fields', () => {
  assert.equal(explain([]), 'DESCRIPTION:\n    A tree.\n    \nFIELDS:\n  child\t<Tree>\n    <no description>\n\n  spec\t<Spec> -required-\n    What it is.\n\n')
})

test('a field: its type, values and fields below', () => {
  assert.equal(explain(['spec', 'color']), 'FIELD: color <string>\nENUM:\n    ""\n    a\n    b\n    c\n    d\n\nDESCRIPTION:\n    <empty>\n')
  assert.match(explain(['spec', 'tags']) ?? '', /^FIELD: tags <map\[string\]string>\n/)
})

test('recursion ends at cycles; enums are cut short in lists', () => {
  assert.equal(explain([], true), 'DESCRIPTION:\n    A tree.\n    \nFIELDS:\n  child\t<Tree>\n    child\t<Tree>\n    spec\t<Spec> -required-\n      color\t<string>\n      enum: "", a, b, c, ....\n      sizes\t<[]integer>\n      tags\t<map[string]string>\n  spec\t<Spec> -required-\n    color\t<string>\n    enum: "", a, b, c, ....\n    sizes\t<[]integer>\n    tags\t<map[string]string>\n')
})

test('no such field', () => { assert.equal(explain(['spec', 'nope']), undefined) })
