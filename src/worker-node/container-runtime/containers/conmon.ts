// conmon: the small process between us and one container. It holds the container's streams, writes its log in CRI's format and its exit code
// to a file, and lives on when we don't: that is why containers survive us.
// Upstream: github.com/containers/conmon (also used by CRI-O)
import { spawn } from 'node:child_process'
import { constants, closeSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import type { OciRuntime } from './oci-runtime.ts'
import { hostEnvironment } from '../../../lib/async/run-command.ts'
import { CriError } from '../../../lib/cri-api/cri-services.ts'

export interface ConmonRequest {
  readonly id: string
  readonly bundle: string
  readonly logPath: string
  readonly exitsDir: string
  readonly tty: boolean
  readonly stdin: boolean
  readonly stdinOnce: boolean
}

/** Has the OCI runtime create the container, under a new conmon. Returns the container's process id. @throws CriError Internal with the runtime's words */
export async function createUnderConmon(conmonPath: string, runtime: OciRuntime, request: ConmonRequest, signal: AbortSignal): Promise<number> {
  const args = [
    '-b', request.bundle, '-c', request.id, '-u', request.id, '-n', request.id, '-r', runtime.path, ...runtime.globalArgs.flatMap((arg) => ['--runtime-arg', arg]),
    '-p', join(request.bundle, 'pidfile'), '-P', join(request.bundle, 'conmon.pid'), '--exit-dir', request.exitsDir, '--persist-dir', request.bundle, '--full-attach',
    '--no-sync-log', '-l', `k8s-file:${request.logPath}`, ...(request.tty ? ['-t'] : []), ...(request.stdin ? ['-i'] : []), ...(request.stdin && !request.stdinOnce ? ['--leave-stdin-open'] : []),
  ]
  const child = spawn(conmonPath, args, { stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe'], env: { ...hostEnvironment, _OCI_SYNCPIPE: '3', _OCI_STARTPIPE: '4' }, detached: true, cwd: request.bundle })
  const [, , stderr, syncPipe, startPipe] = child.stdio
  if (!(syncPipe && startPipe && stderr)) throw new CriError('Internal', 'conmon has no pipes')
  const onAbort = (): void => { child.kill('SIGKILL') }
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    let complaint = ''
    ;(stderr as Readable).on('data', (chunk: Buffer) => { if (complaint.length < 8192) complaint += chunk.toString() }) // cast: stdio 2 was asked for as a pipe to read
    const failed = new Promise<never>((_resolve, reject) => child.on('error', (error) => reject(new CriError('Internal', `conmon: ${error.message}`, { cause: error }))))
    failed.catch(() => {})
    const start = startPipe as Writable // cast: stdio 4 is a pipe we write to
    start.on('error', () => {})
    start.end('\0')
    const answer = await Promise.race([failed, readSyncMessage(syncPipe as Readable)]) // cast: stdio 3 is a pipe we read
    if (answer.pid > 0) return answer.pid
    throw new CriError('Internal', `failed to create container: ${(answer.message || complaint).trim()}`)
  } finally {
    signal.removeEventListener('abort', onAbort)
    for (const stream of [stderr, syncPipe, startPipe]) stream.destroy()
    child.unref()
  }
}

/** One line of JSON: the process id, or a message. The field was called `pid`, later `data`. */
async function readSyncMessage(pipe: Readable): Promise<{ readonly pid: number; readonly message: string }> {
  let text = ''
  for await (const chunk of pipe) {
    text += String(chunk)
    if (text.includes('\n') || text.length > 65536) break
  }
  if (text.trim() === '') return { pid: -1, message: '' }
  const parsed: unknown = JSON.parse(text.split('\n')[0] ?? '')
  const fields = parsed as { readonly pid?: number; readonly data?: number; readonly message?: string } // cast: conmon's own format
  return { pid: fields.pid ?? fields.data ?? -1, message: fields.message ?? '' }
}

/** Writes one line to a conmon's control pipe. False when no conmon reads it any more. */
function tellConmon(pipe: string, line: string): boolean {
  let fd: number
  try { fd = openSync(pipe, constants.O_WRONLY | constants.O_NONBLOCK) } catch { return false }
  try { writeSync(fd, line) } finally { closeSync(fd) }
  return true
}

/** Closes the log file and opens the name anew: after it was renamed away. */
export function reopenLog(bundle: string): boolean { return tellConmon(join(bundle, 'ctl'), '2 0 0\n') }

/** Sets the size of the container's main terminal. */
export function resizeMainTerminal(bundle: string, size: { readonly width: number; readonly height: number }): boolean {
  return tellConmon(join(bundle, 'winsz'), `${size.height} ${size.width}\n`)
}
