// /debug/pprof/ as Go's programs have it, with what means something here: where the time goes, what holds memory, what the process waits for.
// Upstream: Go's net/http/pprof
import { readdirSync, readFileSync } from 'node:fs'
import type { Clock } from '../../base/clock.ts'
import type { PlainRequest, PlainResponse } from '../../net/grpc/grpc-server.ts'
import { PprofProfile } from './pprof-profile.ts'
import { ProfilerBusyError, V8Profiler } from './v8-profiles.ts'

const prefix = '/debug/pprof'
const plain = { 'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff' } as const
const usualCpuSeconds = 30
const usualAllocationSeconds = 5
const mostSeconds = 3600

/** Names on the index page, and what they are. */
const profiles: readonly (readonly [name: string, description: string])[] = [
  ['allocs', 'What is allocated, alive or not, while it runs: ?seconds=5.'],
  ['cmdline', 'The command line of this process.'],
  ['goroutine', 'What the event loop waits for, by kind: sockets, timers, files. ?debug=1 gives text.'],
  ['heap', 'Objects that are alive, as sampled since the start.'],
  ['profile', 'Where processor time goes: ?seconds=30.'],
  ['threadcreate', "This process's threads, by name. ?debug=1 gives text."],
]

export class PprofEndpoints implements Disposable {
  readonly #profiler: V8Profiler
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
    this.#profiler = new V8Profiler(clock)
  }

  /** Undefined: the request is for something else. */
  answer(request: PlainRequest): Promise<PlainResponse> | undefined {
    const [path = '', query = ''] = request.path.split('?')
    if (path !== prefix && !path.startsWith(`${prefix}/`)) return undefined
    return this.#answer(path.slice(prefix.length + 1), new URLSearchParams(query), request.signal)
  }

  async #answer(name: string, query: URLSearchParams, signal: AbortSignal): Promise<PlainResponse> {
    const seconds = (usual: number): number => Math.min(mostSeconds, Math.max(0, Number(query.get('seconds') ?? usual) || usual))
    try {
      switch (name) {
        case '': return { status: 200, headers: { 'content-type': 'text/html; charset=utf-8', 'x-content-type-options': 'nosniff' }, body: indexPage() }
        case 'cmdline': return { status: 200, headers: plain, body: process.argv.join('\0') }
        // Functions have their names in the profiles already.
        case 'symbol': return { status: 200, headers: plain, body: 'num_symbols: 0\n' }
        case 'profile': return file('profile', await this.#profiler.cpu(seconds(usualCpuSeconds), signal))
        case 'heap': return file('heap', await this.#profiler.heap())
        case 'allocs': return file('allocs', await this.#profiler.allocations(seconds(usualAllocationSeconds), signal))
        case 'goroutine': return await this.#counted(name, process.getActiveResourcesInfo(), query)
        case 'threadcreate': return await this.#counted(name, threadNames(), query)
        default: return failure(404, 'Unknown profile')
      }
    } catch (error) {
      if (error instanceof ProfilerBusyError) return failure(500, `Could not enable profiling: ${error.message}`)
      throw error
    }
  }

  /** Things that only have a kind. */
  async #counted(name: string, things: readonly string[], query: URLSearchParams): Promise<PlainResponse> {
    const counts = [...Map.groupBy(things, (thing) => thing)].map(([kind, list]) => [kind, list.length] as const).sort((a, b) => b[1] - a[1])
    if (Number(query.get('debug') ?? 0) > 0) return { status: 200, headers: plain, body: `${name} profile: total ${things.length}\n${counts.map(([kind, count]) => `${count} ${kind}\n`).join('')}` }
    const profile = new PprofProfile([{ type: name, unit: 'count' }], { timeMs: this.#clock.now(), durationMs: 0, period: 1 })
    for (const [kind, count] of counts) profile.add([{ functionName: kind, file: '', line: 0 }], [count])
    return file(name, await profile.finish())
  }

  [Symbol.dispose](): void { this.#profiler[Symbol.dispose]() }
}

function file(name: string, bytes: Uint8Array): PlainResponse {
  return { status: 200, headers: { 'content-type': 'application/octet-stream', 'content-disposition': `attachment; filename="${name}"`, 'x-content-type-options': 'nosniff' }, body: '', bytes }
}

function failure(status: number, why: string): PlainResponse { return { status, headers: { ...plain, 'x-go-pprof': '1' }, body: `${why}\n` } }

function threadNames(): readonly string[] {
  try {
    return readdirSync('/proc/self/task').map((id) => readFileSync(`/proc/self/task/${id}/comm`, 'utf8').trim())
  } catch {
    return []
  }
}

function indexPage(): string {
  const rows = profiles.map(([name, description]) => `<li><a href="${name}">${name}</a>: ${description}</li>`).join('\n')
  return `<html>\n<head>\n<title>/debug/pprof/</title>\n</head>\n<body>\n/debug/pprof/\n<ul>\n${rows}\n</ul>\n</body>\n</html>\n`
}
