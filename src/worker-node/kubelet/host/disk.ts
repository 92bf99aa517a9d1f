// The node's disk as the kubelet uses it for volumes and its own state: an argument, so that thousands of simulated nodes need no disk at all.
// Rule it keeps: paths are absolute; every method rejects with DiskError, whose `reason` is what programs test.

export type DiskErrorReason = 'NotFound' | 'AlreadyExists' | 'NotADirectory' | 'IsADirectory' | 'NotEmpty' | 'Forbidden' | 'NoSpace' | 'ReadOnly' | 'Busy' | 'Loop' | 'Unknown'

export class DiskError extends Error {
  override readonly name = 'DiskError'
  readonly reason: DiskErrorReason
  constructor(reason: DiskErrorReason, message: string, options?: ErrorOptions) {
    super(message, options)
    this.reason = reason
  }
}

export type FileKind = 'file' | 'directory' | 'symlink' | 'socket' | 'character device' | 'block device' | 'other'

export interface FileFacts {
  readonly kind: FileKind
  readonly size: number
  /** Permission bits, with setuid, setgid and sticky. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly modifiedAtMs: number
  /** The same as long as it is the same file, whatever its name. */
  readonly inode: number
}

export interface DiskUsage {
  readonly capacityBytes: number
  readonly availableBytes: number
  readonly inodes: number
  readonly inodesFree: number
}

/** An open file: goes on being the same file when it is renamed. */
export interface OpenFile extends AsyncDisposable {
  /** At most `length` bytes from `position`; none at the end. */
  read(position: number, length: number): Promise<Uint8Array>
  stat(): Promise<FileFacts>
}

export interface Disk {
  /** Makes the folder and those above it; fine when it is there. `mode` holds for the last one, whatever the umask. */
  makeDirectory(path: string, mode?: number): Promise<void>
  writeFile(path: string, data: Uint8Array, mode: number): Promise<void>
  readFile(path: string, maxBytes?: number): Promise<Uint8Array>
  openFile(path: string): Promise<OpenFile>
  symlink(target: string, path: string): Promise<void>
  readlink(path: string): Promise<string>
  /** Replaces what is there. */
  rename(from: string, to: string): Promise<void>
  /** Names in the folder, sorted. */
  list(path: string): Promise<readonly string[]>
  /** Of the link itself. Undefined when there is nothing. */
  lstat(path: string): Promise<FileFacts | undefined>
  /** Of what the link leads to. Undefined when there is nothing. */
  stat(path: string): Promise<FileFacts | undefined>
  chmod(path: string, mode: number): Promise<void>
  /** Of the link itself; -1 leaves one as it is. */
  chown(path: string, uid: number, gid: number): Promise<void>
  unlink(path: string): Promise<void>
  /** Removes the tree, without following links or leaving the file system; fine when there is nothing. */
  removeTree(path: string): Promise<void>
  /** The path without any links. */
  realPath(path: string): Promise<string>
  /** Of the file system that holds `path`. */
  usage(path: string): Promise<DiskUsage>
}
