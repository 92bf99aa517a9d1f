// Talks to the kernel's routing socket. The kernel answers within the send, so calls are synchronous and take tens of microseconds; a socket
// stays in the network namespace where it was opened, wherever the thread goes later.
import { closeSync } from 'node:fs'
import { frame, getLink, parseReplies } from './netlink-messages.ts'
import type { NetlinkRequest } from './netlink-messages.ts'
import { SystemCallError, openNetlinkRoute, receiveMessage, sendMessage } from '../host/syscalls.ts'

export class NetlinkSocket implements Disposable {
  readonly #fd: number
  readonly #buffer = Buffer.alloc(65536)
  #sequence = 0

  /** Opens it in the network namespace that this thread is in now. */
  constructor() { this.#fd = openNetlinkRoute() }

  /** Carries out one request. Returns the index when the kernel answered with a link. @throws SystemCallError */
  request(request: NetlinkRequest, what: string): number | undefined {
    const sequence = ++this.#sequence
    sendMessage(this.#fd, frame(request, sequence))
    let index: number | undefined
    for (;;) {
      const length = receiveMessage(this.#fd, this.#buffer, true)
      if (length === undefined) continue
      for (const reply of parseReplies(this.#buffer.subarray(0, length))) {
        if (reply.sequence !== sequence) continue
        if (reply.kind === 'link') index = reply.index
        else if (reply.kind === 'ack') {
          if (reply.errno !== 0) throw new SystemCallError('netlink', what, reply.errno)
          return index
        }
      }
    }
  }

  /** The index of an interface, or undefined when there is none of that name. */
  findLink(name: string): number | undefined {
    try { return this.request(getLink(name), `find ${name}`) } catch (error) {
      if (error instanceof SystemCallError && error.code === 'ENODEV') return undefined
      throw error
    }
  }

  [Symbol.dispose](): void { closeSync(this.#fd) }
}
