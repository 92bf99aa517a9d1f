// Rotates containers' logs: a file over the limit is renamed by the time and the runtime opens a new one; older ones are compressed and only so
// many kept.
// Upstream: pkg/kubelet/logs/container_log_manager.go
import { gzip } from 'node:zlib'
import { promisify } from 'node:util'
import { sleep } from '../../../lib/base/clock.ts'
import type { Disk } from '../host/disk.ts'
import type { RuntimeCache } from '../runtime/runtime-cache.ts'
import type { Clock } from '../../../lib/base/clock.ts'
import type { Logger } from '../../../lib/component-base/log.ts'
import type { RuntimeService } from '../../../lib/cri-api/cri-services.ts'

export interface LogRotationOptions {
  readonly clock: Clock
  readonly logger: Logger
  readonly runtime: Pick<RuntimeService, 'reopenContainerLog'>
  readonly disk: Disk
  readonly cache: Pick<RuntimeCache, 'all'>
  readonly maxBytes: number
  /** The live file included. */
  readonly maxFiles: number
}

const everyMs = 10_000
const compress = promisify(gzip)

export async function runLogRotation(options: LogRotationOptions, signal: AbortSignal): Promise<void> {
  for (;;) {
    await sleep(options.clock, everyMs, signal)
    for (const pod of options.cache.all()) {
      for (const container of pod.containers) {
        if (container.state !== 'running' || container.logPath === '') continue
        try {
          await rotateIfLarge(options, container.id, container.logPath, signal)
        } catch (error) {
          if (signal.aborted) return
          options.logger.warn('Could not rotate a log', { path: container.logPath, error: error instanceof Error ? error.message : String(error) })
        }
      }
    }
  }
}

/** Rotates one log when it is over the limit; resolves to whether it was. */
export async function rotateIfLarge(options: LogRotationOptions, containerId: string, path: string, signal: AbortSignal): Promise<boolean> {
  const { disk, maxBytes, maxFiles, clock, runtime } = options
  const facts = await disk.lstat(path)
  if (!facts || facts.size < maxBytes) return false
  const slash = path.lastIndexOf('/')
  const folder = path.slice(0, slash)
  const prefix = `${path.slice(slash + 1)}.`
  const rotated = (await disk.list(folder)).filter((n) => n.startsWith(prefix) && !n.endsWith('.tmp')).toSorted()
  // Room for the live file and the one made now.
  const surplus = Math.max(0, rotated.length - Math.max(0, maxFiles - 2))
  for (const name of rotated.slice(0, surplus)) await disk.unlink(`${folder}/${name}`)
  for (const name of rotated.slice(surplus)) {
    if (name.endsWith('.gz')) continue
    const old = `${folder}/${name}`
    await disk.writeFile(`${old}.tmp`, new Uint8Array(await compress(await disk.readFile(old))), 0o640)
    await disk.rename(`${old}.tmp`, `${old}.gz`)
    await disk.unlink(old)
  }
  if (maxFiles < 2) {
    await disk.unlink(path)
    await runtime.reopenContainerLog({ containerId }, signal)
    return true
  }
  const target = `${path}.${new Date(clock.now()).toISOString().slice(0, 19).replaceAll('-', '').replaceAll(':', '').replace('T', '-')}`
  await disk.rename(path, target)
  try {
    await runtime.reopenContainerLog({ containerId }, signal)
  } catch (error) {
    // The runtime still writes to the old file: give it its name back.
    await disk.rename(target, path)
    throw error
  }
  return true
}
