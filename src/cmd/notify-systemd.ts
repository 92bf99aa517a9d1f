// Tells systemd how a service of `Type=notify` is: `READY=1` once it serves. A datagram to the unix socket that systemd names in NOTIFY_SOCKET.
//
// Node has no unix datagrams: libc sends it. systemd-notify is no replacement, systemd believes the main process alone.
// Upstream: sd_notify(3), github.com/coreos/go-systemd/daemon
import type { Logger } from '../lib/component-base/log.ts'

const AF_UNIX = 1
const SOCK_DGRAM = 2
const SOCK_CLOEXEC = 0o2000000

/** Does nothing when systemd did not ask for it. Never fails: the service goes on all the same. */
export async function notifySystemd(state: string, environment: { readonly [name: string]: string | undefined }, logger: Logger): Promise<boolean> {
  const path = environment['NOTIFY_SOCKET']
  if (!path) return false
  try {
    const { default: koffi } = await import('koffi')
    const libc = koffi.load('libc.so.6')
    const socket = libc.func('int socket(int domain, int type, int protocol)')
    const sendto = libc.func('long sendto(int fd, const void *data, size_t length, int flags, const void *address, unsigned int addressLength)')
    const close = libc.func('int close(int fd)')
    const fd = Number(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0))
    if (fd < 0) throw new Error(`socket: errno ${koffi.errno()}`)
    try {
      const data = Buffer.from(state)
      const address = socketAddress(path)
      if (Number(sendto(fd, data, data.length, 0, address, address.length)) < 0) throw new Error(`sendto ${path}: errno ${koffi.errno()}`)
    } finally {
      close(fd)
    }
    logger.info('told systemd', { state })
    return true
  } catch (error) {
    logger.error('systemd was not told', error, { state })
    return false
  }
}

/** struct sockaddr_un; a name that begins with @ is in the abstract namespace. */
export function socketAddress(path: string): Buffer {
  const family = Buffer.alloc(2)
  family.writeUInt16LE(AF_UNIX)
  return path.startsWith('@') ? Buffer.concat([family, Buffer.of(0), Buffer.from(path.slice(1))]) : Buffer.concat([family, Buffer.from(path), Buffer.of(0)])
}
