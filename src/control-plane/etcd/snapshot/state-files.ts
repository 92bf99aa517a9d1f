// The state on the disk, as the original keeps it: `db` is the whole state in a bbolt file and says itself up to where the log is in it (its
// consistent index); `<term>-<index>.snap` marks a place in the log from which it is kept.
//
// Everything is written under another name, made durable and renamed, the database first: after a crash between the two the database is ahead
// of the newest mark, and the entries that it holds already are passed over. A mark counts only once the log knows it (`isKnown`).
// A state that a leader sent waits as `<index>.snap.db` until the log knows its mark; then it becomes the database, also after a crash.
//
// What is damaged is refused by name. The original goes back to an older mark then, which loses nothing as long as the log reaches back to it;
// here the mark says nothing that is not in the database and the log too, so the file can be removed, but somebody has to know of it.
// Upstream: etcd/server/etcdserver/{bootstrap.go,api/snap}, etcd/server/storage/{backend.go,storage.go}
import { join } from 'node:path'
import { describeError } from '../../../lib/component-base/log.ts'
import { WireError } from '../../../lib/base/protobuf/wire-reader.ts'
import { EtcdError } from '../../../lib/etcd-api/etcd-error.ts'
import { StorageError, type Disk, type DiskFile } from '../disk/disk.ts'
import { MemberJsonError } from '../membership/member-json.ts'
import { MembershipStore } from '../membership/membership-store.ts'
import type { SnapshotBody } from '../peer/peer-transport.ts'
import type { LoadedState, StateMark, StateStore } from '../consensus/state-store.ts'
import { emptyConfState } from '../raft/messages.ts'
import type { StateMachine } from '../state-machine.ts'
import { BoltError } from './bolt-format.ts'
import { BoltReader } from './bolt-reader.ts'
import { importV2 } from './import-v2.ts'
import { membershipInV2Format } from './membership-v2.ts'
import { confStateOf, loadDatabase, readMembership, readMeta } from './read-database.ts'
import { decodeSnapFile, encodeSnapFile, receivedDatabaseName, snapName, snapNames, type SnapFile, type SnapName } from './snap-file.ts'
import { listOldSnapshots, readOldSnapshot } from './k8tsnap-file.ts'
import { StateImage, type DatabaseOptions } from './write-database.ts'

export { membershipInV2Format } from './membership-v2.ts'
export { confStateOf } from './read-database.ts'
export type { LoadedState, StateMark } from '../consensus/state-store.ts'

const databaseName = 'db'
/** The original removes what begins so, too. */
const temporaryPrefix = 'tmp.'
/** Marks that stay, as many as with the original. */
const usualSnapsKept = 5
/** The log may not know of the newest one yet. */
const leastSnapsKept = 2

/**
 * The files in one folder, as a member uses them. Saving and installing take turns, and a state that was installed is not replaced by an older one.
 *
 * @param snapsKept marks that stay; 0: all
 */
export function stateFilesIn(disk: Disk, snapFolder: string, snapsKept = usualSnapsKept): StateStore {
  let last: Promise<unknown> = Promise.resolve()
  let installed = 0
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const next = last.then(work)
    last = next.catch(() => {})
    return next
  }
  return {
    save: async (machine, mark) => {
      // Of this moment, whenever its turn comes.
      using image = new StateImage(machine, mark)
      const data = membershipInV2Format(machine.membership)
      await inTurn(async () => { if (mark.index > installed) await saveImage(disk, snapFolder, image, data, snapsKept) })
    },
    load: (machine, isKnown) => loadState(disk, snapFolder, machine, isKnown),
    export: exportState,
    receive: (mark, body) => receiveState(disk, snapFolder, mark, body),
    install: (mark) => inTurn(async () => {
      await installState(disk, snapFolder, mark)
      installed = mark.index
    }),
  }
}

/** Writes the state as it is at the moment of the call; it may go on changing meanwhile. @throws StorageError WriteFailed, DiskFull */
export async function saveState(disk: Disk, snapFolder: string, machine: StateMachine, mark: StateMark): Promise<void> {
  using image = new StateImage(machine, mark)
  await saveImage(disk, snapFolder, image, membershipInV2Format(machine.membership), usualSnapsKept)
}

async function saveImage(disk: Disk, snapFolder: string, image: StateImage, data: Uint8Array, snapsKept: number): Promise<void> {
  await writeDatabase(disk, snapFolder, image)
  await writeSnap(disk, snapFolder, { ...image.mark, data })
  await removeOld(disk, snapFolder, image.mark.index, snapsKept)
}

/** The database alone. @param options.storageVersion instead of the one that follows from the cluster's version */
export async function replaceDatabase(disk: Disk, snapFolder: string, machine: StateMachine, mark: StateMark, options: DatabaseOptions = {}): Promise<void> {
  using image = new StateImage(machine, mark, options)
  await writeDatabase(disk, snapFolder, image)
}

async function writeDatabase(disk: Disk, snapFolder: string, image: StateImage): Promise<void> {
  await disk.makeFolder(snapFolder)
  const layout = await image.measure()
  await replaceFile(disk, snapFolder, databaseName, image.pieces(layout, true))
}

/**
 * Fills an empty state machine; undefined when there is no state.
 *
 * @param isKnown whether the log has a snapshot record of this place, at or below its commit index
 * @throws StorageError CorruptSnapshot
 */
export async function loadState(disk: Disk, snapFolder: string, machine: StateMachine, isKnown: (mark: { readonly index: number; readonly term: number }) => boolean): Promise<LoadedState | undefined> {
  for (const name of await disk.list(snapFolder)) if (name.startsWith(temporaryPrefix) || name.endsWith('.k8tsnap.tmp')) await disk.remove(join(snapFolder, name))
  const names = await disk.list(snapFolder)
  const known = snapNames(names).find((snap) => isKnown(snap))
  const snap = known && (await readSnap(disk, snapFolder, known))
  if (snap && names.includes(receivedDatabaseName(snap.index))) await installState(disk, snapFolder, snap)
  const old = (await listOldSnapshots(disk, snapFolder))[0]
  if (!(await hasDatabase(disk, snapFolder))) {
    if (old) return loadOldSnapshot(disk, snapFolder, old, machine)
    if (snap) throw new StorageError('CorruptSnapshot', `the database ${join(snapFolder, databaseName)} is missing: there is a snapshot at index ${snap.index}`)
    return undefined
  }
  const found = await loadFrom(disk, join(snapFolder, databaseName), machine)
  // Version 3.4 said nothing in a database where nothing had ever been put.
  const database = snap && found.index === 0 && machine.store.revision === 1 ? { ...found, index: snap.index, term: snap.term } : found
  if (snap && database.index < snap.index) {
    throw new StorageError('CorruptSnapshot', `the database ${join(snapFolder, databaseName)} (index ${database.index}) does not match the snapshot at index ${snap.index}`)
  }
  // Databases of ours keep the second API's keys too; the original's do not.
  const isComplete = !machine.v2.isEmpty || snap === undefined
  if (!isComplete) importV2(snap.data, machine)
  const mark: StateMark = snap ?? (old && old.index <= database.index ? { index: old.index, term: old.term, confState: database.confState } : { index: 0, term: 0, confState: emptyConfState })
  return { mark: { index: mark.index, term: mark.term, confState: mark.confState }, appliedIndex: database.index, appliedTerm: database.term, database, v2Index: isComplete ? database.index : snap.index }
}

/** The state of this moment as the original's database, for a peer or a client. Nothing is freed in the store while it is being sent. */
export async function exportState(machine: StateMachine, mark: StateMark): Promise<SnapshotBody & Disposable> {
  const image = new StateImage(machine, mark)
  try {
    const layout = await image.measure()
    return { totalBytes: layout.totalBytes, pieces: { [Symbol.asyncIterator]: () => endingIterator(image, image.pieces(layout)) }, [Symbol.dispose]: () => image[Symbol.dispose]() }
  } catch (error) {
    image[Symbol.dispose]()
    throw error
  }
}

/** Lets go of the state in any case, also when it ends before it has begun: a generator's `finally` is not run then. */
function endingIterator(image: StateImage, pieces: AsyncGenerator<Buffer, void>): AsyncIterator<Uint8Array, void> {
  return {
    next: async () => {
      try {
        const step = await pieces.next()
        if (step.done) image[Symbol.dispose]()
        return step
      } catch (error) {
        image[Symbol.dispose]()
        throw error
      }
    },
    return: async () => {
      image[Symbol.dispose]()
      await pieces.return()
      return { done: true, value: undefined }
    },
  }
}

/**
 * Keeps what a leader sent, durably, with its mark. Next the log has to be told of the mark, and then `installState` makes it the database.
 *
 * @throws StorageError CorruptSnapshot: less came than was announced, or what came is no database
 */
export async function receiveState(disk: Disk, snapFolder: string, mark: StateMark, body: SnapshotBody): Promise<void> {
  await disk.makeFolder(snapFolder)
  const name = receivedDatabaseName(mark.index)
  await replaceFile(disk, snapFolder, name, body.pieces, body.totalBytes === 0 ? undefined : body.totalBytes)
  const membership = new MembershipStore()
  try {
    membership.restore(await readFrom(disk, join(snapFolder, name), readMembership))
  } catch (error) {
    await disk.remove(join(snapFolder, name))
    throw error
  }
  await writeSnap(disk, snapFolder, { ...mark, data: membershipInV2Format(membership) })
}

/** What was received becomes the database; `loadState` reads it. @throws StorageError CorruptSnapshot */
export async function installState(disk: Disk, snapFolder: string, mark: Pick<StateMark, 'index'>): Promise<void> {
  const received = join(snapFolder, receivedDatabaseName(mark.index))
  // The one that it replaces is worth more than one that can't be read, or that is older.
  const wanted = await readFrom(disk, received, async (reader) => (await readMeta(reader)).mark.index)
  if (wanted < mark.index) throw new StorageError('CorruptSnapshot', `the received database ${received} (index ${wanted}) does not match its snapshot at index ${mark.index}`)
  const path = join(snapFolder, databaseName)
  const present = await hasDatabase(disk, snapFolder) ? await readFrom(disk, path, async (reader) => (await readMeta(reader)).mark.index).catch(() => 0) : 0
  if (present >= mark.index) await disk.remove(received)
  else await disk.rename(received, path)
  await disk.syncFolder(snapFolder)
}

/** One without a byte is none yet: whoever locks it makes it so. */
async function hasDatabase(disk: Disk, snapFolder: string): Promise<boolean> {
  if (!(await disk.list(snapFolder)).includes(databaseName)) return false
  await using file = await disk.open(join(snapFolder, databaseName), 'read')
  return await file.size() > 0
}

async function loadOldSnapshot(disk: Disk, folder: string, info: Awaited<ReturnType<typeof listOldSnapshots>>[number], machine: StateMachine): Promise<LoadedState> {
  const { index, term, memberId } = await readOldSnapshot(disk, folder, info, machine)
  // There was always one member then.
  const members = confStateOf(machine)
  const mark: StateMark = { index, term, confState: members.voters.length > 0 ? members : { ...emptyConfState, voters: [memberId] } }
  return { mark, appliedIndex: index, appliedTerm: term, database: mark, v2Index: index }
}

async function loadFrom(disk: Disk, path: string, machine: StateMachine): Promise<StateMark> {
  return readFrom(disk, path, (reader) => loadDatabase(reader, machine))
}

async function readFrom<T>(disk: Disk, path: string, read: (reader: BoltReader) => Promise<T>): Promise<T> {
  await using file = await disk.open(path, 'read')
  try {
    return await read(await BoltReader.open(file))
  } catch (error) {
    if (isDamage(error)) {
      throw new StorageError('CorruptSnapshot', `the database ${path} is corrupt: ${describeError(error)}`, { cause: error })
    }
    throw error
  }
}

/** Databases of the original have no checksums: what is wrong in them shows as anything, but not as a failure of the disk. */
function isDamage(error: unknown): boolean {
  return [BoltError, WireError, MemberJsonError, EtcdError, RangeError, SyntaxError, TypeError].some((kind) => error instanceof kind)
}

async function readSnap(disk: Disk, folder: string, { name, index, term }: SnapName): Promise<SnapFile> {
  await using file = await disk.open(join(folder, name), 'read')
  const bytes = Buffer.alloc(await file.size())
  await file.read(bytes, 0)
  const snap = decodeSnapFile(bytes)
  if (!snap || snap.index !== index || snap.term !== term) throw new StorageError('CorruptSnapshot', `the snapshot ${join(folder, name)} is corrupt`)
  return snap
}

async function writeSnap(disk: Disk, folder: string, snap: SnapFile): Promise<void> {
  await replaceFile(disk, folder, snapName(snap.index, snap.term), [encodeSnapFile(snap)])
}

/** Durable under its name, or not there. */
async function replaceFile(disk: Disk, folder: string, name: string, pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>, wantedBytes?: number): Promise<void> {
  const temporary = join(folder, `${temporaryPrefix}${name}`)
  try {
    await using file = await disk.open(temporary, 'create')
    const written = await writeAll(file, pieces)
    if (wantedBytes !== undefined && written !== wantedBytes) throw new StorageError('CorruptSnapshot', `${written} of ${wantedBytes} bytes of the state came`)
    await file.sync()
  } catch (error) {
    // On a full disk the piece that was written would only be in the way.
    await disk.remove(temporary)
    throw error
  }
  await disk.rename(temporary, join(folder, name))
  await disk.syncFolder(folder)
}

async function writeAll(file: DiskFile, pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<number> {
  let position = 0
  for await (const piece of pieces) {
    await file.write(piece, position)
    position += piece.length
  }
  return position
}

/** What the new state makes superfluous. A few marks stay: the log does not know the newest one yet. */
async function removeOld(disk: Disk, folder: string, index: number, snapsKept: number): Promise<void> {
  const names = await disk.list(folder)
  const dead = [
    ...snapNames(names).filter((snap) => snap.index < index).slice((snapsKept === 0 ? Infinity : Math.max(leastSnapsKept, snapsKept)) - 1).map(({ name }) => name),
    ...names.filter((name) => /^[0-9a-f]{16}\.snap\.db$/.test(name) && Number.parseInt(name, 16) < index), ...names.filter((name) => name.endsWith('.k8tsnap') || name.startsWith(temporaryPrefix)),
  ]
  for (const name of dead) await disk.remove(join(folder, name))
}
