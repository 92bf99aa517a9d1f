// Memory that nobody holds any more goes back to the system when the collector finds it, and of what the C library keeps for later only the end.
// Who defragments wants it at once; and as with the original everybody waits meanwhile.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

export async function collectGarbage(): Promise<void> {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as (() => void) | undefined // cast: what the flag makes
  collect?.()
  // The bytes of what was collected are let go on another thread, a moment later.
  await new Promise((resolve) => { setImmediate(resolve) })
  collect?.()
  if (process.platform !== 'linux') return
  try {
    const { default: koffi } = await import('koffi')
    const trim = koffi.load('libc.so.6').func('int malloc_trim(size_t pad)') as (pad: number) => number // cast: by its prototype
    trim(0)
  } catch {
    // Not every C library has it.
  }
}
