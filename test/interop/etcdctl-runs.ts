// Runs etcdctl, the original's and ours, for tests that compare them. Ours runs in this process: a program of its own would take a hundred times
// as long to start as to run. What starts other programs (`lock … program`) is run as one nevertheless.
import { isUtf8 } from 'node:buffer'
import { execFile, type ChildProcess } from 'node:child_process'
import { Readable } from 'node:stream'
import { resolve } from 'node:path'
import { runEtcdctl } from '../../src/clients/etcdctl/etcdctl.ts'
import { realClock } from '../../src/lib/async/real-clock.ts'

export const originalEtcdctl = resolve(import.meta.dirname, '.bin/etcdctl')
/** Of etcd 3.4: the last whose second API's client is a Debian package. */
export const oldEtcdctl = '/usr/bin/etcdctl'
const main = resolve(import.meta.dirname, '../../src/cmd/main.ts')

export interface CtlOutcome { /** null: stopped. */ readonly code: number | null; readonly out: string; readonly err: string }

export interface CtlRun {
  readonly args: readonly string[]
  readonly stdin?: string
  readonly env?: { readonly [name: string]: string }
  /** Ends what never does: once it has written something and then nothing for a while, or nothing at all for a longer while. */
  readonly endless?: boolean
  /** Ends it (ours, in this process). */
  readonly stop?: AbortSignal
  /** In a process of its own. */
  readonly apart?: boolean
}

const longestMs = 30_000
const quietMs = 400
/**
 * Much longer than a program needs to start, also on a machine that is busy: few of what is asked here stay silent, and those
 * for longer than any client's own patience.
 */
const silentMs = 6000

/** Calls `stop` when nothing has been written for a while. */
class QuietWatch {
  #timer: NodeJS.Timeout
  readonly #stop: () => void
  constructor(stop: () => void) {
    this.#stop = stop
    this.#timer = setTimeout(stop, silentMs)
  }

  wrote(): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(this.#stop, quietMs)
  }

  end(): void { clearTimeout(this.#timer) }
}

/** UTF-8, or one character per byte when it is none. */
function textOf(bytes: Buffer): string { return isUtf8(bytes) ? bytes.toString('utf8') : bytes.toString('latin1') }

export function cleanEnvironment(more: { readonly [name: string]: string } = {}): { [name: string]: string | undefined } {
  return { ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('ETCDCTL_'))), ...more }
}

export async function runOurs(run: CtlRun): Promise<CtlOutcome> {
  if (run.apart) return await runProgram(process.execPath, { ...run, args: ['--disable-proto=delete', '--disable-warning=ExperimentalWarning', main, 'etcdctl', ...run.args] })
  const out: Buffer[] = []
  const err: Buffer[] = []
  const stop = new AbortController()
  run.stop?.addEventListener('abort', () => stop.abort(new Error('stopped')), { once: true })
  const quiet = run.endless ? new QuietWatch(() => stop.abort(new Error('seen enough'))) : undefined
  const take = (list: Buffer[]) => (data: string | Uint8Array): void => { list.push(Buffer.from(data as Uint8Array)); quiet?.wrote() } // cast: both kinds are taken
  const stdin = Readable.from(run.stdin === undefined || run.stdin === '' ? [] : [Buffer.from(run.stdin)])
  const ended = runEtcdctl(run.args, { environment: cleanEnvironment(run.env), clock: realClock, openStdin: () => stdin as unknown as NodeJS.ReadStream, out: take(out), err: take(err), stop: stop.signal }) // cast: as much of a stream as etcdctl uses
  const stopped = new Promise<null>((done) => stop.signal.addEventListener('abort', () => done(null), { once: true }))
  const code = await Promise.race([ended, stopped])
  quiet?.end()
  return { code, out: textOf(Buffer.concat(out)), err: textOf(Buffer.concat(err)) }
}

export function runOriginal(program: string, run: CtlRun): Promise<CtlOutcome> { return runProgram(program, run) }

function runProgram(file: string, { args, stdin = '', env = {}, endless }: CtlRun): Promise<CtlOutcome> {
  return new Promise((done) => {
    let stopped = false
    const child: ChildProcess = execFile(file, [...args], { env: cleanEnvironment(env), encoding: 'buffer', timeout: longestMs, maxBuffer: 1 << 26 }, (error, out, err) => {
      done({ code: stopped ? null : error ? Number(error.code ?? 1) : 0, out: textOf(out), err: textOf(err) })
    })
    if (endless) {
      const quiet = new QuietWatch(() => { stopped = true; child.kill('SIGKILL') })
      child.stdout?.on('data', () => quiet.wrote())
      child.stderr?.on('data', () => quiet.wrote())
      child.on('exit', () => quiet.end())
    }
    child.stdin?.on('error', () => {})
    child.stdin?.end(stdin)
  })
}

