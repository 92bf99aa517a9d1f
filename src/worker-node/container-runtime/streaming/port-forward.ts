// A TCP connection to a port inside a pod: the socket is made in the pod's network namespace, so that what listens on its loopback only is
// reached too. After that it is a socket like any other.
import { closeSync } from 'node:fs'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { connectToLoopback, insideNamespace, openTcpSocket } from '../host/syscalls.ts'
import type { SandboxManager } from '../sandboxes/sandbox-manager.ts'
import { CriError } from '../../../lib/cri-api/cri-services.ts'

export async function openPortForward(sandboxes: SandboxManager, options: { readonly podSandboxId: string; readonly port: number }, _signal: AbortSignal): Promise<Duplex> {
  const sandbox = sandboxes.get(options.podSandboxId)
  if (!sandboxes.isReady(sandbox)) throw new CriError('FailedPrecondition', `sandbox ${sandbox.id} is not ready`)
  if (!Number.isInteger(options.port) || options.port < 1 || options.port > 65535) throw new CriError('InvalidArgument', `${options.port} is no port`)
  for (const family of [4, 6] as const) {
    const fd = sandbox.namespaces.net === undefined ? openTcpSocket(family) : insideNamespace('net', sandboxes.namespacePath(sandbox.id, 'net'), () => openTcpSocket(family))
    if (await connectToLoopback(fd, family, options.port)) return new Socket({ fd, readable: true, writable: true, allowHalfOpen: true })
    closeSync(fd)
  }
  throw new CriError('Unavailable', `failed to connect to localhost:${options.port} inside sandbox ${sandbox.id}: connection refused`)
}
