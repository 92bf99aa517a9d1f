// One line of a container's log file: `<time> <stream> <tags> <content>`, where tag P says that the line goes on in the next entry.
// Upstream: cri-client/pkg/logs/logs.go

export interface LogEntry {
  /** As it is written, RFC 3339 with up to nine digits. */
  readonly time: string
  readonly stream: 'stdout' | 'stderr'
  readonly partial: boolean
  /** Without the line end. */
  readonly content: Uint8Array
}

const space = 0x20

/** Undefined for what is no line of the format. `line` is without its line end. */
export function parseLogLine(line: Uint8Array): LogEntry | undefined {
  const first = line.indexOf(space)
  const second = first < 0 ? -1 : line.indexOf(space, first + 1)
  if (second < 0) return undefined
  const thirdAt = line.indexOf(space, second + 1)
  const third = thirdAt < 0 ? line.length : thirdAt
  const head = new TextDecoder().decode(line.subarray(0, third)).split(' ')
  const stream = head[1]
  if (stream !== 'stdout' && stream !== 'stderr') return undefined
  return { time: head[0] ?? '', stream, partial: (head[2] ?? '').split(':').includes('P'), content: line.subarray(Math.min(line.length, third + 1)) }
}
