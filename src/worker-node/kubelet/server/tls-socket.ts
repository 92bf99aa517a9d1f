// Whether a connection is TLS, told by what it has rather than by its class: a socket of a proxy or a test may be wrapped.
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'

export function isTlsSocket(socket: Socket): socket is TLSSocket { return 'encrypted' in socket && socket.encrypted === true }
