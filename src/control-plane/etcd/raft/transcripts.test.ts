// Runs the transcripts in testdata/: each command's output is compared with what stands below it. With UPDATE_TESTDATA=1 it is rewritten
// instead: read the difference before keeping it.
//
// A line that begins with "> " is a command, the lines up to the next blank one are its output, "#" begins a remark. Members have small ids and a
// fixed spread of election timeouts: member i waits 10 + i - 1 ticks. Messages wait in the receiver's inbox until `deliver` or `stabilize`.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { confChangeOf, type ConfChangeSingle, type ConfChangeTransition } from './conf-change.ts'
import { MemoryStorage } from './memory-storage.ts'
import { entryTypes, noBytes, type ConfState, type Entry, type Message, type Snapshot } from './messages.ts'
import { RaftNode, type Ready } from './raft-node.ts'
import type { RaftConfig } from './raft-config.ts'
import type { StepResult } from './step-result.ts'

const text = (data: Uint8Array): string => Buffer.from(data).toString()
const bytes = (data: string): Uint8Array => new Uint8Array(Buffer.from(data))
const ids = (list: string | undefined): bigint[] => (list === undefined || list === '' ? [] : list.split(',').map(BigInt))

/** Makes a snapshot of the applied state when the leader needs one, as a real shell does. */
class SnapshotOnDemand extends MemoryStorage {
  refresh: (() => void) | undefined
  override snapshot(): Snapshot | undefined {
    this.refresh?.()
    return super.snapshot()
  }
  durableSnapshot(): Snapshot | undefined { return super.snapshot() }
}

interface Member {
  readonly id: bigint
  readonly storage: SnapshotOnDemand
  node: RaftNode
  /** What the state machine has applied, in order. */
  applied: string[]
  appliedIndex: number
  confState: ConfState
}

function describeConf(c: ConfState): string {
  const part = (name: string, list: readonly bigint[]): string => (list.length > 0 ? ` ${name}=${list.join(',')}` : '')
  return `voters=${c.voters.join(',')}${part('outgoing', c.votersOutgoing)}${part('learners', c.learners)}${part('learnersNext', c.learnersNext)}${c.autoLeave ? ' autoLeave' : ''}`
}

function describeEntry(entry: Entry): string {
  const change = confChangeOf(entry)
  const what = change === undefined ? (entry.data.length > 0 ? `"${text(entry.data)}"` : 'empty')
    : change.changes.length === 0 ? 'leaveJoint' : change.changes.map((c) => `${c.type.replace('ConfChange', '')}(${c.nodeId})`).join('+')
  return `${entry.term}/${entry.index} ${what}`
}

function describeMessage(m: Message): string {
  const parts = [`${m.from}>${m.to} ${m.type}`]
  if (m.term > 0) parts.push(`term=${m.term}`)
  if (m.type === 'MsgApp') parts.push(`after=${m.logTerm}/${m.index}`)
  else if (m.type.endsWith('Vote')) parts.push(`last=${m.logTerm}/${m.index}`)
  else if (m.index > 0) parts.push(`index=${m.index}`)
  if (m.commit > 0) parts.push(`commit=${m.commit}`)
  if (m.reject) parts.push(m.type === 'MsgAppResp' ? `rejected hint=${m.logTerm}/${m.rejectHint}` : 'rejected')
  if (m.entries.length > 0) parts.push(`[${m.entries.map((e) => (m.type === 'MsgApp' ? describeEntry(e) : `"${text(e.data)}"`)).join(', ')}]`)
  if (m.snapshot) parts.push(`snapshot=${m.snapshot.metadata.term}/${m.snapshot.metadata.index} (${describeConf(m.snapshot.metadata.confState)})`)
  if (m.context) parts.push(m.context.length === 8 ? `round=${new DataView(m.context.buffer, m.context.byteOffset).getFloat64(0)}` : `context=${text(m.context)}`)
  return parts.join(' ')
}

class TranscriptWorld {
  readonly #members = new Map<bigint, Member>()
  #inbox: Message[] = []
  /** Directed edges "from>to" over which nothing arrives. */
  readonly #cut = new Set<string>()
  #options: Partial<RaftConfig> = {}

  run(command: string): string {
    const [name = '', ...words] = command.split(/\s+/)
    const plain = words.filter((w) => !w.includes('=') && !w.startsWith('-'))
    const named = new Map(words.filter((w) => w.includes('=')).map((w): [string, string] => [w.slice(0, w.indexOf('=')), w.slice(w.indexOf('=') + 1)]))
    const first = (): Member => this.#member(plain[0])
    const out: string[] = []
    switch (name) {
      // options preVote=false checkQuorum=false maxMessageBytes=100 maxInflightMessages=2 …: the configuration of members that start from now on
      case 'options':
        for (const [key, value] of named) this.#options = { ...this.#options, [key]: value === 'true' ? true : value === 'false' ? false : Number(value) }
        break
      // members 1,2,3 [voters=1,2,3] [learners=4] [outgoing=] [log=1,1,2] [term=]: starts members from a snapshot at 1/1 with this membership (default: all
      // vote), each with entries of the given terms behind it
      case 'members':
        for (const id of ids(plain[0])) this.#start(id, named, ids(plain[0]))
        break
      // campaign 1: member 1 stands for election
      case 'campaign': first().node.campaign(); break
      // tick 1 [20]: time passes for member 1
      case 'tick':
        for (let i = 0; i < Number(plain[1] ?? 1); i++) first().node.tick()
        break
      // propose 1 a b c: proposes entries at member 1 in one go
      case 'propose': out.push(...this.#result(first().node.propose(...plain.slice(1).map(bytes)))); break
      // propose-conf 1 add=4 learner=5 remove=1 [explicit|implicit]: proposes a membership change; `old` as the last word uses the one-change form
      case 'propose-conf': out.push(...this.#proposeConf(first(), plain, named)); break
      // leave-joint 1: proposes to leave the joint configuration
      case 'leave-joint': out.push(...this.#result(first().node.proposeConfChangeV2({ transition: 'ConfChangeTransitionAuto', changes: [], context: noBytes }))); break
      // read 1 context: asks for a read index
      case 'read': first().node.readIndex(bytes(plain[1] ?? '')); break
      // transfer 1 2: asks member 1 to hand over to 2
      case 'transfer': first().node.transferLeadership(BigInt(plain[1] ?? 0)); break
      // forget-leader 1
      case 'forget-leader': first().node.forgetLeader(); break
      // unreachable 1 2: tells member 1 that 2 can't be reached
      case 'unreachable': first().node.reportUnreachable(BigInt(plain[1] ?? 0)); break
      // snapshot-status 1 2 failed: tells member 1 what became of its snapshot for 2
      case 'snapshot-status': first().node.reportSnapshot(BigInt(plain[1] ?? 0), plain[2] === 'failed' ? 'failed' : 'delivered'); break
      // compact 1 [5]: member 1 makes a snapshot of what it has applied and drops its log up to there (or to the index)
      case 'compact': this.#compact(first(), plain[1]); break
      // ready 1: member 1 takes one ready, writes, sends, advances and applies; shows all of it
      case 'ready': out.push(...this.#ready(first())); break
      // deliver 2: gives member 2 what waits for it; `deliver 2 from=1 type=MsgApp count=1` only such messages
      case 'deliver': out.push(...this.#deliver(first().id, named)); break
      // drop 2 [from=] [type=] [count=]: loses messages to member 2
      case 'drop': out.push(...this.#take(first().id, named).map((m) => `lost ${describeMessage(m)}`)); break
      // cut 1>2 2>1: nothing arrives over these edges from now on; heal: everything arrives again
      case 'cut': for (const edge of plain) this.#cut.add(edge); break
      case 'heal': this.#cut.clear(); break
      // stabilize [1,2]: deliver and ready in turn until nothing happens any more among these members; -quiet shows nothing of it
      case 'stabilize': {
        const log = this.#stabilize(plain[0] === undefined ? [...this.#members.keys()] : ids(plain[0]))
        if (!words.includes('-quiet')) out.push(...log)
        break
      }
      // restart 1: member 1 loses what isn't written and starts again
      case 'restart': {
        const member = first()
        Object.assign(member, this.#boot(member.id, member.storage))
        break
      }
      // torn-restart 1: as restart, but in the middle of writing: the entries of the next ready are on the disk, its hard state isn't
      case 'torn-restart': {
        const member = first()
        member.storage.append(member.node.ready().entries)
        Object.assign(member, this.#boot(member.id, member.storage))
        break
      }
      // status [1]: roles and logs of all members; with one id also its view of the others
      case 'status': for (const member of plain[0] === undefined ? this.#members.values() : [first()]) out.push(...this.#status(member, plain[0] !== undefined)); break
      // log 1: the entries that member 1 has
      case 'log': out.push(...(first().node.raft.log.entriesFrom(first().node.raft.log.firstIndex(), 1e9) ?? []).map(describeEntry)); break
      // state 1: what member 1 has applied
      case 'state': out.push(first().applied.join(' ') || 'nothing'); break
      default: throw new Error(`unknown command ${name}`)
    }
    return out.length > 0 ? out.join('\n') : 'ok'
  }

  #member(id: string | undefined): Member {
    const member = this.#members.get(BigInt(id ?? 0))
    if (!member) throw new Error(`no member ${id}`)
    return member
  }

  #result(result: StepResult): string[] { return result.type === 'ok' ? [] : [`refused: ${result.reason}`] }

  #start(id: bigint, named: ReadonlyMap<string, string>, all: readonly bigint[]): void {
    const storage = new SnapshotOnDemand()
    const learners = ids(named.get('learners'))
    const voters = named.has('voters') ? ids(named.get('voters')) : all.filter((i) => !learners.includes(i))
    const terms = (named.get('log') ?? '').split(',').filter(Boolean).map(Number)
    if (!named.has('empty')) {
      storage.installSnapshot({ data: noBytes, metadata: { index: 1, term: 1, confState: { voters, learners, votersOutgoing: ids(named.get('outgoing')), learnersNext: [], autoLeave: false } } })
      storage.append(terms.map((term, i) => ({ type: entryTypes.normal, term, index: i + 2, data: bytes(`t${term}`) })))
      storage.setHardState({ term: Number(named.get('term') ?? terms.at(-1) ?? 1), vote: 0n, commit: 1 })
    }
    const member: Member = { id, storage, ...this.#boot(id, storage) }
    this.#members.set(id, member)
    storage.refresh = () => { if (member.appliedIndex > storage.initialState().snapshotIndex) this.#snapshot(member) }
  }

  #boot(id: bigint, storage: SnapshotOnDemand): Omit<Member, 'id' | 'storage'> {
    const random = { float: () => (Number(id) - 1) / 10, bytes: (length: number) => new Uint8Array(length) }
    const { confState, snapshotIndex } = storage.initialState()
    const data = storage.durableSnapshot()?.data ?? noBytes
    return { node: new RaftNode({ id, storage, random, electionTicks: 10, heartbeatTicks: 1, ...this.#options }), applied: text(data).split(' ').filter(Boolean), appliedIndex: snapshotIndex, confState }
  }

  #proposeConf(member: Member, plain: readonly string[], named: ReadonlyMap<string, string>): string[] {
    const changes = [...named].flatMap(([kind, list]): ConfChangeSingle[] => ids(list).map((nodeId) => ({
      nodeId, type: kind === 'add' ? 'ConfChangeAddNode' : kind === 'learner' ? 'ConfChangeAddLearnerNode' : 'ConfChangeRemoveNode' })))
    const only = changes[0]
    if (plain[1] === 'old' && only) return this.#result(member.node.proposeConfChange({ ...only, id: 1n, context: noBytes }))
    const transition: ConfChangeTransition = plain[1] === 'explicit' ? 'ConfChangeTransitionJointExplicit' : plain[1] === 'implicit' ? 'ConfChangeTransitionJointImplicit' : 'ConfChangeTransitionAuto'
    return this.#result(member.node.proposeConfChangeV2({ transition, changes, context: noBytes }))
  }

  #snapshot(member: Member): void { member.storage.createSnapshot(member.appliedIndex, member.confState, bytes(member.applied.join(' '))) }

  #compact(member: Member, index: string | undefined): void {
    member.storage.snapshot()
    member.storage.compact(Number(index ?? member.appliedIndex))
  }

  #ready(member: Member): string[] {
    if (!member.node.hasReady()) return ['nothing to do']
    const ready = member.node.ready()
    const out = describeReady(ready)
    if (ready.snapshot) {
      member.storage.installSnapshot(ready.snapshot)
      member.applied = text(ready.snapshot.data).split(' ').filter(Boolean)
      member.appliedIndex = ready.snapshot.metadata.index
      member.confState = ready.snapshot.metadata.confState
    }
    member.storage.append(ready.entries)
    if (ready.hardState) member.storage.setHardState(ready.hardState)
    for (const message of [...ready.messages, ...ready.messagesAfterPersist]) if (!this.#cut.has(`${message.from}>${message.to}`)) this.#inbox.push(message)
    member.node.advance()
    for (const entry of ready.committedEntries) {
      const change = confChangeOf(entry)
      if (change) {
        member.confState = member.node.applyConfChange(entry.index, change)
        out.push(`  membership ${describeConf(member.confState)}`)
      } else if (entry.data.length > 0) member.applied.push(text(entry.data))
      member.appliedIndex = entry.index
      member.node.appliedTo(entry.index)
    }
    return out
  }

  #take(to: bigint, named: ReadonlyMap<string, string>): Message[] {
    let left = Number(named.get('count') ?? Infinity)
    const taken: Message[] = []
    this.#inbox = this.#inbox.filter((m) => {
      const fits = m.to === to && (!named.has('from') || BigInt(named.get('from') ?? 0) === m.from) && (!named.has('type') || named.get('type') === m.type)
      if (!fits || left-- <= 0) return true
      taken.push(m)
      return false
    })
    return taken
  }

  #deliver(to: bigint, named: ReadonlyMap<string, string>): string[] {
    const member = this.#members.get(to)
    return this.#take(to, named).map((message) => {
      const result = member?.node.step(message)
      return `${describeMessage(message)}${result?.type === 'dropped' ? ` (refused: ${result.reason})` : ''}${member ? '' : ' (nobody there)'}`
    })
  }

  #stabilize(members: readonly bigint[]): string[] {
    const out: string[] = []
    for (let round = 0, before = -1; out.length !== before; round++) {
      assert.ok(round < 200, 'it never becomes quiet')
      before = out.length
      for (const id of members) {
        const member = this.#members.get(id)
        while (member?.node.hasReady()) out.push(`${id} ready:`, ...this.#ready(member).map((line) => `  ${line}`))
      }
      for (const id of members) {
        const lines = this.#deliver(id, new Map())
        if (lines.length > 0) out.push(`${id} gets:`, ...lines.map((line) => `  ${line}`))
      }
    }
    return out
  }

  #status(member: Member, detailed: boolean): string[] {
    const s = member.node.status()
    const out = [`${s.id} ${s.role} term=${s.term} vote=${s.vote} leader=${s.leader} committed=${s.committed} applied=${s.applied} log=${s.firstIndex}..${s.lastIndex} ${describeConf(s.confState)}`]
    if (!detailed) return out
    for (const p of s.progress) {
      out.push(`  ${p.id} ${p.state} match=${p.match} next=${p.next} inflight=${p.inflightCount}${p.isPaused ? ' paused' : ''}${p.recentActive ? '' : ' inactive'}`
        + `${p.isLearner ? ' learner' : ''}${p.pendingSnapshot ? ` snapshot=${p.pendingSnapshot}` : ''}`)
    }
    return out
  }
}

function describeReady(ready: Ready): string[] {
  const out: string[] = []
  if (ready.softState) out.push(`is ${ready.softState.role}, leader ${ready.softState.leader}`)
  if (ready.hardState) out.push(`write term=${ready.hardState.term} vote=${ready.hardState.vote} commit=${ready.hardState.commit}${ready.mustSync ? '' : ' (no sync)'}`)
  if (ready.snapshot) out.push(`write snapshot ${ready.snapshot.metadata.term}/${ready.snapshot.metadata.index} (${describeConf(ready.snapshot.metadata.confState)})`)
  if (ready.entries.length > 0) out.push(`write ${ready.entries.map(describeEntry).join(', ')}`)
  for (const message of ready.messages) out.push(`send ${describeMessage(message)}`)
  for (const message of ready.messagesAfterPersist) out.push(`then send ${describeMessage(message)}`)
  if (ready.committedEntries.length > 0) out.push(`apply ${ready.committedEntries.map(describeEntry).join(', ')}`)
  for (const read of ready.readStates) out.push(`read "${text(read.context)}" at ${read.index}`)
  return out
}

const folder = join(import.meta.dirname, 'testdata')
for (const file of readdirSync(folder).filter((name) => name.endsWith('.txt')).sort()) {
  test(`transcript ${file}`, () => {
    const world = new TranscriptWorld()
    const before = readFileSync(join(folder, file), 'utf8')
    const after: string[] = []
    let skipping = false
    for (const line of before.trimEnd().split('\n')) {
      if (line.startsWith('> ')) {
        after.push(line, world.run(line.slice(2).trim()))
        skipping = true
      } else if (line === '') {
        after.push('')
        skipping = false
      } else if (!skipping) after.push(line)
    }
    const now = `${after.join('\n')}\n`
    if (process.env['UPDATE_TESTDATA']) writeFileSync(join(folder, file), now)
    else assert.equal(now, before)
  })
}
