// What exec and attach share whatever they travel over: names of the protocols, choosing one, and the Status that ends a session.
// Upstream: apimachinery/pkg/util/remotecommand/constants.go, cri-streaming/pkg/streaming/remotecommand
import type { Readable, Writable } from 'node:stream'

export interface TerminalSize { readonly width: number; readonly height: number }

/** Which streams a session has. */
export interface RemoteCommandStreams {
  readonly stdin: boolean
  readonly stdout: boolean
  readonly stderr: boolean
  readonly tty: boolean
}

/** A process with its streams, as the container runtime opens it. */
export interface RemoteProcess extends AsyncDisposable {
  readonly stdin: Writable | undefined
  readonly stdout: Readable | undefined
  readonly stderr: Readable | undefined
  resize(size: TerminalSize): void
  readonly exit: Promise<{ readonly exitCode: number }>
}

/** The client's end of a session, over SPDY or a WebSocket. */
export interface RemoteChannels {
  readonly stdin: Readable | undefined
  readonly stdout: Writable | undefined
  readonly stderr: Writable | undefined
  /** Called with each new size of the client's terminal. */
  onResize(listener: (size: TerminalSize) => void): void
  /** Tells how the session ended and closes it. */
  end(status: SessionStatus): Promise<void>
  /** Resolves when the client is gone. */
  readonly gone: Promise<void>
}

export interface SessionStatus {
  readonly metadata: Record<string, never>
  readonly status: 'Success' | 'Failure'
  readonly message?: string
  readonly reason?: string
  readonly details?: { readonly causes: readonly { readonly reason: string; readonly message: string }[] }
  readonly code?: number
}

export const successStatus: SessionStatus = { metadata: {}, status: 'Success' }

export function exitStatus(exitCode: number): SessionStatus {
  if (exitCode === 0) return successStatus
  return {
    metadata: {}, status: 'Failure', message: `command terminated with non-zero exit code: exit status ${exitCode}`, reason: 'NonZeroExitCode',
    details: { causes: [{ reason: 'ExitCode', message: String(exitCode) }] },
  }
}

export function errorStatus(message: string): SessionStatus { return { metadata: {}, status: 'Failure', message, reason: 'InternalError', details: { causes: [{ reason: '', message }] }, code: 500 } }

/** The exit code that a Status carries; undefined when it tells of another failure. */
export function exitCodeOf(status: SessionStatus): number | undefined {
  if (status.status === 'Success') return 0
  const cause = status.reason === 'NonZeroExitCode' ? status.details?.causes.find((c) => c.reason === 'ExitCode') : undefined
  return cause && Number.isInteger(Number(cause.message)) ? Number(cause.message) : undefined
}

export const spdyProtocols: readonly string[] = ['v4.channel.k8s.io', 'v3.channel.k8s.io', 'v2.channel.k8s.io', 'channel.k8s.io']
export const webSocketProtocols: readonly string[] = ['v5.channel.k8s.io', 'v4.channel.k8s.io', 'v4.base64.channel.k8s.io', 'channel.k8s.io', 'base64.channel.k8s.io']
export const portForwardProtocol = 'portforward.k8s.io'
export const portForwardTunnelProtocol = 'SPDY/3.1+portforward.k8s.io'

/** The client's first choice that the server knows. */
export function chooseProtocol(offered: readonly string[], known: readonly string[]): string | undefined { return offered.find((p) => known.includes(p)) }

/** Joins a process to its client until the process has ended or the client is gone. */
export async function joinSession(channels: RemoteChannels, process: RemoteProcess): Promise<SessionStatus> {
  channels.onResize((size) => process.resize(size))
  if (channels.stdin && process.stdin) {
    const { stdin } = process
    channels.stdin.on('error', () => stdin.end())
    stdin.on('error', () => {})
    channels.stdin.pipe(stdin)
  } else channels.stdin?.resume()
  const flushed = [pipeOut(process.stdout, channels.stdout), pipeOut(process.stderr, channels.stderr)]
  const ended = process.exit.then(async ({ exitCode }) => {
    await Promise.all(flushed)
    return exitStatus(exitCode)
  }, (error: unknown) => errorStatus(error instanceof Error ? error.message : String(error)))
  return Promise.race([ended, channels.gone.then(() => errorStatus('the client is gone'))])
}

function pipeOut(from: Readable | undefined, to: Writable | undefined): Promise<void> {
  if (!from) return Promise.resolve()
  if (!to) { from.resume(); return Promise.resolve() }
  return new Promise((resolve) => {
    from.once('end', resolve)
    from.once('close', resolve)
    from.once('error', () => resolve())
    to.once('close', resolve)
    to.on('error', () => { from.resume() })
    from.pipe(to, { end: false })
  })
}
