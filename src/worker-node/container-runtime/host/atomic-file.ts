// Files that are either the old ones or the new ones, whenever the process dies: written beside, then renamed.
import { open, rename } from 'node:fs/promises'
import { dirname } from 'node:path'

let counter = 0

/** @param options.sync survives a power cut as well, at the price of a wait for the disk. */
export async function writeFileAtomically(path: string, content: string | Uint8Array, options: { readonly sync: boolean; readonly mode?: number }): Promise<void> {
  const temporary = `${path}.${process.pid}-${counter++}.tmp`
  const handle = await open(temporary, 'w', options.mode ?? 0o600)
  try {
    await handle.writeFile(content)
    if (options.sync) await handle.sync()
  } finally { await handle.close() }
  await rename(temporary, path)
  if (!options.sync) return
  const folder = await open(dirname(path), 'r')
  try { await folder.sync() } finally { await folder.close() }
}
