// Ports for what a test starts, so that several test files can run at once. The way by port 0 has a race: between its end and the program's start
// anybody may get the same port, another test file's program or an outgoing connection. Here each process takes a block of ports below those that
// the kernel gives out by itself, and holds the block's first one as long as it lives, as the sign that the rest is its own.
import { createServer, type Server } from 'node:net'

const first = 12_000
const blocks = 100
const blockSize = 100

let block: Promise<{ next: number; readonly end: number }> | undefined

/** A port that nobody listens on now, and nobody else will be told of. */
export async function freePort(): Promise<number> {
  block ??= claimBlock()
  const own = await block
  for (let tried = 0; tried < blockSize; tried++) {
    const port = own.next++
    if (own.next === own.end) own.next = own.end - blockSize + 1
    if (await closed(await listen(port))) return port
  }
  throw new Error('all ports of this process are taken')
}

/** All different. */
export function freePorts(count: number): Promise<readonly number[]> { return Promise.all(Array.from({ length: count }, freePort)) }

async function claimBlock(): Promise<{ next: number; readonly end: number }> {
  for (let i = 0; i < blocks; i++) {
    const start = first + ((process.pid + i) % blocks) * blockSize
    const sign = await listen(start)
    sign?.unref()
    if (sign) return { next: start + 1, end: start + blockSize }
  }
  throw new Error('no block of ports is free')
}

/** Undefined when somebody else listens there. */
function listen(port: number): Promise<Server | undefined> {
  return new Promise((done) => {
    const server = createServer()
    server.once('error', () => { done(undefined) })
    server.listen(port, '127.0.0.1', () => { done(server) })
  })
}

function closed(server: Server | undefined): Promise<boolean> {
  return new Promise((done) => { if (server) server.close(() => { done(true) }); else done(false) })
}
