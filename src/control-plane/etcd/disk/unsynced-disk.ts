// A disk that promises nothing: writes are left to the operating system, whose crash loses them. For `--unsafe-no-fsync`.
import type { Disk, DiskFile } from './disk.ts'

export function withoutSync(disk: Disk): Disk {
  return {
    open: async (path, mode) => new UnsyncedFile(await disk.open(path, mode === 'dsync' ? 'update' : mode)),
    makeFolder: (path) => disk.makeFolder(path), list: (path) => disk.list(path), rename: (from, to) => disk.rename(from, to), remove: (path) => disk.remove(path),
    syncFolder: () => Promise.resolve(), lock: (folder) => disk.lock(folder),
  }
}

class UnsyncedFile implements DiskFile {
  readonly #file: DiskFile
  constructor(file: DiskFile) { this.#file = file }
  read(target: Uint8Array, position: number): Promise<number> { return this.#file.read(target, position) }
  write(bytes: Uint8Array, position: number): Promise<void> { return this.#file.write(bytes, position) }
  sync(): Promise<void> { return Promise.resolve() }
  size(): Promise<number> { return this.#file.size() }
  [Symbol.asyncDispose](): Promise<void> { return Promise.resolve(this.#file[Symbol.asyncDispose]()) }
}
