// A disk in memory that can lose power: at any operation, with any part of what was not yet durable reaching the plates, sector by sector.
//
//   const disk = new SimulatedDisk(seededRandom(7))
//   disk.cutPowerAt(12)          // the 12th operation from now never completes, nor does any after it
//   …                            // run something until disk.isOff
//   const after = disk.reboot()  // a disk with what survived
import { randomInteger, type Random } from '../base/random.ts'
import type { Disk, DiskFile, OpenMode } from '../../control-plane/etcd/disk/disk.ts'

const sectorBytes = 512

interface Contents {
  bytes: Buffer
  /** What is on the plates. */
  durable: Buffer
  /** Sectors that differ from the plates, or may. */
  readonly dirty: Set<number>
}

/** What the operation that meets a power cut or a failure gets. */
export class DiskFault extends Error {
  override readonly name = 'DiskFault'
}

export class SimulatedDisk implements Disk {
  readonly #random: Random
  /** Names as programs see them, and as they are on the plates. */
  readonly #names = new Map<string, Contents>()
  readonly #durableNames = new Map<string, Contents>()
  /** New names by old ones, as long as that may not be durable. */
  readonly #renamed = new Map<string, string>()
  #operations = 0
  #cutAt = Infinity
  #failAt = Infinity
  #off = false
  /** Files that would become larger than this together are refused with ENOSPC. */
  capacityBytes = Infinity
  /** Called when the power goes. */
  onPowerCut: (() => void) | undefined

  constructor(random: Random) { this.#random = random }

  /** Operations that changed something, so far. */
  get operations(): number { return this.#operations }
  get usedBytes(): number {
    let bytes = 0
    for (const contents of new Set(this.#names.values())) bytes += contents.bytes.length
    return bytes
  }
  get isOff(): boolean { return this.#off }

  /** The power goes during the `count`-th changing operation from now. */
  cutPowerAt(count: number): void { this.#cutAt = this.#operations + count }
  /** The `count`-th changing operation from now, and every later one, fails; the power stays on. */
  failFrom(count: number): void { this.#failAt = this.#operations + count }

  /** The disk after the power came back: of what was not durable, each sector and each name may or may not have made it. */
  reboot(): SimulatedDisk {
    const next = new SimulatedDisk(this.#random)
    const names = new Map(this.#durableNames)
    const kept = new Map<string, boolean>()
    // The two names of a renamed file change together or not at all.
    const isKept = (path: string): boolean => {
      const known = kept.get(path)
      if (known !== undefined) return known
      const to = this.#renamed.get(path)
      kept.set(path, false)
      const keep = to !== undefined && to !== path ? isKept(to) : this.#random.float() >= 0.5
      kept.set(path, keep)
      return keep
    }
    for (const path of new Set([...this.#names.keys(), ...this.#durableNames.keys()])) {
      const now = this.#names.get(path)
      if (now === this.#durableNames.get(path) || !isKept(path)) continue
      if (now) names.set(path, now)
      else names.delete(path)
    }
    const copies = new Map<Contents, Contents>()
    for (const [path, contents] of names) {
      let copy = copies.get(contents)
      if (!copy) copies.set(contents, (copy = this.#survivor(contents)))
      next.#names.set(path, copy)
      next.#durableNames.set(path, copy)
    }
    return next
  }

  #survivor(contents: Contents): Contents {
    const survived = [...contents.dirty].filter(() => this.#random.float() < 0.5)
    let size = contents.durable.length
    for (const sector of survived) size = Math.max(size, Math.min((sector + 1) * sectorBytes, contents.bytes.length))
    const bytes = Buffer.alloc(size)
    contents.durable.copy(bytes)
    for (const sector of survived) contents.bytes.copy(bytes, sector * sectorBytes, sector * sectorBytes, Math.min((sector + 1) * sectorBytes, contents.bytes.length))
    return { bytes, durable: copyOf(bytes), dirty: new Set() }
  }

  /** A file's bytes as programs see them, for tests that damage them. */
  peek(path: string): Buffer {
    const contents = this.#names.get(path)
    if (!contents) throw new DiskFault(`no file ${path}`)
    return Buffer.from(contents.bytes)
  }

  /** Replaces a file's bytes, on the plates too. */
  poke(path: string, bytes: Uint8Array): void {
    const contents: Contents = { bytes: copyOf(bytes), durable: copyOf(bytes), dirty: new Set() }
    this.#names.set(path, contents)
    this.#durableNames.set(path, contents)
  }

  get paths(): readonly string[] { return [...this.#names.keys()].sort() }

  /** Counts a changing operation. `true`: the power goes while it is under way. */
  async #step(): Promise<boolean> {
    // Operations of several files overtake each other.
    for (let turns = 1 + randomInteger(this.#random, 4); turns > 0; turns--) await new Promise<void>((resolve) => { setImmediate(resolve) })
    if (this.#off) return this.#never()
    this.#operations++
    if (this.#operations >= this.#failAt) throw new DiskFault('input/output error')
    return this.#operations >= this.#cutAt
  }

  /** The machine is off: nobody hears of anything any more. */
  #never(): Promise<never> { return new Promise(() => {}) }

  #powerOff(): Promise<never> {
    this.#off = true
    this.onPowerCut?.()
    return this.#never()
  }

  async open(path: string, mode: OpenMode): Promise<DiskFile> {
    if (mode === 'create') {
      const cut = await this.#step()
      this.#names.set(path, { bytes: Buffer.alloc(0), durable: Buffer.alloc(0), dirty: new Set() })
      if (cut) return this.#powerOff()
    } else if (this.#off) return this.#never()
    const contents = this.#names.get(path)
    if (!contents) throw new DiskFault(`no file ${path}`)
    return {
      read: async (target, position) => {
        if (this.#off) return this.#never()
        const size = Math.max(0, Math.min(target.length, contents.bytes.length - position))
        target.set(contents.bytes.subarray(position, position + size))
        return size
      },
      write: async (bytes, position) => {
        const copy = Buffer.from(bytes)
        const cut = await this.#step()
        const grows = position + copy.length - contents.bytes.length
        if (grows > 0 && this.usedBytes + grows > this.capacityBytes) throw Object.assign(new DiskFault('no space left on device'), { code: 'ENOSPC' })
        put(contents, copy, position)
        if (cut) return this.#powerOff()
        if (mode === 'dsync') settle(contents, position, copy.length)
      },
      sync: async () => {
        if (await this.#step()) return this.#powerOff()
        settle(contents, 0, contents.bytes.length)
      },
      size: async () => contents.bytes.length,
      [Symbol.asyncDispose]: async () => {},
    }
  }

  async makeFolder(): Promise<void> { if (this.#off) await this.#never() }

  async list(folder: string): Promise<readonly string[]> {
    if (this.#off) return this.#never()
    const prefix = `${folder}/`
    return [...this.#names.keys()].filter((path) => path.startsWith(prefix) && !path.slice(prefix.length).includes('/')).map((path) => path.slice(prefix.length))
  }

  async rename(from: string, to: string): Promise<void> {
    const cut = await this.#step()
    const contents = this.#names.get(from)
    if (!contents) throw new DiskFault(`no file ${from}`)
    this.#names.delete(from)
    this.#names.set(to, contents)
    this.#renamed.set(from, to)
    if (cut) await this.#powerOff()
  }

  async remove(path: string): Promise<void> {
    const cut = await this.#step()
    this.#names.delete(path)
    if (cut) await this.#powerOff()
  }

  async syncFolder(folder: string): Promise<void> {
    const cut = await this.#step()
    if (cut) await this.#powerOff()
    const inside = (path: string): boolean => path.startsWith(`${folder}/`) && !path.slice(folder.length + 1).includes('/')
    for (const path of this.#durableNames.keys()) if (inside(path) && !this.#names.has(path)) this.#durableNames.delete(path)
    for (const [path, contents] of this.#names) if (inside(path)) this.#durableNames.set(path, contents)
    for (const path of this.#renamed.keys()) if (inside(path)) this.#renamed.delete(path)
  }

  async lock(): Promise<AsyncDisposable> { return { [Symbol.asyncDispose]: async () => {} } }
}

function put(contents: Contents, bytes: Buffer, position: number): void {
  contents.bytes = grown(contents.bytes, position + bytes.length)
  bytes.copy(contents.bytes, position)
  for (let sector = Math.floor(position / sectorBytes); sector * sectorBytes < position + bytes.length; sector++) contents.dirty.add(sector)
}

/** In memory of its own: Buffer.from would take a piece of what others have, too. */
function copyOf(bytes: Uint8Array): Buffer {
  const copy = Buffer.alloc(bytes.length)
  copy.set(bytes)
  return copy
}

/** At least that long, with room behind it: files grow in many small steps. */
function grown(bytes: Buffer, length: number): Buffer {
  if (length <= bytes.length) return bytes
  if (bytes.byteOffset + length <= bytes.buffer.byteLength) return Buffer.from(bytes.buffer, bytes.byteOffset, length)
  const larger = Buffer.from(new ArrayBuffer(Math.max(1024, 2 * length)), 0, length)
  bytes.copy(larger)
  return larger
}

function settle(contents: Contents, position: number, length: number): void {
  contents.durable = grown(contents.durable, contents.bytes.length)
  for (const sector of contents.dirty) {
    const start = sector * sectorBytes
    if (start >= position + length || start + sectorBytes <= position) continue
    contents.bytes.copy(contents.durable, start, start, Math.min(start + sectorBytes, contents.bytes.length))
    contents.dirty.delete(sector)
  }
}
