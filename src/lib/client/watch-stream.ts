// Takes a watch's bytes apart: JSON objects, each on a line. All events that arrived in one piece are given out together.
import type { WatchEvent } from './watch-event.ts'

/** @throws SyntaxError when a line is no JSON; whatever the stream throws. */
export async function* decodeWatchStream(stream: AsyncIterable<Uint8Array>): AsyncGenerator<readonly WatchEvent[]> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const piece of stream) {
    rest += decoder.decode(piece, { stream: true })
    const end = rest.lastIndexOf('\n')
    if (end < 0) continue
    const events: WatchEvent[] = []
    for (const line of rest.slice(0, end).split('\n')) if (line !== '') events.push(JSON.parse(line) as WatchEvent) // cast: the API server's own frames
    rest = rest.slice(end + 1)
    if (events.length > 0) yield events
  }
}
