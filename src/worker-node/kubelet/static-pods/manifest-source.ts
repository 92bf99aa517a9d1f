// Watches the folder of manifests: every file in it is a static pod. Changes are seen at once where the system tells of them, and at the
// latest after the check interval.
// Upstream: pkg/kubelet/config/file_linux.go
import { watch } from 'node:fs'
import { load } from 'js-yaml'
import { sleep } from '../../../lib/base/clock.ts'
import { DiskError } from '../host/disk.ts'
import { makeStaticPod } from './static-pod.ts'
import type { Disk } from '../host/disk.ts'
import type { Clock } from '../../../lib/base/clock.ts'
import type { Logger } from '../../../lib/component-base/log.ts'
import type { Pod } from '../../../lib/api/generated/types/core-v1.ts'

export interface ManifestSourceOptions {
  readonly path: string
  readonly nodeName: string
  readonly disk: Disk
  readonly clock: Clock
  readonly logger: Logger
  readonly checkFrequencyMs: number
  /** All static pods, at the start and after every change. */
  readonly onPods: (pods: readonly Pod[]) => void
}

const biggestManifest = 1 << 20

/** Reads until `signal`; the first reading is told before the promise's first wait. */
export async function runManifestSource(options: ManifestSourceOptions, signal: AbortSignal): Promise<void> {
  const { clock, checkFrequencyMs, path, logger } = options
  let wake: AbortController | undefined
  let changedWhileBusy = false
  const onChange = (): void => { changedWhileBusy = true; wake?.abort() }
  let watcher: ReturnType<typeof watch> | undefined
  const startWatching = (): void => {
    try {
      watcher = watch(path, { persistent: false }, onChange)
      watcher.on('error', (error) => logger.warn('Watching the manifest folder failed; it is read regularly', { path, error: error.message }))
    } catch {
      // No such folder yet, or no inotify: the regular check does, and tries again.
    }
  }
  signal.addEventListener('abort', () => watcher?.close(), { once: true })
  const firstSeen = new Map<string, number>()
  for (;;) {
    changedWhileBusy = false
    if (!watcher) startWatching()
    options.onPods(await readManifests(options, firstSeen))
    if (changedWhileBusy) continue
    wake = new AbortController()
    try {
      await sleep(clock, checkFrequencyMs, AbortSignal.any([signal, wake.signal]))
    } catch (error) {
      if (signal.aborted) throw error
      // A file is often written in several steps: wait for the last one.
      await sleep(clock, 20, signal)
    }
  }
}

export async function readManifests(options: Pick<ManifestSourceOptions, 'path' | 'nodeName' | 'disk' | 'clock' | 'logger'>, firstSeen: Map<string, number>): Promise<readonly Pod[]> {
  const { disk, path, logger, nodeName, clock } = options
  let names: readonly string[]
  try {
    names = (await disk.stat(path))?.kind === 'file' ? [''] : await disk.list(path)
  } catch (error) {
    if (!(error instanceof DiskError && error.reason === 'NotFound')) logger.warn('Could not read the manifest folder', { path, error: error instanceof Error ? error.message : String(error) })
    return []
  }
  const pods: Pod[] = []
  for (const name of names) {
    if (name.startsWith('.')) continue
    const file = name === '' ? path : `${path}/${name}`
    try {
      const facts = await disk.stat(file)
      if (facts?.kind !== 'file') continue
      if (facts.size > biggestManifest) throw new Error('the file is larger than 1 MiB')
      const manifest: unknown = load(new TextDecoder().decode(await disk.readFile(file)))
      const result = makeStaticPod(manifest, nodeName, clock.now())
      if (!result.ok) { logger.warn('Not a static pod', { file, problem: result.message }); continue }
      const { uid } = result.pod.metadata
      const seenAtMs = firstSeen.get(uid) ?? clock.now()
      firstSeen.set(uid, seenAtMs)
      const again = makeStaticPod(manifest, nodeName, seenAtMs)
      if (again.ok && !pods.some((p) => p.metadata.name === again.pod.metadata.name && p.metadata.namespace === again.pod.metadata.namespace)) pods.push(again.pod)
    } catch (error) {
      logger.warn('Could not read a manifest', { file, error: error instanceof Error ? error.message : String(error) })
    }
  }
  return pods
}
