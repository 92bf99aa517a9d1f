// What V8's profilers saw, as pprof's profiles: where time goes, and what holds the memory. Upstream: the Chrome DevTools protocol, domains
// Profiler and HeapProfiler
import { Session, type HeapProfiler, type Profiler, type Runtime } from 'node:inspector'
import { fileURLToPath } from 'node:url'
import { sleep, type Clock } from '../../base/clock.ts'
import { PprofProfile, type Frame } from './pprof-profile.ts'

/** As often as Go's profiler looks. */
const cpuIntervalUs = 10_000
/** Bytes between two samples of allocations, as with Go. */
const heapIntervalBytes = 512 * 1024

/** A profiler is at work already. */
export class ProfilerBusyError extends Error {
  override readonly name = 'ProfilerBusyError'
}

export class V8Profiler implements Disposable {
  readonly #session = new Session()
  readonly #clock: Clock
  #isBusy = false

  /** Starts to sample allocations, so that a heap profile can be had at any time. */
  constructor(clock: Clock) {
    this.#clock = clock
    this.#session.connect()
    this.#session.post('Profiler.enable')
    this.#sampleHeap(false)
  }

  #sampleHeap(withCollected: boolean): void {
    this.#session.post('HeapProfiler.startSampling', { samplingInterval: heapIntervalBytes, includeObjectsCollectedByMajorGC: withCollected, includeObjectsCollectedByMinorGC: withCollected })
  }

  /** Where the time of the next `seconds` goes. @throws ProfilerBusyError */
  cpu(seconds: number, signal: AbortSignal): Promise<Buffer> {
    return this.#alone(async () => {
      const timeMs = this.#clock.now()
      this.#session.post('Profiler.setSamplingInterval', { interval: cpuIntervalUs })
      this.#session.post('Profiler.start')
      const waited = sleep(this.#clock, seconds * 1000, signal)
      await waited.catch(() => {})
      const profile = await this.#ask<Profiler.StopReturnType>('Profiler.stop')
      await waited
      return await cpuProfile(profile.profile, timeMs).finish()
    })
  }

  /** What is alive now of what was allocated since this began. */
  async heap(): Promise<Buffer> {
    const { profile } = await this.#ask<HeapProfiler.GetSamplingProfileReturnType>('HeapProfiler.getSamplingProfile')
    return await heapProfile(profile, ['inuse_objects', 'inuse_space'], { timeMs: this.#clock.now(), durationMs: 0 }).finish()
  }

  /** What is allocated in the next `seconds`, whatever becomes of it. @throws ProfilerBusyError */
  allocations(seconds: number, signal: AbortSignal): Promise<Buffer> {
    return this.#alone(async () => {
      const timeMs = this.#clock.now()
      this.#session.post('HeapProfiler.stopSampling')
      this.#sampleHeap(true)
      const waited = sleep(this.#clock, seconds * 1000, signal)
      await waited.catch(() => {})
      const { profile } = await this.#ask<HeapProfiler.StopSamplingReturnType>('HeapProfiler.stopSampling')
      this.#sampleHeap(false)
      await waited
      return await heapProfile(profile, ['alloc_objects', 'alloc_space'], { timeMs, durationMs: seconds * 1000 }).finish()
    })
  }

  async #alone<T>(run: () => Promise<T>): Promise<T> {
    if (this.#isBusy) throw new ProfilerBusyError('a profiler is already in use')
    this.#isBusy = true
    try {
      return await run()
    } finally {
      this.#isBusy = false
    }
  }

  #ask<T>(method: string): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#session.post(method, (error: Error | null, answer?: object) => { if (error) reject(error); else resolve(answer as T) }) // cast: what the protocol answers this method with
    })
  }

  [Symbol.dispose](): void { this.#session.disconnect() }
}

function cpuProfile(profile: Profiler.Profile, timeMs: number): PprofProfile {
  const durationMs = (profile.endTime - profile.startTime) / 1000
  const result = new PprofProfile([{ type: 'samples', unit: 'count' }, { type: 'cpu', unit: 'nanoseconds' }], { timeMs, durationMs, period: cpuIntervalUs * 1000 })
  const parents = new Map(profile.nodes.flatMap((node) => (node.children ?? []).map((child) => [child, node] as const)))
  for (const node of profile.nodes) {
    const { hitCount = 0, callFrame } = node
    // Who waits uses no time.
    if (hitCount === 0 || callFrame.functionName === '(idle)') continue
    const stack: Frame[] = []
    for (let at: Profiler.ProfileNode | undefined = node; at !== undefined; at = parents.get(at.id)) if (at.callFrame.functionName !== '(root)') stack.push(frameOf(at.callFrame))
    result.add(stack, [hitCount, hitCount * cpuIntervalUs * 1000])
  }
  return result
}

interface SampledProfile { readonly samples?: readonly { readonly nodeId: number }[] }
interface SampledNode extends HeapProfiler.SamplingHeapProfileNode { readonly id: number; readonly children: SampledNode[] }

function heapProfile(profile: HeapProfiler.SamplingHeapProfile, [objects, space]: readonly [objects: string, space: string], times: { readonly timeMs: number; readonly durationMs: number }): PprofProfile {
  const result = new PprofProfile([{ type: objects, unit: 'count' }, { type: space, unit: 'bytes' }], { ...times, period: heapIntervalBytes })
  const { samples = [] } = profile as SampledProfile // cast: newer than its description
  // V8 tells the samples' sizes, not how many objects they stand for.
  const counts = new Map<number, number>()
  for (const { nodeId } of samples) counts.set(nodeId, (counts.get(nodeId) ?? 0) + 1)
  const walk = (node: SampledNode, above: readonly Frame[]): void => {
    const stack = node.callFrame.functionName === '(root)' ? above : [frameOf(node.callFrame), ...above]
    if (node.selfSize > 0) result.add(stack, [counts.get(node.id) ?? 1, node.selfSize])
    for (const child of node.children) walk(child, stack)
  }
  walk(profile.head as SampledNode, []) // cast: as above
  return result
}

function frameOf({ functionName, url, lineNumber }: Runtime.CallFrame): Frame {
  return { functionName: functionName === '' ? '(anonymous)' : functionName, file: url.startsWith('file:') ? fileURLToPath(url) : url, line: lineNumber + 1 }
}
