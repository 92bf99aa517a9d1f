// What lies on the wire, in testdata/frames.txt and in bytes that the original has written; and that no input costs more memory than it has bytes.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { seededRandom } from '../../../lib/base/random.ts'
import { makeMessage, type Entry, type Message } from '../raft/messages.ts'
import { ByteBuffer } from './byte-buffer.ts'
import { decodeMessage, messageSize, writeMessage } from './raft-wire.ts'
import { AppendFrameReader, AppendFrameWriter, isSound, MessageFrameReader, MessageFrameWriter, type FrameReader } from './stream-frames.ts'

function describe(message: Message): string {
  const { type, to, from, term, logTerm, index, commit, entries, context } = message
  const said = entries.map((e) => `${e.term}/${e.index} ${JSON.stringify(Buffer.from(e.data).toString())}`).join(', ')
  return `${type} ${from}->${to} term ${term} log ${logTerm}/${index} commit ${commit}${said && ` entries ${said}`}${context ? ` context ${Buffer.from(context).toString('hex')}` : ''}`
}

function read(kind: string, bytes: Buffer, cut: (at: number) => number): string[] {
  const lines: string[] = []
  const sink = (message: Message): void => { lines.push(describe(message)) }
  const reader: FrameReader = kind === 'msgapp' ? new AppendFrameReader(1n, 2n, sink) : new MessageFrameReader(sink)
  try {
    for (let at = 0; at < bytes.length;) {
      const end = Math.min(bytes.length, at + cut(at))
      reader.push(bytes.subarray(at, end))
      at = end
    }
  } catch (error) {
    assert.ok(error instanceof Error)
    lines.push(`error ${error.name}`)
  }
  return lines
}

/** The messages of a case, from its lines. */
function rewrite(kind: string, bytes: Buffer, lines: readonly string[]): string {
  const messages: Message[] = []
  const reader: FrameReader = kind === 'msgapp' ? new AppendFrameReader(1n, 2n, (m) => messages.push(m)) : new MessageFrameReader((m) => messages.push(m))
  reader.push(bytes)
  const writer = kind === 'msgapp' ? new AppendFrameWriter() : new MessageFrameWriter()
  const out = new ByteBuffer(16)
  for (const line of lines) {
    if (line === 'heartbeat') writer.heartbeat(out)
    else writer.message(out, messages.shift() ?? assert.fail('fewer messages than lines'))
  }
  return out.take().toString('hex')
}

for (const block of readFileSync(join(import.meta.dirname, 'testdata/frames.txt'), 'utf8').split('\n\n')) {
  const lines = block.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  const [head, ...rest] = lines
  if (head === undefined) continue
  const name = block.split('\n').findLast((line) => line.startsWith('# '))?.slice(2) ?? rest[0]
  test(`${head}: ${name}`, () => {
    const divider = rest.indexOf('---')
    const bytes = Buffer.from(rest.slice(0, divider).join('').replaceAll(/\s/g, ''), 'hex')
    const wanted = rest.slice(divider + 1)
    const kind = head.split(' ')[0] ?? ''
    const expected = wanted.filter((line) => line !== 'heartbeat')
    assert.deepEqual(read(kind, bytes, () => bytes.length), expected, 'in one piece')
    assert.deepEqual(read(kind, bytes, () => 1), expected, 'byte by byte')
    assert.deepEqual(read(kind, bytes, (at) => 1 + (at * 7) % 13), expected, 'in odd pieces')
    if (head.endsWith('original')) assert.equal(rewrite(kind, bytes, wanted), bytes.toString('hex'))
  })
}

/** Written by the original's raftpb (go.etcd.io/raft v3.7.0). */
const big = 0xfedcba9876543210n
const entry = (term: number, index: number, data: Uint8Array | string, type = 0): Entry => ({ type, term, index, data: Buffer.from(data) })
const golden: readonly (readonly [string, Message])[] = [
  ['0802100218013a0a220870726f706f73616c', makeMessage({ type: 'MsgProp', to: 2n, from: 1n, entries: [entry(0, 0, 'proposal')] })],
  ['08031090e4d0b287d3aeeefe0118cdd2918bd2b881cf8e012007280630ac023a0a100718ad0222036f6e653a0b0801100718ae02220200ff3a05100718af0240808080808020',
    makeMessage({ type: 'MsgApp', to: big, from: 0x8e9e05c52164694dn, term: 7, logTerm: 6, index: 300, commit: 2 ** 40, entries: [entry(7, 301, 'one'), entry(7, 302, Buffer.from('00ff', 'hex'), 1), entry(7, 303, '')] })],
  ['080410011890e4d0b287d3aeeefe012007280530af02500158ab02', makeMessage({ type: 'MsgAppResp', to: 1n, from: big, term: 7, logTerm: 5, index: 303, reject: true, rejectHint: 299 })],
  ['0811100118022008280730af02621043616d706169676e5472616e73666572', makeMessage({ type: 'MsgPreVote', to: 1n, from: 2n, term: 8, logTerm: 7, index: 303, context: Buffer.from('CampaignTransfer') })],
  ['08071001180220084a260a027b7d12200a19080108020890e4d0b287d3aeeefe011004180118052005280110e8071808', makeMessage({
    type: 'MsgSnap', to: 1n, from: 2n, term: 8,
    snapshot: { data: Buffer.from('{}'), metadata: { index: 1000, term: 8, confState: { voters: [1n, 2n, big], learners: [4n], votersOutgoing: [1n, 5n], learnersNext: [5n], autoLeave: true } } },
  })],
  ['08071001180220084a0c120a0a040801280010011801', makeMessage({
    type: 'MsgSnap', to: 1n, from: 2n, term: 8, snapshot: { data: Buffer.alloc(0), metadata: { index: 1, term: 1, confState: { voters: [1n], learners: [], votersOutgoing: [], learnersNext: [], autoLeave: false } } },
  })],
  ['081010011802200830113a0a22080102030405060708', makeMessage({ type: 'MsgReadIndexResp', to: 1n, from: 2n, term: 8, index: 17, entries: [entry(0, 0, Buffer.from('0102030405060708', 'hex'))] })],
  ['081710011802', makeMessage({ type: 'MsgForgetLeader', to: 1n, from: 2n })],
]

/** Buffers and views compare as their bytes. */
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value, (_, v: unknown) => (typeof v === 'bigint' ? `${v}n` : v)).replaceAll(/\{"type":"Buffer","data":(\[[\d,]*\])\}|\{((?:"\d+":\d+,?)*)\}/g, (_, list?: string, indexed?: string) => list ?? `[${(indexed ?? '').replaceAll(/"\d+":/g, '')}]`))

test('messages are the bytes of the original, both ways', () => {
  for (const [hex, message] of golden) {
    const out = new ByteBuffer(16)
    out.reserve(messageSize(message))
    writeMessage(out, message)
    assert.equal(out.take().toString('hex'), hex, message.type)
    assert.deepEqual(plain(decodeMessage(Buffer.from(hex, 'hex'))), plain(message))
  }
})

test('damaged messages are refused or read, never more', () => {
  const random = seededRandom(7)
  let refused = 0
  for (let round = 0; round < 20_000; round++) {
    const [hex] = golden[round % golden.length] ?? ['']
    const bytes = Buffer.from(hex, 'hex')
    for (let i = 0; i < 1 + round % 3; i++) bytes[Math.floor(random.float() * bytes.length)] = Math.floor(random.float() * 256)
    const end = round % 5 === 0 ? Math.floor(random.float() * bytes.length) : bytes.length
    try {
      const message = decodeMessage(bytes, 0, end)
      isSound(message)
      for (const number of [message.term, message.index, message.commit, message.logTerm, message.rejectHint]) assert.ok(Number.isSafeInteger(number))
    } catch (error) {
      assert.ok(error instanceof Error && error.name === 'WireError', String(error))
      refused++
    }
  }
  assert.ok(refused > 5000)
})

test('entries that do not follow each other are no append', () => {
  const append = (entries: readonly Entry[]): Message => makeMessage({ type: 'MsgApp', to: 1n, from: 2n, term: 7, logTerm: 6, index: 10, entries })
  assert.ok(isSound(append([entry(6, 11, ''), entry(7, 12, '')])))
  assert.ok(!isSound(append([entry(6, 12, '')])))
  assert.ok(!isSound(append([entry(5, 11, '')])))
  assert.ok(!isSound(append([entry(8, 11, '')])))
  assert.ok(!isSound(append([entry(7, 11, ''), entry(6, 12, '')])))
})
