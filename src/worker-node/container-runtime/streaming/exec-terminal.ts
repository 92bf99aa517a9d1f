// A terminal for a further process in a container. The OCI runtime makes it inside the container and sends us its master over a socket, so
// there is one terminal only, and its size is ours to set before the process has begun. (runc copies between that terminal and one of ours:
// `ownSlave` is its side.)
//
// Rule it keeps: everything that the process wrote before it ended is given out. The kernel tells of the end of a terminal together with, or
// before, the last of its output, and a reader that believes it loses that. So the other end is kept open here, and when the process has ended
// a mark is written through it: what comes out before the mark is the process's, and the mark is the end.
import { closeSync, openSync, writeSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { PassThrough, Writable } from 'node:stream'
import { ReadStream } from 'node:tty'
import { sleep, type Clock } from '../../../lib/base/clock.ts'
import type { Random } from '../../../lib/base/random.ts'
import type { TerminalSize } from '../../../lib/cri-api/streams.ts'
import { acceptConnection, listenAt, openPty, openTerminalPeer, receiveDescriptor, setTerminalSize } from '../host/syscalls.ts'

/** How often it is looked whether the terminal has come. */
const lookMs = 2
/** How long the rest of the output may take to come out: a terminal may have been told to hold it back. */
const drainMs = 1000

export class ExecTerminal {
  /** Of the socket over which the OCI runtime sends the terminal. */
  readonly path: string
  readonly stdout = new PassThrough()
  readonly stdin: Writable
  readonly #clock: Clock
  readonly #mark: Buffer
  #listener: number | undefined
  #connection: number | undefined
  readonly #stop = new AbortController()
  #size: TerminalSize | undefined
  #master: number | undefined
  #stream: ReadStream | undefined
  #peer: number | undefined
  #ending = false
  #held: Buffer = Buffer.alloc(0)
  #said = ''
  readonly #came = Promise.withResolvers<void>()

  /** What an OCI runtime that copies itself is given as its streams. The caller closes it. */
  readonly ownSlave: number | undefined

  constructor(path: string, clock: Clock, random: Random, isHandedOver: boolean) {
    this.path = path
    this.#clock = clock
    this.#mark = Buffer.from(`end-${Buffer.from(random.bytes(16)).toString('hex')}`)
    // Ending stdin must not close the terminal: that would hang up on the process, which may still have a lot to say.
    this.stdin = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        void this.#came.promise.then(() => { if (this.#stream === undefined || this.#stream.destroyed) done(); else this.#stream.write(chunk, () => done()) })
      },
    })
    this.stdout.on('drain', () => this.#stream?.resume())
    if (isHandedOver) {
      // By a short name below an open folder: full paths may be longer than socket addresses allow.
      const folder = openSync(dirname(path), 'r')
      try { this.#listener = listenAt(join('/proc/self/fd', String(folder), basename(path))) } finally { closeSync(folder) }
      void this.#receive()
    } else {
      const { master, slave } = openPty()
      this.ownSlave = slave
      this.#take(master)
      this.#came.resolve()
    }
  }

  /** What was said last: the reason, when the process could not start. */
  get lastWords(): string { return this.#said }

  resize(size: TerminalSize): void {
    this.#size = size
    if (this.#master !== undefined && this.#stream?.destroyed === false) setTerminalSize(this.#master, size)
  }

  async #receive(): Promise<void> {
    try {
      while (!this.#look()) await sleep(this.#clock, lookMs, this.#stop.signal)
    } catch { /* it ended before there was a terminal */ } finally {
      if (this.#connection !== undefined) closeSync(this.#connection)
      if (this.#listener !== undefined) closeSync(this.#listener)
      this.#listener = undefined
      void rm(this.path, { force: true })
      this.#came.resolve()
    }
  }

  /** Whether the terminal is there, now that it has been looked for. */
  #look(): boolean {
    if (this.#master !== undefined || this.#listener === undefined) return this.#master !== undefined
    this.#connection ??= acceptConnection(this.#listener)
    const master = this.#connection === undefined ? undefined : receiveDescriptor(this.#connection)
    if (master !== undefined) this.#take(master)
    return master !== undefined
  }

  #take(master: number): void {
    this.#master = master
    if (this.#size) setTerminalSize(master, this.#size)
    this.#peer = openTerminalPeer(master)
    const stream = (this.#stream = new ReadStream(master))
    stream.on('data', (chunk: Buffer) => this.#read(chunk))
    stream.on('error', () => this.#finish())
    stream.on('close', () => this.#finish())
  }

  #read(chunk: Buffer): void {
    const bytes = this.#held.length > 0 ? Buffer.concat([this.#held, chunk]) : chunk
    const end = this.#ending ? bytes.indexOf(this.#mark) : -1
    // The mark may have come in part.
    const shown = end >= 0 ? end : this.#ending ? Math.max(0, bytes.length - this.#mark.length + 1) : bytes.length
    this.#held = bytes.subarray(shown)
    this.#show(bytes.subarray(0, shown))
    if (end >= 0) this.#finish()
  }

  #show(bytes: Buffer): void {
    if (bytes.length === 0 || this.stdout.writableEnded) return
    this.#said = bytes.toString().slice(-4096)
    if (!this.stdout.write(bytes)) this.#stream?.pause()
  }

  #finish(): void { if (!this.stdout.writableEnded) this.stdout.end() }

  /** The process has ended: what is left is given out, then `stdout` ends. */
  async drain(): Promise<void> {
    const deadlineMs = this.#clock.monotonic() + drainMs
    // A short process may be over before its terminal has been taken.
    try { this.#look() } catch { /* it never had one */ }
    if (this.#peer === undefined) { this.#finish(); return }
    for (let written = false; !written && this.#clock.monotonic() < deadlineMs && !this.#stop.signal.aborted;) {
      try {
        // What is written in one piece into a full terminal may be written in part.
        this.#ending = true
        written = writeSync(this.#peer, this.#mark) === this.#mark.length
      } catch { /* full: the reader is behind */ }
      if (!written) await sleep(this.#clock, lookMs, this.#stop.signal).catch(() => {})
    }
    const late = this.#clock.setTimer(drainMs, () => { this.#show(this.#held); this.#finish() })
    this.stdout.once('close', () => late[Symbol.dispose]())
  }

  [Symbol.dispose](): void {
    if (this.#stop.signal.aborted) return
    this.#stop.abort(new Error('the terminal is closed'))
    this.#stream?.destroy()
    if (this.#peer !== undefined) closeSync(this.#peer)
    this.#finish()
  }
}
