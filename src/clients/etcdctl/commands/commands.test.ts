// How command lines become commands, conditions and watches.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { nameOf } from '../command.ts'
import { complete } from '../complete.ts'
import { findCommand } from '../find-command.ts'
import { globalFlags, readEnvironment } from '../global-flags.ts'
import { suggestCommands } from '../help-text.ts'
import { perfVerdict, progressBar } from './check.ts'
import { rootCommand } from './index.ts'
import { parseCompare } from './txn.ts'
import { watchTarget } from './watch.ts'

test('flags may stand before and among the names; names may be short', () => {
  const found = (line: string): [string, readonly string[]] => {
    const { path, args } = findCommand(rootCommand, line.split(' '), globalFlags)
    return [path.map(nameOf).join(' '), args]
  }
  assert.deepEqual(found('--endpoints get put a b'), ['etcdctl put', ['--endpoints', 'get', 'a', 'b']])
  assert.deepEqual(found('-w json lease --hex grant 10'), ['etcdctl lease grant', ['-w', 'json', '--hex', '10']])
  assert.deepEqual(found('endpoint --cluster st'), ['etcdctl endpoint status', ['--cluster']])
  assert.deepEqual(found('l list'), ['etcdctl', ['l', 'list']])
  assert.deepEqual(suggestCommands('gett', rootCommand.commands), ['get'])
})

test('conditions', () => {
  assert.deepEqual(parseCompare('mod("k\\"1") > "0"'), { key: Buffer.from('k"1'), result: 'GREATER', target: 'MOD', modRevision: 0 })
  assert.deepEqual(parseCompare('val(`k`) != `a b`'), { key: Buffer.from('k'), result: 'NOT_EQUAL', target: 'VALUE', value: Buffer.from('a b') })
  assert.deepEqual(parseCompare('lease("k") = "ff"'), { key: Buffer.from('k'), result: 'EQUAL', target: 'LEASE', lease: 255n })
  assert.throws(() => parseCompare('size("k") = "1"'), /^ExitError: malformed comparison: size\("k"\) = "1" \(unknown target size\)$/)
  assert.throws(() => parseCompare('ver("k") = "x"'), /invalid txn compare request/)
})

test('what to watch and what to run', () => {
  assert.deepEqual(watchTarget(['a', 'b'], ['echo', 'x'], true, []), { range: ['a', 'b'], program: ['echo', 'x'] })
  assert.deepEqual(watchTarget([], ['echo'], true, ['k']), { range: ['k'], program: ['echo'] })
  assert.throws(() => watchTarget(['a'], [], true, []), /found separator --, but no commands/)
  assert.throws(() => watchTarget(['a'], [], false, ['k']), /conflicting environment key/)
  assert.throws(() => watchTarget([], [], false, []), /bad number of arguments/)
})

test('the environment: values, conflicts, strangers', () => {
  const reading = readEnvironment({ ETCDCTL_ENDPOINTS: 'a,b', ETCDCTL_API: '3', ETCDCTL_HEX: 'maybe', ETCDCTL_FOO: '1', PATH: '/' }, globalFlags, new Set())
  assert.deepEqual(reading, { values: { endpoints: ['a', 'b'], hex: false }, unrecognized: ['ETCDCTL_FOO=1'] })
  assert.equal(readEnvironment({ ETCDCTL_USER: 'x' }, globalFlags, new Set(['user'])).conflict, 'ETCDCTL_USER')
})

test('the verdict of check perf', () => {
  const even = Array.from({ length: 9000 }, () => 0.01)
  assert.deepEqual(perfVerdict({ latencies: even, errors: new Map(), totalSeconds: 60 }, 150).lines, ['PASS: Throughput is 151 writes/s', 'PASS: Slowest request took 0.010000s', 'PASS: Stddev is 0.000000s', 'PASS'])
  const bad = perfVerdict({ latencies: [0.01, 0.9], errors: new Map([['boom', 2]]), totalSeconds: 60 }, 150)
  assert.equal(bad.passed, false)
  assert.deepEqual(bad.lines, ['FAIL: too many errors', 'FAIL: ERROR(boom) -> 2', 'FAIL: Throughput too low: 1 writes/s', 'Slowest request took too long: 0.900000s', 'Stddev too high: 0.445000s', 'FAIL'])
})

test('a progress bar fills a line of a hundred columns', () => {
  assert.equal(progressBar(0, 60), `0 / 60 [${'_'.repeat(79)}] 0.00% ? p/s`)
  assert.equal(progressBar(4, 60), `4 / 60 [----->${'_'.repeat(73)}] 6.67% 1 p/s`)
  assert.equal(progressBar(60, 60).length, 100)
})

test('completion: commands, flags, values of flags, and when files are meant', () => {
  const ask = (...words: string[]): string => { const { candidates, directive } = complete(rootCommand, globalFlags, words); return `${candidates.map((one) => one.split('\t')[0]).join(' ')} :${directive}` }
  assert.equal(ask('le'), 'lease :4')
  assert.equal(ask('lease', 'g'), 'grant :4')
  assert.equal(ask('get', '--pre'), '--prefix :4')
  assert.equal(ask('get', '--order', ''), 'ASCEND DESCEND :0')
  assert.equal(ask('get', '--order=D'), '--order=DESCEND :0')
  assert.equal(ask('get', 'a'), ' :0')
  assert.equal(ask('-w', 'j'), 'json :0')
  assert.equal(ask('completion', ''), 'bash zsh fish powershell :4')
})
