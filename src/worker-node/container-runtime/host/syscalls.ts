// The Linux system calls that Node doesn't offer, through libc: namespaces, mounts, device nodes, extended attributes, pseudo-terminals and
// the sockets that node:net can't open (netlink, seqpacket, TCP in another network namespace).
//
// Rule it keeps: whoever enters a namespace leaves it within the same synchronous call. A namespace belongs to the thread, so nothing else of
// this process may run in between; failing to return ends the process, because all later work would happen in the wrong place.
import { closeSync, openSync } from 'node:fs'
import koffi from 'koffi'

/** A system call failed. `code` is the errno's name as in Node's own errors. */
export class SystemCallError extends Error {
  override readonly name = 'SystemCallError'
  readonly code: string
  readonly syscall: string
  constructor(syscall: string, detail: string, errno: number) {
    const code = Object.entries(koffi.os.errno).find(([, value]) => value === errno)?.[0] ?? `errno ${errno}`
    super(`${syscall} ${detail}: ${code}`)
    this.code = code
    this.syscall = syscall
  }
}

export const CLONE_NEWNS = 0x0002_0000
export const CLONE_NEWUTS = 0x0400_0000
export const CLONE_NEWIPC = 0x0800_0000
export const CLONE_NEWNET = 0x4000_0000
export const MS_RDONLY = 1
export const MS_NOSUID = 2
export const MS_NODEV = 4
export const MS_NOEXEC = 8
export const MS_REMOUNT = 32
export const MS_BIND = 4096
export const MS_REC = 16384
export const MS_PRIVATE = 1 << 18
export const MNT_DETACH = 2
const AF_UNIX = 1
const AF_INET = 2
const AF_INET6 = 10
const AF_NETLINK = 16
const SOCK_STREAM = 1
const SOCK_RAW = 3
const SOCK_SEQPACKET = 5
const SOCK_NONBLOCK = 0o4000
const SOCK_CLOEXEC = 0o2000000
const MSG_DONTWAIT = 0x40
const MSG_NOSIGNAL = 0x4000
const TIOCSWINSZ = 0x5414
const TIOCGPTPEER = 0x5441
const O_RDWR = 2
const O_NOCTTY = 0o400
const O_NONBLOCK = 0o4000
const SOL_SOCKET = 1
const SCM_RIGHTS = 1
const MSG_CMSG_CLOEXEC = 0x4000_0000

type NativeFunction = ReturnType<ReturnType<typeof koffi.load>['func']>
let loaded: ReturnType<typeof load> | undefined

function load() {
  const libc = koffi.load('libc.so.6')
  const native = (prototype: string): NativeFunction => libc.func(prototype)
  return {
    unshare: native('int unshare(int flags)'),
    setns: native('int setns(int fd, int type)'),
    mount: native('int mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data)'),
    umount2: native('int umount2(const char *target, int flags)'),
    sethostname: native('int sethostname(const char *name, size_t length)'),
    mknod: native('int mknod(const char *path, unsigned int mode, unsigned long device)'),
    lsetxattr: native('int lsetxattr(const char *path, const char *name, const void *value, size_t size, int flags)'),
    socket: native('int socket(int domain, int type, int protocol)'),
    connect: native('int connect(int fd, const void *address, unsigned int length)'),
    bind: native('int bind(int fd, const void *address, unsigned int length)'),
    send: native('long send(int fd, const void *buffer, size_t length, int flags)'),
    recv: native('long recv(int fd, _Out_ void *buffer, size_t length, int flags)'),
    shutdown: native('int shutdown(int fd, int how)'),
    openpty: native('int openpty(_Out_ int *master, _Out_ int *slave, char *name, const void *termios, const void *winsize)'),
    listen: native('int listen(int fd, int backlog)'),
    accept4: native('int accept4(int fd, void *address, void *length, int flags)'),
    recvmsg: native('long recvmsg(int fd, void *message, int flags)'),
    ioctl: native('int ioctl(int fd, unsigned long request, const void *argument)'),
    ioctlNumber: libc.func('ioctl', 'int', ['int', 'ulong', 'long']),
    syncfs: native('int syncfs(int fd)'),
  }
}

/** libc, loaded when it is first needed: the simulated runtime never does. */
function libc(): ReturnType<typeof load> { return (loaded ??= load()) }

function check(result: number, syscall: string, detail: string): number {
  if (result < 0) throw new SystemCallError(syscall, detail, koffi.errno())
  return result
}

/** @throws SystemCallError */
export function mount(source: string, target: string, type: string | null, flags: number, data: string | null = null): void {
  check(libc().mount(source, target, type, flags, data), 'mount', `${source} at ${target}`)
}

/** Unmounts; false when nothing is mounted there. @throws SystemCallError for all other reasons */
export function unmount(target: string): boolean {
  if (libc().umount2(target, MNT_DETACH) === 0) return true
  const errno = koffi.errno()
  if (errno === koffi.os.errno.EINVAL || errno === koffi.os.errno.ENOENT) return false
  throw new SystemCallError('umount2', target, errno)
}

/** Device numbers as Linux packs them. */
export function makeDevice(major: number, minor: number): number {
  return (minor & 0xff) + ((major & 0xfff) * 0x100) + ((minor >>> 8) * 0x100000)
}

/** Major and minor of a packed device number, such as `rdev` of a stat. */
export function splitDevice(device: number): { readonly major: number; readonly minor: number } {
  return { major: Math.floor(device / 0x100) & 0xfff, minor: (device & 0xff) + Math.floor(device / 0x100000) * 0x100 }
}

/** @param mode type and permission bits, as in stat. */
export function makeNode(path: string, mode: number, device: number): void { check(libc().mknod(path, mode, device), 'mknod', path) }

/** Sets an extended attribute of `path` itself, not of what a symlink points to. */
export function setAttribute(path: string, name: string, value: Uint8Array): void {
  check(libc().lsetxattr(path, name, value, value.length, 0), 'lsetxattr', `${name} of ${path}`)
}

/** Writes everything of a file system to disk, without blocking this thread. */
export function syncFilesystem(fd: number): Promise<void> {
  return new Promise((resolve, reject) => libc().syncfs.async(fd, (error: Error | null, result: number) => {
    if (error || result < 0) reject(error ?? new SystemCallError('syncfs', String(fd), koffi.errno())); else resolve()
  }))
}

/** Kinds of namespaces that are pinned for a pod. */
export type NamespaceKind = 'net' | 'ipc' | 'uts'
const cloneFlags: { readonly [K in NamespaceKind]: number } = { net: CLONE_NEWNET, ipc: CLONE_NEWIPC, uts: CLONE_NEWUTS }

/** Runs `body` synchronously between `enter` and the return to this thread's own namespaces of these kinds. */
function excursion<T>(kinds: readonly NamespaceKind[], enter: () => void, body: () => T): T {
  const saved = kinds.map((kind) => openSync(`/proc/thread-self/ns/${kind}`, 'r'))
  try {
    enter()
    return body()
  } finally {
    for (const fd of saved) {
      if (libc().setns(fd, 0) !== 0) {
        process.stderr.write(`container runtime: can't return to its own namespace (errno ${koffi.errno()})\n`)
        process.abort()
      }
      closeSync(fd)
    }
  }
}

/** Makes new namespaces, runs `body` inside them (synchronously) and comes back. They live on only if `body` pins them. */
export function insideNewNamespaces<T>(kinds: readonly NamespaceKind[], body: () => T): T {
  return excursion(kinds, () => { check(libc().unshare(kinds.reduce((flags, kind) => flags | cloneFlags[kind], 0)), 'unshare', kinds.join(' ')) }, body)
}

/** Runs `body` inside the namespace behind `path` (synchronously) and comes back. */
export function insideNamespace<T>(kind: NamespaceKind, path: string, body: () => T): T {
  const fd = openSync(path, 'r')
  try {
    return excursion([kind], () => { check(libc().setns(fd, cloneFlags[kind]), 'setns', path) }, body)
  } finally { closeSync(fd) }
}

export function setHostname(name: string): void { check(libc().sethostname(name, Buffer.byteLength(name)), 'sethostname', name) }

/** A routing socket of the network namespace that this thread is in now. */
export function openNetlinkRoute(): number {
  const fd = check(libc().socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0), 'socket', 'netlink')
  const address = Buffer.alloc(12)
  address.writeUInt16LE(AF_NETLINK, 0)
  check(libc().bind(fd, address, address.length), 'bind', 'netlink')
  return fd
}

/** An unconnected TCP socket of the network namespace that this thread is in now. */
export function openTcpSocket(family: 4 | 6): number { return check(libc().socket(family === 4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), 'socket', 'tcp') }

/** Connects to `port` on the loopback address, on a thread of the pool. Resolves to false when it can't be reached. */
export function connectToLoopback(fd: number, family: 4 | 6, port: number): Promise<boolean> {
  const address = Buffer.alloc(family === 4 ? 16 : 28)
  address.writeUInt16LE(family === 4 ? AF_INET : AF_INET6, 0)
  address.writeUInt16BE(port, 2)
  if (family === 4) address.set([127, 0, 0, 1], 4); else address[23] = 1
  return new Promise((resolve, reject) => libc().connect.async(fd, address, address.length, (error: Error | null, result: number) => { if (error) reject(error); else resolve(result === 0) }))
}

function unixAddress(path: string, syscall: string): Buffer {
  const name = Buffer.from(path)
  if (name.length > 107) throw new SystemCallError(syscall, path, koffi.os.errno.ENAMETOOLONG ?? 36)
  const address = Buffer.alloc(2 + name.length + 1)
  address.writeUInt16LE(AF_UNIX, 0)
  name.copy(address, 2)
  return address
}

/** Connects to a unix socket that keeps message borders (conmon's attach socket). */
export function connectSeqpacket(path: string): number {
  const address = unixAddress(path, 'connect')
  const fd = check(libc().socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), 'socket', 'seqpacket')
  try { check(libc().connect(fd, address, address.length), 'connect', path) } catch (error) { closeSync(fd); throw error }
  return fd
}

/** A unix socket at `path` on which one sender is awaited. */
export function listenAt(path: string): number {
  const address = unixAddress(path, 'bind')
  const fd = check(libc().socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), 'socket', 'unix')
  try {
    check(libc().bind(fd, address, address.length), 'bind', path)
    check(libc().listen(fd, 1), 'listen', path)
  } catch (error) { closeSync(fd); throw error }
  return fd
}

/** Takes a waiting connection; undefined when there is none yet. */
export function acceptConnection(listener: number): number | undefined {
  const fd: number = libc().accept4(listener, null, null, SOCK_NONBLOCK | SOCK_CLOEXEC)
  if (fd >= 0) return fd
  const errno = koffi.errno()
  if (errno === koffi.os.errno.EAGAIN || errno === koffi.os.errno.EINTR) return undefined
  throw new SystemCallError('accept4', String(listener), errno)
}

/** A struct msghdr with one vector and room for one descriptor. Made once: the kernel reads addresses in it, so nothing of it may be collected. */
function makeMessageHeader(): { readonly message: Buffer; readonly control: Buffer; readonly held: readonly Buffer[] } {
  const piece = Buffer.alloc(4096)
  const control = Buffer.alloc(128)
  const vector = Buffer.alloc(128)
  vector.writeBigUInt64LE(koffi.address(piece), 0)
  vector.writeBigUInt64LE(BigInt(piece.length), 8)
  const message = Buffer.alloc(128)
  message.writeBigUInt64LE(koffi.address(vector), 16)
  message.writeBigUInt64LE(1n, 24)
  message.writeBigUInt64LE(koffi.address(control), 32)
  return { message, control, held: [piece, vector] }
}
let messageHeader: ReturnType<typeof makeMessageHeader> | undefined

/** The file descriptor that somebody sends over a connection; undefined while none has come. @throws SystemCallError when none will come */
export function receiveDescriptor(connection: number): number | undefined {
  const { message, control } = (messageHeader ??= makeMessageHeader())
  // struct cmsghdr: length (8 bytes), level, type, and the descriptor.
  message.writeBigUInt64LE(24n, 40)
  control.fill(0)
  const length: number = libc().recvmsg(connection, message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC)
  if (length < 0) {
    const errno = koffi.errno()
    if (errno === koffi.os.errno.EAGAIN || errno === koffi.os.errno.EINTR) return undefined
    throw new SystemCallError('recvmsg', String(connection), errno)
  }
  const carries = message.readBigUInt64LE(40) >= 20n && control.readInt32LE(8) === SOL_SOCKET && control.readInt32LE(12) === SCM_RIGHTS
  if (!carries) throw new SystemCallError('recvmsg', 'without a file descriptor', koffi.os.errno.EBADMSG ?? 74)
  return control.readInt32LE(16)
}

/** Sends one message. False when the other side's queue is full. */
export function sendMessage(fd: number, message: Uint8Array): boolean {
  if (libc().send(fd, message, message.length, MSG_NOSIGNAL) >= 0) return true
  const errno = koffi.errno()
  if (errno === koffi.os.errno.EAGAIN || errno === koffi.os.errno.ENOBUFS) return false
  throw new SystemCallError('send', String(fd), errno)
}

/** Receives one message into `buffer`: its length, 0 at the end, undefined when there is none now. */
export function receiveMessage(fd: number, buffer: Uint8Array, wait: boolean): number | undefined {
  const length: number = libc().recv(fd, buffer, buffer.length, wait ? 0 : MSG_DONTWAIT)
  if (length >= 0) return length
  const errno = koffi.errno()
  if (errno === koffi.os.errno.EAGAIN || errno === koffi.os.errno.EINTR) return undefined
  throw new SystemCallError('recv', String(fd), errno)
}

/** Ends the sending side, or both. */
export function shutdownSocket(fd: number, side: 'write' | 'both'): void { libc().shutdown(fd, side === 'write' ? 1 : 2) }

function windowSize(size: { readonly width: number; readonly height: number }): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeUInt16LE(Math.min(size.height, 65535), 0)
  bytes.writeUInt16LE(Math.min(size.width, 65535), 2)
  return bytes
}

/** A pseudo-terminal for a runtime that copies: the one behind it does the echoing and line editing, this one ends the lines of the output. */
export function openPty(): { readonly master: number; readonly slave: number } {
  const master: [number] = [-1]
  const slave: [number] = [-1]
  const raw = Buffer.alloc(60)
  raw.writeUInt32LE(0o5, 4) // output flags: a carriage return before every line feed
  raw.writeUInt32LE(0o60 | 0o200 | 0o17, 8) // control flags: 8 bits, receiver on, 38400 baud; no input or local flags at all
  raw[17 + 6] = 1 // VMIN: a read waits for one byte
  check(libc().openpty(master, slave, null, raw, null), 'openpty', '')
  return { master: master[0], slave: slave[0] }
}

/** The other end of a pseudo-terminal, by its master: also when it lies in a container's own /dev/pts. It never becomes anybody's controlling terminal. */
export function openTerminalPeer(master: number): number {
  return check(libc().ioctlNumber(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_NONBLOCK), 'ioctl', 'TIOCGPTPEER')
}

/** Sets the size of the terminal behind an open file descriptor. */
export function setTerminalSize(fd: number, size: { readonly width: number; readonly height: number }): void {
  check(libc().ioctl(fd, TIOCSWINSZ, windowSize(size)), 'ioctl', 'TIOCSWINSZ')
}
