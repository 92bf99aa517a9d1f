import { test } from 'node:test'
import assert from 'node:assert/strict'
import { TabWriter, alignTabs } from './tab-writer.ts'
import { TablePrinter } from './table-printer.ts'

function collect(print: (write: (text: string) => void) => void): string {
  let text = ''
  print((piece) => { text += piece })
  return text
}

test('columns are at least six wide, three apart, and the last one has no trailing spaces', () => {
  assert.equal(collect((write) => {
    const writer = new TabWriter(write)
    writer.row(['NAME', 'A', 'STATUS'])
    writer.row(['a-long-name', 'x', 'ok'])
    writer.flush()
  }), 'NAME          A     STATUS\na-long-name   x     ok\n')
})

test('a later block of rows keeps the widths of the ones before', () => {
  assert.equal(collect((write) => {
    const writer = new TabWriter(write)
    writer.row(['a-long-name', 'x'])
    writer.flush()
    writer.row(['b', 'y'])
    writer.flush()
  }), 'a-long-name   x\nb             y\n')
})

test('alignTabs aligns each run of lines that have a column by itself', () => {
  assert.equal(alignTabs('Name:\tweb\nNamespace:\tdefault\nText\nA:\tb\n'), 'Name:       web\nNamespace:  default\nText\nA:  b\n')
})

test('alignTabs: an inner column is as wide as its widest cell among neighbours, an empty one as the gap', () => {
  assert.equal(alignTabs('a\tbb\tc\na\tb\tc\n\tx\n'), 'a  bb  c\na  b   c\n   x\n')
})

const table = {
  columnDefinitions: [{ name: 'Name', type: 'string', format: 'name' }, { name: 'Ready', type: 'string' }, { name: 'Node', type: 'string', priority: 1 }],
  rows: [{ cells: ['web', null, 'n1'], object: { metadata: { name: 'web', namespace: 'default', labels: { b: '2', a: '1' } } } }, { cells: ['db', 'two\nlines', 'n2'] }],
}
const options = { wide: false, noHeaders: false, withNamespace: false, kindPrefix: '', showLabels: false, labelColumns: [] }

test('a table hides columns of lower priority, shows absent cells as <none> and only the first line of a text', () => {
  assert.equal(collect((write) => new TablePrinter(write, options).print(table)), 'NAME   READY\nweb    <none>\ndb     two...\n')
})

test('wide shows every column; namespace, kind and labels come from the objects', () => {
  assert.equal(collect((write) => new TablePrinter(write, { ...options, wide: true, withNamespace: true, kindPrefix: 'pod', showLabels: true, labelColumns: ['example.com/a', 'b'] }).print(table)),
    'NAMESPACE   NAME      READY    NODE   A     B     LABELS\ndefault     pod/web   <none>   n1           2     a=1,b=2\n            pod/db    two...   n2                 <none>\n')
})

test('the header is printed once, also when later events of a watch bring no columns', () => {
  assert.equal(collect((write) => {
    const printer = new TablePrinter(write, { ...options, eventColumn: true })
    printer.print(table, 'ADDED')
    printer.print({ rows: [{ cells: ['web', '1/1', 'n1'] }] }, 'MODIFIED')
  }), 'EVENT   NAME   READY\nADDED   web    <none>\nADDED   db     two...\nMODIFIED   web    1/1\n')
})
