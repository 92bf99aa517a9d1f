// What exec, attach and port-forward need of a session: the WebSocket's address and credentials, the terminal's raw mode and size, and the
// exit code that the other side's status means. Upstream: kubectl/pkg/util/term, client-go/tools/remotecommand
import { spawnSync } from 'node:child_process'
import type { ClientOptions } from 'ws'
import { ApiError } from '../../lib/client/api-error.ts'
import { connectRemoteCommand, UpgradeRefused } from '../../lib/net/streaming/remote-command-client.ts'
import type { RemoteCommandSession } from '../../lib/net/streaming/remote-command-client.ts'
import type { RemoteCommandStreams, SessionStatus } from '../../lib/net/streaming/remote-command-protocol.ts'
import { KubectlError } from './command.ts'
import type { KubectlContext } from './command.ts'
import type { Session } from './session.ts'

/** Address and options of a WebSocket to the API server. */
export function webSocketTarget(session: Session, path: string): { readonly url: string; readonly options: ClientOptions } {
  const { transportOptions: t } = session
  const url = `${t.server.replace(/^http/, 'ws').replace(/\/$/, '')}${path}`
  const headers: Record<string, string> = { 'user-agent': t.userAgent }
  for (const [name, value] of Object.entries(t.headers ?? {})) headers[name] = typeof value === 'string' ? value : value.join(', ')
  if (t.token) headers['authorization'] = `Bearer ${t.token}`
  return { url, options: {
    headers, rejectUnauthorized: !t.insecureSkipTlsVerify, ...(t.certificateAuthority ? { ca: t.certificateAuthority } : {}), ...(t.clientCertificate ? { cert: t.clientCertificate } : {}), ...(t.clientKey ? { key: t.clientKey } : {}), ...(t.tlsServerName ? { servername: t.tlsServerName } : {}),
  } }
}

/** Runs one interactive session over the terminal or pipes; resolves to the exit code. */
export async function runRemoteCommand(context: KubectlContext, session: Session, path: string, streams: RemoteCommandStreams): Promise<number> {
  const { url, options } = webSocketTarget(session, path)
  let remote: RemoteCommandSession
  try {
    remote = await connectRemoteCommand(url, streams, options, context.signal)
  } catch (error) {
    throw refusalOf(error)
  }
  using terminal = streams.tty && context.stdin.isTTY ? rawTerminal(context, remote) : { [Symbol.dispose]: () => {} }
  void terminal
  const outputs: Promise<void>[] = []
  const copy = (from: NodeJS.ReadableStream | undefined, to: NodeJS.WriteStream): void => {
    if (!from) return
    outputs.push(new Promise<void>((done) => { from.on('end', done); from.on('error', () => done()); from.on('close', done) }))
    from.on('data', (piece: Buffer) => { if (!to.write(piece)) { from.pause(); to.once('drain', () => from.resume()) } })
  }
  copy(remote.stdout, context.stdout)
  copy(remote.stderr, context.stderr)
  if (remote.stdin) context.stdin.pipe(remote.stdin)
  // An interrupted session ends at once, whatever the other side does.
  const aborted = Promise.withResolvers<never>()
  const onAbort = (): void => { context.stdin.pause(); context.stdin.unref?.(); aborted.reject(context.signal.reason) }
  context.signal.addEventListener('abort', onAbort, { once: true })
  const status = await Promise.race([remote.status, aborted.promise]).finally(() => context.signal.removeEventListener('abort', onAbort))
  await Promise.all(outputs)
  if (remote.stdin) { context.stdin.unpipe(remote.stdin); context.stdin.pause() }
  context.stdin.unref?.()
  return exitCodeOf(context, status)
}

/** Raw mode while it lasts, and the size of the window whenever it changes. */
function rawTerminal(context: KubectlContext, remote: RemoteCommandSession): Disposable {
  const { stdin, stdout } = context
  const resize = (): void => { if (stdout.columns && stdout.rows) remote.resize({ width: stdout.columns, height: stdout.rows }) }
  stdin.setRawMode(true)
  // Node's raw mode still puts a carriage return before every line feed of the output; the terminal on the other side has done that already.
  // Leaving raw mode brings back all that was before.
  spawnSync('stty', ['-opost'], { stdio: ['inherit', 'ignore', 'ignore'] })
  stdout.on('resize', resize)
  resize()
  return { [Symbol.dispose]: () => { stdin.setRawMode(false); stdout.off('resize', resize) } }
}

/** A refused upgrade carries the API server's Status. */
export function refusalOf(error: unknown): unknown {
  if (!(error instanceof UpgradeRefused)) return error
  try {
    return new ApiError({ code: error.code, ...JSON.parse(error.body) as object } as never) // cast: a Status by its sender; ApiError looks at single fields
  } catch {
    return new KubectlError(error.body.trim() || `unable to upgrade connection: ${error.code}`)
  }
}

function exitCodeOf(context: KubectlContext, status: SessionStatus): number {
  if (status.status === 'Success') return 0
  if (status.reason === 'NonZeroExitCode') {
    const code = Number(status.details?.causes?.find((c) => c.reason === 'ExitCode')?.message ?? 1)
    context.err(`command terminated with exit code ${code}\n`)
    return code
  }
  throw new KubectlError(status.message ?? 'the connection broke')
}
