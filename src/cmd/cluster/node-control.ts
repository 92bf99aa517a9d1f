// A node's own door, a unix socket beside its run-time state: for what has no API in Kubernetes, such as putting an image archive on a node.
import { createServer, request as httpRequest } from 'node:http'
import { rmSync } from 'node:fs'
import { describeError } from '../../lib/component-base/log.ts'

export interface NodeControl {
  /** Imports an OCI layout or docker archive from a file of the host; resolves to the names of its images. */
  importArchive(path: string, name: string): Promise<readonly string[]>
}

export async function serveNodeControl(socketPath: string, control: NodeControl): Promise<AsyncDisposable> {
  rmSync(socketPath, { force: true })
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://node')
    const answer = (status: number, body: object): void => { response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body)) }
    if (request.method !== 'POST' || url.pathname !== '/images/import') { answer(404, { error: 'not found' }); return }
    control.importArchive(url.searchParams.get('path') ?? '', url.searchParams.get('name') ?? '').then((names) => answer(200, { names }), (error: unknown) => answer(400, { error: describeError(error) }))
  })
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(socketPath, resolve))
  return { async [Symbol.asyncDispose]() { await new Promise<void>((resolve) => { server.close(() => resolve()); server.closeAllConnections() }); rmSync(socketPath, { force: true }) } }
}

/** Asks a node to import an archive. Rejects with the node's words. */
export function importOnNode(socketPath: string, path: string, name: string): Promise<readonly string[]> {
  return new Promise((resolve, reject) => {
    const sent = httpRequest({ socketPath, method: 'POST', path: `/images/import?path=${encodeURIComponent(path)}&name=${encodeURIComponent(name)}` }, (answer) => {
      let text = ''
      answer.on('data', (piece) => { text += String(piece) })
      answer.on('end', () => {
        const parsed = JSON.parse(text) as { readonly names?: readonly string[]; readonly error?: string } // cast: our own server's answer
        if (parsed.names) resolve(parsed.names)
        else reject(new Error(parsed.error ?? `the node answered ${answer.statusCode ?? 0}`))
      })
    })
    sent.on('error', reject)
    sent.end()
  })
}
