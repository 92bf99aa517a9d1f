// Reads a container's log as clients ask for it: the last lines, since a time, with times, so many bytes, and on as it grows.
// Rules it keeps: following goes on over rotations without losing a line, and ends when the container has ended and all is read.
// Upstream: cri-client/pkg/logs/logs.go
import { sleep } from '../../../lib/base/clock.ts'
import { DiskError } from '../host/disk.ts'
import { parseLogLine } from './log-line.ts'
import type { Clock } from '../../../lib/base/clock.ts'
import type { Disk, OpenFile } from '../host/disk.ts'

export interface ReadLogOptions {
  readonly follow: boolean
  /** Undefined for all. */
  readonly tailLines: number | undefined
  /** Lines before this moment are left out, milliseconds since the epoch. */
  readonly sinceMs: number | undefined
  readonly timestamps: boolean
  readonly limitBytes: number | undefined
  readonly stream: 'All' | 'Stdout' | 'Stderr'
}

export interface ReadLogInput {
  readonly disk: Disk
  readonly clock: Clock
  readonly path: string
  /** Whether more may come. */
  readonly isRunning: () => boolean
}

const pieceBytes = 64 * 1024
const pollMs = 100
const newline = 0x0a
/** A line longer than this is handed on in parts. */
const mostLineBytes = 2 ** 20

/** Yields the output piece by piece. */
export async function* readLogs(input: ReadLogInput, options: ReadLogOptions, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  let left = options.limitBytes ?? Infinity
  let midLine = false
  for await (const line of rawLines(input, options, signal)) {
    const entry = parseLogLine(line)
    if (!entry) continue
    if (options.stream !== 'All' && entry.stream !== options.stream.toLowerCase()) continue
    if (options.sinceMs !== undefined && Date.parse(truncateFraction(entry.time)) < options.sinceMs) continue
    const parts: Uint8Array[] = []
    if (options.timestamps && !midLine) parts.push(Buffer.from(`${fixedFraction(entry.time)} `))
    parts.push(entry.content)
    if (!entry.partial) parts.push(Uint8Array.of(newline))
    midLine = entry.partial
    const piece = Buffer.concat(parts)
    if (piece.length >= left) {
      yield piece.subarray(0, left)
      return
    }
    left -= piece.length
    yield piece
  }
}

/** Nine digits of fraction and `Z` for UTC, as clients expect. */
function fixedFraction(time: string): string {
  return time.replace(/\+00:00$/, 'Z').replace(/^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?/, (_, seconds: string, fraction = '') => `${seconds}.${String(fraction).padEnd(9, '0').slice(0, 9)}`)
}

function truncateFraction(time: string): string { return time.replace(/(\.\d{3})\d+/, '$1') }

async function* rawLines({ disk, clock, path, isRunning }: ReadLogInput, options: ReadLogOptions, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  let file = await openOrNothing(disk, path)
  while (!file) {
    if (!options.follow || !isRunning()) return
    await sleep(clock, pollMs, signal)
    file = await openOrNothing(disk, path)
  }
  try {
    let position = options.tailLines === undefined ? 0 : await findTail(file, options.tailLines)
    let rest = new Uint8Array()
    for (;;) {
      // Asked before reading: what is read after "no longer running" is all there is.
      const running = isRunning()
      const piece = await file.read(position, pieceBytes)
      position += piece.length
      if (piece.length > 0) {
        let data: Uint8Array = rest.length === 0 ? piece : Buffer.concat([rest, piece])
        for (let end = data.indexOf(newline); end >= 0; end = data.indexOf(newline)) {
          yield data.subarray(0, end)
          data = data.subarray(end + 1)
        }
        if (data.length > mostLineBytes) { yield data; data = new Uint8Array() }
        rest = Uint8Array.from(data)
        continue
      }
      if (!options.follow) break
      const next = await openIfReplaced(disk, path, file)
      if (next) {
        // The runtime may have written to the old one until it was told to reopen.
        const more = await file.read(position, pieceBytes)
        if (more.length > 0) { await next[Symbol.asyncDispose](); continue }
        await file[Symbol.asyncDispose]()
        file = next
        position = 0
        continue
      }
      if (!running) break
      await sleep(clock, pollMs, signal)
    }
    if (rest.length > 0) yield rest
  } finally {
    await file[Symbol.asyncDispose]()
  }
}

async function openOrNothing(disk: Disk, path: string): Promise<OpenFile | undefined> {
  try {
    return await disk.openFile(path)
  } catch (error) {
    if (error instanceof DiskError && error.reason === 'NotFound') return undefined
    throw error
  }
}

/** The file now at `path`, when it is another one. */
async function openIfReplaced(disk: Disk, path: string, file: OpenFile): Promise<OpenFile | undefined> {
  const now = await disk.stat(path)
  if (!now || now.inode === (await file.stat()).inode) return undefined
  return openOrNothing(disk, path)
}

/** Where the last `lines` lines begin. */
async function findTail(file: OpenFile, lines: number): Promise<number> {
  const { size } = await file.stat()
  if (lines === 0) return size
  let found = 0
  for (let end = size; end > 0;) {
    const start = Math.max(0, end - pieceBytes)
    const piece = await file.read(start, end - start)
    for (let i = piece.length - 1; i >= 0; i--) {
      if (piece[i] !== newline || start + i === size - 1) continue
      if (++found === lines) return start + i + 1
    }
    end = start
  }
  return 0
}
