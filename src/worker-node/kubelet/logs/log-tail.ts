// The last lines of a container's log, for the termination message of a container that failed.
import { parseLogLine } from './log-line.ts'
import type { Disk } from '../host/disk.ts'

const mostRead = 256 * 1024

/** At most `lines` lines and `maxBytes` bytes of content; '' when there is no log. */
export async function tailLog(disk: Disk, path: string, lines: number, maxBytes: number): Promise<string> {
  let data: Uint8Array
  try {
    const facts = await disk.stat(path)
    if (!facts || facts.size > 64 * 2 ** 20) return ''
    data = await disk.readFile(path)
  } catch {
    return ''
  }
  const text = Buffer.from(data.subarray(Math.max(0, data.length - mostRead)))
  const entries = text.toString('latin1').split('\n').filter((l) => l !== '').slice(-lines)
  const parts = entries.flatMap((line) => { const entry = parseLogLine(Buffer.from(line, 'latin1')); return entry ? [Buffer.concat([entry.content, Buffer.from(entry.partial ? '' : '\n')])] : [] })
  const joined = Buffer.concat(parts)
  return joined.subarray(Math.max(0, joined.length - maxBytes)).toString('utf8')
}
