// What a member finds when it starts: the saved state, then the log behind it as far as it is committed, then entries that Raft will judge.
// A new member begins with the log that its cluster begins with.
import type { Logger } from '../../../lib/component-base/log.ts'
import { EtcdError } from '../../../lib/etcd-api/etcd-error.ts'
import { StorageError } from '../disk/disk.ts'
import { encodeMember } from '../membership/member-json.ts'
import type { BootstrapPlan } from '../membership/plan-bootstrap.ts'
import { bootstrapLog } from '../raft/bootstrap.ts'
import { confChangeOf, decodeConfChange, type ConfChange, type ConfChangeV2 } from '../raft/conf-change.ts'
import { changeMembership, membershipOf } from '../raft/membership-change.ts'
import { emptyConfState, emptyHardState, entryTypes, noMember, type ConfState, type Entry } from '../raft/messages.ts'
import { ProgressTracker } from '../raft/progress-tracker.ts'
import type { StateMachine } from '../state-machine.ts'
import type { Identity } from '../wal/raft-messages.ts'
import { readSnapshotMarks } from '../wal/read-log.ts'
import { listSegments } from '../wal/segment-files.ts'
import { isOldRequest } from '../wal/old-request.ts'
import { readRequest } from '../wal/request-codec.ts'
import { WriteAheadLog, type WalOptions } from '../wal/write-ahead-log.ts'
import { forceNewCluster } from './force-new-cluster.ts'
import type { LogStart } from './log-storage.ts'
import type { LoadedState, StateMark, StateStore } from './state-store.ts'

export interface RecoverOptions {
  readonly wal: WalOptions
  readonly machine: StateMachine
  readonly store: StateStore
  /** The cluster that a member without data belongs to. */
  readonly initial: BootstrapPlan
  readonly nowMs: number
  readonly logger: Logger
  /** The cluster lost its majority for good: this member goes on alone, with what it has. */
  readonly forceNewCluster: boolean
}

export interface Recovered {
  readonly wal: WriteAheadLog
  readonly start: LogStart
  /** Of the saved state, 0 without one: its index, and the `sizeInUseBytes` of its store. */
  readonly savedIndex: number
  readonly savedBytes: number
}

/** @throws StorageError when what is there is damaged */
export async function recover(options: RecoverOptions): Promise<Recovered> {
  const { wal: walOptions, machine, initial, nowMs } = options
  if (!(await WriteAheadLog.exists(walOptions))) {
    if (await options.store.load(machine, () => true)) throw new StorageError('CorruptLog', `there is a saved state but no log in ${walOptions.folder}`)
    return createNew(options)
  }
  const marks = await readSnapshotMarks(walOptions.disk, walOptions.folder)
  const loaded = await options.store.load(machine, (mark) => marks.some(({ index, term }) => index === mark.index && term === mark.term))
  const savedBytes = loaded ? machine.store.sizeInUseBytes : 0
  const firstKept = (await listSegments(walOptions.disk, walOptions.folder))[0]?.firstIndex ?? 0
  const mark = loaded && (firstKept <= loaded.mark.index + 1 ? loaded.mark : loaded.database)
  const replayer = new Replayer(machine, nowMs, mark, loaded)
  const { log, hardState, tail } = await WriteAheadLog.open({ ...walOptions, snapshot: mark ?? { index: 0, term: 0 }, replay: (entry) => replayer.replay(entry) })
  try {
    if (loaded && replayer.index < loaded.appliedIndex) {
      // The saved state is ahead of what the log knows to be committed: it was committed, or it wouldn't have been applied.
      const ahead = tail.filter((entry) => entry.index <= loaded.appliedIndex)
      for (const entry of ahead) replayer.replay(entry)
      if (replayer.index < loaded.appliedIndex) throw new StorageError('CorruptLog', `the log in ${walOptions.folder} ends before the saved state at ${loaded.appliedIndex}`)
    }
    adoptOldState(replayer, machine, initial, log.identity)
    if (initial.isNewCluster && machine.membership.members.size === 0 && replayer.confState.voters.length === 0 && log.lastIndex > 0) throw new StorageError('CorruptLog', `the log in ${walOptions.folder} doesn't say who is a member`)
    const start: LogStart = {
      hardState: { ...hardState, commit: Math.max(hardState.commit, replayer.index) }, confState: replayer.confState, applied: { index: replayer.index, term: replayer.term },
      tail: tail.filter((entry) => entry.index > replayer.index),
    }
    const savedIndex = mark?.index ?? 0
    if (!options.forceNewCluster) return { wal: log, start, savedIndex, savedBytes }
    return { wal: log, start: await forceNewCluster({ wal: log, start, machine, memberId: log.identity.memberId, logger: options.logger, replay: (entry) => replayer.replay(entry), confState: () => replayer.confState }), savedIndex, savedBytes }
  } catch (error) {
    await log[Symbol.asyncDispose]()
    throw error
  }
}

async function createNew({ wal: options, machine, initial, nowMs }: RecoverOptions): Promise<Recovered> {
  const { memberId, clusterId, members, isNewCluster } = initial
  const first = isNewCluster ? bootstrapLog(members.map((member) => ({ id: member.id, context: Buffer.from(encodeMember(member)) }))) : { entries: [], hardState: emptyHardState }
  const wal = await WriteAheadLog.create(options, { identity: { memberId, clusterId }, ...first })
  const replayer = new Replayer(machine, nowMs, undefined, undefined)
  for (const entry of first.entries) replayer.replay(entry)
  return { wal, start: { hardState: first.hardState, confState: replayer.confState, applied: { index: replayer.index, term: replayer.term }, tail: [] }, savedIndex: 0, savedBytes: 0 }
}

/** Data of this project's earlier versions: one member, and saved states that don't say who it is. */
function adoptOldState(replayer: Replayer, machine: StateMachine, initial: BootstrapPlan, { memberId }: Identity): void {
  if (replayer.index === 0) return
  if (replayer.confState.voters.length === 0) replayer.confState = { ...emptyConfState, voters: [memberId] }
  if (machine.membership.members.size > 0 || !replayer.confState.voters.includes(memberId)) return
  const own = initial.members.find((member) => member.id === memberId) ?? initial.members[0]
  if (own) machine.membership.applyConfChange({ id: 0n, type: 'ConfChangeAddNode', nodeId: memberId, context: Buffer.from(encodeMember({ ...own, id: memberId })) })
}

/** Applies entries again, in order; those that the loaded state holds only tell who the members are. */
export class Replayer {
  readonly #machine: StateMachine
  readonly #nowMs: number
  readonly #loaded: LoadedState | undefined
  confState: ConfState
  index: number
  term: number

  /** @param from where the log is read from @param loaded the state that the machine has, which may be further */
  constructor(machine: StateMachine, nowMs: number, from: StateMark | undefined, loaded: LoadedState | undefined) {
    this.#machine = machine
    this.#nowMs = nowMs
    this.#loaded = loaded
    this.confState = from?.confState ?? emptyConfState
    this.index = from?.index ?? 0
    this.term = from?.term ?? 0
  }

  replay(entry: Entry): void {
    const { appliedIndex = 0, v2Index = 0, database } = this.#loaded ?? {}
    const isNew = entry.index > appliedIndex
    // What version 3.4 did through its second API is not in its database.
    const isMissing = isNew || (entry.index > v2Index && isOldRequest(entry.data))
    if (entry.type === entryTypes.normal) { if (isMissing) applyAgain(this.#machine, entry, this.#nowMs) } else this.#changeMembership(entry, isNew)
    this.index = entry.index
    this.term = entry.term
    // Changes that were refused can't be told any more: the state knows who was left.
    if (entry.index === appliedIndex && database && database.confState.voters.length > 0) this.confState = database.confState
  }

  #changeMembership(entry: Entry, isNew: boolean): void {
    const change = isNew ? applyConfChangeTo(this.#machine, entry) : confChangeOf(entry)
    if (change === undefined) return
    const v2 = 'changes' in change ? change : confChangeOf(entry)
    if (v2 === undefined || (!('changes' in change) && change.nodeId === noMember)) return
    const result = changeMembership(membershipOf(this.confState), v2)
    // Of what the loaded state holds already, some was refused when it was applied.
    if (result.type !== 'changed' && !isNew) return
    if (result.type !== 'changed') throw new StorageError('CorruptLog', `entry ${entry.index} changes the membership in a way that is not possible: ${result.reason}`)
    const tracker = new ProgressTracker()
    tracker.config = result.config
    this.confState = tracker.confState()
  }
}

/** Applies a request again. One that was refused then is refused now, in the same way. */
function applyAgain(machine: StateMachine, entry: Entry, nowMs: number): void {
  if (entry.data.length === 0) return
  const request = readRequest(entry.data)
  if (!request) return
  try {
    machine.apply(request, nowMs, entry.index)
  } catch (error) {
    if (!(error instanceof EtcdError)) throw error
  }
}

/** Makes a membership change in the state; gives what Raft is to make of it: a change of nobody when it was refused (`refused` is told why). */
export function applyConfChangeTo(machine: StateMachine, entry: Entry, refused: (error: EtcdError) => void = () => {}): ConfChange | ConfChangeV2 {
  if (entry.type !== entryTypes.confChange) {
    const change = confChangeOf(entry)
    if (!change) throw new StorageError('CorruptLog', `entry ${entry.index} is no membership change`)
    return change
  }
  const change = decodeConfChange(entry.data)
  if (change.nodeId === noMember) return change
  try {
    machine.membership.applyConfChange(change)
    return change
  } catch (error) {
    if (!(error instanceof EtcdError)) throw error
    refused(error)
    return { ...change, nodeId: noMember }
  }
}
