// Opens paths inside a folder so that no name, `..`, symlink or race can lead out of it: each component is opened on its own, relative to the
// folder before (through /proc/self/fd), and never followed if it is a symlink. A symlink is read and its target walked in the same way,
// with the folder as `/`, as it would be seen from inside a container.
import { closeSync, constants, mkdirSync, openSync, readlinkSync } from 'node:fs'

const O_PATH = 0o10000000
const O_CLOEXEC = 0o2000000
const maxSymlinks = 40

/** A path can't be opened inside its root. */
export class PathError extends Error {
  override readonly name = 'PathError'
  readonly reason: 'escapes' | 'missing' | 'not-a-folder' | 'too-many-symlinks' | 'bad-name'
  constructor(reason: PathError['reason'], path: string) {
    super(`${JSON.stringify(path)}: ${reason}`)
    this.reason = reason
  }
}

/** An open folder; names below it are reached through `path(name)`. */
export class OpenFolder implements Disposable {
  readonly fd: number
  constructor(fd: number) { this.fd = fd }

  /** @param name one component, or '' for the folder itself */
  path(name: string): string {
    if (name.includes('/') || name === '..' || name.includes('\0')) throw new PathError('bad-name', name)
    return name === '' || name === '.' ? `/proc/self/fd/${this.fd}/.` : `/proc/self/fd/${this.fd}/${name}`
  }

  [Symbol.dispose](): void { closeSync(this.fd) }
}

/** Opens `path` itself, following symlinks: for roots that we own. */
export function openRoot(path: string): OpenFolder { return new OpenFolder(openSync(path, O_PATH | constants.O_DIRECTORY | O_CLOEXEC)) }

/** The components of a path; absolute ones count from the root. @throws PathError for `..` */
export function splitPath(path: string): string[] {
  const parts = path.split('/').filter((part) => part !== '' && part !== '.')
  if (parts.includes('..')) throw new PathError('escapes', path)
  if (path.includes('\0')) throw new PathError('bad-name', path)
  return parts
}

function errorCode(error: unknown): string | undefined { return error instanceof Error && 'code' in error ? String(error.code) : undefined }

/**
 * Opens the folder at `components` below `root`.
 * @param options.create makes missing folders (mode 0755)
 * @throws PathError
 */
export function openFolderBeneath(root: OpenFolder, components: readonly string[], options: { readonly create?: boolean } = {}): OpenFolder {
  const shown = components.join('/')
  const opened: number[] = [openSync(root.path(''), O_PATH | constants.O_DIRECTORY | O_CLOEXEC)]
  const todo = components.toReversed()
  let symlinks = 0
  try {
    for (let name = todo.pop(); name !== undefined; name = todo.pop()) {
      if (name === '' || name === '.') continue
      if (name === '..') { // from a symlink's target: up, but never above the root
        if (opened.length > 1) closeSync(opened.pop() ?? -1)
        continue
      }
      const path = `/proc/self/fd/${opened.at(-1)}/${name}`
      const open = (): number => openSync(path, O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW | O_CLOEXEC)
      try { opened.push(open()) } catch (error) {
        const code = errorCode(error)
        if (code === 'ENOENT' && options.create) {
          mkdirSync(path, 0o755)
          opened.push(open())
          continue
        }
        if (code === 'ENOENT') throw new PathError('missing', shown)
        if (code !== 'ENOTDIR' && code !== 'ELOOP') throw error
        const target = readSymlink(path)
        if (target === undefined) throw new PathError('not-a-folder', shown)
        if (++symlinks > maxSymlinks) throw new PathError('too-many-symlinks', shown)
        if (target.startsWith('/')) while (opened.length > 1) closeSync(opened.pop() ?? -1)
        todo.push(...target.split('/').toReversed())
      }
    }
    const last = opened.pop() ?? -1
    return new OpenFolder(last)
  } finally {
    for (const fd of opened) closeSync(fd)
  }
}

/** The target of a symlink, or undefined when it is something else. */
function readSymlink(path: string): string | undefined {
  try { return readlinkSync(path) } catch (error) { if (errorCode(error) === 'EINVAL') return undefined; throw error }
}

/** Opens a file for reading inside `root`, following symlinks within it. Undefined when it doesn't exist. @throws PathError */
export function openFileBeneath(root: OpenFolder, path: string): number | undefined {
  let parts = path.split('/')
  for (let symlinks = 0; symlinks <= maxSymlinks; symlinks++) {
    const name = parts.at(-1) ?? ''
    try {
      using parent = openFolderBeneath(root, parts.slice(0, -1))
      try { return openSync(parent.path(name), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | O_CLOEXEC) } catch (error) {
        if (errorCode(error) === 'ENOENT') return undefined
        if (errorCode(error) !== 'ELOOP') throw error
        const target = readSymlink(parent.path(name)) ?? ''
        parts = target.startsWith('/') ? target.split('/') : [...parts.slice(0, -1), ...target.split('/')]
      }
    } catch (error) {
      if (error instanceof PathError && error.reason === 'missing') return undefined
      throw error
    }
  }
  throw new PathError('too-many-symlinks', path)
}
