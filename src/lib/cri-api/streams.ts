// Exec, attach and port-forward inside one process. CRI itself answers these calls with a URL that the caller then dials; a kubelet in the
// runtime's own process skips the URL and gets the byte streams. Both ways end in the same code of the runtime.
import type { Duplex, Readable, Writable } from 'node:stream'

/** Columns and rows of a terminal. */
export interface TerminalSize {
  readonly width: number
  readonly height: number
}

export interface ExecOptions {
  readonly containerId: string
  readonly command: readonly string[]
  readonly tty: boolean
  readonly stdin: boolean
  /** Size of the terminal at the start. */
  readonly size?: TerminalSize
}

export interface AttachOptions {
  readonly containerId: string
  readonly tty: boolean
  readonly stdin: boolean
}

/** A process whose streams somebody holds. Disposing it ends the streams, and for exec the process too. */
export interface ProcessStreams extends AsyncDisposable {
  /** Absent when no stdin was asked for. Ending it closes the process's stdin. */
  readonly stdin: Writable | undefined
  readonly stdout: Readable
  /** Absent with a terminal, which has one output only. */
  readonly stderr: Readable | undefined
  resize(size: TerminalSize): void
  /**
   * Settles after the process ended and its output is complete: the exit code, 128 + n for signal n. For attach: when the container ended or
   * the streams were closed, with the container's exit code if it has one. Rejects with CriError when the process could not be started.
   */
  readonly exit: Promise<{ readonly exitCode: number }>
}

export interface RuntimeStreams {
  /** @throws CriError NotFound, FailedPrecondition (container isn't running) */
  openExec(options: ExecOptions, signal: AbortSignal): Promise<ProcessStreams>
  /** Joins the main process of a running container: sees its output from now on. @throws CriError as openExec */
  openAttach(options: AttachOptions, signal: AbortSignal): Promise<ProcessStreams>
  /** A TCP connection to `port` on the loopback of the pod's network. @throws CriError NotFound, Unavailable (nobody listens) */
  openPortForward(options: { readonly podSandboxId: string; readonly port: number }, signal: AbortSignal): Promise<Duplex>
}
