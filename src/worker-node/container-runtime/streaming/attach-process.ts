// Attaches to a container's main process through conmon's socket: every message of it is one piece of output, marked with its stream by the
// first byte; what we send is the process's stdin.
//
// Node can't open sockets of this kind, so messages are fetched by looking for them: every few milliseconds while somebody is attached.
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { PassThrough, Writable } from 'node:stream'
import type { ContainerManager } from '../containers/container-manager.ts'
import { resizeMainTerminal } from '../containers/conmon.ts'
import { connectSeqpacket, receiveMessage, sendMessage, shutdownSocket } from '../host/syscalls.ts'
import type { Clock, Timer } from '../../../lib/base/clock.ts'
import { sleep } from '../../../lib/base/clock.ts'
import { CriError } from '../../../lib/cri-api/cri-services.ts'
import type { AttachOptions, ProcessStreams } from '../../../lib/cri-api/streams.ts'

const stdoutMark = 2
const stderrMark = 3
const messageBytes = 8192
const busyMs = 2
const idleMs = 20

export async function openAttach(dependencies: { readonly containers: ContainerManager; readonly clock: Clock }, options: AttachOptions, signal: AbortSignal): Promise<ProcessStreams> {
  const { containers, clock } = dependencies
  const record = containers.getRunning(options.containerId)
  const tty = record.config.tty === true
  const { bundle } = containers.places(record.id)
  const socket = connectInFolder(bundle, 'attach')
  const stdout = new PassThrough()
  const stderr = tty ? undefined : new PassThrough()
  const stop = new AbortController()
  const buffer = Buffer.alloc(messageBytes + 1)
  const done = Promise.withResolvers<{ readonly exitCode: number }>()
  let timer: Timer | undefined
  let open = true

  const close = (): void => {
    if (!open) return
    open = false
    timer?.[Symbol.dispose]()
    stop.abort()
    closeSync(socket)
    stdout.end()
    stderr?.end()
    const settle = (): void => { const now = containers.find(record.id); done.resolve({ exitCode: now?.exitCode ?? 0 }) }
    if (containers.find(record.id)?.phase === 'exited') settle()
    // The socket closes a moment before the exit code is written.
    else void Promise.race([containers.ended(record.id), sleep(clock, 500, new AbortController().signal)]).then(settle, settle)
  }
  const poll = (): void => {
    if (!open) return
    let delayMs = idleMs
    try {
      for (let messages = 0; messages < 64; messages++) {
        const sink = stdout.writableNeedDrain || stderr?.writableNeedDrain
        if (sink) break // the reader is behind; conmon keeps the rest
        const length = receiveMessage(socket, buffer, false)
        if (length === undefined) break
        if (length === 0) { close(); return }
        delayMs = busyMs
        const data = Buffer.from(buffer.subarray(1, length))
        if (buffer[0] === stderrMark && stderr) stderr.write(data)
        else if (buffer[0] === stdoutMark || buffer[0] === stderrMark) stdout.write(data)
      }
    } catch { close(); return }
    timer = clock.setTimer(delayMs, poll)
  }
  const stdin = options.stdin && record.config.stdin ? new Writable({
    write(chunk: Buffer, _encoding, callback) { sendAll(chunk).then(() => callback(), callback) },
    final(callback) { if (open) shutdownSocket(socket, 'write'); callback() },
  }) : undefined
  const sendAll = async (chunk: Buffer): Promise<void> => {
    for (let at = 0; at < chunk.length && open;) {
      const piece = chunk.subarray(at, at + messageBytes)
      if (sendMessage(socket, piece)) at += piece.length
      else await sleep(clock, busyMs, stop.signal)
    }
  }
  signal.addEventListener('abort', close, { once: true })
  void containers.ended(record.id).then(() => { if (open) clock.setTimer(50, close) })
  poll()
  return { stdin, stdout, stderr, resize: (size) => { resizeMainTerminal(bundle, size) }, exit: done.promise, [Symbol.asyncDispose]: async () => { close() } }
}

/** Connects to a socket by a short name below an open folder: full paths may be longer than socket addresses allow. */
function connectInFolder(folder: string, name: string): number {
  const fd = openSync(folder, 'r')
  try { return connectSeqpacket(join('/proc/self/fd', String(fd), name)) } catch (error) {
    throw new CriError('Internal', `can't attach to the container: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
  } finally { closeSync(fd) }
}
