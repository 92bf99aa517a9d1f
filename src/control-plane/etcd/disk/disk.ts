// The disk as an argument: just what the log and the snapshots need of one. real-disk.ts is the machine's; lib/testing/simulated-disk.ts can
// lose power at any operation.

export interface DiskFile extends AsyncDisposable {
  /** Fills `target` from `position` on; returns the bytes read, fewer only at the end of the file. */
  read(target: Uint8Array, position: number): Promise<number>
  /** Writes all of `bytes`; in a file opened with `dsync` they are durable when it resolves. */
  write(bytes: Uint8Array, position: number): Promise<void>
  /** Makes everything written durable. */
  sync(): Promise<void>
  size(): Promise<number>
}

/** `read` an existing file, `create` an empty one (replacing another), `update` an existing one, `dsync` an existing one with durable writes. */
export type OpenMode = 'read' | 'create' | 'update' | 'dsync'

export interface Disk {
  open(path: string, mode: OpenMode): Promise<DiskFile>
  /** Makes the folder and those above it. */
  makeFolder(path: string): Promise<void>
  /** Names in a folder; none when it doesn't exist. */
  list(path: string): Promise<readonly string[]>
  rename(from: string, to: string): Promise<void>
  remove(path: string): Promise<void>
  /** Makes names (creations, renames, removals) in the folder durable. */
  syncFolder(path: string): Promise<void>
  /** Keeps other processes out of the folder until disposed. @throws StorageError InUse */
  lock(folder: string): Promise<FolderLock>
}

export interface FolderLock extends AsyncDisposable {
  /** Rejects with a StorageError InUse when another process turns out to hold the folder after all. */
  readonly confirmed?: Promise<void>
}

export type StorageErrorReason = 'CorruptLog' | 'CorruptSnapshot' | 'InUse' | 'WrongCluster' | 'WriteFailed' | 'DiskFull'

/** The data folder can't be used; `reason` says why, the message where. */
export class StorageError extends Error {
  override readonly name = 'StorageError'
  readonly reason: StorageErrorReason
  constructor(reason: StorageErrorReason, message: string, options?: ErrorOptions) {
    super(message, options)
    this.reason = reason
  }
}
